package pipeline_test

import (
	"math/rand"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
)

// TestTablesCostLittle counts what a server sends of an image until it is known what
// it is, whether it is whole, and what is inside: the image is to be read once, when
// it is converted, and not a second time by those who look for its tables.
func TestTablesCostLittle(t *testing.T) {
	files := debianFiles()
	for i := range 14 { // apart from each other, with room that is read for nothing
		files["usr/share/doc/"+strings.Repeat("x", i+1)] = string(noise(1<<20, int64(i)))
	}
	disk := withESP(t, "EFI/debian/shimx64.efi", "L", ext4Of(t, files))
	for _, options := range [][]string{{"-c"}, nil} {
		path := imgtest.Convert(t, disk, "raw", "qcow2", options...)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		site := &meteredSite{content: content, tag: `"one"`}
		srv := httptest.NewServer(site)
		defer srv.Close()
		p, _ := newPipeline(t, "/", loopback())
		looking(t, p)
		inside, err := newJob(srv.URL+"/disk.qcow2", contract.TargetSpec{}).look(t, p)
		if err != nil {
			t.Fatal(err)
		}
		if inside.NotInspected != "" || inside.Contract().Properties["os_distro"] != "debian" {
			t.Fatalf("%+v", inside)
		}
		t.Logf("%v: %d KiB of %d", options, site.sent.Load()>>10, len(content)>>10)
		if most := int64(6 << 20); site.sent.Load() > most {
			t.Errorf("%v: the server has sent %d bytes of %d, more than %d", options, site.sent.Load(), len(content), most)
		}
	}
}

func noise(n int, seed int64) []byte {
	p := make([]byte, n)
	rand.New(rand.NewSource(seed)).Read(p)
	return p
}
