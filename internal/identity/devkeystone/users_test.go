package devkeystone

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"ingest/internal/errcode"
)

func TestWrongFilesOfUsers(t *testing.T) {
	h := hash(t, "secret")
	for name, text := range map[string]string{
		"no YAML":              "users: [",
		"an unknown member":    "people: []",
		"no name":              "users: [{password: H}]",
		"a plain password":     "users: [{name: a, password: secret-password}]",
		"a costly hash":        "users: [{name: a, password: '" + strings.Replace(h, "$04$", "$31$", 1) + "'}]",
		"an id with a slash":   "users: [{name: a, id: a/b, password: H}]",
		"a user twice":         "users: [{name: a, password: H}, {name: a, id: b, password: H}]",
		"an id twice":          "users: [{name: a, password: H}, {name: b, id: a, password: H}]",
		"no roles":             "users: [{name: a, password: H, projects: {p: []}}]",
		"a role with a blank":  "users: [{name: a, password: H, projects: {p: [a b]}}]",
		"a project with blank": "users: [{name: a, password: H, projects: {a b: [member]}}]",
		"a strange default":    "users: [{name: a, password: H, default_project: q, projects: {p: [member]}}]",
		"a project twice":      "projects: [{name: p}, {name: p, id: q}]",
		"a project's id twice": "projects: [{name: p}, {name: q, id: p}]",
		"a project's bad id":   "projects: [{name: p, id: ../p}]",
	} {
		_, err := parse([]byte(strings.ReplaceAll(text, "H", "'"+h+"'")))
		if errcode.Of(err) != errcode.IdentityFile {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.Contains(err.Error(), "secret-password") || strings.Contains(err.Error(), "$2a$") {
			t.Errorf("%s: the error repeats the password: %v", name, err)
		}
	}
	if d, err := parse(nil); err != nil || d.Region != "RegionOne" {
		t.Errorf("an empty file: %+v, %v", d, err)
	}
}

func TestHashPassword(t *testing.T) {
	h, err := HashPassword("secret")
	if err != nil || bcrypt.CompareHashAndPassword([]byte(h), []byte("secret")) != nil {
		t.Errorf("%s, %v", h, err)
	}
	if _, err := parse([]byte("users: [{name: a, password: '" + h + "'}]")); err != nil {
		t.Error(err)
	}
	for _, p := range []string{"", strings.Repeat("p", 73)} {
		if _, err := HashPassword(p); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%d bytes: %v", len(p), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("projects: [{name: p}]\nusers: [{name: a, password: x, projects: {p: [member]}}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := parse(raw)
		if (d == nil) != (err != nil) {
			t.Errorf("%v, %v", d, err)
		}
	})
}
