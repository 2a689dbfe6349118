package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"ingest/internal/imgtest"
)

// A set is the files of one image, the first one first, and what they show.
type set struct {
	files []string
	want  imgtest.Content
}

// sparseSet is a VMDK of a descriptor and three sparse extent files.
func sparseSet(t *testing.T) set {
	t.Helper()
	disk := imgtest.New(4<<30+1<<20, 11,
		imgtest.Run{Off: 2<<30 - 70_000, Len: 200_000, Kind: imgtest.Text},
		imgtest.Run{Off: 3 << 30, Len: 40 << 20, Kind: imgtest.Noise},
		imgtest.Run{Off: 4<<30 + 1<<20 - 512, Len: 512, Kind: imgtest.Noise})
	src := imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "vmdk", "subformat=twoGbMaxExtentSparse")
	base := strings.TrimSuffix(src, ".vmdk")
	return set{[]string{src, base + "-s001.vmdk", base + "-s002.vmdk", base + "-s003.vmdk"}, disk}
}

// vhdFooter is the footer of a VHD with an id, whose type is 2 for fixed or 4
// for differencing.
func vhdFooter(kind uint32, id byte, size int64) []byte {
	be := binary.BigEndian
	f := make([]byte, 512)
	copy(f, "conectix")
	be.PutUint32(f[8:], 2)
	be.PutUint32(f[12:], 1<<16)
	be.PutUint64(f[16:], 512)
	if kind == 2 {
		be.PutUint64(f[16:], 1<<64-1)
	}
	be.PutUint64(f[40:], uint64(size))
	be.PutUint64(f[48:], uint64(size))
	be.PutUint32(f[60:], kind)
	f[83] = id
	be.PutUint32(f[64:], vhdSum(f))
	return f
}

// vhdSum is the checksum of a structure whose own field for it is zero.
func vhdSum(p []byte) uint32 {
	sum := uint32(0)
	for _, b := range p {
		sum += uint32(b)
	}
	return ^sum
}

// vhdSet is a fixed VHD and a differencing one over it, which qemu-img cannot
// write: the child holds the second of two blocks of 2 MiB, with one sector in it.
func vhdSet(t *testing.T) set {
	t.Helper()
	const size, block, table = 4 << 20, 2 << 20, 512 + 1024
	be := binary.BigEndian
	guest := make([]byte, size)
	imgtest.ReadFull(t, imgtest.New(size, 3, imgtest.Run{Len: size, Kind: imgtest.Noise}), guest, 0)
	parent := append(bytes.Clone(guest), vhdFooter(2, 1, size)...)

	h := make([]byte, 1024)
	copy(h, "cxsparse")
	be.PutUint64(h[8:], 1<<64-1)
	be.PutUint64(h[16:], table)
	be.PutUint32(h[24:], 1<<16)
	be.PutUint32(h[28:], size/block)
	be.PutUint32(h[32:], block)
	h[40+15] = 1
	be.PutUint32(h[36:], vhdSum(h))
	bat := bytes.Repeat([]byte{255}, 512)
	be.PutUint32(bat[4:], (table+512)/512)
	stored := make([]byte, 512+block)
	stored[0] = 0x40 // the block's second sector
	sector := bytes.Repeat([]byte("child..."), 64)
	copy(stored[512+512:], sector)
	child := bytes.Join([][]byte{vhdFooter(4, 2, size), h, bat, stored, vhdFooter(4, 2, size)}, nil)
	copy(guest[block+512:], sector)

	dir := t.TempDir()
	s := set{files: []string{filepath.Join(dir, "child.vhd"), filepath.Join(dir, "parent.vhd")}}
	for i, p := range [][]byte{child, parent} {
		writeFile(t, s.files[i], p)
	}
	want := filepath.Join(dir, "want.raw")
	writeFile(t, want, guest)
	s.want = imgtest.OpenFile(t, want)
	return s
}

func writeFile(t *testing.T, path string, p []byte) {
	t.Helper()
	if err := os.WriteFile(path, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

func sha256Of(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// A served is a folder's files over HTTP.
type served struct {
	url  string
	sent map[string]*atomic.Int64 // bytes, by file name
	// plain names the file that is served without ranges, version and length.
	plain string
	etag  atomic.Int64 // of all others
}

func serve(t *testing.T, s set) *served {
	t.Helper()
	out := &served{sent: map[string]*atomic.Int64{}}
	for _, f := range s.files {
		out.sent[filepath.Base(f)] = new(atomic.Int64)
	}
	dir := filepath.Dir(s.files[0])
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Base(r.URL.Path)
		sent := out.sent[name]
		if sent == nil {
			http.NotFound(w, r)
			return
		}
		count := &counting{ResponseWriter: w, n: sent}
		if name != out.plain {
			w.Header().Set("ETag", `"v`+strconv.FormatInt(out.etag.Load(), 10)+`"`)
			http.ServeFile(count, r, filepath.Join(dir, name))
			return
		}
		if f, err := os.Open(filepath.Join(dir, name)); err == nil {
			defer f.Close()
			io.Copy(count, f)
		}
	}))
	t.Cleanup(srv.Close)
	out.url = srv.URL
	return out
}
