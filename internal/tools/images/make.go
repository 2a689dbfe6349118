package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// An entry describes one image in manifest.json. Paths are relative to it.
type entry struct {
	Path        string `json:"path"` // gzip-compressed file
	MadeBy      string `json:"made_by"`
	Format      string `json:"disk_format"`
	Subformat   string `json:"subformat,omitempty"`
	FileSize    int64  `json:"file_size"`              // unpacked, bytes
	SHA256      string `json:"sha256"`                 // of the unpacked file
	VirtualSize int64  `json:"virtual_size,omitempty"` // bytes
	RawSHA256   string `json:"raw_sha256,omitempty"`   // of the guest bytes as a raw file
	Code        string `json:"code,omitempty"`         // with which a bad image must be refused
	Illness     string `json:"illness,omitempty"`      // in words
}

type maker struct {
	dir, tmp string
	raw      []byte
	list     []entry
}

// diskSize is small, and not a multiple of any cluster, grain or block.
const diskSize = 3<<20 + 1536

// disk makes the one disk that all good images hold: text, noise, zeros that
// are written, and holes, beginning and ending within clusters.
func (m *maker) disk() error {
	m.raw = make([]byte, diskSize)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := 1000; i < 90_000; i++ {
		m.raw[i] = "the quick brown fox jumps over the lazy dog "[i%44]
	}
	for i := 1 << 20; i < 1<<20+40_000; i++ {
		m.raw[i] = byte(rnd.Uint32())
	}
	m.raw[diskSize-1] = 0x42
	m.raw[510], m.raw[511] = 0x55, 0xaa
	return os.WriteFile(m.path("disk.raw"), m.raw, 0o600)
}

func (m *maker) path(name string) string { return filepath.Join(m.tmp, name) }

// qemu runs qemu-img.
func (m *maker) qemu(args ...string) error {
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("qemu-img %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// good lets qemu-img write the disk in every format that is read.
func (m *maker) good() error {
	version, err := exec.Command("qemu-img", "--version").Output()
	if err != nil {
		return err
	}
	producer := "qemu-img " + strings.Fields(string(version))[2]
	for _, g := range goodImages() {
		args := append([]string{"convert", "-f", "raw", "-O", g.qemu}, g.args...)
		if err := m.qemu(append(args, m.path("disk.raw"), m.path(g.name))...); err != nil {
			return err
		}
		file, err := os.ReadFile(m.path(g.name))
		if err != nil {
			return err
		}
		guest, err := m.guest(g)
		if err != nil {
			return err
		}
		e := entry{
			Path: "good/" + g.name + ".gz", MadeBy: producer + " convert -O " + g.qemu + " " + strings.Join(g.args, " "),
			Format: g.format, Subformat: g.subformat, VirtualSize: int64(len(guest)), RawSHA256: sum(guest),
		}
		if err := m.add(e, file); err != nil {
			return err
		}
	}
	return nil
}

// guest returns the guest's bytes as qemu-img reads them back, so that what is
// expected of a format with its own idea of the size is not ours.
func (m *maker) guest(g goodImage) ([]byte, error) {
	out := m.path("guest.raw")
	if err := m.qemu("convert", "-f", g.qemu, "-O", "raw", m.path(g.name), out); err != nil {
		return nil, err
	}
	guest, err := os.ReadFile(out)
	if err == nil && !bytes.HasPrefix(guest, m.raw) {
		return nil, fmt.Errorf("%s does not hold the disk", g.name)
	}
	return guest, err
}

// bad changes good images.
func (m *maker) bad() error {
	for _, b := range badImages() {
		file, err := os.ReadFile(m.path(b.of))
		if err != nil {
			return err
		}
		e := entry{
			Path: "bad/" + b.format + "/" + b.name + ".gz", MadeBy: b.of + ", changed by internal/tools/images",
			Format: b.format, Code: b.code, Illness: b.illness,
		}
		if err := m.add(e, b.change(file)); err != nil {
			return err
		}
	}
	return nil
}

func sum(p []byte) string {
	s := sha256.Sum256(p)
	return hex.EncodeToString(s[:])
}

// add compresses one file and lists it.
func (m *maker) add(e entry, file []byte) error {
	e.FileSize, e.SHA256 = int64(len(file)), sum(file)
	path := filepath.Join(m.dir, filepath.FromSlash(e.Path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var z bytes.Buffer
	w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(file); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	m.list = append(m.list, e)
	return os.WriteFile(path, z.Bytes(), 0o644)
}

func (m *maker) manifest() error {
	p, err := json.MarshalIndent(map[string]any{"images": m.list}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(m.dir, "manifest.json"), append(p, '\n'), 0o644)
}
