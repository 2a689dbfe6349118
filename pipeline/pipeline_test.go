package pipeline_test

import (
	"context"
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
	"ingest/pipeline"
	httpsource "ingest/sources/http"
)

// A variant is one way in which qemu-img writes a format.
type variant struct {
	name, format string
	options      []string
}

func variants() []variant {
	return []variant{
		{"raw", "raw", nil},
		{"qcow2 v3", "qcow2", nil},
		{"qcow2 v2", "qcow2", []string{"compat=0.10"}},
		{"qcow2 zlib", "qcow2", []string{"-c"}},
		{"qcow2 zstd", "qcow2", []string{"-c", "compression_type=zstd"}},
		{"vmdk sparse", "vmdk", []string{"subformat=monolithicSparse"}},
		{"vmdk stream", "vmdk", []string{"subformat=streamOptimized"}},
		{"vhdx", "vhdx", []string{"block_size=1M"}},
		{"vdi", "vdi", nil},
		{"parallels", "parallels", nil},
		{"vhd dynamic", "vpc", []string{"subformat=dynamic", "force_size=on"}},
		{"vhd fixed", "vpc", []string{"subformat=fixed", "force_size=on"}},
	}
}

func targets() []contract.TargetSpec {
	return []contract.TargetSpec{
		{Format: "raw"},
		{Format: "qcow2"},
		{Format: "qcow2", Compression: "zlib"},
		{Format: "qcow2", Compression: "zstd"},
	}
}

// TestEverySourceToEveryTarget imports one disk in every format into every
// target: the stored image is the same disk to qemu-img, and the content digest
// is one and the same throughout.
func TestEverySourceToEveryTarget(t *testing.T) {
	for _, disk := range []imgtest.Case{
		{Name: "mixed", Disk: mixed()},
		{Name: "empty", Disk: imgtest.New(8<<20+512, 1)},
		{Name: "full", Disk: imgtest.New(5<<20, 1, imgtest.Run{Len: 5 << 20, Kind: imgtest.Noise})},
	} {
		t.Run(disk.Name, func(t *testing.T) { matrix(t, disk.Disk, variants(), targets()) })
	}
}

// TestBeyond4GiB does the same where 32 bits end. Hashing gigabytes of zeros is
// all that it costs, so a few pairs stand for all.
func TestBeyond4GiB(t *testing.T) {
	disk := imgtest.New(4<<30+64<<20+1536, 3,
		imgtest.Run{Off: 4<<30 - 4096, Len: 8192, Kind: imgtest.Text},
		imgtest.Run{Off: 4<<30 + 64<<20 + 1024, Len: 512, Kind: imgtest.Noise})
	matrix(t, disk, variants()[:2], targets()[:1])
	matrix(t, disk, variants()[1:8], targets()[1:3])
}

// matrix imports the disk from every variant into every target.
func matrix(t *testing.T, disk *imgtest.Disk, from []variant, to []contract.TargetSpec) {
	t.Helper()
	rawPath := imgtest.WriteRaw(t, disk)
	digest := ""
	for _, v := range from {
		src := rawPath
		if v.format != "raw" {
			src = imgtest.Convert(t, rawPath, "raw", v.format, v.options...)
		}
		for _, target := range to {
			t.Run(v.name+" to "+target.Format+" "+target.Compression, func(t *testing.T) {
				got := importAndCompare(t, src, rawPath, target)
				if digest == "" {
					digest = got
				}
				if got != digest {
					t.Errorf("content digest %s, want %s", got, digest)
				}
			})
		}
	}
}

// importAndCompare imports src and lets qemu-img compare the stored image with
// the raw disk. It returns the content digest.
func importAndCompare(t *testing.T, src, rawPath string, target contract.TargetSpec) string {
	t.Helper()
	p, _ := newPipeline(t, filepath.Dir(src))
	j := newJob(src, target)
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	out := objectFile(t, p, j, "."+target.Format)
	if target.Format == "qcow2" {
		imgtest.QemuImg(t, "check", "-q", "-f", "qcow2", out)
	}
	imgtest.QemuImg(t, "compare", "-q", "-f", "raw", "-F", target.Format, rawPath, out)
	if fileSize(t, out) < 256<<20 {
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		if got := hex.EncodeToString(sum[:]); got != j.checksummed.HashValue || j.checksummed.HashAlgo != "sha256" {
			t.Errorf("stored digest %s:%s, the bytes have %s", j.checksummed.HashAlgo, j.checksummed.HashValue, got)
		}
	}
	if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Key: j.key, Success: true}); err != nil {
		t.Fatal(err)
	}
	empty(t, p.StagingDir)
	return j.converted.ContentDigest
}

// TestRawOutputIsQemusRawOutput compares the bytes of our raw output with
// those of `qemu-img convert -O raw`, for every format.
func TestRawOutputIsQemusRawOutput(t *testing.T) {
	rawPath := imgtest.WriteRaw(t, mixed())
	for _, v := range variants()[1:] {
		t.Run(v.name, func(t *testing.T) {
			src := imgtest.Convert(t, rawPath, "raw", v.format, v.options...)
			want := imgtest.Convert(t, src, v.format, "raw")
			p, _ := newPipeline(t, filepath.Dir(src))
			j := newJob(src, contract.TargetSpec{Format: "raw"})
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(b)
			if got := hex.EncodeToString(sum[:]); got != j.checksummed.HashValue {
				t.Errorf("our raw output has SHA-256 %s, qemu-img's %s", j.checksummed.HashValue, got)
			}
		})
	}
}

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
		{"unknown algorithm", "md5:d41d8cd98f00b204e9800998ecf8427e", errcode.ChecksumInvalid},
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

