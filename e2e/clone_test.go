package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/faultproxy"
	"ingest/internal/glancetest"
	"ingest/internal/imgtest"
)

// TestClone clones images of a real Glance, of which a real Keystone tells where it is, and
// then from one ingest into another, which is killed meanwhile. It holds two servers, and
// so runs beside no other test.
func TestClone(t *testing.T) {
	const secret = "canary-51c0a9d4"
	cloud, raw := glancetest.StartCloud(t), disk(t, 51, 48*mib)
	keystone, err := url.Parse(cloud.AuthURL)
	if err != nil {
		t.Fatal(err)
	}
	entry := fmt.Sprintf("cloud: {type: openstack, auth_url: %q, hosts: [%q, %q], application_credential_id: %s, application_credential_secret: %s}\n",
		cloud.AuthURL, keystone.Host, cloud.Host(), cloud.ApplicationCredential("ingest", secret), secret)
	l := &lab{server: start(t, []string{"--credentials", credentialsFile(t, entry)}), cloud: cloud, raw: raw}
	img := l.cloneOf()
	l.cloneRefused()
	if log := l.log(); strings.Contains(log, secret) {
		t.Error("the secret is logged")
	}
	cloneKilled(t, l.server, img)
}

// clone runs ingest image clone with the cloud's credential.
func (l *lab) clone(image string, more ...string) said {
	return ingest(l.t, append([]string{"--server", l.url, "--json", "image", "clone", image, "--credential", "cloud"}, more...)...)
}

// cloneOf clones an image with all that is said of it.
func (l *lab) cloneOf() wire.Image {
	content := read(l.t, imgtest.Convert(l.t, l.raw, "raw", "qcow2"))
	props := glancetest.Object{"disk_format": "qcow2", "min_disk": 5, "min_ram": 256, "tags": []string{"blue"}, "protected": true, "visibility": "community",
		"hw_disk_bus": "scsi", "img_signature": "x", "kernel_id": "0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11"}
	id := l.cloud.Put(l.t, "Web / 1", content, props)
	got := l.clone(id, "--same-id", "--quiet")
	var img wire.Image
	if err := json.Unmarshal([]byte(got.stdout), &img); err != nil || got.code != 0 {
		l.t.Fatalf("clone: %+v, %v", got, err)
	}
	if img.ID != id || img.Name != "Web / 1" || img.Visibility != "private" || img.Protected || img.MinDisk != 5 || img.MinRAM != 256 || !slices.Equal(img.Tags, []string{"blue"}) ||
		img.DiskFormat != "qcow2" || *img.VirtualSize != 48*mib {
		l.t.Errorf("the clone is %s", show(img))
	}
	want := map[string]string{"hw_disk_bus": "scsi", "img_signature": "x", "kernel_id": "0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11"}
	if !maps.Equal(img.Properties, want) {
		l.t.Errorf("properties %v", img.Properties)
	}
	_, _, file := l.call("GET", "/v2/images/"+id+"/file", nil, nil)
	if !bytes.Equal(file, content) {
		l.t.Errorf("%d bytes, and they are others than the source's %d", len(file), len(content))
	}
	tasks, err := l.api.Tasks(l.t.Context(), url.Values{"type": {"clone"}}, 0)
	if err != nil || len(tasks) != 1 {
		l.t.Fatalf("tasks %s, %v", show(tasks), err)
	}
	l.succeeded(tasks[0].ID, "")
	// Once more it is the same task; another image of that id is in its way.
	if again := l.clone(id, "--same-id", "--no-wait"); again.code != 0 || !strings.Contains(again.stdout, tasks[0].ID) {
		l.t.Errorf("again: %+v", again)
	}
	if other := l.clone(id, "--same-id", "--name", "other"); other.code == 0 || !strings.Contains(other.stderr, "CONFLICT") {
		l.t.Errorf("another clone of the id: %+v", other)
	}
	return img
}

// cloneRefused clones what cannot be.
func (l *lab) cloneRefused() {
	qcow2 := read(l.t, imgtest.Convert(l.t, l.raw, "raw", "qcow2"))
	gone := l.cloud.Create(l.t, "waiting", nil)
	off := l.cloud.Put(l.t, "off", []byte("x"), nil)
	l.cloud.Deactivate(l.t, off)
	broken := l.cloud.Put(l.t, "broken", read(l.t, l.raw), nil)
	bad := read(l.t, l.cloud.Path(broken))
	bad[40*mib]++ // of which the cloud knows nothing
	if err := os.WriteFile(l.cloud.Path(broken), bad, 0o600); err != nil {
		l.t.Fatal(err)
	}
	for _, c := range []struct{ image, code string }{
		{gone, "IMG_SOURCE_NOT_READY"}, {off, "IMG_SOURCE_DEACTIVATED"}, {broken, "IMG_CHECKSUM_MISMATCH"},
		{l.cloud.Put(l.t, "lie", qcow2, glancetest.Object{"disk_format": "raw"}), "IMG_FORMAT_MISMATCH"},
		{l.cloud.Put(l.t, "packed", gzipped(l.t, qcow2), glancetest.Object{"container_format": "compressed"}), "IMG_FORMAT_NOT_ALLOWED"},
		{l.cloud.Put(l.t, "much", []byte("content"), glancetest.Object{"large": strings.Repeat("v", 40_000)}), "IMG_SOURCE_DESCRIPTION"},
		{"0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11", "IMG_SOURCE_NOT_FOUND"},
	} {
		out := l.clone(c.image, "--no-wait")
		var sub wire.Submitted
		if err := json.Unmarshal([]byte(out.stdout), &sub); err != nil || out.code != 0 {
			l.t.Fatalf("clone: %+v, %v", out, err)
		}
		l.failed(sub.TaskID, c.code)
	}
	l.nothingLeft()
}

// cloneKilled clones from one ingest into another, which is killed in the middle of the
// fetch, and goes on there.
func cloneKilled(t *testing.T, from *server, img wire.Image) {
	t.Helper()
	proxy, err := faultproxy.Start(strings.TrimPrefix(from.url, "http://"), faultproxy.Shape{BytesPerSecond: 4 * mib})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	s := start(t, loopback)
	out := ingest(t, "--server", s.url, "--json", "image", "clone", img.ID, "--from", "http://"+proxy.Addr(), "--same-id", "--protected", "--no-wait")
	var sub wire.Submitted
	if err := json.Unmarshal([]byte(out.stdout), &sub); err != nil || out.code != 0 {
		t.Fatalf("clone: %+v, %v", out, err)
	}
	s.await(sub.TaskID, contract.StageFetch, 20*mib)
	before := proxy.Counts().ToClient
	proxy.SetShape(faultproxy.Shape{})
	s.crash(sub.TaskID)
	got := s.succeeded(sub.TaskID, "")
	if after := proxy.Counts().ToClient - before; after >= *img.Size {
		t.Errorf("%d bytes were sent after the restart for a source of %d: it began again", after, *img.Size)
	}
	if got.ID != img.ID || got.HashValue != img.HashValue || got.Name != img.Name || !got.Protected || !maps.Equal(got.Properties, img.Properties) {
		t.Errorf("the clone is %s", show(got))
	}
}
