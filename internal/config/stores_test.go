package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/errcode"
)

func TestStores(t *testing.T) {
	t.Setenv("INGEST_STORE", "")
	c, err := parse(t, "--data-dir", "/data", "--store", "fast=/mnt/fast", "--default-store", "cloud",
		"--store", "cloud=s3://images/team/a?region=eu-1&credential=lab&part-size=16777216&max-object=54975581388800&memory=67108864&parallel=8&encryption=aws:kms&kms-key=k&storage-class=STANDARD_IA&writers=one&checksum=sha256&style=path&endpoint=https://s3.example.com")
	if err != nil {
		t.Fatal(err)
	}
	want := []Store{
		{Name: "local", Dirs: []string{"/data/store"}},
		{Name: "fast", Dirs: []string{"/mnt/fast"}},
		{Name: "cloud", S3: &S3Store{Bucket: "images", Prefix: "team/a", Region: "eu-1", Credential: "lab", PartSize: 16 << 20, MaxObject: 50 << 40, Memory: 64 << 20,
			Parallel: 8, Encryption: "aws:kms", KMSKey: "k", StorageClass: "STANDARD_IA", OneWriter: true, Checksum: "sha256", Style: "path", Endpoint: "https://s3.example.com"}},
	}
	if diff := cmp.Diff(want, c.Stores.List); diff != "" {
		t.Error(diff)
	}
	if c.Stores.Default != "cloud" {
		t.Errorf("default store = %s", c.Stores.Default)
	}
	for name, args := range map[string][]string{
		"no place":          {"--store", "a"},
		"no name":           {"--store", "=/mnt"},
		"name with a slash": {"--store", "a/b=/mnt"},
		"twice":             {"--store", "a=/mnt", "--store", "a=/srv"},
		"local":             {"--store", "local=/mnt"},
		"another scheme":    {"--store", "a=ftp://h/x"},
		"a folder twice":    {"--store", "a=/mnt:/srv:/mnt"},
		"an empty folder":   {"--store", "a=/mnt::/srv"},
		"no weight":         {"--store", "a=/mnt@much:/srv"},
		"negative weight":   {"--store", "a=/mnt@-1:/srv"},
		"no bucket":         {"--store", "a=s3:///x"},
		"keys in the URL":   {"--store", "a=s3://key:secret@bucket/x"},
		"unknown option":    {"--store", "a=s3://bucket/x?colour=red"},
		"no number":         {"--store", "a=s3://bucket/x?memory=much"},
		"option twice":      {"--store", "a=s3://bucket/x?region=a&region=b"},
		"writers":           {"--store", "a=s3://bucket/x?writers=some"},
		"one folder":        {"--store", "a=/mnt", "--store", "b=/srv/../mnt/"},
		"one bucket":        {"--store", "a=s3://bucket/x/", "--store", "b=s3://bucket/x?region=eu-1"},
		"unknown default":   {"--default-store", "b"},
		"shared by some":    {"--store-once", "some"},
		"default read only": {"--store", "a=https://h/x", "--default-store", "a"},
		"web password":      {"--store", "a=https://u:p@h/x"},
		"web option":        {"--store", "a=https://h/x?colour=red"},
		"web fragment":      {"--store", "a=https://h/x#y"},
		"one web server":    {"--store", "a=https://h/x", "--store", "b=https://h/x/?credential=c"},
	} {
		if _, err := parse(t, args...); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStoreOnAWebServer(t *testing.T) {
	c, err := parse(t, "--store", "mirror=https://mirror.example.com/objects/?credential=m", "--store", "cloud=s3://b")
	if err != nil {
		t.Fatal(err)
	}
	want := Store{Name: "mirror", Web: &WebStore{Base: "https://mirror.example.com/objects", Credential: "m"}}
	if diff := cmp.Diff(want, c.Stores.List[1]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{"mirror"}, {"local", "mirror", "cloud"}}, [][]string{c.Stores.ReadOnly(), c.Stores.ReadOrder()}); diff != "" {
		t.Error(diff)
	}
}

func TestSeveralFolders(t *testing.T) {
	c, err := parse(t, "--store", "disks=/mnt/a@200:/mnt/b:/mnt/c@200", "--store", "one=/mnt/d@5")
	if err != nil {
		t.Fatal(err)
	}
	want := []Store{{Name: "disks", Dirs: []string{"/mnt/a", "/mnt/b", "/mnt/c"}, Weights: []int{200, 0, 200}}, {Name: "one", Dirs: []string{"/mnt/d@5"}}}
	if diff := cmp.Diff(want, c.Stores.List[1:]); diff != "" {
		t.Error(diff)
	}
}

func TestStoresOfTheEnvironment(t *testing.T) {
	t.Setenv("INGEST_STORE", "a=/mnt/a b=s3://bucket/b")
	c, err := parse(t)
	if err != nil || len(c.Stores.List) != 3 || c.Stores.List[2].S3.Bucket != "bucket" {
		t.Errorf("stores: %+v, %v", c, err)
	}
}
