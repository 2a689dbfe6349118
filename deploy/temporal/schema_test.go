package temporal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTool stands in for temporal-sql-tool, which is in an image. It keeps one
// file for each database, and answers in the words of version 1.32.1.
const fakeTool = `#!/bin/sh
echo "$*" >>"$STATE/calls"
db=$2
case $3 in
create-database) ;;
setup-schema) echo 0.0 >"$STATE/$db" ;;
update-schema)
	if [ -e "$STATE/broken" ]; then echo 'connection refused'; exit 1; fi
	if [ ! -e "$STATE/$db" ]; then echo '{"error": "error reading current schema version:ERROR: relation \"schema_version\" does not exist (SQLSTATE 42P01)"}'; exit 1; fi
	echo 1.19 >"$STATE/$db" ;;
esac
`

// runSchema runs the script against the state, and returns what the tool was
// asked to do.
func runSchema(t *testing.T, state string) (calls, out string, err error) {
	t.Helper()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "temporal-sql-tool"), []byte(fakeTool), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(state, "calls")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "setup-schema.sh")
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "STATE=" + state}
	text, err := cmd.CombinedOutput()
	body, readErr := os.ReadFile(filepath.Join(state, "calls"))
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(body), string(text), err
}

func TestSchemaIsSetUpOnce(t *testing.T) {
	state := t.TempDir()
	calls, out, err := runSchema(t, state)
	if err != nil || strings.Count(calls, "setup-schema --version 0.0") != 2 {
		t.Fatalf("first run: %v\n%s\n%s", err, out, calls)
	}
	calls, out, err = runSchema(t, state)
	if err != nil || strings.Contains(calls, "setup-schema") || strings.Count(calls, "update-schema") != 2 {
		t.Errorf("second run: %v\n%s\n%s", err, out, calls)
	}
}

func TestSchemaIsNotSetUpOverAnError(t *testing.T) {
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	calls, out, err := runSchema(t, state)
	if err == nil || strings.Contains(calls, "setup-schema") || !strings.Contains(out, "connection refused") {
		t.Errorf("with a database that refuses: %v\n%s\n%s", err, out, calls)
	}
}
