package access

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
)

const byRoles = `# who may do what
[^x_owner_.*]
create = member, admin
read: member,
    reader
update = admin
delete = @

[x_none]
create = !
read =
update = !
delete = !

; the rest
[.*]
create = @
read = @
update = @
delete = @
`

func TestProtections(t *testing.T) {
	p, problems := ParseProtections([]byte(byRoles), ByRoles)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		op       Operation
		property string
		role     string
		want     bool
	}{
		{Create, "x_owner_a", "member", true},
		{Create, "x_owner_a", "Member", true},
		{Create, "x_owner_a", "reader", false},
		{Read, "x_owner_a", "reader", true},
		{Read, "x_owner_a", "admin", false}, // an administrator only where it says so
		{Update, "x_owner_a", "member", false},
		{Update, "x_owner_a", "admin", true},
		{Delete, "x_owner_a", "nobody", true},
		{Create, "x_none", "admin", false},
		{Read, "has_x_none_inside", "admin", false}, // a pattern is looked for anywhere
		{Create, "not_x_owner_a", "nobody", true},
	} {
		if got := p.Allow(c.op, c.property, callerIn("red", c.role), Standard()); got != c.want {
			t.Errorf("%s of %s by %s: got %v", c.op, c.property, c.role, got)
		}
	}
	only, _ := ParseProtections([]byte("[a]\ncreate=@\nread=@\nupdate=@\ndelete=@"), ByRoles)
	if only.Allow(Read, "b", callerIn("red", "admin"), Standard()) {
		t.Error("a property that no section matches is somebody's")
	}
	var none *Protections
	if !none.Allow(Delete, "b", callerIn("red"), Standard()) {
		t.Error("without protections something is protected")
	}
}

func TestProtectionsByPolicies(t *testing.T) {
	p, problems := ParseProtections([]byte("[x_.*]\ncreate = maker\nread = @\nupdate = context_is_admin\ndelete = missing\n"), ByPolicies)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	rules, _ := Standard().Override("f", []byte("maker: role:maker"))
	if !p.Allow(Create, "x_a", callerIn("red", "maker"), rules) || p.Allow(Update, "x_a", callerIn("red", "maker"), rules) || !p.Allow(Update, "x_a", callerIn("red", "admin"), rules) {
		t.Error("the rules are not asked")
	}
	if u := p.Unknown(rules); len(u) != 1 || u[0].Line != 1 || p.Allow(Delete, "x_a", callerIn("red", "admin"), rules) {
		t.Errorf("unknown: %v", u)
	}
}

func TestProtectionsThatAreRefused(t *testing.T) {
	const rest = "read=@\nupdate=@\ndelete=@\n"
	for _, c := range []struct{ name, file, says string }{
		{"an operation is missing", "[a]\n" + rest, "who may create"},
		{"a bad pattern", "[a(]\ncreate=@\n" + rest, "cannot be used"},
		{"a look-ahead", "[(?=a)]\ncreate=@\n" + rest, "cannot be used"},
		{"both", "[a]\ncreate=@,!\n" + rest, "exclude"},
		{"twice", "[a]\ncreate=@\n" + rest + "[a]\ncreate=@\n" + rest, "twice"},
		{"an unknown operation", "[a]\ncreate=@\nwrite=@\n" + rest, "is not one of"},
		{"an operation twice", "[a]\ncreate=@\ncreate=!\n" + rest, "is not one of"},
		{"no section", "create=@\n", "comes first"},
		{"no words", "[a]\ncreate\n" + rest, "expected"},
		{"defaults", "[DEFAULT]\ncreate=@\n" + rest, "not taken"},
		{"an empty pattern", "[]\ncreate=@\n" + rest, "1 to"},
		{"indented", "[a]\n  create=@\n" + rest, "goes on with nothing"},
		{"no text", "\xff", "no text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, problems := ParseProtections([]byte(c.file), ByRoles)
			if p != nil || !strings.Contains(fmt.Sprint(problems), c.says) {
				t.Errorf("got %v, want %q", problems, c.says)
			}
		})
	}
	if _, problems := ParseProtections([]byte("[a]\ncreate=a,b\n"+rest), ByPolicies); len(problems) != 1 {
		t.Errorf("several policies: %v", problems)
	}
	if _, problems := ParseProtections(nil, "tokens"); len(problems) != 1 {
		t.Errorf("an unknown form: %v", problems)
	}
}

func FuzzProtections(f *testing.F) {
	f.Add(byRoles)
	f.Add("[a]\ncreate=@\n  ,b\nread:!\nupdate=\ndelete=x")
	standard := Standard()
	f.Fuzz(func(t *testing.T, file string) {
		p, problems := ParseProtections([]byte(file), ByRoles)
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("protections %v, problems %v", p, problems)
		}
		for _, op := range operations() {
			p.Allow(op, "a", callerIn("red", "member"), standard)
		}
	})
}

func TestAFileIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("get_images: '!'")
	var log strings.Builder
	h, err := OpenRules(path, Standard(), zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	may := func() bool { return h.Current().Allows("get_images", callerIn("red", "reader"), NewTarget("red")) }
	if may() {
		t.Fatal("the file is not read")
	}
	write("get_images: 'oops'")
	for range 3 {
		if err := h.Reload(); errcode.Of(err) != errcode.AccessRulesInvalid {
			t.Fatalf("got %v", err)
		}
	}
	if may() || strings.Count(log.String(), "cannot be used") != 1 {
		t.Errorf("a wrong file is in force, or told more than once:\n%s", log.String())
	}
	write("get_images: '@'\nget_imags: '@'")
	go h.Run(t.Context(), time.Millisecond, nil)
	for until := time.Now().Add(30 * time.Second); !may(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the new file does not come into force")
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := h.Reload(); errcode.Of(err) != errcode.AccessRulesInvalid || !may() {
		t.Errorf("without the file: %v", err)
	}
	if _, err := OpenRules(path, Standard(), zerolog.Nop()); errcode.Of(err) != errcode.AccessRulesInvalid || strings.Contains(err.Error(), filepath.Dir(path)) {
		t.Errorf("got %v", err)
	}
}
