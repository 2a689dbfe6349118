package pipeline_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	httpsource "ingest/sources/http"
)

// importOf is the import of a set whose files lie at a URL or in a folder.
func importOf(s set, at string, t contract.TargetSpec) *job {
	url := func(f string) string { return at + "/" + filepath.Base(f) }
	j := newJob(url(s.files[0]), t)
	for _, f := range s.files[1:] {
		j.source.Members = append(j.source.Members, contract.MemberSpec{URL: url(f) + "?sig=secret"})
	}
	if strings.HasPrefix(at, "/") {
		for i := range j.source.Members {
			j.source.Members[i].URL = strings.TrimSuffix(j.source.Members[i].URL, "?sig=secret")
		}
	}
	return j
}

func TestImportOfSeveralFiles(t *testing.T) {
	for name, make := range map[string]func(*testing.T) set{"VMDK of extents": sparseSet, "VHD over its parent": vhdSet} {
		t.Run(name, func(t *testing.T) {
			s := make(t)
			srv := serve(t, s)
			srv.plain = filepath.Base(s.files[1])
			dir := filepath.Dir(s.files[0])
			for _, at := range []string{dir, srv.url} {
				p, _ := newPipeline(t, dir, loopback())
				j := importOf(s, at, contract.TargetSpec{Format: "raw"})
				last := len(j.source.Members) - 1
				j.source.Members[last].Checksum = sha256Of(t, s.files[last+1])
				if err := j.run(t, p); err != nil {
					t.Fatal(err)
				}
				remote := at == srv.url
				for i, m := range j.fetched.Members {
					staged := remote && (i == 0 || i == last)
					if m.Name != filepath.Base(s.files[i+1]) || m.Staged != staged || m.Local == remote || m.Size != fileSize(t, s.files[i+1]) {
						t.Errorf("fetched from %s: member %d is %+v, staged should be %v", at, i, m, staged)
					}
				}
				if j.fetched.Members[last].SourceDigest != j.source.Members[last].Checksum || j.fetched.Staged {
					t.Errorf("fetched %+v", j.fetched)
				}
				f := imgtest.OpenFile(t, objectFile(t, p, j, ".raw"))
				imgtest.Equal(t, f, s.want, s.want.Size())
				if f.Size() != s.want.Size() {
					t.Errorf("%d bytes, want %d", f.Size(), s.want.Size())
				}
				if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Success: true}); err != nil {
					t.Fatal(err)
				}
				empty(t, p.StagingDir)
			}
		})
	}
}

func TestRefusedMembers(t *testing.T) {
	s := sparseSet(t)
	dir := filepath.Dir(s.files[0])
	srv := serve(t, s)
	ok := func(string) string { return "" }
	for _, c := range []struct {
		name   string
		change func(*contract.SourceSpec)
		drop   bool // the server's leave to reach the loopback network
		want   errcode.Code
		says   func(url string) string
	}{
		{"one left out", func(s *contract.SourceSpec) { s.Members = s.Members[:2] }, false, errcode.MemberMissing, ok},
		{"one that is not there", func(s *contract.SourceSpec) { s.Members[1].URL = srv.url + "/none.vmdk" }, false, errcode.SourceNotFound, nil},
		{"one under another name", func(s *contract.SourceSpec) { s.Members[1].Name = "other.vmdk" }, false, errcode.MemberMissing, ok},
		{"one outside the roots", func(s *contract.SourceSpec) { s.Members[1].URL = "/etc/hostname" }, false, errcode.SourceOutsideRoots, nil},
		{"another's content", func(s *contract.SourceSpec) {
			s.Members[1].URL, s.Members[2].URL = s.Members[2].URL, s.Members[1].URL
			s.Members[1].Name, s.Members[2].Name = filepath.Base(s.Members[2].URL), filepath.Base(s.Members[1].URL)
		}, false, errcode.MemberMismatch, ok},
		{"a network that is closed", func(s *contract.SourceSpec) { s.Members[1].URL = srv.url + "/disk-s002.vmdk" }, true, errcode.SourceAddrBlocked, nil},
		{"wrong digest", func(s *contract.SourceSpec) { s.Members[1].Checksum = "sha256:" + strings.Repeat("0", 64) }, false, errcode.ChecksumMismatch, nil},
		{"no digest", func(s *contract.SourceSpec) { s.Members[1].Checksum = "md5:00" }, false, errcode.ChecksumInvalid, nil},
		{"a credential that nobody has", func(s *contract.SourceSpec) {
			s.Members[1] = contract.MemberSpec{URL: srv.url + "/disk-s002.vmdk", Credential: "c"}
		}, false, errcode.CredentialUnknown, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			driver := loopback()
			if c.drop {
				driver = httpsource.New(httpsource.Options{})
			}
			p, _ := newPipeline(t, dir, driver)
			j := importOf(s, dir, contract.TargetSpec{})
			c.change(&j.source)
			err := j.run(t, p)
			if errcode.Of(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if c.says == nil && !strings.Contains(err.Error(), `in member "`+j.source.Members[1].FileName()+`"`) {
				t.Errorf("%v does not name the member", err)
			}
			if remedy := errcode.Lookup(c.want).Remedy; c.want == errcode.MemberMissing && !strings.Contains(remedy, "--member") {
				t.Errorf("remedy %q", remedy)
			}
		})
	}
}

