package workflows_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"ingest/activities"
	"ingest/formats"
	"ingest/formats/readers"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/metadata"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/sources/file"
	"ingest/stores"
	"ingest/stores/fs"
)

// realBench is a bench on a real data path.
func realBench(t *testing.T, root string) (*bench, *pipeline.Pipeline, *fs.Store) {
	t.Helper()
	dir := t.TempDir()
	store, err := fs.Open(filepath.Join(dir, "store"), "local")
	if err != nil {
		t.Fatal(err)
	}
	p := &pipeline.Pipeline{
		Readers: readers.All(), Sources: sources.Set{file.New([]string{root})}, Stores: map[string]stores.Store{"local": store}, DefaultStore: "local",
		StagingDir: filepath.Join(dir, "staging"), OutputFormat: "qcow2", HashAlgo: "sha256", Limits: formats.DefaultLimits(),
	}
	if err := os.Mkdir(p.StagingDir, 0o700); err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.real(p)
	return b, p, store
}

// real puts a bench on a data path.
func (b *bench) real(p pipeline.Steps) {
	*b = *benchWith(b.t, b.repo, "", func(d *activities.Deps) { d.Steps, d.Log = p, zerolog.Nop() })
}

// ovaOf writes an OVA of disks with random content.
func ovaOf(t *testing.T, dir string, p *pipeline.Pipeline, disks ...*imgtest.Disk) string {
	t.Helper()
	var urls []string
	for _, d := range disks {
		urls = append(urls, imgtest.WriteRaw(t, d))
	}
	path := filepath.Join(dir, "machine.ova")
	all := pipeline.Pipeline{Readers: p.Readers, Sources: sources.Set{file.New([]string{"/"})}, HashAlgo: "sha256", Limits: p.Limits}
	_, err := all.ConvertTo(context.Background(), pipeline.ConvertRequest{URLs: urls, Target: contract.TargetSpec{Format: "ova", Options: map[string]string{"firmware": "efi"}},
		Begin: func() (stores.Upload, error) { return fs.BeginFile(path, true) }}, func(string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// left lists what lies in the store and in staging.
func left(t *testing.T, p *pipeline.Pipeline, store *fs.Store) (objects, others []string) {
	t.Helper()
	for o, err := range store.Objects(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o.Key)
	}
	entries, err := os.ReadDir(p.StagingDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		others = append(others, e.Name())
	}
	return objects, others
}

// An OVA of three disks goes through the workflow, the activities, the data path
// and the catalogue, and every image holds its disk.
func TestOVABecomesImages(t *testing.T) {
	dir := t.TempDir()
	b, p, store := realBench(t, dir)
	disks := []*imgtest.Disk{imgtest.Random(1, 9<<20, 2<<20), imgtest.Random(2, 5<<20, 1<<20), imgtest.Random(3, 3<<20, 1<<20)}
	r := request
	r.Source = contract.SourceSpec{URL: ovaOf(t, dir, p, disks...)}
	r.Target.Format = "raw"
	r.Image.ContainerFormat = "ova"
	got, err := b.run(r)
	if err != nil {
		t.Fatal(err)
	}
	images := b.images()
	objects, others := left(t, p, store)
	if len(got.Images) != 3 || len(images) != 3 || len(objects) != 3 || len(others) != 0 {
		t.Fatalf("%d images, %d rows, objects %v, staging %v", len(got.Images), len(images), objects, others)
	}
	for i, want := range disks {
		img := images[got.Images[i].ImageID]
		if img.Status != metadata.ImageActive || img.ContainerFormat != "bare" || img.DiskFormat != "raw" || *img.Size != want.Size() ||
			img.Properties["hw_firmware_type"] != "uefi" || img.Properties["boot_index"] != []string{"0", "-1", "-1"}[i] {
			t.Errorf("image %d is %+v", i+1, img)
		}
		rc, err := store.OpenRange(t.Context(), img.Key, 0, want.Size())
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(rc)
		if err := rc.Close(); err != nil {
			t.Error(err)
		}
		wanted := make([]byte, want.Size())
		imgtest.ReadFull(t, want, wanted, 0)
		if err != nil || string(content) != string(wanted) {
			t.Errorf("image %d does not hold its disk: %v", i+1, err)
		}
	}
}

// Of an OVA whose last disk is damaged where only its conversion sees it, nothing
// stays.
func TestDamagedOVALeavesNothing(t *testing.T) {
	dir := t.TempDir()
	b, p, store := realBench(t, dir)
	path := ovaOf(t, dir, p, imgtest.Random(1, 9<<20, 2<<20), imgtest.Random(2, 5<<20, 1<<20))
	b.real(&damaging{Pipeline: p})
	r := request
	r.Source = contract.SourceSpec{URL: path}
	_, err := b.run(r)
	if v := ended(t, err); v.Code != errcode.VMDKGrain {
		t.Errorf("ended with %+v", v)
	}
	objects, others := left(t, p, store)
	if len(objects) != 0 || len(others) != 0 || len(b.images()) != 1 {
		t.Errorf("left: objects %v, staging %v, images %v", objects, others, b.images())
	}
	for u := range store.Uploads(t.Context(), b.env.Now().AddDate(10, 0, 0)) {
		t.Errorf("upload left: %+v", u)
	}
	b.wantStatus(metadata.TaskFailure, metadata.ImageQueued)
}

// damaging is a data path on which the second disk cannot be converted to its end.
type damaging struct{ *pipeline.Pipeline }

// Convert converts, and then finds what was wrong with the second disk.
func (d *damaging) Convert(ctx context.Context, c contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
	out, err := d.Pipeline.Convert(ctx, c, o)
	if err == nil && c.Disk == 2 {
		return out, errcode.New(errcode.VMDKGrain, "a grain is damaged")
	}
	return out, err
}