// TestInterruptedStepsGoOn cancels fetch, convert and checksum again and again
// and lets them go on: the end is as if nothing had happened.
func TestInterruptedStepsGoOn(t *testing.T) {
	disk := imgtest.New(64<<20+512, 5, imgtest.Run{Len: 64<<20 + 512, Kind: imgtest.Noise})
	src := imgtest.WriteRaw(t, disk)
	for _, target := range targets() {
		t.Run(target.Format+" "+target.Compression, func(t *testing.T) {
			calm, _ := newPipeline(t, filepath.Dir(src))
			want := newJob(src, target)
			if err := want.run(t, calm); err != nil {
				t.Fatal(err)
			}
			p, _ := newPipeline(t, filepath.Dir(src))
			p.CheckpointEvery = 1
			j := newJob(src, target)
			j.fetched, j.detected, j.target = want.fetched, want.detected, want.target
			untilDone(t, func(ctx context.Context, stop pipeline.Observe) (err error) {
				j.converted, err = p.Convert(ctx, j.convertParams(), stop)
				return err
			})
			var resume []byte
			untilDone(t, func(ctx context.Context, stop pipeline.Observe) (err error) {
				j.checksummed, err = p.Checksum(ctx, j.checksumParams(), resume, func(done, total int64, hint []byte) {
					if hint != nil {
						resume = hint
					}
					stop(done, total, hint)
				})
				return err
			})
			if j.checksummed != want.checksummed || j.converted.ContentDigest != want.converted.ContentDigest {
				t.Errorf("interrupted: %+v, want %+v", j.checksummed, want.checksummed)
			}
		})
	}
}

// untilDone runs a step, cancelling it a little later each time, until it ends
// by itself.
func untilDone(t *testing.T, step func(context.Context, pipeline.Observe) error) {
	t.Helper()
	for calls := 1; ; calls += 3 {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := step(ctx, func(int64, int64, []byte) {
			if n++; n == calls {
				cancel()
			}
		})
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() == nil || calls > 1000 {
			t.Fatal(err)
		}
	}
}

func TestStagingGoesOnWhereItStopped(t *testing.T) {
	disk := imgtest.New(48<<20, 9, imgtest.Run{Len: 48 << 20, Kind: imgtest.Noise})
	src := imgtest.WriteRaw(t, disk)
	b, _ := os.ReadFile(src)
	sum := sha256.Sum256(b)
	var sent atomic.Int64
	url := serveFile(t, src, true, &sent)
	p, _ := newPipeline(t, t.TempDir(), loopback())
	p.CheckpointEvery = 1
	params := contract.FetchParams{TaskID: newJob("", contract.TargetSpec{}).task,
		Source: contract.SourceSpec{URL: url, Checksum: "sha256:" + hex.EncodeToString(sum[:])}}
	attempts := 0
	untilDone(t, func(ctx context.Context, stop pipeline.Observe) error {
		attempts++
		f, err := p.Fetch(ctx, params, stop)
		if err == nil && (!f.Staged || f.Size != int64(len(b))) {
			t.Errorf("fetched %+v", f)
		}
		return err
	})
	if attempts < 3 {
		t.Fatalf("only %d attempts: nothing was interrupted", attempts)
	}
	// Each attempt may lose what was in flight, and no more.
	if most := int64(len(b)) + int64(attempts)*(64<<20); sent.Load() > most {
		t.Errorf("%d bytes sent in %d attempts for %d", sent.Load(), attempts, len(b))
	}
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
		{"unknown target", rawPath, "", contract.TargetSpec{Format: "vhdx"}, errcode.TargetFormat},
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
	path := imgtest.WriteRaw(t, a)
	f := imgtest.OpenFile(t, path)
	b := raw.New(f, f.Size())
	other, otherSum, err := p.Digest(t.Context(), b, true, nil)
	if err != nil || other != digest || otherSum != sum {
		t.Errorf("digests differ: %s %s, %s %s, %v", digest, sum, other, otherSum, err)
	}
	diff, padded, err := p.Compare(t.Context(), a, b, nil)
	if diff != nil || padded || err != nil {
		t.Errorf("equal disks: %v %v %v", diff, padded, err)
	}
	changed := imgtest.New(a.Size()+1024, 7, append(dataRuns(a), imgtest.Run{Off: a.Size() + 512, Len: 1, Kind: imgtest.Text})...)
	_ = changed
	diff, _, err = p.Compare(t.Context(), b, pipeline.Clip(b, b.Size()-512), nil)
	if err != nil {
		t.Fatal(err)
	}
	last := make([]byte, 512)
	imgtest.ReadFull(t, b, last, b.Size()-512)
	if strings.Trim(string(last), "\x00") != "" && (diff == nil || diff.What != "size") {
		t.Errorf("a disk that lost its last sector: %+v", diff)
	}
}

func dataRuns(d *imgtest.Disk) []imgtest.Run {
	var out []imgtest.Run
	for _, r := range d.Runs() {
		if r.Kind.IsData() {
			out = append(out, r)
		}
	}
	return out
}
