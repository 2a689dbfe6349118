package access

import (
	"fmt"
	"strings"
	"testing"

	"ingest/internal/identity"
)

func callerIn(project string, roles ...string) identity.Caller {
	return identity.Caller{Project: project, User: "ann", Roles: roles}
}

// image is a target as api makes it.
func image(owner, visibility, member string) Target {
	t := NewTarget(owner)
	t.Set("visibility", visibility)
	t.Set("member_id", member)
	t.SetBool("protected", false)
	t.SetMissing("os_distro", "debian")
	return t
}

func TestLanguage(t *testing.T) {
	member := callerIn("red", "member")
	service := callerIn("red")
	service.ServiceRoles = []string{"Service"}
	for _, c := range []struct {
		rule   string
		caller identity.Caller
		target Target
		want   bool
	}{
		{"", identity.Caller{}, Target{}, true},
		{"@", identity.Caller{}, Target{}, true},
		{"!", member, Target{}, false},
		{"not !", member, Target{}, true},
		{"role:member", member, Target{}, true},
		{"role:MEMBER", member, Target{}, true},
		{"role:reader", member, Target{}, true},
		{"role:admin", member, Target{}, false},
		{"role:auditor", callerIn("red", "Auditor"), Target{}, true},
		{"project_id:%(project_id)s", member, image("red", "private", ""), true},
		{"project_id:%(project_id)s", member, image("blue", "private", ""), false},
		{"project_id:%(owner)s", member, image("red", "private", ""), true},
		{"project_id:red", member, Target{}, true},
		{"project_id:%(member_id)s", member, image("blue", "shared", "red"), true},
		{"project_id:%(member_id)s", member, image("blue", "shared", ""), false},
		{"user_id:ann", member, Target{}, true},
		{"'community':%(visibility)s", member, image("blue", "community", ""), true},
		{"'community':%(visibility)s", member, image("blue", "public", ""), false},
		{`"public":%(visibility)s`, member, image("blue", "public", ""), true},
		{"'debian':%(os_distro)s", member, image("blue", "public", ""), true},
		{"None:%(member_id)s", member, image("blue", "public", ""), true},
		{"None:%(member_id)s", member, image("blue", "public", "red"), false},
		{"None:%(nothing)s", member, image("blue", "public", ""), false},
		{"False:%(protected)s", member, image("blue", "public", ""), true},
		{"True:%(protected)s", member, image("blue", "public", ""), false},
		{"project_id:%(nothing)s", member, image("red", "public", ""), false},
		{"not project_id:%(nothing)s", member, image("red", "public", ""), true},
		{"project_id:r%(x)sd", member, func() (t Target) { t.Set("x", "e"); return }(), true},
		{"role:admin or role:member and !", member, Target{}, false},
		{"role:member or role:admin and !", member, Target{}, true},
		{"(role:member or role:admin) and !", member, Target{}, false},
		{"not role:admin and role:member", member, Target{}, true},
		{"not (role:admin or role:member)", member, Target{}, false},
		{"ROLE:member", member, Target{}, false},
		{"role:member AND ((@))", member, Target{}, true},
		{"is_admin:True", callerIn("red", "admin"), Target{}, true},
		{"is_admin:True", member, Target{}, false},
		{"is_admin:False", member, Target{}, true},
		{"rule:publicize_image", member, Target{}, false},
		{"service_roles:service", service, Target{}, true},
		{"service_roles:service", callerIn("red", "service"), Target{}, false},
		{"system_scope:all", callerIn("red", "admin"), Target{}, false},
		{"tenant:%(owner)s", member, image("red", "private", ""), true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r, problems := Standard().Override("f", fmt.Appendf(nil, "mine: %q", c.rule))
			if c.rule == "ROLE:member" {
				if len(problems) == 0 {
					t.Fatal("an unknown attribute is taken")
				}
				return
			}
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if got := r.Allows("mine", c.caller, c.target); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestNobodyOwnsWhatHasNoOwner(t *testing.T) {
	r := Standard()
	for _, who := range []identity.Caller{{}, {Roles: []string{"member"}}, {Project: "None", Roles: []string{"member"}}} {
		for _, name := range []string{"get_image", "modify_image", "modify_member", "get_task"} {
			if r.Allows(name, who, image("", "shared", "")) {
				t.Errorf("%+v may %s", who, name)
			}
		}
	}
	var hidden Target
	hidden.Set("project_id", "blue")
	hidden.SetMissing("project_id", "red") // a property of that name
	hidden.Set("member_id", "")
	hidden.SetMissing("member_id", "red")
	if r.Allows("modify_image", callerIn("red", "member"), hidden) || r.Allows("modify_member", callerIn("red", "member"), hidden) {
		t.Error("a property stands in place of what the catalogue knows")
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	chain := strings.Builder{}
	for i := range 14 {
		fmt.Fprintf(&chain, "r%d: rule:r%d and rule:r%d\n", i, i+1, i+1)
	}
	chain.WriteString("r14: '@'\n")
	for _, c := range []struct{ name, file, says string }{
		{"a word", "get_image: admin_required", "is no check"},
		{"no kind", "get_image: ':x'", "is no check"},
		{"no value", "get_image: 'project_id:'", "no value"},
		{"no role", "get_image: 'role:'", "names no role"},
		{"a role of the target", "get_image: 'role:%(x)s'", "names no role"},
		{"another server", "get_image: 'http://policy.example/check'", "another server"},
		{"an attribute nobody has", "get_image: 'projct_id:%(owner)s'", "no attribute"},
		{"an open value", "get_image: 'project_id:%(owner'", "is written"},
		{"a bare percent", "get_image: 'project_id:100%'", "is written"},
		{"None and text", "get_image: 'None:x%(y)s'", "None is compared"},
		{"an open parenthesis", "get_image: '(role:admin'", "not closed"},
		{"one too many", "get_image: 'role:admin)'", "expected"},
		{"nothing behind and", "get_image: 'role:admin and'", "ends where"},
		{"nothing between", "get_image: 'role:admin role:member'", "expected"},
		{"not alone", "get_image: 'not'", "ends where"},
		{"an unknown rule", "get_image: rule:nobody", "there is no rule"},
		{"a circle", "get_image: rule:a\na: rule:b\nb: rule:a", "refers to itself"},
		{"itself", "context_is_admin: is_admin:True", "refers to itself"},
		{"deep", "get_image: '" + strings.Repeat("(", 40) + "@" + strings.Repeat(")", 40) + "'", "levels"},
		{"long", "get_image: '" + strings.Repeat("@ or ", 1000) + "@'", "at most 4096"},
		{"exploding", chain.String(), "more than 10000 checks"},
		{"no YAML", "get_image: 'x", "no YAML"},
		{"a list of rules", "- get_image", "is a mapping"},
		{"twice", "get_image: '@'\nget_image: '!'", "stands in line 1"},
		{"a number", "get_image: 1", "is text"},
		{"two documents", "a: '@'\n---\nb: '@'", "second document"},
		{"a name with spaces", "'get image': '@'", "no spaces"},
		{"large", "#" + strings.Repeat("x", MaxBytes), "more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, problems := Standard().Override("f", []byte(c.file))
			if r != nil || len(problems) == 0 {
				t.Fatal("taken")
			}
			if !strings.Contains(fmt.Sprint(problems), c.says) {
				t.Errorf("got %v, want %q", problems, c.says)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	file := `# Glance's sample
"publicize_image": "role:image_maker or role:admin"
"helper": "role:helper"
"copy_image": [["rule:helper", "project_id:%(project_id)s"], ["role:admin"]]
"modify_imgae": "!"
`
	r, problems := Standard().Override("policy.yaml", []byte(file))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rule, _ := r.Rule("publicize_image")
	if rule.Source != "policy.yaml:2" || rule.Default != "role:admin" || rule.Description == "" {
		t.Errorf("%+v", rule)
	}
	if !r.Allows("publicize_image", callerIn("red", "image_maker"), Target{}) {
		t.Error("the file's rule is not in force")
	}
	if !r.Allows("copy_image", callerIn("red", "helper"), NewTarget("red")) || r.Allows("copy_image", callerIn("red", "helper"), NewTarget("blue")) {
		t.Error("the list form is read wrongly")
	}
	if u := r.Unused(); len(u) != 1 || u[0].Line != 5 || !strings.Contains(u[0].Message, "modify_imgae") {
		t.Errorf("unused: %v", u)
	}
	if Standard().Digest() == r.Digest() || Standard().Digest() != Standard().Digest() {
		t.Error("digests do not tell rules apart")
	}
	for _, same := range []string{"", "# nothing\n", "{}", "null"} {
		if r, problems := Standard().Override("f", []byte(same)); len(problems) > 0 || r.Digest() != Standard().Digest() {
			t.Errorf("%q: %v", same, problems)
		}
	}
	if r, problems := Standard().Override("policy.json", []byte(`{"get_images": "!", "default": "role:admin"}`)); len(problems) > 0 || r.Allows("get_images", callerIn("red", "admin"), Target{}) {
		t.Errorf("JSON: %v", problems)
	}
	if Standard().Allows("no_such_rule", callerIn("red", "admin"), Target{}) {
		t.Error("a rule that there is not allows something")
	}
}

func TestOpenOpensTheServersBusinessOnly(t *testing.T) {
	member := callerIn("red", "member")
	for _, name := range []string{"ingest:gc", "ingest:fsck", "cache_list", "cache_delete", "cache_image", "ingest:cache_view", "add_metadef_namespace", "stores_info_detail"} {
		if !Open().Allows(name, member, NewTarget("red")) {
			t.Errorf("%s is closed where nobody is authenticated", name)
		}
		if Standard().Allows(name, member, NewTarget("red")) || !Standard().Allows(name, callerIn("x", "admin"), NewTarget("red")) {
			t.Errorf("%s is not the administrators'", name)
		}
	}
	for _, name := range []string{"modify_image", "delete_image", "get_task", "publicize_image", "copy_image", "delete_image_location"} {
		if Open().Allows(name, member, image("blue", "public", "")) {
			t.Errorf("%s is open to other projects", name)
		}
	}
}

func FuzzRuleFiles(f *testing.F) {
	f.Add("a: [[role:x, '@'], []]\nb: rule:a\nc: not (rule:b or None:%(x)s) and 'y':%%%(z)s")
	f.Add(`{"get_image": "(((not not @)))"}`)
	standard := Standard()
	f.Fuzz(func(t *testing.T, file string) {
		r, problems := standard.Override("f", []byte(file))
		if (r == nil) != (len(problems) > 0) {
			t.Fatalf("rules %v, problems %v", r, problems)
		}
		if r == nil {
			return
		}
		for _, rule := range r.List() {
			r.Allows(rule.Name, callerIn("red", "member"), image("red", "private", ""))
		}
	})
}

func FuzzRuleText(f *testing.F) {
	for _, r := range Standard().List() {
		f.Add(r.Check)
	}
	f.Add("not (role:b or None:%(x)s) and 'y':%%%(z)s")
	q := &question{callerIn("red", "member"), image("red", "private", "")}
	f.Fuzz(func(t *testing.T, text string) {
		p, tree, err := parseRule(text)
		if err != nil || len(p.refs) > 0 {
			return
		}
		inner := text
		if len(words(text)) == 0 {
			inner = "@"
		}
		_, again, err := parseRule("not not (" + inner + ")")
		if err != nil {
			return // deeper or longer than the limits
		}
		if tree.holds(q) != again.holds(q) {
			t.Errorf("%q judges differently in parentheses", text)
		}
	})
}

// BenchmarkAllows judges what every request for an image asks.
func BenchmarkAllows(b *testing.B) {
	r, who, target := Standard(), callerIn("red", "member"), image("blue", "public", "")
	b.ReportAllocs()
	for b.Loop() {
		if !r.Allows("get_image", who, target) {
			b.Fatal("refused")
		}
	}
}
