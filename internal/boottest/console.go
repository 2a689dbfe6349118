package boottest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BootUntil boots a PC with 512 MiB from an image file of any disk and fails the
// test unless the PC says the text over its serial port, where the BIOS shows the
// screen too, within a time that is a guard against hanging. bus is "ide" or
// "virtio". The PC is switched off then, and the image is not changed.
func BootUntil(t testing.TB, path, format, bus, says string, options ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*hangs)
	defer cancel()
	log, err := os.Create(filepath.Join(t.TempDir(), "serial.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := []string{
		"-accel", "tcg", "-machine", "pc,graphics=off", "-cpu", "max", "-m", "512", "-nodefaults", "-no-user-config",
		"-display", "none", "-vga", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
		"-drive", driveArg(path, format, bus, options), "-boot", "order=c,reboot-timeout=1",
	}
	cmd := exec.CommandContext(ctx, NeedPC(t), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		over := false
		select {
		case <-ended:
			over = true
		case <-time.After(200 * time.Millisecond):
		}
		out, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), says) {
			cancel()
			if !over {
				<-ended
			}
			return
		}
		if over {
			t.Fatalf("the PC ended (%v) and did not say %q:\n%s", context.Cause(ctx), says, out)
		}
	}
}

// driveArg is QEMU's argument for a disk that is read only.
func driveArg(path, format, bus string, options []string) string {
	out := fmt.Sprintf("file=%s,format=%s,if=%s,snapshot=on", strings.ReplaceAll(path, ",", ",,"), format, bus)
	for _, o := range options {
		out += "," + o
	}
	return out
}
