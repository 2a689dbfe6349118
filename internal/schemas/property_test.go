package schemas

import (
	"strings"
	"testing"
)

func TestCheckText(t *testing.T) {
	own, err := ParseProperties([]byte(`{"plan":{"type":"string","maxLength":4,"minLength":2},"any":{"type":["null","string"]},"tier":{"type":"string","enum":["gold","silver"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	known := WellKnown()
	for _, c := range []struct {
		schema Object
		value  string
		wrong  string
	}{
		{known["kernel_id"], "11111111-2222-4333-8444-555555555555", ""},
		{known["kernel_id"], "AAAAAAAA-2222-4333-8444-555555555555", ""},
		{known["kernel_id"], "", "describes"},
		{known["kernel_id"], "11111111-2222-4333-8444-555555555555\n", "describes"},
		{known["kernel_id"], "11111111222243338444555555555555", "describes"},
		{known["cinder_encryption_key_deletion_policy"], "do_not_delete", ""},
		{known["cinder_encryption_key_deletion_policy"], "never", "one of on_image_deletion, do_not_delete"},
		{known["os_distro"], strings.Repeat("x", 1000), ""},
		{nil, "x", ""},
		{own["plan"], "éé", ""},
		{own["plan"], "é", "at least 2"},
		{own["plan"], "ééééé", "at most 4"},
		{own["tier"], "gold", ""},
		{own["tier"], "lead", "one of gold, silver"},
	} {
		if got := CheckText(c.schema, c.value); (got == "") != (c.wrong == "") || !strings.Contains(got, c.wrong) {
			t.Errorf("%.40q: %q, want %q", c.value, got, c.wrong)
		}
	}
	if !TakesNull(known["kernel_id"]) || TakesNull(known["os_distro"]) || TakesNull(nil) || !TakesNull(own["any"]) || TakesNull(own["plan"]) {
		t.Error("null is taken where it is not, or not where it is")
	}
}
