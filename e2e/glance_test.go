package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/glancetest"
	"ingest/internal/imgtest"
)

// A lab is a server that may import from a cloud, whose network is not one that
// sources are otherwise read from.
type lab struct {
	*server
	cloud *glancetest.Cloud
	raw   string // a disk
	told  []string
}

// TestImportFromGlance imports from a real Glance, of which a real Keystone tells
// where it is, and looks for the secret in all that is kept and told.
func TestImportFromGlance(t *testing.T) {
	t.Parallel()
	const secret = "canary-7fd1e0c2"
	l := &lab{cloud: glancetest.StartCloud(t), raw: disk(t, 31, 24*mib)}
	app := l.cloud.ApplicationCredential("ingest", secret)
	keystone, err := url.Parse(l.cloud.AuthURL)
	if err != nil {
		t.Fatal(err)
	}
	entry := func(name, secret string) string {
		return fmt.Sprintf("%s: {type: openstack, auth_url: %q, hosts: [%q, %q], application_credential_id: %s, application_credential_secret: %s}\n",
			name, l.cloud.AuthURL, keystone.Host, l.cloud.Host(), app, secret)
	}
	l.server = start(t, []string{"--credentials", credentialsFile(t, entry("cloud", secret)+entry("wrong", secret+"-wrong")), "--log-level", "debug"})
	l.byName()
	l.otherwise()
	l.packed()
	l.refused()
	l.told = append(l.told, l.log())
	l.kill9()
	for _, path := range append(files(t, l.data), files(t, l.dir)...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		l.told = append(l.told, path+": "+string(text))
	}
	for _, text := range l.told {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is told: %.200s", text)
		}
	}
}

// from is a request for an image of the cloud.
func (l *lab) from(image string) contract.ImportRequest {
	req := of("glance:///"+url.PathEscape(image), contract.TargetSpec{Format: "qcow2"})
	req.Source.Credential = "cloud"
	return req
}

// read is a file's content.
func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// byName imports an image with all that its cloud says of it.
func (l *lab) byName() {
	qcow2 := imgtest.Convert(l.t, l.raw, "raw", "qcow2")
	l.cloud.Put(l.t, "Web / 1", read(l.t, qcow2), glancetest.Object{"disk_format": "qcow2", "min_disk": 5, "min_ram": 256, "tags": []string{"blue", "green"},
		"hw_disk_bus": "scsi", "os_distro": "debian", "img_signature": "x", "os_hidden": false})
	req := l.from("Web / 1")
	req.Image.Name = ""
	plan, err := l.api.Plan(l.t.Context(), req)
	if err != nil || plan.Verdict != contract.VerdictAccepted || plan.About == nil || plan.About.Name != "Web / 1" || plan.Disks[0].Properties["hw_disk_bus"] != "scsi" {
		l.t.Errorf("dry run: %s, %v", show(plan), err)
	}
	img := l.succeeded(l.submit(req).TaskID, contentOf(l.t, l.raw))
	want := map[string]string{"hw_disk_bus": "scsi", "os_distro": "debian"}
	maps.DeleteFunc(want, func(k, v string) bool { return img.Properties[k] == v })
	slices.Sort(img.Tags)
	if _, ok := img.Properties["img_signature"]; ok || len(want) > 0 || img.Name != "Web / 1" || img.MinDisk != 5 || img.MinRAM != 256 || !slices.Equal(img.Tags, []string{"blue", "green"}) {
		l.t.Errorf("image %s, missing %v", show(img), want)
	}
	l.told = append(l.told, show(plan), show(img))
	l.again(img)
}

// again imports from ingest itself, which is a Glance without Keystone too, on the
// command line.
func (l *lab) again(img wire.Image) {
	at := "glance://" + strings.TrimPrefix(l.url, "http://") + "/" + img.ID + "?scheme=http"
	out := l.t.TempDir() + "/again.raw"
	got := ingest(l.t, "convert", at, out, "--to", "raw", "--allow-net", "127.0.0.0/8", "--checksum-file", "auto")
	if got.code != 0 || !bytes.Equal(read(l.t, out), read(l.t, l.raw)) {
		l.t.Errorf("convert %s: %+v", at, got)
	}
}

// otherwise imports what the request says otherwise.
func (l *lab) otherwise() {
	id := l.cloud.Put(l.t, "other", read(l.t, l.raw), glancetest.Object{"min_disk": 9, "hw_disk_bus": "scsi", "tags": []string{"blue"}})
	req := l.from(id)
	req.Source.ChecksumFile = "auto"
	req.Image.Name, req.Image.MinDisk, req.Image.Tags, req.Image.Properties = "mine", 2, []string{"red"}, map[string]string{"hw_disk_bus": "virtio"}
	done := l.submit(req)
	img := l.succeeded(done.TaskID, contentOf(l.t, l.raw))
	if img.Name != "mine" || img.MinDisk != 2 || !slices.Equal(img.Tags, []string{"red"}) || img.Properties["hw_disk_bus"] != "virtio" {
		l.t.Errorf("image %s", show(img))
	}
	_, _, record := l.call("GET", "/v1/images/"+img.ID+"/provenance", nil, nil)
	if text := string(record); !strings.Contains(text, l.cloud.Endpoint+"/v2/images/"+id) || !strings.Contains(text, `"sha512"`) {
		l.t.Errorf("the record does not say where the bytes are from, and that their digest was verified: %s", text)
	}
	l.told = append(l.told, string(record))
}

// packed imports what is staged, whose bytes are held against the cloud's digest.
func (l *lab) packed() {
	id := l.cloud.Put(l.t, "packed", gzipped(l.t, read(l.t, l.raw)), glancetest.Object{"container_format": "compressed"})
	l.succeeded(l.submit(l.from(id)).TaskID, contentOf(l.t, l.raw))
	// Another byte on the cloud's disk, of which the cloud knows nothing.
	path := l.cloud.Path(id)
	b := read(l.t, path)
	b[8]++ // of gzip's header, which says nothing
	if err := os.WriteFile(path, b, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.failed(l.submit(l.from(id)).TaskID, "IMG_CHECKSUM_MISMATCH")
}

// refused imports what cannot be had.
func (l *lab) refused() {
	content := read(l.t, imgtest.Convert(l.t, l.raw, "raw", "qcow2"))
	queued := l.cloud.Create(l.t, "waiting", nil)
	off := l.cloud.Put(l.t, "twin", []byte("x"), nil)
	l.cloud.Put(l.t, "twin", []byte("y"), nil)
	l.cloud.Deactivate(l.t, off)
	lie := l.cloud.Put(l.t, "lie", content, glancetest.Object{"disk_format": "raw"})
	for image, code := range map[string]string{
		queued: "IMG_SOURCE_NOT_READY", off: "IMG_SOURCE_DEACTIVATED", "twin": "IMG_SOURCE_AMBIGUOUS", "nothing": "IMG_SOURCE_NOT_FOUND", lie: "IMG_FORMAT_MISMATCH",
	} {
		l.told = append(l.told, show(l.failed(l.submit(l.from(image)).TaskID, code)))
	}
	wrong := l.from(lie)
	wrong.Source.Credential = "wrong"
	l.told = append(l.told, show(l.failed(l.submit(wrong).TaskID, "IMG_SOURCE_AUTH")))
	named := l.from(lie)
	named.Source.Format = "qcow2" // the request's word counts
	l.succeeded(l.submit(named).TaskID, contentOf(l.t, l.raw))
}
