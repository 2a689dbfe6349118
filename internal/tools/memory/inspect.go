package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	// vast is the virtual size of what is inspected, bytes.
	vast = 1 << 40
	// inspectLimit is what `ingest inspect` may take above `ingest version`, bytes.
	inspectLimit = 64 << 20
	// inspectCPU is how much processor time it may take, its child's included.
	inspectCPU = time.Second
)

// formatted are the formats that are inspected, as qemu-img calls them. A gce image is
// not among them: it is compressed from end to end.
var formatted = []struct{ name, format, options string }{
	{"raw", "raw", ""}, {"qcow2", "qcow2", ""}, {"qcow2, compressed", "qcow2", "-c"},
	{"vmdk, monolithicSparse", "vmdk", ""}, {"vmdk, streamOptimized", "vmdk", "subformat=streamOptimized"},
	{"vhd, dynamic", "vpc", "force_size=on"}, {"vhd, fixed", "vpc", "subformat=fixed,force_size=on"}, {"vhdx", "vhdx", ""}, {"vdi", "vdi", ""}, {"parallels", "parallels", ""},
}

// A cost is what one process took, its children included.
type cost struct {
	what     string
	resident int64 // bytes, of the largest process
	cpu      time.Duration
	took     time.Duration
}

// inspectAll makes a disk of 1 TiB with an ext4 over all of it in every format, inspects
// each and prints the table. It fails if one takes too much.
func inspectAll(ctx context.Context, bin, dir string) (err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if dir, err = os.MkdirTemp(dir, "ingest-inspect-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	disk := filepath.Join(dir, "disk.raw")
	if err := vastDisk(ctx, dir, disk); err != nil {
		return err
	}
	idle, _, err := taken(ctx, bin, "version")
	if err != nil {
		return err
	}
	var rows []cost
	for i, f := range formatted {
		path := disk
		if f.format != "raw" {
			path = filepath.Join(dir, fmt.Sprintf("disk%d.%s", i, f.format))
			args := []string{"convert", "-f", "raw", "-O", f.format}
			if f.options == "-c" {
				args = append(args, "-c")
			} else if f.options != "" {
				args = append(args, "-o", f.options)
			}
			if err := command(ctx, "", "qemu-img", append(args, disk, path)...); err != nil {
				return err
			}
		}
		row, out, err := taken(ctx, bin, "inspect", "--json", path)
		if err != nil {
			return err
		}
		if !strings.Contains(out, `"distro": "debian"`) {
			return fmt.Errorf("%s: the system inside was not seen:\n%s", f.name, out)
		}
		row.what = f.name
		rows = append(rows, row)
		if path != disk {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return inspectReport(os.Stdout, idle, rows)
}

// vastDisk makes a sparse disk with a GPT and a small system in one large ext4.
func vastDisk(ctx context.Context, dir, path string) error {
	root := filepath.Join(dir, "root")
	for name, text := range map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=12\n", "boot/vmlinuz-6.1": "kernel"} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(vast), f.Close()); err != nil {
		return err
	}
	if err := command(ctx, "label: gpt\ntype=L\n", "sfdisk", "-q", path); err != nil {
		return err
	}
	return command(ctx, "", "mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "offset=1048576,lazy_itable_init=1", "-d", root, path, fmt.Sprintf("%dk", (vast>>10)-2048))
}

// command runs a program to its end.
func command(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// taken runs the binary, and returns what it took and said.
func taken(ctx context.Context, bin string, args ...string) (cost, string, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	var out, words strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &words
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, "", fmt.Errorf("ingest %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), words.String())
	}
	r := cost{took: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.resident = u.Maxrss << 10
	}
	return r, out.String(), nil
}

// inspectReport prints the table and fails for a row beyond a limit.
func inspectReport(w io.Writer, idle cost, rows []cost) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "1 TiB with an ext4\tresident, MiB\tabove `ingest version`\tCPU, s\ton the clock, s\t\n")
	var bad []string
	for _, r := range rows {
		above := r.resident - idle.resident
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.2f\t%.2f\t\n", r.what, float64(r.resident)/mib, float64(above)/mib, r.cpu.Seconds(), r.took.Seconds())
		if above > inspectLimit || r.cpu > inspectCPU {
			bad = append(bad, r.what)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("more than %d MiB or %v of processor time: %s", inspectLimit>>20, inspectCPU, strings.Join(bad, "; "))
	}
	return nil
}
