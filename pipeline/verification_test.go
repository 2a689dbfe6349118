package pipeline_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/internal/verify"
	"ingest/internal/verify/verifytest"
	"ingest/pipeline"
)

// A mirror is a publisher's server: files by their names, and what was asked of it.
type mirror struct {
	url   string
	files map[string][]byte
	mu    sync.Mutex
	asked []string
}

func newMirror(t *testing.T, files map[string][]byte) *mirror {
	m := &mirror{files: files}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.asked = append(m.asked, r.URL.Path)
		name, ok := strings.CutPrefix(r.URL.Path, "/pub/")
		p, there := m.files[name]
		m.mu.Unlock()
		if r.URL.Path == "/mirror/"+"moved.img" {
			http.Redirect(w, r, "/pub/disk.img", http.StatusFound)
			return
		}
		if !ok || !there {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", `"version-1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p))
	}))
	t.Cleanup(srv.Close)
	m.url = srv.URL + "/pub/"
	return m
}

// publisher is a mirror with a signed list of a disk and a packed one.
type publisher struct {
	*mirror
	gpg  *verifytest.GPG
	key  string
	ring *verify.Keyring
	dir  string // where the files lie
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	g := verifytest.New(t)
	p := &publisher{gpg: g, key: g.Key("Publisher <p@example.org>", "ed25519", "never"), dir: t.TempDir()}
	disk := imgtest.WriteRaw(t, mixed())
	qcow := imgtest.Convert(t, disk, "raw", "qcow2")
	files := map[string][]byte{"disk.img": read(t, disk), "disk.qcow2": read(t, qcow)}
	files["disk.img.gz"] = command(t, files["disk.img"], "gzip", "-1c")
	for name, b := range files {
		write(t, filepath.Join(p.dir, name), b)
	}
	cmd := exec.Command("sha256sum", "disk.img", "disk.qcow2", "disk.img.gz")
	cmd.Dir = p.dir
	sums, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	files["SHA256SUMS"] = sums
	files["SHA256SUMS.gpg"] = g.Detach(p.key, sums)
	write(t, filepath.Join(p.dir, "SHA256SUMS"), sums)
	write(t, filepath.Join(p.dir, "SHA256SUMS.gpg"), files["SHA256SUMS.gpg"])
	p.mirror = newMirror(t, files)
	if p.ring, err = verify.OpenKeyring("pub", g.Export(p.key)); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *publisher) pipeline(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	pl, _ := newPipeline(t, p.dir, loopback())
	pl.Keyrings = verify.Keyrings{p.ring}
	return pl
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func sum256(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// fetch runs the fetch alone.
func (j *job) fetch(t *testing.T, p *pipeline.Pipeline) error {
	t.Helper()
	var err error
	j.fetched, err = p.Fetch(t.Context(), contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source}, nil)
	return err
}

func TestVerifiedImports(t *testing.T) {
	p := newPublisher(t)
	img := p.files["disk.img"]
	sum512 := sha512.Sum512(img)
	p.files["disk.img.sha512"] = []byte(hex.EncodeToString(sum512[:]) + "\n")
	p.files["FEDORA-CHECKSUM"] = p.gpg.Clearsign(p.key, []byte("# disk.img: 1 bytes\nSHA256 (disk.img) = "+sum256(img)+"\n"))
	p.files["disk.img.sig"] = p.gpg.Detach(p.key, img, "--digest-algo", "SHA512")
	p.files["disk.img.gz.asc"] = p.gpg.Detach(p.key, p.files["disk.img.gz"], "--armor", "--digest-algo", "SHA256")
	const list, signed, given = contract.VerifiedChecksumFile, contract.VerifiedSignature, contract.VerifiedDigest
	for _, c := range []struct {
		name string
		src  contract.SourceSpec
		want []string // kinds
	}{
		{"list", contract.SourceSpec{URL: "disk.img", ChecksumFile: "auto"}, []string{list}},
		{"signed list", contract.SourceSpec{URL: "disk.img", ChecksumFile: "auto", Signature: "auto"}, []string{list, signed}},
		{"signed list, keyring", contract.SourceSpec{URL: "disk.qcow2", ChecksumFile: "SHA256SUMS", Keyring: "pub"}, []string{list, signed}},
		{"all places given", contract.SourceSpec{URL: "disk.img", ChecksumFile: "SHA256SUMS", Signature: "SHA256SUMS.gpg"}, []string{list, signed}},
		{"packed", contract.SourceSpec{URL: "disk.img.gz", ChecksumFile: "auto", Signature: "auto"}, []string{list, signed}},
		{"clearsigned", contract.SourceSpec{URL: "disk.img", ChecksumFile: "FEDORA-CHECKSUM", Signature: "auto"}, []string{list, signed}},
		{"clearsigned, not asked for", contract.SourceSpec{URL: "disk.img", ChecksumFile: "FEDORA-CHECKSUM"}, []string{list}},
		{"a digest alone", contract.SourceSpec{URL: "disk.img", ChecksumFile: "disk.img.sha512"}, []string{list}},
		{"signature over the image", contract.SourceSpec{URL: "disk.img", Signature: "auto"}, []string{signed}},
		{"signature over the packed image", contract.SourceSpec{URL: "disk.img.gz", Signature: "disk.img.gz.asc", Keyring: "pub"}, []string{signed}},
		{"digest and list", contract.SourceSpec{URL: "disk.img", Checksum: "sha256:" + sum256(img), ChecksumFile: "disk.img.sha512"}, []string{given, list}},
		{"digest and signature", contract.SourceSpec{URL: "disk.img", Checksum: "sha256:" + sum256(img), Signature: "auto"}, []string{given, signed}},
	} {
		for _, at := range []string{p.url, p.dir + "/"} {
			if at != p.url && (c.src.ChecksumFile != "auto" || c.src.URL == "disk.img.gz") {
				continue
			}
			t.Run(c.name+" "+at[:4], func(t *testing.T) {
				pl := p.pipeline(t)
				j := newJob(at+c.src.URL, contract.TargetSpec{})
				j.source = c.src
				j.source.URL = at + c.src.URL
				for _, s := range []*string{&j.source.ChecksumFile, &j.source.Signature} {
					if *s != "" && *s != "auto" {
						*s = at + *s
					}
				}
				if err := j.run(t, pl); err != nil {
					t.Fatal(err)
				}
				var kinds []string
				for _, v := range j.fetched.Verifications {
					kinds = append(kinds, v.Kind)
					if v.VerifiedAt.IsZero() || v.Kind == signed && (v.Fingerprint != p.key || v.Keyring != "pub" || v.SignedAt.IsZero()) {
						t.Errorf("%+v", v)
					}
					if v.Algo == "sha256" && v.Digest != "" && v.Digest != sum256(p.files[c.src.URL]) {
						t.Errorf("digest %s", v.Digest)
					}
				}
				if !slices.Equal(kinds, c.want) {
					t.Errorf("verified by %v, want %v", kinds, c.want)
				}
				// Another attempt finds what is staged, and comes to the same.
				before := j.fetched
				if err := j.fetch(t, pl); err != nil || !before.Same(j.fetched) {
					t.Errorf("another attempt: %+v, %v", j.fetched, err)
				}
				imgtest.QemuImg(t, "compare", objectFile(t, pl, j, "."+j.target.Format), filepath.Join(p.dir, "disk.img"))
			})
		}
	}
}

func TestRefusedVerifications(t *testing.T) {
	p := newPublisher(t)
	g := p.gpg
	old := g.Key("old", "ed25519", "1y", verifytest.At("20200101T000000")...)
	lasting := g.Key("lasting", "ed25519", "never", verifytest.At("20200101T000000")...)
	gone := g.Key("gone", "rsa2048", "never")
	stranger := g.Key("stranger", "ed25519", "never")
	sums, img := p.files["SHA256SUMS"], p.files["disk.img"]
	sign := func(key string, more ...string) []byte { return g.Detach(key, sums, more...) }
	files := map[string][]byte{
		"old.gpg": sign(old, verifytest.At("20200601T000000")...), "gone.gpg": sign(gone), "stranger.gpg": sign(stranger),
		"future.gpg": sign(p.key, verifytest.At("20990101T000000")...), "sha1.gpg": sign(p.key, "--digest-algo", "SHA1", "--allow-weak-digest-algos"),
		"expired.gpg": sign(lasting, append(verifytest.At("20200601T000000"), "--default-sig-expire", "1d")...),
		"other.gpg":   g.Detach(p.key, []byte("other")), "html.gpg": []byte("<html>"), "disk.img.gpg": g.Detach(p.key, img[1:]),
		"stranger.sig": g.Detach(stranger, img), "text.sig": g.Detach(p.key, sums, "--textmode"), "large": make([]byte, verify.MaxSumsBytes+1),
		"WRONG": []byte(strings.Repeat("0", 64) + "  disk.img\n"), "NONE": []byte(strings.Repeat("0", 64) + "  disk.img.gz\n"),
		"TWO": slices.Concat(sums, []byte(strings.Repeat("0", 64)+"  disk.img\n")), "HTML": []byte("<html>"),
		"MD5": []byte(strings.Repeat("0", 32) + "  disk.img\n"),
	}
	files["SIGNED-WRONG"] = g.Clearsign(p.key, files["WRONG"])
	files["STRIPPED"] = sums
	files["CHANGED"] = bytes.Replace(g.Clearsign(p.key, files["WRONG"]), []byte(strings.Repeat("0", 64)), []byte(sum256(img)), 1)
	for name, b := range files {
		p.files[name] = b
	}
	g.Revoke(gone)
	var err error
	if p.ring, err = verify.OpenKeyring("pub", g.Export(p.key, old, lasting, gone)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		src  contract.SourceSpec // SHA256SUMS if neither is given
		want errcode.Code
		read bool // the image is read before it is known
	}{
		{"wrong digest in the list", contract.SourceSpec{ChecksumFile: "WRONG"}, errcode.ChecksumMismatch, true},
		{"wrong digest in a signed list", contract.SourceSpec{ChecksumFile: "SIGNED-WRONG", Keyring: "pub"}, errcode.ChecksumMismatch, true},
		{"no entry", contract.SourceSpec{ChecksumFile: "NONE"}, errcode.ChecksumEntryMissing, false},
		{"two entries", contract.SourceSpec{ChecksumFile: "TWO"}, errcode.ChecksumEntries, false},
		{"no list", contract.SourceSpec{ChecksumFile: "HTML"}, errcode.ChecksumFileInvalid, false},
		{"list is not there", contract.SourceSpec{ChecksumFile: "nowhere"}, errcode.ChecksumFileMissing, false},
		{"list is too large", contract.SourceSpec{ChecksumFile: "large"}, errcode.SourceTooLarge, false},
		{"list of MD5", contract.SourceSpec{ChecksumFile: "MD5"}, errcode.ChecksumAlgorithm, false},
		{"list elsewhere", contract.SourceSpec{ChecksumFile: "http://169.254.169.254/SHA256SUMS"}, errcode.SourceAddrBlocked, false},
		{"list outside the roots", contract.SourceSpec{ChecksumFile: "/etc/passwd"}, errcode.SourceOutsideRoots, false},
		{"signature elsewhere", contract.SourceSpec{ChecksumFile: "SHA256SUMS", Signature: "http://169.254.169.254/x"}, errcode.SourceAddrBlocked, false},
		{"expired key", contract.SourceSpec{Signature: "old.gpg"}, errcode.SignatureKeyExpired, false},
		{"revoked key", contract.SourceSpec{Signature: "gone.gpg"}, errcode.SignatureKeyRevoked, false},
		{"wrong key", contract.SourceSpec{Signature: "stranger.gpg"}, errcode.SignatureKeyUnknown, false},
		{"future", contract.SourceSpec{Signature: "future.gpg"}, errcode.SignatureFuture, false},
		{"sha1", contract.SourceSpec{Signature: "sha1.gpg"}, errcode.SignatureWeak, false},
		{"expired signature", contract.SourceSpec{Signature: "expired.gpg"}, errcode.SignatureExpired, false},
		{"other file", contract.SourceSpec{Signature: "other.gpg"}, errcode.SignatureInvalid, false},
		{"no signature", contract.SourceSpec{Signature: "html.gpg"}, errcode.SignatureInvalid, false},
		{"signature is not there", contract.SourceSpec{Signature: "nowhere"}, errcode.SignatureMissing, false},
		{"stripped", contract.SourceSpec{ChecksumFile: "STRIPPED", Keyring: "pub"}, errcode.SignatureMissing, false},
		{"changed behind the signature", contract.SourceSpec{ChecksumFile: "CHANGED", Keyring: "pub"}, errcode.SignatureInvalid, false},
		{"changed, no signature asked for", contract.SourceSpec{ChecksumFile: "CHANGED"}, "", true},
		{"no such keyring", contract.SourceSpec{Keyring: "other", ChecksumFile: "SHA256SUMS"}, errcode.KeyringUnknown, false},
		{"over other bytes of the image", contract.SourceSpec{Signature: "disk.img.gpg", ChecksumFile: "-"}, errcode.SignatureInvalid, true},
		{"image, key unknown", contract.SourceSpec{Signature: "stranger.sig", ChecksumFile: "-"}, errcode.SignatureKeyUnknown, false},
		{"image, over text", contract.SourceSpec{Signature: "text.sig", ChecksumFile: "-"}, errcode.SignatureInvalid, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := p.pipeline(t)
			j := newJob(p.url+"disk.img", contract.TargetSpec{})
			c.src.URL = j.source.URL
			j.source = c.src
			switch c.src.ChecksumFile {
			case "":
				j.source.ChecksumFile = p.url + "SHA256SUMS"
			case "-":
				j.source.ChecksumFile = ""
			}
			for _, s := range []*string{&j.source.ChecksumFile, &j.source.Signature} {
				if *s != "" && !strings.Contains(*s, "/") {
					*s = p.url + *s
				}
			}
			err := j.fetch(t, pl)
			if errcode.Of(err) != c.want {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if e, ok := errcode.As(err); ok && (e.Evidence == nil || e.Remedy() == "") {
				t.Errorf("%v has no evidence or no remedy", e)
			}
			if staged, _ := filepath.Glob(filepath.Join(pl.StagingDir, "*", "source")); (len(staged) > 0) != c.read {
				t.Errorf("staged %v", staged)
			}
			if err := pl.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Key: j.key}); err != nil {
				t.Fatal(err)
			}
			empty(t, pl.StagingDir)
		})
	}
}

