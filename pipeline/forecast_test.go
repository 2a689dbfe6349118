package pipeline_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

// snapshot lists all that is below a folder, with sizes and times.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			out[path] = info.Mode().String() + " " + info.ModTime().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// forecast makes a forecast and fails the test if it leaves anything behind.
func forecast(t *testing.T, p *pipeline.Pipeline, req contract.ImportRequest) contract.Forecast {
	t.Helper()
	dir := filepath.Dir(p.StagingDir)
	if p.Guest == nil {
		p.Guest = &pipeline.GuestOptions{}
	}
	before := snapshot(t, dir)
	out, err := p.Forecast(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	if out.Read.Bytes > out.Read.MaxBytes || out.Read.MaxRequests > 0 && out.Read.Requests > out.Read.MaxRequests {
		t.Errorf("read beyond its limits: %+v", out.Read)
	}
	return out
}

func planOf(url string, target contract.TargetSpec) contract.ImportRequest {
	return contract.ImportRequest{Source: contract.SourceSpec{URL: url}, Target: target}
}

// A dry run refuses what the import refuses, with its code and evidence, and takes
// what the import takes, from files and over a network.
func TestForecastSaysWhatTheImportDoes(t *testing.T) {
	for _, l := range manifest(t) {
		t.Run(l.Path, func(t *testing.T) {
			dir := t.TempDir()
			path := put(t, dir, "image", l.unpack(t))
			for _, from := range []string{"file", "ranges", "no ranges"} {
				p, _ := newPipeline(t, dir, loopback())
				url := path
				if from != "file" {
					url = serveFile(t, path, from == "ranges", new(atomic.Int64))
				}
				got := forecast(t, p, planOf(url, contract.TargetSpec{}))
				if l.Code == "" {
					d := got.Detected
					if got.Verdict != contract.VerdictAccepted || d.Format != l.DiskFormat || d.Subformat != l.Subformat || d.VirtualSize != l.VirtualSize {
						t.Errorf("%s: %s, %+v (%+v)", from, got.Verdict, d, got.Error)
					}
					continue
				}
				_, err := p.Fetch(t.Context(), contract.FetchParams{Source: contract.SourceSpec{URL: url}}, nil)
				if err == nil {
					err = newJob(url, contract.TargetSpec{}).run(t, p)
				}
				want := contract.ValueOf(err)
				want.Queue = ""
				if got.Verdict == contract.VerdictAccepted && from == "no ranges" && len(got.Unknowns) > 0 {
					continue // a table behind what a dry run reads of a stream
				}
				if got.Verdict != contract.VerdictRefused || got.Error == nil {
					t.Errorf("%s: %s, and the import is refused with %s", from, got.Verdict, want.Code)
				} else if diff := cmp.Diff(want, *got.Error); diff != "" {
					t.Errorf("%s: (-import +dry run)\n%s", from, diff)
				}
			}
		})
	}
}

// The layout that a dry run makes is that of the import; an estimate by samples is
// close to what the import stores.
func TestForecastOfTheStoredSize(t *testing.T) {
	dir := t.TempDir()
	raw := moved(t, dir, "d.raw", imgtest.WriteRaw(t, mixed()))
	qcow2 := moved(t, dir, "d.qcow2", imgtest.Convert(t, raw, "raw", "qcow2"))
	for _, c := range []struct {
		name, path string
		remote     bool
		target     contract.TargetSpec
		exact      bool
	}{
		{"raw to qcow2", raw, false, contract.TargetSpec{}, true},
		{"raw to qcow2, over a network", raw, true, contract.TargetSpec{}, true},
		{"qcow2 to qcow2, over a network", qcow2, true, contract.TargetSpec{}, true},
		{"qcow2 to raw", qcow2, true, contract.TargetSpec{Format: "raw"}, true},
		{"qcow2 to vhdx", qcow2, false, contract.TargetSpec{Format: "vhdx"}, true},
		{"qcow2 to zstd", qcow2, true, contract.TargetSpec{Format: "qcow2", Compression: "zstd"}, false},
		{"qcow2 to vmdk", qcow2, true, contract.TargetSpec{Format: "vmdk"}, false},
		{"a preset", qcow2, true, contract.TargetSpec{Format: "azure"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, dir, loopback())
			url := c.path
			if c.remote {
				url = serveFile(t, c.path, true, new(atomic.Int64))
			}
			got := forecast(t, p, planOf(url, c.target))
			if got.Verdict != contract.VerdictAccepted {
				t.Fatalf("%s: %+v, %q", got.Verdict, got.Error, got.Unknowns)
			}
			j := newJob(url, c.target)
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			d := got.Disks[0]
			if diff := cmp.Diff(j.target, d.Target); diff != "" || d.Verify != j.verify {
				t.Errorf("verify %q, target (-import +dry run):\n%s", d.Verify, diff)
			}
			size := j.converted.Size
			switch {
			case d.Stored.Exact != c.exact:
				t.Errorf("%+v, want exact %v", d.Stored, c.exact)
			case c.exact && d.Stored.Bytes != size:
				t.Errorf("%d bytes to be stored, and %d are", d.Stored.Bytes, size)
			case d.Stored.Bytes < size/2 || d.Stored.Bytes > size*2:
				t.Errorf("%+v, and %d are stored", d.Stored, size)
			}
			t.Logf("%d bytes stored, told: %+v; read %+v", size, d.Stored, got.Read)
			if got.Store.Enough == nil || !*got.Store.Enough || got.Store.Needed != d.Stored.Bytes || got.Store.Free <= 0 {
				t.Errorf("room in the store: %+v", got.Store)
			}
			if got.Stages() || got.Staging.Needed != 0 {
				t.Errorf("staging: %+v", got.Staging)
			}
		})
	}
}

