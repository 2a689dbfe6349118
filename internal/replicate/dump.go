package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

// Dump writes the images that a service shows into a folder. One that is there already is
// left as it is but for what the source says of it.
func Dump(ctx context.Context, from Service, dir string, o Options) ([]Outcome, error) {
	images, err := list(ctx, from)
	if err != nil {
		return nil, err
	}
	return o.each(ctx, images, func(ctx context.Context, img wire.Image) (Outcome, error) { return o.keep(ctx, from, img, dir) })
}

// keep writes one image. The description comes last: an image that has one is whole.
func (o Options) keep(ctx context.Context, from Service, img wire.Image, dir string) (Outcome, error) {
	if id, err := uuid.Parse(img.ID); err != nil || id.String() != img.ID {
		return Outcome{}, errcode.New(errcode.Conflict, "the image's id is no UUID, and cannot be a file's name")
	}
	if img.Status != "active" || img.Size == nil {
		return Outcome{Status: Skipped, Reason: "the image is " + img.Status}, nil
	}
	path := filepath.Join(dir, img.ID+".img")
	st, err := os.Stat(path)
	there := err == nil && st.Size() == *img.Size
	text, err := json.MarshalIndent(img, "", "  ")
	if err != nil {
		return Outcome{}, errcode.Wrap(err, errcode.Internal, "write image %s", img.ID)
	}
	old, _ := os.ReadFile(filepath.Join(dir, img.ID+".json"))
	switch {
	case (there || o.MetadataOnly) && string(old) == string(text)+"\n":
		return Outcome{Status: Same}, nil
	case o.DryRun && there:
		return Outcome{Status: Differs}, nil
	case o.DryRun:
		return Outcome{Status: Missing}, nil
	}
	if !there && !o.MetadataOnly {
		if err := o.fetchFile(ctx, from, img, path); err != nil {
			return Outcome{}, err
		}
	}
	if err := fsutil.WriteDurable(dir, img.ID+".json", append(text, '\n')); err != nil {
		return Outcome{}, localError(err, "write the description of image "+img.ID)
	}
	if there {
		return Outcome{Status: Updated}, nil
	}
	return Outcome{Status: Copied}, nil
}

// fetchFile fetches an image's bytes, behind those that an earlier run has left.
func (o Options) fetchFile(ctx context.Context, from Service, img wire.Image, path string) error {
	part := strings.TrimSuffix(path, ".img") + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return localError(err, "open "+part)
	}
	defer f.Close()
	src := o.fetch(ctx, from, img)
	defer src.Close()
	kept := io.Reader(strings.NewReader(""))
	if st, err := f.Stat(); err == nil && st.Size() <= *img.Size {
		kept, src.off = io.NewSectionReader(f, 0, st.Size()), st.Size()
	} else if err := f.Truncate(0); err != nil {
		return localError(err, "empty "+part)
	}
	sum, err := newChecked(nil, img)
	if err != nil {
		return err
	}
	if sum.n, err = io.Copy(sum.sum, kept); err != nil {
		return localError(err, "read "+part)
	}
	n, err := io.Copy(io.NewOffsetWriter(f, src.off), io.TeeReader(src, sum.sum))
	sum.n += n
	if err == nil {
		if err = sum.verdict(); err != nil {
			return errors.Join(err, os.Remove(part)) // going on with it would never end well
		}
	}
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), os.Rename(part, path), fsutil.SyncDir(filepath.Dir(path))); err != nil {
		return localError(err, "keep "+path)
	}
	return nil
}

func localError(err error, doing string) error {
	return errcode.Wrap(err, errcode.StoreUnavailable, "%s: %v", doing, err)
}

// Load brings a service in line with what a folder holds.
func Load(ctx context.Context, dir string, to Service, o Options) ([]Outcome, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, localError(err, "list "+dir)
	}
	var images []wire.Image
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return nil, localError(err, "read "+file)
		}
		var img wire.Image
		if json.Unmarshal(raw, &img) != nil || img.ID+".json" != filepath.Base(file) {
			return nil, errcode.New(errcode.BadRequest, "%s is no image of a dump", filepath.Base(file))
		}
		images = append(images, img)
	}
	return o.each(ctx, images, func(ctx context.Context, img wire.Image) (Outcome, error) {
		return o.bring(ctx, img, to, func(context.Context) (io.ReadCloser, error) { return o.openFile(dir, img) })
	})
}

// openFile opens a dumped image's bytes.
func (o Options) openFile(dir string, img wire.Image) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(dir, img.ID+".img"))
	if err != nil {
		return nil, localError(err, "open the bytes of image "+img.ID)
	}
	return told{f, o.Progress}, nil
}

// told tells of bytes that are read.
type told struct {
	*os.File
	progress func(int64)
}

func (t told) Read(p []byte) (int, error) {
	n, err := t.File.Read(p)
	if t.progress != nil && n > 0 {
		t.progress(int64(n))
	}
	return n, err
}