// TestUsualNames holds the order in which names are tried, that a list that is
// there decides, and by which name an image is looked up behind a redirect.
func TestUsualNames(t *testing.T) {
	p := newPublisher(t)
	img := p.files["disk.img"]
	good := []byte(sum256(img) + "  disk.img\n")
	for _, name := range []string{"CHECKSUM", "disk.img.sha256sum", "disk.img.sha256", "SHA512SUMS", "SHA256SUMS"} {
		m := newMirror(t, map[string][]byte{"disk.img": img, name: good})
		pl := p.pipeline(t)
		j := newJob(m.url+"disk.img?token=1", contract.TargetSpec{})
		j.source.ChecksumFile = "auto"
		if err := j.fetch(t, pl); err != nil || len(j.fetched.Verifications) != 1 || j.fetched.Verifications[0].URL != m.url+name {
			t.Errorf("%s: %v, %+v", name, err, j.fetched.Verifications)
		}
		m.files["SHA256SUMS"] = []byte(strings.Repeat("0", 64) + "  disk.img\n")
		j = newJob(m.url+"disk.img", contract.TargetSpec{})
		j.source.ChecksumFile = "auto"
		if err := j.fetch(t, pl); errcode.Of(err) != errcode.ChecksumMismatch {
			t.Errorf("%s beside a wrong SHA256SUMS: %v", name, err)
		}
	}
	pl := p.pipeline(t)
	m := newMirror(t, map[string][]byte{"disk.img": img, "sub/disk.img": img, "SUMS": slices.Concat(
		[]byte(strings.Repeat("0", 64)+"  disk.img\n"), []byte(sum256(img)+"  sub/disk.img\n"), []byte(sum256(img)+"  moved.img\n"))})
	for name, want := range map[string]errcode.Code{"pub/disk.img": errcode.ChecksumMismatch, "pub/sub/disk.img": "", "mirror/moved.img": "", "pub/none.img": errcode.SourceNotFound} {
		j := newJob(strings.TrimSuffix(m.url, "pub/")+name, contract.TargetSpec{})
		j.source.ChecksumFile = m.url + "SUMS"
		if err := j.fetch(t, pl); errcode.Of(err) != want {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	m = newMirror(t, map[string][]byte{"disk.img": img})
	j := newJob(m.url+"disk.img", contract.TargetSpec{})
	j.source.ChecksumFile = "auto"
	if err := j.fetch(t, pl); errcode.Of(err) != errcode.ChecksumFileMissing {
		t.Errorf("nothing there: %v", err)
	}
	want := []string{"/pub/disk.img", "/pub/SHA256SUMS", "/pub/SHA512SUMS", "/pub/disk.img.sha256", "/pub/disk.img.sha256sum", "/pub/CHECKSUM"}
	if !slices.Equal(m.asked, want) {
		t.Errorf("asked for %v", m.asked)
	}
}

// TestVerifiedMembers holds that every file of an image has its entry, or a digest
// of its own.
func TestVerifiedMembers(t *testing.T) {
	s := sparseSet(t)
	dir := filepath.Dir(s.files[0])
	var sums []byte
	for _, f := range s.files {
		sums = append(sums, sum256(read(t, f))+"  "+filepath.Base(f)+"\n"...)
	}
	write(t, filepath.Join(dir, "SHA256SUMS"), sums)
	p, _ := newPipeline(t, dir)
	j := importOf(s, dir, contract.TargetSpec{})
	j.source.ChecksumFile = "auto"
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	if got := len(j.fetched.Verifications); got != len(s.files) || j.fetched.Verifications[1].File != filepath.Base(s.files[1]) {
		t.Errorf("%+v", j.fetched.Verifications)
	}
	last := len(s.files) - 1
	lines := bytes.SplitAfter(sums, []byte("\n"))
	write(t, filepath.Join(dir, "SHA256SUMS"), bytes.Join(lines[:last], nil))
	j = importOf(s, dir, contract.TargetSpec{})
	j.source.ChecksumFile = "auto"
	if err := j.fetch(t, p); errcode.Of(err) != errcode.ChecksumEntryMissing || !strings.Contains(err.Error(), filepath.Base(s.files[last])) {
		t.Errorf("a member without an entry: %v", err)
	}
	j.source.Members[last-1].Checksum = "sha256:" + sum256(read(t, s.files[last]))
	if err := j.fetch(t, p); err != nil || j.fetched.Verifications[last].Kind != contract.VerifiedDigest {
		t.Errorf("a member with a digest of its own: %v, %+v", err, j.fetched.Verifications)
	}
}
