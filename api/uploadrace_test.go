package api

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
)

// viewed is a database of which a test changes the transactions that write.
type viewed struct{ metadata.Repository }

func (v viewed) View(ctx context.Context, fn func(metadata.Tx) error) error {
	return v.Repository.(metadata.Viewer).View(ctx, fn)
}

// unsure is a database that loses one answer: it has committed, and nobody knows.
type unsure struct {
	viewed
	lose func(ctx context.Context) bool // asked behind each transaction
}

func (u unsure) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	err := u.Repository.InTx(ctx, fn)
	if err == nil && u.lose(ctx) {
		err = errcode.New(errcode.CatalogueBusy, "the connection to the database was lost in a commit")
	}
	return err
}

func unsureCatalogue(t *testing.T, lose func(context.Context, *metadata.Catalogue) bool) (*metadata.Catalogue, func(*Deps)) {
	t.Helper()
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	var once sync.Once
	plain := metadata.New(repo)
	cat := metadata.New(unsure{viewed{repo}, func(ctx context.Context) (lost bool) {
		if lose(ctx, plain) {
			once.Do(func() { lost = true })
		}
		return lost
	}})
	return plain, func(d *Deps) {
		d.Catalogue = cat
		d.UploadLimits.Keep = time.Minute // so that the answer that is lost is that to the end
	}
}

// The bytes of an image that became active are not removed because the answer of the
// database, and not the transaction, was lost.
func TestUploadWhoseEndIsRecordedAndNotAnswered(t *testing.T) {
	cat, lossy := unsureCatalogue(t, func(ctx context.Context, c *metadata.Catalogue) bool {
		list, err := c.Images(ctx, metadata.ImageFilter{})
		return err == nil && len(list) == 1 && list[0].Status == metadata.ImageActive
	})
	b := newUploadBench(t, lossy)
	b.cat = cat
	path := b.newImage(rawImage)
	sent := noise(t, 2<<20)
	b.put(path+"/file", bytes.NewReader(sent)).want(t, 204, "")
	if got := b.do("GET", path+"/file", "").want(t, 200, "").body; !bytes.Equal(got, sent) {
		t.Errorf("the image has %d other bytes, want those that were sent", len(got))
	}
}

// What was staged, and not said to be, is not left as an upload without its bytes.
func TestStagingWhoseEndIsRecordedAndNotAnswered(t *testing.T) {
	cat, lossy := unsureCatalogue(t, func(ctx context.Context, c *metadata.Catalogue) bool {
		all, err := c.Reservations(ctx)
		return err == nil && len(all) == 1 && all[0].Key == metadata.StagedWhole
	})
	b := newUploadBench(t, lossy)
	b.cat = cat
	path := b.newImage(rawImage)
	b.put(path+"/stage", bytes.NewReader(noise(t, 2<<20))).want(t, 503, errcode.CatalogueBusy)
	b.nothingLeft(path)
}

// slowBegin is a database that lets others at an image before an upload takes it.
type slowBegin struct {
	viewed
	before func()
}

func (s slowBegin) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	s.before()
	return s.Repository.InTx(ctx, fn)
}

// What was checked as a raw disk does not become a qcow2 by a patch that comes between
// the upload's look at the image and its begin.
func TestFormatIsChangedAsTheUploadBegins(t *testing.T) {
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	plain, armed := metadata.New(repo), false
	b := newUploadBench(t, func(d *Deps) {
		d.Catalogue = metadata.New(slowBegin{viewed{repo}, func() {
			if !armed {
				return
			}
			armed = false
			list, err := plain.Images(t.Context(), metadata.ImageFilter{})
			if err != nil || len(list) != 1 {
				t.Errorf("%d images, %v", len(list), err)
				return
			}
			if _, err := plain.UpdateImage(t.Context(), list[0].ID, func(img *metadata.Image) error { img.DiskFormat = "qcow2"; return nil }); err != nil {
				t.Error(err)
			}
		}})
	})
	b.cat = plain
	path := b.newImage(rawImage)
	armed = true
	b.put(path+"/file", bytes.NewReader(noise(t, 1<<20))).want(t, 409, errcode.Conflict)
	b.nothingLeft(path)
}
