package policy

import (
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

func TestStoresOfProjects(t *testing.T) {
	p := parsed(t, "version: 1\ndefaults:\n  stores: [local, cloud]\n  exempt: {admin: [stores]}\nprojects:\n  acme: {stores: [vault]}\n  free: {stores: any}\n")
	req := func(owner, first string, more ...string) contract.ImportRequest {
		r := contract.ImportRequest{Owner: owner, Target: contract.TargetSpec{Store: first}}
		r.Stores = more
		return r
	}
	for _, c := range []struct {
		name string
		rep  contract.PolicyReport
		want errcode.Code
	}{
		{"allowed", p.Submission(req("p", "local", "cloud")), ""},
		{"the default store is not known yet", p.Submission(req("p", "")), ""},
		{"first", p.Submission(req("p", "vault")), errcode.PolicyStore},
		{"further", p.Submission(req("p", "", "local", "vault")), errcode.PolicyStore},
		{"a project's own list", p.Submission(req("acme", "vault")), ""},
		{"stands in place of the defaults", p.Submission(req("acme", "local")), errcode.PolicyStore},
		{"any", p.Submission(req("free", "vault")), ""},
		{"copy", p.Copy(req("p", ""), []string{"cloud"}), ""},
		{"denied copy", p.Copy(req("p", ""), []string{"cloud", "vault"}), errcode.PolicyStore},
		{"copy to nowhere", p.Copy(req("p", ""), nil), ""},
		{"validated", p.Validation(Validation{Request: req("p", ""), Target: contract.TargetSpec{Format: "raw", Store: "vault"}}), errcode.PolicyStore},
		{"validated, several", p.Validation(Validation{Request: req("p", ""), Stores: []string{"local", "vault"}}), errcode.PolicyStore},
		{"active", p.Activation(contract.ActivateParams{Request: req("p", ""), Stored: contract.Stored{Store: "local"}}), ""},
		{"active in the default store", p.Activation(contract.ActivateParams{Request: req("p", ""), Stored: contract.Stored{Store: "vault"}}), errcode.PolicyStore},
		{"active copy", p.Activation(contract.ActivateParams{Request: req("p", ""), Stored: contract.Stored{Store: "local"}, Copies: []contract.Stored{{Store: "vault"}}}), errcode.PolicyStore},
	} {
		if got := decided(c.rep); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	r := req("p", "vault")
	r.Roles = []string{"admin"}
	if got := decided(p.Submission(r)); got != "" {
		t.Errorf("an exempt role: %s", got)
	}
	if got := decided((*Policy)(nil).Copy(r, []string{"x"})); got != "" {
		t.Errorf("no policy: %s", got)
	}
	if _, problems := Parse("policy.yaml", []byte("version: 1\ndefaults:\n  stores: [1, [a]]\n")); len(problems) == 0 {
		t.Error("a list in the list is taken")
	}
}