func TestMembersThatChange(t *testing.T) {
	s := vhdSet(t)
	dir := filepath.Dir(s.files[0])
	steps := map[string]func(*pipeline.Pipeline, *job) error{
		"detect": func(p *pipeline.Pipeline, j *job) error {
			_, _, err := p.Detect(t.Context(), contract.DetectParams{TaskID: j.task, Fetched: j.fetched})
			return err
		},
		"validate": func(p *pipeline.Pipeline, j *job) error {
			_, _, err := p.Validate(t.Context(), contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected})
			return err
		},
		"convert": func(p *pipeline.Pipeline, j *job) error {
			_, err := p.Convert(t.Context(), j.convertParams(), nil)
			return err
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, s)
			p, _ := newPipeline(t, dir, loopback())
			j := importOf(s, srv.url, contract.TargetSpec{Format: "raw"})
			j.source.URL = s.files[0] // of which the server's version says nothing
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			j.key = newJob("", contract.TargetSpec{}).key
			srv.etag.Add(1)
			err := step(p, j)
			if errcode.Of(err) != errcode.SourceChanged || !strings.Contains(err.Error(), `in member "parent.vhd"`) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %s of the member", err, errcode.SourceChanged)
			}
		})
	}
}

// While the conversion reads it, a local file is replaced.
func TestMemberReplacedDuringTheConversion(t *testing.T) {
	s := vhdSet(t)
	p, _ := newPipeline(t, filepath.Dir(s.files[0]))
	j := importOf(s, filepath.Dir(s.files[0]), contract.TargetSpec{Format: "raw"})
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	j.key = newJob("", contract.TargetSpec{}).key
	replaced := false
	_, err := p.Convert(t.Context(), j.convertParams(), func(int64, int64, []byte) {
		if !replaced {
			replaced = true
			f, err := os.OpenFile(s.files[1], os.O_WRONLY|os.O_APPEND, 0)
			if err == nil {
				_, err = f.Write(make([]byte, 512))
			}
			if err != nil {
				t.Error(err)
			}
			f.Close()
		}
	})
	if errcode.Of(err) != errcode.SourceChanged || !strings.Contains(err.Error(), `in member "parent.vhd"`) {
		t.Errorf("got %v, want %s of the member", err, errcode.SourceChanged)
	}
}

