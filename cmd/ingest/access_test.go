package main

import (
	"encoding/json"
	"os"
	"testing"
)

// rulesFile puts access rules into the current folder and names them.
func rulesFile(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("rules.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "rules.yaml"
}

func TestAccessList(t *testing.T) {
	m := newMachine(t, idle)
	file := rulesFile(t, "publicize_image: role:admin or role:image_maker\nmodify_imgae: '!'\n")
	m.ingest("access", "list").want(t, 0, `RULE +SOURCE +SAYS\n.*publicize_image +default +role:admin\n.*`, ``)
	m.ingest("access", "list", "--auth", "none").want(t, 0, `.*ingest:gc +default +@\n.*`, ``)
	m.ingest("access", "list", "--rules", file, "--changed").want(t, 0,
		`rules.yaml:2: "modify_imgae": nothing asks .*\nRULE +SOURCE +SAYS\nmodify_imgae +rules.yaml:2 +!\npublicize_image +rules.yaml:1 +role:admin or role:image_maker\n`, ``)
	o := m.ingest("access", "list", "--rules", file, "--changed", "--json").want(t, 0, `.*`, ``)
	var got accessList
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || !got.OK || len(got.Rules) != 2 || got.Rules[1].Default != "role:admin" || len(got.Unused) != 1 {
		t.Errorf("%v: %s", err, o.out)
	}
	bad := rulesFile(t, "get_image: admin_required\nget_images: rule:nobody\n")
	m.ingest("access", "list", "--rules", bad).want(t, 1, `rules.yaml:1: "get_image": column 1: .*\nrules.yaml:2: .*there is no rule "nobody"\n`, ``)
	m.ingest("access", "list", "--rules", bad, "--json").want(t, 1, `\{.*"ok": false.*"line": 1.*"line": 2.*\}\n`, ``)
	m.ingest("access", "list", "--rules", "absent.yaml").want(t, 1, ``, `error: ACCESS_RULES_INVALID .*absent.yaml.*`)
	m.ingest("access", "list", "--auth", "magic").want(t, 2, ``, `.*none, token and keystone.*`)
}

func TestAccessCheck(t *testing.T) {
	m := newMachine(t, idle)
	file := rulesFile(t, "publicize_image: role:image_maker and 'bare':%(container_format)s\n")
	for _, c := range []struct {
		name string
		args []string
		exit int
		out  string
	}{
		{"one's own", []string{"modify_image", "--role", "member"}, 0, `allowed: modify_image \(default\) says: .*\n`},
		{"another's", []string{"modify_image", "--role", "member", "--owner", "other"}, 1, `not allowed: .*\n`},
		{"without a role", []string{"modify_image"}, 1, `not allowed: .*\n`},
		{"shared", []string{"get_image", "--role", "reader", "--owner", "other", "--visibility", "shared", "--member"}, 0, `allowed: .*\n`},
		{"not shared", []string{"get_image", "--role", "reader", "--owner", "other", "--visibility", "shared"}, 1, `not allowed: .*\n`},
		{"by the file", []string{"publicize_image", "--rules", file, "--role", "image_maker", "--target", "container_format=bare"}, 0, `allowed: publicize_image \(rules.yaml:1\) .*\n`},
		{"against it", []string{"publicize_image", "--rules", file, "--role", "admin"}, 1, `not allowed: .*\n`},
		{"nobody is authenticated", []string{"ingest:gc", "--auth", "none"}, 0, `allowed: .*\n`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.ingest(append([]string{"access", "check"}, c.args...)...).want(t, c.exit, c.out, ``)
		})
	}
	o := m.ingest("access", "check", "get_images", "--role", "admin", "--json").want(t, 0, `.*`, ``)
	var got judgement
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || !got.Allowed || !got.Admin || got.Rule.Name != "get_images" {
		t.Errorf("%v: %s", err, o.out)
	}
	m.ingest("access", "check", "no_such_rule").want(t, 1, ``, `error: NOT_FOUND .*no_such_rule.*`)
	m.ingest("access", "check", "get_images", "--target", "x").want(t, 2, ``, `.*NAME=VALUE.*`)
}
