package pipeline_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
)

// flatSet returns a VMDK descriptor and its flat file.
func flatSet(t *testing.T, disk *imgtest.Disk) (descriptor, flat string) {
	t.Helper()
	descriptor = imgtest.Convert(t, imgtest.WriteRaw(t, disk), "raw", "vmdk", "subformat=monolithicFlat")
	return descriptor, strings.TrimSuffix(descriptor, ".vmdk") + "-flat.vmdk"
}

func TestMembersAreOpenedWithTheImage(t *testing.T) {
	disk := mixed()
	descriptor, flat := flatSet(t, disk)
	p, _ := newPipeline(t, filepath.Dir(descriptor), loopback())
	member := pipeline.Member{Name: filepath.Base(flat), URL: flat}

	d, rep, err := p.OpenURL(t.Context(), descriptor, "", member)
	if err != nil {
		t.Fatal(err)
	}
	imgtest.EqualDisk(t, d, disk)
	if !rep.Safe || rep.AllocatedSize < 0 || rep.AllocatedSize >= disk.Size() {
		t.Errorf("report %+v, want the holes of the sparse flat file", rep)
	}
	if err := d.Unchanged(t.Context()); err != nil {
		t.Errorf("unchanged: %v", err)
	}
	f, err := os.OpenFile(flat, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if err := d.Unchanged(t.Context()); errcode.Of(err) != errcode.SourceChanged {
		t.Errorf("a member that grew: %v, want %s", err, errcode.SourceChanged)
	}
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if _, err := d.ReadAt(make([]byte, 512), 0); err == nil {
		t.Error("the member is still open")
	}
}

func TestMembersOverHTTP(t *testing.T) {
	disk := mixed()
	descriptor, flat := flatSet(t, disk)
	p, _ := newPipeline(t, filepath.Dir(descriptor), loopback())
	name := filepath.Base(flat)
	d, _, err := p.OpenURL(t.Context(), serveFile(t, descriptor, true, new(atomic.Int64)), "", pipeline.Member{Name: name, URL: serveFile(t, flat, true, new(atomic.Int64))})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	imgtest.EqualDisk(t, d, disk)
	for _, c := range []struct {
		name, url string
		want      errcode.Code
	}{
		{"a server without ranges", serveFile(t, flat, false, new(atomic.Int64)), errcode.BadRequest},
		{"a file that is not there", flat + ".gone", errcode.SourceNotFound},
		{"a file outside the roots", "/etc/hostname", errcode.SourceOutsideRoots},
	} {
		_, _, err := p.OpenURL(t.Context(), descriptor, "", pipeline.Member{Name: name, URL: c.url})
		if errcode.Of(err) != c.want || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %s and the member's name", c.name, err, c.want)
		}
	}
}