// A fetch that dies while the second member is staged goes on there: what is
// staged of the first one is not asked for again, and what is left of an older
// version is thrown away alone.
func TestStagingOfMembersGoesOn(t *testing.T) {
	s := sparseSet(t)
	srv := serve(t, s)
	p, _ := newPipeline(t, t.TempDir(), loopback())
	p.CheckpointEvery = 1
	j := importOf(s, srv.url, contract.TargetSpec{Format: "raw"})
	for i := range j.source.Members {
		j.source.Members[i].Checksum = sha256Of(t, s.files[i+1])
	}
	params := contract.FetchParams{TaskID: j.task, Source: j.source}
	first, second := fileSize(t, s.files[1]), fileSize(t, s.files[2])
	all := first + second + fileSize(t, s.files[3])
	ctx, cancel := context.WithCancel(t.Context())
	_, err := p.Fetch(ctx, params, func(done, total int64, _ []byte) {
		if done > 0 && total != all {
			t.Errorf("%d of %d bytes, want of %d", done, total, all)
		}
		if done >= first+20<<20 {
			cancel()
		}
	})
	if ctx.Err() == nil || err == nil {
		t.Fatalf("not cut off: %v", err)
	}
	names := []string{filepath.Base(s.files[1]), filepath.Base(s.files[2])}
	before := srv.sent[names[0]].Load()

	begins := int64(-1)
	if j.fetched, err = p.Fetch(t.Context(), params, func(done, total int64, _ []byte) {
		if begins < 0 && total >= 0 {
			begins = done
		}
	}); err != nil {
		t.Fatal(err)
	}
	if begins <= first {
		t.Errorf("goes on at %d, behind the first member are %d", begins, first)
	}
	if again := srv.sent[names[0]].Load() - before; again > 4096 {
		t.Errorf("%d bytes of the first member were sent again", again)
	}
	for _, m := range j.fetched.Members {
		if !m.Staged || m.SourceDigest == "" {
			t.Errorf("member %+v is not staged", m)
		}
	}
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	imgtest.Equal(t, imgtest.OpenFile(t, objectFile(t, p, j, ".raw")), s.want, s.want.Size())

	// All change their version: all are asked for again, and nothing is kept.
	srv.etag.Add(1)
	before = srv.sent[names[1]].Load()
	if _, err := p.Fetch(t.Context(), params, nil); err != nil {
		t.Fatal(err)
	}
	if sent := srv.sent[names[1]].Load() - before; sent < second {
		t.Errorf("%d bytes of the second member were sent, want all %d", sent, second)
	}
	if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: j.task, Success: true}); err != nil {
		t.Fatal(err)
	}
	empty(t, p.StagingDir)
}

// A staged member that is lost is as a staged source that is lost: fetched
// again by another round.
func TestLostMember(t *testing.T) {
	s := vhdSet(t)
	srv := serve(t, s)
	srv.plain = "parent.vhd"
	p, _ := newPipeline(t, t.TempDir(), loopback())
	j := importOf(s, srv.url, contract.TargetSpec{Format: "raw"})
	if err := j.run(t, p); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(p.StagingDir, j.task, "member-0"), 1<<20); err != nil {
		t.Fatal(err)
	}
	_, err := p.Convert(t.Context(), j.convertParams(), nil)
	if errcode.Of(err) != errcode.StagingLost {
		t.Errorf("got %v, want %s", err, errcode.StagingLost)
	}
}

// The largest source is that of all files together.
func TestMembersCountTowardsTheLargestSource(t *testing.T) {
	s := vhdSet(t)
	srv := serve(t, s)
	size := fileSize(t, s.files[0]) + fileSize(t, s.files[1])
	for _, plain := range []string{"", "parent.vhd"} {
		srv.plain = plain
		for _, c := range []struct {
			most int64
			want errcode.Code
		}{{size, ""}, {size - 1, errcode.SourceTooLarge}} {
			p, _ := newPipeline(t, t.TempDir(), loopback())
			p.MaxSourceBytes = c.most
			j := importOf(s, srv.url, contract.TargetSpec{Format: "raw"})
			_, err := p.Fetch(t.Context(), contract.FetchParams{TaskID: j.task, Source: j.source}, nil)
			if errcode.Of(err) != c.want {
				t.Errorf("%d bytes of at most %d, %q without ranges: %v, want %q", size, c.most, plain, err, c.want)
			}
		}
	}
}
