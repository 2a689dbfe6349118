package realimages

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"ingest/internal/imgtest"
)

// missing ends the test for want of a package: it fails with the command that
// installs the package, or is skipped where that is allowed.
func missing(t testing.TB, what, pkg string) {
	t.Helper()
	switch {
	case os.Getenv(imgtest.SkipEnv) != "":
		loudly(t, "%s is absent and %s is set", what, imgtest.SkipEnv)
		t.SkipNow()
	case runtime.GOARCH != "amd64" && runtime.GOARCH != "386":
		loudly(t, "%s is absent, and Debian has package %s for PCs only", what, pkg)
		t.SkipNow()
	}
	t.Fatalf("%s is absent: run `scripts/setup` or `apt-get install %s`, or set %s to skip", what, pkg, imgtest.SkipEnv)
}

// loudly says what is not tested.
func loudly(t testing.TB, format string, args ...any) {
	t.Helper()
	message := "NOT TESTED: " + fmt.Sprintf(format, args...)
	fmt.Fprintln(os.Stderr, message)
	t.Log(message)
}

// needFile returns the path of a package's file.
func needFile(t testing.TB, path, pkg string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		missing(t, path, pkg)
	}
	return path
}

// needProgram returns the path of a package's program.
func needProgram(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name, pkg)
	}
	return path
}
