package workflows_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/activities"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/internal/provenance"
	"ingest/metadata"
	"ingest/sources"
	"ingest/sources/file"
	httpsource "ingest/sources/http"
	"ingest/stores/fs"
)

// secretQuery stands in every URL of the web server of these tests.
const secretQuery = "X-Amz-Signature=canary-4711"

// provenanceBench imports from a folder, which is served over HTTP too: what is asked
// for below /old/ is redirected to the file, with a secret in the query.
func provenanceBench(t *testing.T, dir string) (b *bench, store *fs.Store, key *provenance.Key, base string) {
	t.Helper()
	files := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, old := strings.CutPrefix(r.URL.Path, "/old/"); old {
			http.Redirect(w, r, "/"+rest+"?"+secretQuery, http.StatusFound)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	key, err := provenance.NewKey(filepath.Join(t.TempDir(), "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	b, p, store := realBench(t, dir)
	p.Sources = sources.Set{file.New([]string{dir}), httpsource.New(httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})}
	*b = *benchWith(t, b.repo, "", func(d *activities.Deps) {
		d.Steps, d.Log, d.Provenance = p, zerolog.Nop(), provenance.Recorder{Key: key, Versions: provenance.Versions("test")}
	})
	return b, store, key, srv.URL
}

// recordOf reads an image's record, which the key must have signed and the catalogue
// and the stored bytes must bear out.
func (b *bench) recordOf(store *fs.Store, key *provenance.Key, img metadata.Image) provenance.Predicate {
	b.t.Helper()
	p, err := b.cat.Provenance(b.t.Context(), img.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	d, err := provenance.Open(p.Document)
	if err != nil {
		b.t.Fatal(err)
	}
	_, differs := d.Compare(provenance.Facts{ImageID: img.ID, Size: *img.Size, VirtualSize: *img.VirtualSize, HashAlgo: img.HashAlgo,
		HashValue: img.HashValue, MD5: img.Checksum, ContentDigest: img.ContentDigest})
	rc, err := store.OpenRange(b.t.Context(), img.Key, 0, *img.Size)
	if err != nil {
		b.t.Fatal(err)
	}
	defer rc.Close()
	sum := exec.Command("sha256sum")
	sum.Stdin = rc
	out, err := sum.Output()
	if err := errors.Join(err, differs, d.Verify(key.Public()), d.CompareBytes("sha256", strings.Fields(string(out))[0])); err != nil {
		b.t.Errorf("image %s: %v", img.ID, err)
	}
	for _, text := range [][]byte{p.Document, d.Payload} {
		if bytes.Contains(text, []byte("canary")) || bytes.Contains(text, []byte("X-Amz")) {
			b.t.Errorf("a secret stands in the record:\n%s", text)
		}
	}
	if !bytes.Contains(d.Payload, []byte(`"_type":"https://in-toto.io/Statement/v1"`)) {
		b.t.Errorf("no in-toto statement: %s", d.Payload)
	}
	return d.Statement.Predicate
}

// chained is the chain in short.
func chained(p provenance.Predicate) string {
	var out []string
	for _, l := range p.Chain {
		out = append(out, strings.TrimSuffix(l.Kind+":"+l.Name+":"+l.Member, ":"))
	}
	return strings.Join(out, " ")
}

// TestProvenanceOfImports imports a disk in each way in which it can come.
func TestProvenanceOfImports(t *testing.T) {
	dir := t.TempDir()
	raw := imgtest.WriteRaw(t, imgtest.Random(1, 9<<20, 2<<20))
	qcow2 := filepath.Join(dir, "disk.qcow2")
	imgtest.QemuImg(t, "convert", "-f", "raw", "-O", "qcow2", "-c", raw, qcow2)
	if out, err := exec.Command("xz", "-k", "-0", qcow2).CombinedOutput(); err != nil {
		t.Fatalf("xz: %v\n%s", err, out)
	}
	digest := func(name string) string {
		out, err := exec.Command("sha256sum", filepath.Join(dir, name)).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))[0]
	}
	size := func(name string) int64 {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	for _, tt := range []struct {
		name, path string
		http       bool
		checksum   bool
		chain      string
		digest     string
	}{
		{"file", "disk.qcow2", false, true, "disk:qcow2 stored:raw", digest("disk.qcow2")},
		{"http with redirect", "disk.qcow2", true, false, "disk:qcow2 stored:raw", ""},
		{"xz", "disk.qcow2.xz", true, false, "layer:xz disk:qcow2 stored:raw", digest("disk.qcow2.xz")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, store, key, base := provenanceBench(t, dir)
			r := request
			r.Target = contract.TargetSpec{Format: "raw"}
			r.Source = contract.SourceSpec{URL: filepath.Join(dir, tt.path)}
			uri, address := r.Source.URL, ""
			if tt.http {
				r.Source.URL = base + "/old/" + tt.path + "?" + secretQuery
				uri, address = base+"/old/"+tt.path, strings.TrimPrefix(base, "http://")
			}
			if tt.checksum {
				r.Source.Checksum = "sha256:" + tt.digest
			}
			got, err := b.run(r)
			if err != nil {
				t.Fatal(err)
			}
			p := b.recordOf(store, key, b.images()[got.Images[0].ImageID])
			if chained(p) != tt.chain {
				t.Errorf("chain %s, want %s", chained(p), tt.chain)
			}
			dep := p.BuildDefinition.ResolvedDependencies[0]
			a := dep.Annotations
			if dep.URI != uri || dep.Digest["sha256"] != tt.digest || a.Size != size(tt.path) || a.Address != address || a.Validator == "" {
				t.Errorf("source %+v", dep)
			}
			if tt.http && (len(a.Redirects) != 1 || a.Location != base+"/"+tt.path || a.LastModified == "") {
				t.Errorf("redirects %+v", a)
			}
			m := p.RunDetails.Metadata
			from, err1 := time.Parse(time.RFC3339, m.StartedOn)
			to, err2 := time.Parse(time.RFC3339, m.FinishedOn)
			if errors.Join(err1, err2) != nil || to.Before(from) || m.TaskID != got.TaskID || m.WorkflowID != workflowID {
				t.Errorf("run %+v", m)
			}
			if p.Detection == nil || len(p.Detection.Checks) == 0 || p.Structure == nil || p.Guest == nil || p.BuildDefinition.InternalParameters.Codec == "" {
				t.Errorf("what was found is missing: %+v", p)
			}
		})
	}
}

// TestProvenanceOfAnOVA has a record for each of two disks.
func TestProvenanceOfAnOVA(t *testing.T) {
	dir := t.TempDir()
	b, store, key, _ := provenanceBench(t, dir)
	_, p, _ := realBench(t, dir)
	r := request
	r.Source = contract.SourceSpec{URL: ovaOf(t, dir, p, imgtest.Random(1, 9<<20, 2<<20), imgtest.Random(2, 5<<20, 1<<20))}
	r.Target = contract.TargetSpec{Format: "raw"}
	got, err := b.run(r)
	if err != nil || len(got.Images) != 2 {
		t.Fatalf("%d images, %v", len(got.Images), err)
	}
	for i, img := range got.Images {
		p := b.recordOf(store, key, b.images()[img.ImageID])
		if want := []string{"machine-disk1.vmdk", "machine-disk2.vmdk"}[i]; chained(p) != "container:ova:"+want+" disk:vmdk stored:raw" || p.Image.Disk != i+1 || p.Image.Disks != 2 {
			t.Errorf("image %d: chain %s, %+v", i+1, chained(p), p.Image)
		}
	}
}

// TestProvenanceAfterTheCatalogueWasAway activates at the fourth attempt, and again
// behind the end: there is one record, and it stays.
func TestProvenanceAfterTheCatalogueWasAway(t *testing.T) {
	dir := t.TempDir()
	b, store, key, _ := provenanceBench(t, dir)
	path := filepath.Join(dir, "disk.img")
	if err := os.Rename(imgtest.WriteRaw(t, imgtest.Random(1, 3<<20, 1<<20)), path); err != nil {
		t.Fatal(err)
	}
	down := false
	b.env.SetOnActivityStartedListener(func(info *activityInfo, _ context.Context, _ encoded) {
		if info.ActivityType.Name == contract.ActivateActivity && !down {
			down = true
			b.repo.Down.Store(3)
		}
	})
	r := request
	r.Source, r.Target = contract.SourceSpec{URL: path}, contract.TargetSpec{Format: "raw"}
	got, err := b.run(r)
	if err != nil || !down {
		t.Fatal(err)
	}
	img := b.images()[got.Images[0].ImageID]
	b.recordOf(store, key, img)
	before, err := b.cat.Provenance(t.Context(), img.ID)
	if err != nil {
		t.Fatal(err)
	}
	// The workflow was lost, and is started again.
	again := b.again()
	if _, err := again.run(r); err != nil {
		t.Fatal(err)
	}
	after, err := b.cat.Provenance(t.Context(), img.ID)
	if err != nil || !bytes.Equal(before.Document, after.Document) || !json.Valid(after.Document) {
		t.Errorf("the record has changed: %v", err)
	}
}
