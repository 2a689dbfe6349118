package pipeline_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ingest/formats/raw"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	httpsource "ingest/sources/http"
)

func TestChecksumOfTheSource(t *testing.T) {
	src := imgtest.WriteRaw(t, mixed())
	b, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	good := "sha256:" + hex.EncodeToString(sum[:])
	for _, c := range []struct {
		name, checksum string
		want           errcode.Code
	}{
		{"right", good, ""},
		{"right in upper case", "SHA256:" + strings.ToUpper(good[7:]), ""},
		{"wrong", "sha256:" + strings.Repeat("0", 64), errcode.ChecksumMismatch},
		{"wrong sha512", "sha512:" + strings.Repeat("0", 128), errcode.ChecksumMismatch},
		{"short", "sha256:abcd", errcode.ChecksumInvalid},
		{"unknown algorithm", "crc32:d41d8cd9", errcode.ChecksumInvalid},
		{"md5, not admitted", "md5:d41d8cd98f00b204e9800998ecf8427e", errcode.ChecksumAlgorithm},
		{"sha1", "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", errcode.ChecksumAlgorithm},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, filepath.Dir(src))
			j := newJob(src, contract.TargetSpec{})
			j.source.Checksum = c.checksum
			if err := j.run(t, p); errcode.Of(err) != c.want {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.want == "" && j.fetched.SourceDigest != good {
				t.Errorf("source digest %s, want %s", j.fetched.SourceDigest, good)
			}
		})
	}
}

// serveFile serves a file with or without ranges and counts what it sends.
func serveFile(t *testing.T, path string, ranges bool, sent *atomic.Int64) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ranges {
			r.Header.Del("Range")
			w.Header().Set("Accept-Ranges", "none")
		} else {
			w.Header().Set("ETag", `"version-1"`)
		}
		http.ServeFile(&counting{ResponseWriter: w, n: sent}, r, path)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/disk.img"
}

type counting struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func loopback() *httpsource.Driver {
	return httpsource.New(httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
}

func TestHTTPIsReadInPlaceOrStaged(t *testing.T) {
	rawPath := imgtest.WriteRaw(t, mixed())
	src := imgtest.Convert(t, rawPath, "raw", "qcow2", "-c")
	size := fileSize(t, src)
	b, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	for _, c := range []struct {
		name     string
		ranges   bool
		checksum bool
		staged   bool
	}{
		{"ranges", true, false, false},
		{"ranges and a digest", true, true, true},
		{"no ranges", false, false, true},
		{"no ranges and a digest", false, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent atomic.Int64
			url := serveFile(t, src, c.ranges, &sent)
			p, _ := newPipeline(t, t.TempDir(), loopback())
			j := newJob(url, contract.TargetSpec{Format: "raw"})
			if c.checksum {
				j.source.Checksum = "sha256:" + hex.EncodeToString(sum[:])
			}
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			if j.fetched.Staged != c.staged {
				t.Errorf("staged %v, want %v", j.fetched.Staged, c.staged)
			}
			if sent.Load() > 5*size {
				t.Errorf("%d bytes sent for a source of %d", sent.Load(), size)
			}
			out := objectFile(t, p, j, ".raw")
			imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", "raw", rawPath, out)
			if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Success: true}); err != nil {
				t.Fatal(err)
			}
			empty(t, p.StagingDir)
		})
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

