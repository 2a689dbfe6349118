package glance

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
)

const anID = "8c6ac1b5-c1a2-4b0a-b6b9-d2f0a2b1c3d4"

func TestURL(t *testing.T) {
	for raw, want := range map[string]location{
		"glance:///" + anID:                                {id: anID},
		"glance:///" + strings.ToUpper(anID):               {id: anID},
		"glance:///debian%2012%2Fa":                        {name: "debian 12/a"},
		"glance://h:9292/web":                              {base: "https://h:9292", name: "web"},
		"glance://h/image/v2/web?scheme=http":              {base: "http://h/image/v2", name: "web"},
		"glance:///web?region=R%201&interface=internal":    {name: "web", region: "R 1", endpoints: "internal"},
		"glance://[2001:db8::1]:9292/%C3%BC?scheme=https":  {base: "https://[2001:db8::1]:9292", name: "ü"},
		"glance:///" + strings.Repeat("%C3%BC", 255):       {name: strings.Repeat("ü", 255)},
		"glance:///8c6ac1b5c1a24b0ab6b9d2f0a2b1c3d4":       {name: "8c6ac1b5c1a24b0ab6b9d2f0a2b1c3d4"},
		"glance:///%7B8c6ac1b5-c1a2-4b0a-b6b9-d2f0a2b1c3d": {name: "{8c6ac1b5-c1a2-4b0a-b6b9-d2f0a2b1c3d"},
	} {
		if got, err := parse(raw); err != nil || got != want {
			t.Errorf("%s = %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{
		"glance:web", "glance://h", "glance://h/", "glance:///", "glance://u:p@h/web", "glance://h/web#f", "glance://h/web?x=1", "glance://h/web?scheme=ftp",
		"glance:///web?scheme=http", "glance:///image/web", "glance://h/web?region=", "glance://h/web?region=a&region=b", "glance:///web?interface=all",
		"glance:///in:a,b", "glance:///a%0Ab", "glance:///%FF", "glance:///" + strings.Repeat("a", 256), "http://h/web", "glance://h/web?region=a;b",
	} {
		if got, err := parse(raw); errcode.Of(err) != errcode.SourceURLInvalid {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("glance://h:1/a/b?region=r&interface=public&scheme=http")
	f.Fuzz(func(t *testing.T, raw string) {
		loc, err := parse(raw)
		if err == nil && (loc.id == "") == (loc.name == "") {
			t.Fatalf("%q is %+v", raw, loc)
		}
	})
}

func TestEndpointsOfCatalogues(t *testing.T) {
	for at, want := range map[string]string{
		"http://h:9292": "http://h:9292/v2/images/i", "http://h:9292/": "http://h:9292/v2/images/i", "https://h/image/v2": "https://h/image/v2/images/i",
		"https://h/image/v2.16/": "https://h/image/v2/images/i", "https://h/v2x": "https://h/v2x/v2/images/i",
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&link{base: trimmed(u)}).at("images", "i").String(); got != want {
			t.Errorf("%s leads to %s, want %s", at, got, want)
		}
	}
}

// A list of services that has several regions does not choose one by itself.
func TestRegions(t *testing.T) {
	v := vault(t, "cloud:\n  type: openstack\n  auth_url: https://h\n  hosts: [h]\n  username: u\n  password: p\n  project_name: p\n")
	c, err := v.Get("cloud", credentials.Use{})
	if err != nil {
		t.Fatal(err)
	}
	services := []tokens.CatalogEntry{{Type: "volume", Endpoints: []tokens.Endpoint{{Interface: "public", Region: "a", URL: "https://v"}}},
		{Type: "image", Endpoints: []tokens.Endpoint{{Interface: "public", Region: "a", URL: "https://h/a"}, {Interface: "public", RegionID: "b", URL: "https://h/b"},
			{Interface: "internal", Region: "a", URL: "https://inner"}}}}
	for _, tt := range []struct {
		loc  location
		path string
		want errcode.Code
	}{
		{location{region: "a"}, "/a", ""},
		{location{region: "b"}, "/b", ""},
		{location{}, "", errcode.SourceURLInvalid},
		{location{region: "c"}, "", errcode.SourceNotFound},
		{location{region: "a", endpoints: "internal"}, "", errcode.CredentialNotAllowed},
		{location{region: "a", base: "https://h:443"}, "/a", ""},
		{location{region: "a", base: "https://other"}, "", errcode.CredentialNotAllowed},
	} {
		u, err := place(c, tt.loc, services)
		if wantCode(t, fmt.Sprintf("%+v", tt.loc), err, tt.want); err == nil && u.Path != tt.path {
			t.Errorf("%+v leads to %s", tt.loc, u)
		}
	}
}

// What a hostile service tells is bounded, and never a field of the image.
func TestRecordsAreBounded(t *testing.T) {
	in := map[string]any{"id": anID, "name": "n\x00", "status": "active", "size": 1, "checksum": strings.Repeat("0", 32), "os_hash_algo": "sha1", "os_hash_value": "00",
		"min_disk": -1, "min_ram": int64(1) << 40, "updated_at": "x", "visibility": "public", "owner": "them", "OS_GLANCE_importing": "x", "Direct_URL": "http://h",
		"number": 7, "nothing": nil, strings.Repeat("k", 256): "too long", "large": strings.Repeat("v", maxTakenBytes), "control": "a\x01b"}
	for i := range 200 {
		in[fmt.Sprintf("p%03d", i)] = "v"
	}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := readRecord(raw)
	if err != nil {
		t.Fatal(err)
	}
	a, notes := r.about(false)
	if a.Name != "" || a.MinDisk != 0 || a.MinRAM != 0 || len(a.Properties) != maxTaken || len(notes) != 1 || len(a.Digests) != 1 {
		t.Errorf("About = %+v, %q", a, notes)
	}
	for name := range a.Properties {
		if !strings.HasPrefix(name, "p") {
			t.Errorf("property %q is taken", name)
		}
	}
}

// A copy of an image has all that its service says of it, but for what the service keeps
// for itself.
func TestWholeRecord(t *testing.T) {
	r, err := readRecord([]byte(`{"id":"` + anID + `","status":"active","size":3,"visibility":"public","protected":true,"owner":"them","stores":"a,b","content_digest":"x",
		"kernel_id":"` + anID + `","img_signature":"s","owner_specified.openstack.md5":"m","hw_disk_bus":"scsi","os_glance_importing_to_stores":"a","OS_Glance_x":"y","direct_url":"http://h"}`))
	if err != nil {
		t.Fatal(err)
	}
	a, notes := r.about(true)
	want := map[string]string{"kernel_id": anID, "img_signature": "s", "owner_specified.openstack.md5": "m", "hw_disk_bus": "scsi"}
	if !maps.Equal(a.Properties, want) || len(notes) > 0 {
		t.Errorf("taken %v, %q", a.Properties, notes)
	}
	if a, _ := r.about(false); len(a.Properties) != 1 {
		t.Errorf("of an import %v", a.Properties)
	}
	r.properties["ramdisk_id"] = "../ramdisk"
	if a, notes := r.about(true); len(notes) != 1 || len(a.Properties) != 4 {
		t.Errorf("with what is no id, taken %v, %q", a.Properties, notes)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"id":"8c6ac1b5-c1a2-4b0a-b6b9-d2f0a2b1c3d4","status":"active","size":3,"checksum":"d41d8cd98f00b204e9800998ecf8427e","tags":["a"],"x":"y"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := readRecord(raw)
		if err != nil {
			return
		}
		for _, whole := range []bool{false, true} {
			a, _ := r.about(whole)
			n := 0
			for k, v := range a.Properties {
				n += len(k) + len(v)
				if bookkeeping(k) || !whole && leftOut(k) {
					t.Fatalf("property %q is taken", k)
				}
			}
			if n > maxTakenBytes || len(a.Properties) > maxTaken || len(a.Tags) > maxTaken {
				t.Fatalf("%d bytes are taken", n)
			}
		}
		if pin, err := r.pin("u"); err == nil && (pin.Size < 0 || idOf(pin) == "") {
			t.Fatalf("pin %+v", pin)
		}
	})
}
