package boottest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ingest/internal/imgtest"
)

// hangs is after what time a PC is given up. A boot takes less than a second.
const hangs = 60 * time.Second

// NeedPC returns the path of qemu-system-x86_64. Without it the test fails, or
// is skipped if imgtest.SkipEnv is set.
func NeedPC(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("qemu-system-x86_64")
	if err == nil {
		return path
	}
	if os.Getenv(imgtest.SkipEnv) != "" {
		fmt.Fprintf(os.Stderr, "NOT TESTED: qemu-system-x86_64 is absent and %s is set\n", imgtest.SkipEnv)
		t.Skipf("NOT TESTED: qemu-system-x86_64 is absent and %s is set", imgtest.SkipEnv)
	}
	t.Fatalf("qemu-system-x86_64 boots the disks of this test and is absent: run scripts/setup or install qemu-system-x86, or set %s to skip", imgtest.SkipEnv)
	return ""
}

// Boot boots a PC from the image file of a Disk and fails the test unless the
// disk finds itself right. format is QEMU's name; options are further options
// of its block driver, such as "force_size_calc=current_size". The image is not
// changed.
func Boot(t testing.TB, path, format string, options ...string) {
	t.Helper()
	if out, err := TryBoot(t, path, format, options...); err != nil {
		t.Fatalf("boot from %s image: %v\n%s", format, err, out)
	}
}

// TryBoot is Boot that returns what the PC said, and an error unless the disk
// finds itself right.
func TryBoot(t testing.TB, path, format string, options ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, NeedPC(t), pcArgs(path, format, options)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ctx.Err() != nil {
		return out.String(), fmt.Errorf("the PC hangs: %w", context.Cause(ctx))
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), errors.New("the PC was switched off")
	case !errors.As(err, &exit) || exit.ExitCode() != statusGood && exit.ExitCode() != statusBad:
		return out.String(), fmt.Errorf("no word from the disk: %w", err)
	case exit.ExitCode() == statusBad:
		return out.String(), errors.New("the disk finds itself damaged")
	case !strings.Contains(out.String(), sayGood):
		return out.String(), errors.New("the disk said nothing over the serial port")
	}
	return out.String(), nil
}

// pcArgs are the arguments for a PC with one IDE disk and one serial port. The
// image is opened for reading; what the PC writes goes to a file that vanishes.
// A BIOS that finds no boot sector resets the PC, which ends it.
func pcArgs(path, format string, options []string) []string {
	return []string{
		"-accel", "tcg", "-machine", "pc", "-cpu", "max", "-m", "32", "-nodefaults", "-no-user-config",
		"-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
		"-device", fmt.Sprintf("isa-debug-exit,iobase=%#x,iosize=1", debugPort),
		"-drive", driveArg(path, format, "ide", options), "-boot", "order=c,reboot-timeout=1",
	}
}