func TestChecksumSeesADamagedStore(t *testing.T) {
	src := imgtest.WriteRaw(t, mixed())
	for _, target := range targets() {
		t.Run(target.Format+" "+target.Compression, func(t *testing.T) {
			p, store := newPipeline(t, filepath.Dir(src))
			j := newJob(src, target)
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			other := newJob(src, j.target)
			other.fetched, other.detected = j.fetched, j.detected
			var err error
			if other.converted, err = p.Convert(t.Context(), other.convertParams(), nil); err != nil {
				t.Fatal(err)
			}
			up, err := store.Resume(t.Context(), other.converted.UploadID)
			if err != nil {
				t.Fatal(err)
			}
			// Somewhere in the middle of the guest's data, one byte is another one.
			if _, err := up.WriteAt([]byte{0xa5, 0x5a, 0x77}, other.converted.Size*2/3); err != nil {
				t.Fatal(err)
			}
			up.Close()
			_, err = p.Checksum(t.Context(), other.checksumParams(), nil, nil)
			if errcode.Of(err) != errcode.VerifyMismatch {
				t.Errorf("got %v, want %s", err, errcode.VerifyMismatch)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	rawPath := imgtest.WriteRaw(t, imgtest.New(4<<20, 1, imgtest.Run{Off: 1 << 20, Len: 1 << 20, Kind: imgtest.Text}))
	inner := imgtest.Convert(t, rawPath, "raw", "qcow2")
	nested := imgtest.Convert(t, inner, "raw", "qcow2")
	backing := filepath.Join(dir, "backing.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", rawPath, backing)
	for _, c := range []struct {
		name   string
		src    string
		from   string
		target contract.TargetSpec
		want   errcode.Code
	}{
		{"backing file", backing, "", contract.TargetSpec{Format: "raw"}, errcode.QCOW2BackingFile},
		{"qcow2 in qcow2", nested, "", contract.TargetSpec{Format: "raw"}, errcode.NestedFormat},
		{"qcow2 called raw", inner, "raw", contract.TargetSpec{}, errcode.FormatMismatch},
		{"raw called qcow2", rawPath, "qcow2", contract.TargetSpec{}, errcode.FormatUnknown},
		{"unknown target", rawPath, "", contract.TargetSpec{Format: "qed"}, errcode.TargetFormat},
		{"compressed raw", rawPath, "", contract.TargetSpec{Format: "raw", Compression: "zlib"}, errcode.TargetOption},
		{"unknown option", rawPath, "", contract.TargetSpec{Format: "raw", Options: map[string]string{"x": "y"}}, errcode.TargetOption},
		{"unknown store", rawPath, "", contract.TargetSpec{Store: "elsewhere"}, errcode.StoreUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, filepath.Dir(c.src))
			j := newJob(c.src, c.target)
			j.source.Format = c.from
			if err := j.run(t, p); errcode.Of(err) != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestCleanupLeavesNothing(t *testing.T) {
	src := imgtest.WriteRaw(t, mixed())
	for _, committed := range []bool{false, true} {
		t.Run(fmt.Sprintf("committed %v", committed), func(t *testing.T) {
			p, store := newPipeline(t, filepath.Dir(src))
			j := newJob(src, contract.TargetSpec{Format: "qcow2"})
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			if !committed {
				other := newJob(src, j.target)
				other.fetched, other.detected = j.fetched, j.detected
				if _, err := p.Convert(t.Context(), other.convertParams(), nil); err != nil {
					t.Fatal(err)
				}
				if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: other.task, Key: other.key}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Key: j.key}); err != nil {
					t.Fatal(err)
				}
			}
			for o, err := range store.Objects(t.Context()) {
				t.Errorf("object left: %v %v", o, err)
			}
			empty(t, p.StagingDir)
		})
	}
}

func TestCompareAndDigest(t *testing.T) {
	a := mixed()
	p, _ := newPipeline(t, t.TempDir())
	digest, sum, err := p.Digest(t.Context(), a, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := imgtest.OpenFile(t, imgtest.WriteRaw(t, a))
	other, otherSum, err := p.Digest(t.Context(), raw.New(f, f.Size()), true, nil)
	if err != nil || other != digest || otherSum != sum {
		t.Errorf("digests differ: %s %s, %s %s, %v", digest, sum, other, otherSum, err)
	}
	const size = 5 << 20
	text := imgtest.Run{Off: 1 << 20, Len: 4096, Kind: imgtest.Text}
	one := imgtest.New(size, 7, text)
	for _, c := range []struct {
		name   string
		b      *imgtest.Disk
		padded bool
		off    int64 // of the difference, -1 for none
		what   string
	}{
		{"equal", imgtest.New(size, 7, text), false, -1, ""},
		{"longer by a hole", imgtest.New(size+1024, 7, text), true, -1, ""},
		{"longer by zeros", imgtest.New(size+1024, 7, text, imgtest.Run{Off: size, Len: 512, Kind: imgtest.Zero}), true, -1, ""},
		{"longer by data", imgtest.New(size+1024, 7, text, imgtest.Run{Off: size + 512, Len: 1, Kind: imgtest.Text}), false, size + 512, "size"},
		{"data in a hole", imgtest.New(size, 7, text, imgtest.Run{Off: 3<<20 + 5, Len: 1, Kind: imgtest.Noise}), false, 3<<20 + 5, "content"},
		{"a hole in data", imgtest.New(size, 7), false, 1 << 20, "content"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, pair := range [][2]*imgtest.Disk{{one, c.b}, {c.b, one}} {
				diff, padded, err := p.Compare(t.Context(), pair[0], pair[1], nil)
				switch {
				case err != nil || padded != c.padded || (diff == nil) != (c.off < 0):
					t.Errorf("difference %+v, padded %v, %v", diff, padded, err)
				case diff != nil && (diff.Off != c.off || diff.What != c.what || diff.A == diff.B && diff.What == "content"):
					t.Errorf("difference %+v, want %s at %d", diff, c.what, c.off)
				}
			}
		})
	}
}
