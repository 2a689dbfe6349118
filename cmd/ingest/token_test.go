package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"

	"ingest/api"
	"ingest/internal/identity/tokenfile"
)

// tokenOutcome runs `ingest token`.
func tokenOutcome(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), append([]string{"token"}, args...), &out, &errOut)
	return outcome{code, out.String(), errOut.String()}
}

// A token that the command line makes opens the server to it, and no longer when it
// is revoked.
func TestTokenOnTheCommandLine(t *testing.T) {
	t.Setenv("INGEST_TOKENS", filepath.Join(t.TempDir(), "etc", "tokens.json"))
	m := newMachine(t, succeed, func(d *api.Deps) {
		file, err := tokenfile.Open(os.Getenv("INGEST_TOKENS"), "", zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		d.Identity = file
	})
	m.ingest("image", "list").want(t, 1, "", "error: UNAUTHENTICATED the request needs a token\n  what to do: .*INGEST_TOKEN.*\n")
	secret := strings.TrimSpace(tokenOutcome(t, "create", "ci", "--project", "red", "--user", "robot", "--role", "reader", "--role", "auditor").
		want(t, 0, `ingest_[\w-]{43}\n`, `token ci of user robot in project red \(reader, auditor\), until it is revoked; it is not shown again:\n`).out)
	m.ingest("image", "list", "--token", secret).want(t, 0, `IMAGE .*\n`, "")
	m.ingest("image", "list", "--token", secret, "--project", "blue").want(t, 1, "", `error: FORBIDDEN the token is for project "red".*`)
	m.ingest("image", "list", "--token", "a b").want(t, 1, "", "error: BAD_REQUEST the token holds what no token does.*")
	t.Setenv("INGEST_TOKEN", secret)
	m.ingest("image", "list").want(t, 0, `IMAGE .*\n`, "")
	m.ingest("image", "list", "--help").want(t, 0, `.*--token string .*\n`, "")
	if help := m.ingest("image", "list", "--help").out; strings.Contains(help, secret) {
		t.Error("the help tells the token")
	}

	var made struct {
		Token, Name, Last4 string
		Expires            string
	}
	out := tokenOutcome(t, "create", "me", "--role", "admin", "--expires-in", "1h", "--json").want(t, 0, `.*`, "").out
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Name != "me" || made.Expires == "" || !strings.HasSuffix(made.Token, made.Last4) || strings.Contains(out, "sha256") {
		t.Errorf("%v:\n%s", err, out)
	}
	list := tokenOutcome(t, "list").want(t, 0, `NAME +PROJECT +USER +ROLES .*\nci +red +robot +reader,auditor +\S+ +never +….{4}\nme +default +me +admin +\S+ +\S+Z +….{4}\n`, "").out
	list += tokenOutcome(t, "list", "--json").want(t, 0, `.*"name": "ci".*`, "").out
	if strings.Contains(list, secret) || strings.Contains(list, made.Token) || strings.Contains(list, "sha256") {
		t.Errorf("the list tells a secret:\n%s", list)
	}

	tokenOutcome(t, "revoke", "ci").want(t, 0, "", "token ci is revoked\n")
	m.ingest("image", "list").want(t, 1, "", "error: UNAUTHENTICATED the token is unknown, expired or revoked\n.*")
	tokenOutcome(t, "revoke", "ci").want(t, 1, "", `error: NOT_FOUND there is no token "ci"\n.*`)
}

func TestTokenRefusesWrongUsage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("INGEST_DATA_DIR", dir)
	for _, c := range []struct {
		args []string
		code int
		err  string
	}{
		{[]string{"create"}, 2, "error: .*"},
		{[]string{"create", "a", "b"}, 2, "error: .*"},
		{[]string{"create", "a", "--expires-in", "-1h"}, 2, "error: --expires-in.*"},
		{[]string{"create", "a/b"}, 1, "error: BAD_REQUEST name .*"},
		{[]string{"create", "a", "--project", "x/y"}, 1, "error: BAD_REQUEST project .*"},
		{[]string{"create", "a", "--role", ""}, 1, "error: BAD_REQUEST role .*"},
		{[]string{"revoke", "a"}, 1, `error: NOT_FOUND .*there is no file .*tokens.json.*`},
		{[]string{"list", "a"}, 2, "error: .*"},
	} {
		tokenOutcome(t, c.args...).want(t, c.code, "", c.err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("what was refused left %v, %v", list, err)
	}
}

func TestTokenHashesPasswords(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := out.WriteString("secret of ann\nmore\n"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	stdin := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = stdin }()
	got := tokenOutcome(t, "hash-password").want(t, 0, `\$2a\$11\$.*\n`, "")
	if bcrypt.CompareHashAndPassword([]byte(strings.TrimSpace(got.out)), []byte("secret of ann")) != nil {
		t.Errorf("%s is another one's", got.out)
	}
}