// However large the image, a dry run reads little of it.
func TestForecastReadsLittle(t *testing.T) {
	dir := t.TempDir()
	vast := imgtest.New(1<<40, 3, imgtest.Run{Off: 0, Len: 1 << 20, Kind: imgtest.Text},
		imgtest.Run{Off: 700 << 30, Len: 1 << 20, Kind: imgtest.Noise}, imgtest.Run{Off: 1<<40 - 1<<20, Len: 1 << 20, Kind: imgtest.Text})
	noise := imgtest.New(64<<20, 4, imgtest.Run{Off: 0, Len: 60 << 20, Kind: imgtest.Noise})
	vastFile := moved(t, dir, "vast.qcow2", imgtest.Convert(t, imgtest.WriteRaw(t, vast), "raw", "qcow2"))
	vmdk := moved(t, dir, "big.vmdk", imgtest.Convert(t, imgtest.WriteRaw(t, noise), "raw", "vmdk", "subformat=monolithicSparse"))
	ova := handmade(t, dir, "big.ova", virtualBoxOVF(ovfDisk{filepath.Base(vmdk), noise.Size()}), filepath.Base(vmdk))
	for _, c := range []struct {
		name, path string
		size       int64
		allocated  int64
	}{
		{"1 TiB", vastFile, vast.Size(), 3 << 20},
		{"OVA", ova, noise.Size(), 60 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent atomic.Int64
			p, _ := newPipeline(t, dir, loopback())
			got := forecast(t, p, planOf(serveFile(t, c.path, true, &sent), contract.TargetSpec{}))
			if got.Verdict != contract.VerdictAccepted || got.Detected.VirtualSize != c.size || got.Detected.AllocatedSize != c.allocated {
				t.Fatalf("%s %+v: %+v, %q", got.Verdict, got.Error, got.Detected, got.Unknowns)
			}
			if n := sent.Load(); n > pipeline.ForecastBytes || n != got.Read.Bytes {
				t.Errorf("the server sent %d bytes, told are %d", n, got.Read.Bytes)
			}
			if got.Read.Requests > pipeline.ForecastRequests || got.Read.Requests < 3 {
				t.Errorf("%d requests", got.Read.Requests)
			}
			t.Logf("read %+v; %q", got.Read, got.Unknowns)
		})
	}
}

// What cannot be known within the limits is said to be unknown, and not guessed.
func TestForecastSaysWhatItDoesNotKnow(t *testing.T) {
	dir := t.TempDir()
	noise := imgtest.New(64<<20, 4, imgtest.Run{Off: 0, Len: 60 << 20, Kind: imgtest.Noise})
	raw := moved(t, dir, "n.raw", imgtest.WriteRaw(t, noise))
	qcow2 := moved(t, dir, "n.qcow2", imgtest.Convert(t, raw, "raw", "qcow2"))
	for _, c := range []struct {
		name   string
		url    string
		format string
		size   int64
	}{
		{"gzip of a qcow2", squeeze(t, dir, qcow2, "gzip", "-c"), "qcow2", noise.Size()},
		{"zstd of a raw disk", squeeze(t, dir, raw, "zstd", "-c"), "", contract.Unknown},
		{"no ranges", serveFile(t, qcow2, false, new(atomic.Int64)), "qcow2", noise.Size()},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, dir, loopback())
			got := forecast(t, p, planOf(c.url, contract.TargetSpec{}))
			if c.format == "" {
				if got.Verdict != contract.VerdictUnknown || got.Detected != nil || len(got.Unknowns) == 0 {
					t.Errorf("%s: %+v %q", got.Verdict, got.Detected, got.Unknowns)
				}
				return
			}
			if got.Error != nil || got.Detected == nil || len(got.Unknowns) == 0 {
				t.Fatalf("%s: %+v %+v %q", got.Verdict, got.Error, got.Detected, got.Unknowns)
			}
			if got.Detected.VirtualSize != c.size || got.Detected.AllocatedSize != contract.Unknown || got.Detected.Format != c.format {
				t.Errorf("%+v", got.Detected)
			}
			if !got.Stages() || got.Sources[0].Reason == "" {
				t.Errorf("%+v", got.Sources)
			}
		})
	}
}

