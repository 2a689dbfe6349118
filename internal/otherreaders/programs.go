package otherreaders

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"ingest/formats"
)

// SevenZip returns 7-Zip, which unpacks disk images as archives of one file.
func SevenZip() Reader {
	types := map[formats.Name]string{formats.QCOW2: "QCOW", formats.VMDK: "VMDK", formats.VHD: "VHD", formats.VHDX: "VHDX", formats.VDI: "VDI"}
	return Reader{
		Name: "7-Zip", Packages: []string{"7zip"},
		Formats: []formats.Name{formats.QCOW2, formats.VMDK, formats.VHD, formats.VHDX, formats.VDI},
		Limits: []Limit{
			{"it does not know zstd in qcow2", func(i formats.Info) bool { return i.Format == formats.QCOW2 && i.Compression == "zstd" }},
			{"it wants an even number of logical sectors in VHDX", func(i formats.Info) bool { return i.Format == formats.VHDX && i.VirtualSize%1024 != 0 }},
		},
		find:    func() (string, error) { return exec.LookPath("7zz") },
		version: []string{"i"},
		read: func(ctx context.Context, program string, f formats.Name, image, raw string) error {
			return unpack(exec.CommandContext(ctx, program, "x", "-so", "-t"+types[f], image), raw)
		},
	}
}

// unpack runs a program that writes the guest's bytes to its standard output.
func unpack(cmd *exec.Cmd, raw string) error {
	out, err := os.Create(raw)
	if err != nil {
		return err
	}
	defer out.Close()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	copied := copySparse(out, pipe)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, stderr.String())
	}
	return copied
}

// copySparse copies the stream and leaves holes for zeros.
func copySparse(out *os.File, in io.Reader) error {
	buf, zero := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := out.WriteAt(buf[:n], off); err != nil {
				return err
			}
		}
		off += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return out.Truncate(off)
		}
		if err != nil {
			return err
		}
	}
}

//go:embed libyal.py
var libyalScript string

// Libyal returns libqcow, libvmdk and libvhdi, the libraries of computer
// forensics, through their Python modules.
func Libyal() Reader {
	return Reader{
		Name: "libyal", Packages: []string{"python3-libqcow", "python3-libvmdk", "python3-libvhdi"},
		Formats: []formats.Name{formats.QCOW2, formats.VMDK, formats.VHD, formats.VHDX},
		Limits: []Limit{
			{"it does not know zstd in qcow2", func(i formats.Info) bool { return i.Format == formats.QCOW2 && i.Compression == "zstd" }},
		},
		find:    findPython,
		version: []string{"-c", "import pyqcow, pyvmdk, pyvhdi\nfor m in pyqcow, pyvmdk, pyvhdi: print(m.__name__, m.get_version())"},
		read: func(ctx context.Context, program string, f formats.Name, image, raw string) error {
			out, err := exec.CommandContext(ctx, program, "-c", libyalScript, string(f), image, raw).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			return nil
		},
	}
}

// findPython returns a Python that has the modules: Debian's own, for which its
// packages are, or the first in the path.
func findPython() (string, error) {
	errs := []error{}
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		path, err := exec.LookPath(name)
		if err == nil {
			var out []byte
			if out, err = exec.Command(path, "-c", "import pyqcow, pyvmdk, pyvhdi").CombinedOutput(); err == nil {
				return path, nil
			}
			err = fmt.Errorf("%s: %w: %s", path, err, bytes.TrimSpace(out))
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}
