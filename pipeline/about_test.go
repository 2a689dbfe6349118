package pipeline_test

import (
	"context"
	"path/filepath"
	"reflect"
	"testing"

	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/sources"
	"ingest/sources/file"
)

// A clouded driver is one whose files stand in a catalogue.
type clouded struct{ sources.Driver }

type cloudedSource struct{ sources.Source }

func (d clouded) Open(ctx context.Context, ref sources.Ref, pin *sources.Pin) (sources.Source, error) {
	s, err := d.Driver.Open(ctx, ref, pin)
	return cloudedSource{s}, err
}

func (s cloudedSource) Unwrap() sources.Source { return s.Source }

func (cloudedSource) About() sources.About {
	return sources.About{URL: "https://cloud.example.org/i", Name: "web", Tags: []string{"blue"}, Properties: map[string]string{"hw_disk_bus": "scsi"},
		Digests: []string{"md5:9a0364b9e99bb480dd25e1f0284c8555"}}
}

// An image may have many files, of which one says what becomes of the image. What is
// said of the others would travel through Temporal with every step, and is nobody's.
func TestAboutIsOfTheFirstFile(t *testing.T) {
	src := imgtest.WriteRaw(t, imgtest.Random(5, 1<<20, 1<<20))
	other := imgtest.WriteRaw(t, imgtest.Random(6, 1<<20, 1<<20))
	p, _ := newPipeline(t, filepath.Dir(src))
	p.Sources = sources.Set{clouded{file.New([]string{filepath.Dir(src), filepath.Dir(other)})}}
	j := newJob(src, contract.TargetSpec{Format: "raw"})
	j.source.Format = "raw"
	j.source.Members = []contract.MemberSpec{{URL: other, Name: "b"}}
	got, err := p.Fetch(t.Context(), contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source}, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := cloudedSource{}.About()
	if got.About == nil || got.About.Name != "web" || !reflect.DeepEqual(got.About.Properties, all.Properties) {
		t.Errorf("of the first file: %+v", got.About)
	}
	want := &contract.About{URL: all.URL, Digests: all.Digests}
	if len(got.Members) != 1 || !reflect.DeepEqual(got.Members[0].About, want) {
		t.Errorf("of the other file: %+v, want %+v", got.Members[0].About, want)
	}
}
