package detect_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/errcode"
)

// A grown image is a file with zeros behind it, as many as wanted.
type grown struct {
	b    []byte
	size int64
}

func (g grown) ReadAt(p []byte, off int64) (int, error) {
	if off >= g.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), g.size-off))
	clear(p[:n])
	if off < int64(len(g.b)) {
		copy(p[:n], g.b[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// head returns the first n bytes, or all if there are less.
func (g grown) head(n int64) []byte {
	p := make([]byte, min(n, g.size))
	g.ReadAt(p, 0)
	return p
}

func whole(t *testing.T, g grown, declared formats.Name) (detect.Report, error) {
	t.Helper()
	rep, disk, err := detect.New(readers.All()).Detect(t.Context(), g, g.size, detect.Options{Declared: declared, Limits: formats.DefaultLimits()})
	if disk != nil {
		disk.Close()
	}
	return rep, err
}

func judge(t *testing.T, head []byte, size int64, declared formats.Name) (detect.Report, error) {
	return detect.New(readers.All()).Head(t.Context(), head, detect.Stream{Size: size, Declared: declared, Limits: formats.DefaultLimits()})
}

// agree fails the test unless everything that Head says of the file, from as
// much or little of it as one likes, is what Detect says of the whole.
func agree(t *testing.T, g grown, declared formats.Name) {
	t.Helper()
	_, err := whole(t, g, declared)
	want := errcode.Of(err)
	for _, n := range []int64{0, 1, 512, 4 << 10, formats.HeadLen, 130 << 10, 300 << 10, detect.HeadBytes, 3 << 20} {
		for _, size := range []int64{g.size, -1} {
			rep, err := judge(t, g.head(n), size, declared)
			got := errcode.Of(err)
			if rep.Safe || rep.Refused() != (err != nil) || rep.FileSize != size {
				t.Errorf("declared %q, %d bytes of %d: safe %v, refused %v with %v", declared, n, size, rep.Safe, rep.Refused(), err)
			}
			if err == nil {
				continue
			}
			if want == "" {
				t.Errorf("declared %q, %d bytes of %d: refused with %v, and the whole is accepted", declared, n, size, err)
			} else if got != want && want != errcode.FormatAmbiguous && !(got == errcode.FormatUnknown && want == errcode.FormatMismatch) {
				t.Errorf("declared %q, %d bytes of %d: refused with %v, the whole with %s", declared, n, size, err, want)
			}
		}
	}
}

// A listed image is an entry of testdata/images/manifest.json.
type listed struct {
	Path string
	Code errcode.Code
}

const imagesDir = "../testdata/images"

func manifest(t *testing.T) []listed {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(imagesDir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Images []listed }
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Images) < 20 {
		t.Fatalf("only %d images in the manifest", len(m.Images))
	}
	return m.Images
}

func (l listed) unpack(t *testing.T) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(imagesDir, l.Path))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHeadAgreesWithTheWhole looks at every listed image, good and bad, as it is
// and with 64 MiB behind it.
func TestHeadAgreesWithTheWhole(t *testing.T) {
	for _, l := range manifest(t) {
		t.Run(l.Path, func(t *testing.T) {
			b := l.unpack(t)
			for _, declared := range []formats.Name{"", formats.Raw, formats.QCOW2, formats.VHD, formats.ISO} {
				agree(t, grown{b, int64(len(b))}, declared)
				agree(t, grown{b, int64(len(b)) + 64<<20}, declared)
			}
		})
	}
}

// TestHeadRefusesWhatIsIllThere refuses each listed image, after its first MiB,
// whose illness lies there; those that it cannot refuse are listed, with the
// reason.
func TestHeadRefusesWhatIsIllThere(t *testing.T) {
	const behind, later, end = "the illness lies behind the first MiB", "only validation reads the tables", "only the last bytes tell"
	left := map[string]string{
		"vmdk/truncated": later, "vmdk/stream-truncated": later, "vhd/block-past-end": later,
		"vhd/footer-checksum": end, "vhd/fixed-short": end,
		"vhdx/log-invalid": behind, "vhdx/metadata-magic": behind, "vhdx/block-size-odd": behind, "vhdx/sectors-520": behind,
		"vhdx/size-2-52": behind, "vhdx/size-zero": behind, "vhdx/block-state-4": behind, "vhdx/block-past-end": behind,
		"vhdx/two-blocks-in-one-place": behind, "vhdx/truncated": behind,
		"vdi/two-blocks-in-one-place": later, "ploop/two-clusters-in-one-place": later,
	}
	bad, caught, blind := 0, 0, 0
	for _, l := range manifest(t) {
		if l.Code == "" {
			continue
		}
		b := l.unpack(t)
		name := strings.TrimSuffix(strings.TrimPrefix(l.Path, "bad/"), ".gz")
		rep, err := judge(t, b[:min(len(b), detect.HeadBytes)], int64(len(b)), "")
		bad++
		switch why, ok := left[name]; {
		case ok && err != nil:
			t.Errorf("%s is listed as %q and refused with %v", name, why, err)
		case ok:
			continue
		case errcode.Of(err) != l.Code:
			t.Errorf("%s: got %v, want %s", name, err, l.Code)
		}
		caught++
		requireRefusal(t, rep, l.Code)
		if _, err := judge(t, b[:min(len(b), detect.HeadBytes)], -1, ""); err != nil {
			blind++
		}
	}
	t.Logf("%d of %d bad images are refused by their first MiB, %d without their length", caught, bad, blind)
	if bad < 70 || caught != bad-len(left) {
		t.Errorf("%d of %d refused, %d are listed as left", caught, bad, len(left))
	}
}

// requireRefusal demands that a report tells where, what and what to do.
func requireRefusal(t *testing.T, rep detect.Report, code errcode.Code) {
	t.Helper()
	last, failed := rep.Findings[len(rep.Findings)-1], rep.Checks[len(rep.Checks)-1]
	if last.Code != code || last.Severity != formats.SeverityError || last.Evidence == nil || last.Remedy == "" {
		t.Errorf("finding is not whole: %+v", last)
	}
	if failed.Result != detect.Fail || failed.Code != code || failed.Remedy != last.Remedy || failed.Evidence == nil {
		t.Errorf("check is not whole: %+v", failed)
	}
}