// A dry run refuses with the code of what surrounds the image, too.
func TestForecastOfBadRequests(t *testing.T) {
	dir := t.TempDir()
	raw := moved(t, dir, "d.raw", imgtest.WriteRaw(t, mixed()))
	for _, c := range []struct {
		name string
		req  contract.ImportRequest
		want errcode.Code
	}{
		{"no file", planOf(filepath.Join(dir, "none"), contract.TargetSpec{}), errcode.SourceNotFound},
		{"outside the roots", planOf("/etc/hostname", contract.TargetSpec{}), errcode.SourceOutsideRoots},
		{"no such scheme", planOf("gopher://h/x", contract.TargetSpec{}), errcode.SourceScheme},
		{"unknown target", planOf(raw, contract.TargetSpec{Format: "qed"}), errcode.TargetFormat},
		{"unknown option", planOf(raw, contract.TargetSpec{Format: "qcow2", Options: map[string]string{"speed": "high"}}), errcode.TargetOption},
		{"unknown store", planOf(raw, contract.TargetSpec{Store: "moon"}), errcode.StoreUnknown},
		{"bad digest", contract.ImportRequest{Source: contract.SourceSpec{URL: raw, Checksum: "sha256:ab"}}, errcode.ChecksumInvalid},
		{"other format", contract.ImportRequest{Source: contract.SourceSpec{URL: raw, Format: "qcow2"}}, errcode.FormatUnknown},
		{"verify too little", contract.ImportRequest{Source: contract.SourceSpec{URL: raw}, Verify: "none"}, errcode.Forbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, dir, loopback())
			got := forecast(t, p, c.req)
			if got.Verdict != contract.VerdictRefused || got.Error == nil || got.Error.Code != c.want || got.Error.Remedy == "" {
				t.Errorf("%s, %+v, want %s", got.Verdict, got.Error, c.want)
			}
		})
	}
	p, _ := newPipeline(t, dir)
	p.MaxSourceBytes = 1 << 20
	if got := forecast(t, p, planOf(raw, contract.TargetSpec{})); got.Error == nil || got.Error.Code != errcode.SourceTooLarge {
		t.Errorf("a source above the limit: %s, %+v", got.Verdict, got.Error)
	}
	if err := os.Truncate(raw, 0); err != nil {
		t.Fatal(err)
	}
	if got := forecast(t, p, planOf(raw, contract.TargetSpec{})); got.Error == nil || got.Error.Code != errcode.Empty {
		t.Errorf("an empty source: %s, %+v", got.Verdict, got.Error)
	}
}

// A dry run says where redirects lead, and shows no secret of any address.
func TestForecastShowsNoSecrets(t *testing.T) {
	const secret = "X-Amz-Signature=c0ffee"
	dir := t.TempDir()
	path := moved(t, dir, "d.raw", imgtest.WriteRaw(t, mixed()))
	last, sum := serveFile(t, path, true, new(atomic.Int64)), sha256Of(t, path)
	sums := serveFile(t, put(t, dir, "SHA256SUMS", []byte(strings.TrimPrefix(sum, "sha256:")+"  token\n")), true, new(atomic.Int64))
	srv := httptest.NewServer(http.RedirectHandler(last+"?"+secret, http.StatusFound))
	t.Cleanup(srv.Close)
	p, _ := newPipeline(t, dir, loopback())
	req := planOf(srv.URL+"/token?"+secret, contract.TargetSpec{})
	req.Source.ChecksumFile = sums + "?" + secret
	got := forecast(t, p, req)
	raw, err := json.Marshal(got)
	if err != nil || strings.Contains(string(raw), "c0ffee") {
		t.Errorf("%v: %s", err, raw)
	}
	s := got.Sources[0]
	if s.Redirects != 1 || s.Resolved != strings.TrimSuffix(last, "/disk.img") || s.Origin != srv.URL || !s.Ranges || s.Validator == "" {
		t.Errorf("%+v", s)
	}
	if !s.Staged || got.Staging.Needed != mixed().Size() || got.Staging.Enough == nil || !*got.Staging.Enough {
		t.Errorf("a digest is demanded, and staging is %+v, staged %v", got.Staging, s.Staged)
	}
	missing := req
	missing.Source.ChecksumFile = strings.Replace(sums, "disk.img", "", 1) + "?other"
	missing.Source.URL = last
	if got := forecast(t, p, missing); got.Error == nil || got.Stage != contract.StageFetch {
		t.Errorf("a checksum file without the source: %s", got.Verdict)
	}
	if len(got.Checks) < 2 || got.Checks[0].Value != sum {
		t.Errorf("checks %+v", got.Checks)
	}
}
