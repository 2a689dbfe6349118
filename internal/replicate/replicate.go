package replicate

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"ingest/api/wire"
	"ingest/internal/client"
	"ingest/internal/errcode"
)

// A Service is an image service, as internal/client asks it.
type Service interface {
	Images(ctx context.Context, q url.Values, limit int) ([]wire.Image, error)
	Image(ctx context.Context, id string) (wire.Image, error)
	CreateImage(ctx context.Context, fields map[string]any) (wire.Image, error)
	ChangeImage(ctx context.Context, id string, changes []client.Change) (wire.Image, error)
	UploadImage(ctx context.Context, id string, u client.Upload) error
	DeleteImage(ctx context.Context, id string) error
	Download(ctx context.Context, img wire.Image, off int64, etag string) (client.Body, error)
}

// Options say what is kept in step, and how.
type Options struct {
	// Parallel is how many images are worked on at once; 0 means 2.
	Parallel int
	// Ignore are members and properties that are neither compared nor copied.
	Ignore []string
	// MetadataOnly leaves bytes alone, and so images that are not there.
	MetadataOnly bool
	// DryRun changes nothing and says what would be.
	DryRun bool
	// Progress is told of bytes as they arrive; nil is told nothing.
	Progress func(n int64)
	// Done is told of each image as it is finished; nil is told nothing.
	Done func(Outcome)
}

// What was done with an image, or would be in a dry run.
const (
	Same    = "same"    // nothing to do
	Missing = "missing" // it is not at the target
	Differs = "differs" // its fields are others there
	Copied  = "copied"
	Updated = "updated"
	Skipped = "skipped" // it has no bytes to copy
	Failed  = "failed"
)

// An Outcome is what became of one image.
type Outcome struct {
	ID     string       `json:"id"`
	Name   string       `json:"name"`
	Status string       `json:"outcome"`
	Size   int64        `json:"size"`              // bytes
	Fields []Difference `json:"fields,omitempty"`  // that differ, or did
	Code   errcode.Code `json:"code,omitempty"`    // of a failure
	Reason string       `json:"message,omitempty"` // of a failure, or why it was skipped
}

// A Difference is one field whose values are not the same.
type Difference struct {
	Field  string `json:"field"`
	Source string `json:"source"`
	Target string `json:"target"`
}

// Sizes is the answer of Size.
type Sizes struct {
	Images int   `json:"images"`
	Bytes  int64 `json:"bytes"`
}

// Size says how many images a service shows, and how many bytes a dump of them has.
func Size(ctx context.Context, from Service) (Sizes, error) {
	images, err := list(ctx, from)
	var out Sizes
	for _, img := range images {
		out.Images++
		if img.Size != nil {
			out.Bytes += *img.Size
		}
	}
	return out, err
}

// list returns the images that a service shows: also community images, which lists leave
// out unless all are asked for, and hidden ones.
func list(ctx context.Context, from Service) ([]wire.Image, error) {
	plain, err := from.Images(ctx, url.Values{"visibility": {"all"}}, 0)
	if err != nil {
		return nil, err
	}
	hidden, err := from.Images(ctx, url.Values{"visibility": {"all"}, "os_hidden": {"true"}}, 0)
	seen := map[string]bool{}
	var out []wire.Image
	for _, img := range append(plain, hidden...) {
		if !seen[img.ID] {
			seen[img.ID] = true
			out = append(out, img)
		}
	}
	return out, err
}

// each works on all images, some at a time, and returns the outcomes in their order. One
// that fails does not stop the others.
func (o Options) each(ctx context.Context, images []wire.Image, work func(context.Context, wire.Image) (Outcome, error)) ([]Outcome, error) {
	out := make([]Outcome, len(images))
	next := make(chan int)
	var workers sync.WaitGroup
	var told sync.Mutex
	for range max(1, min(len(images), o.parallel())) {
		workers.Go(func() {
			for i := range next {
				out[i] = finish(images[i], work, ctx)
				if o.Done != nil {
					told.Lock()
					o.Done(out[i])
					told.Unlock()
				}
			}
		})
	}
	begun := 0
	for ; begun < len(images) && ctx.Err() == nil; begun++ {
		next <- begun
	}
	close(next)
	workers.Wait()
	return out[:begun], ctx.Err()
}

func finish(img wire.Image, work func(context.Context, wire.Image) (Outcome, error), ctx context.Context) Outcome {
	got, err := work(ctx, img)
	got.ID, got.Name = img.ID, img.Name
	if img.Size != nil {
		got.Size = *img.Size
	}
	if err != nil {
		got.Status, got.Code, got.Reason = Failed, errcode.Of(err), err.Error()
	}
	return got
}

func (o Options) parallel() int {
	if o.Parallel <= 0 {
		return 2
	}
	return o.Parallel
}

// Compare says how the target's images differ from the source's. What only the target has
// is its own business.
func Compare(ctx context.Context, from, to Service, o Options) ([]Outcome, error) {
	o.DryRun = true
	return Livecopy(ctx, from, to, o)
}

// Livecopy brings the target in line with the source.
func Livecopy(ctx context.Context, from, to Service, o Options) ([]Outcome, error) {
	images, err := list(ctx, from)
	if err != nil {
		return nil, err
	}
	return o.each(ctx, images, func(ctx context.Context, img wire.Image) (Outcome, error) {
		return o.bring(ctx, img, to, func(ctx context.Context) (io.ReadCloser, error) { return o.fetch(ctx, from, img), nil })
	})
}

// bring makes or changes one image at the target. open opens its bytes.
func (o Options) bring(ctx context.Context, img wire.Image, to Service, open func(context.Context) (io.ReadCloser, error)) (Outcome, error) {
	have, err := to.Image(ctx, img.ID)
	switch {
	case err == nil && have.Status == "queued" && img.Status == "active" && !o.MetadataOnly:
		return o.fill(ctx, img, to, open) // made by a run that was cut off
	case err == nil:
		return o.align(ctx, img, have, to)
	case errcode.Of(err) != errcode.NotFound:
		return Outcome{}, err
	case img.Status != "active" || img.Size == nil:
		return Outcome{Status: Skipped, Reason: "the image is " + img.Status + " at the source"}, nil
	case o.DryRun:
		return Outcome{Status: Missing}, nil
	case o.MetadataOnly:
		return Outcome{Status: Skipped, Reason: "its bytes are not at the target"}, nil
	}
	if _, err := to.CreateImage(ctx, o.fields(img)); err != nil {
		return Outcome{}, err
	}
	return o.fill(ctx, img, to, open)
}

// fill gives the replica its bytes, which must have the source's digest. One that has
// others is removed: it would be served for what it is not.
func (o Options) fill(ctx context.Context, img wire.Image, to Service, open func(context.Context) (io.ReadCloser, error)) (Outcome, error) {
	if o.DryRun {
		return Outcome{Status: Missing}, nil
	}
	body, err := open(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer body.Close()
	checked, err := newChecked(body, img)
	if err != nil {
		return Outcome{}, err
	}
	if err := to.UploadImage(ctx, img.ID, client.Upload{Body: checked, Size: *img.Size}); err != nil {
		if bad := checked.verdict(); bad != nil && checked.ended {
			err = bad
		}
		return Outcome{}, err
	}
	if err := checked.verdict(); err != nil {
		return Outcome{}, dropped(to.DeleteImage(ctx, img.ID), err)
	}
	have, err := to.Image(ctx, img.ID)
	if err != nil {
		return Outcome{}, err
	}
	if have.Status != "active" || have.HashAlgo == img.HashAlgo && have.HashValue != img.HashValue {
		return Outcome{}, errcode.New(errcode.VerifyMismatch, "the replica is %s, and its digest is %s", errcode.Shown(have.Status), errcode.Shown(have.HashValue)).
			With(errcode.Evidence{Structure: "image " + img.ID, Field: img.HashAlgo, Value: errcode.Shown(have.HashValue), Limit: img.HashValue})
	}
	if img.Protected && !have.Protected && !o.ignores("protected") {
		_, err = to.ChangeImage(ctx, img.ID, []client.Change{{Op: "replace", Path: "/protected", Value: true}})
	}
	return Outcome{Status: Copied}, err
}

func dropped(err, why error) error {
	if err != nil {
		return fmt.Errorf("%w; the replica could not be removed: %v", why, err)
	}
	return why
}

// align brings the replica's fields in line.
func (o Options) align(ctx context.Context, img, have wire.Image, to Service) (Outcome, error) {
	diff, changes := o.differences(img, have)
	switch {
	case len(diff) == 0:
		return Outcome{Status: Same}, nil
	case slices.ContainsFunc(diff, func(d Difference) bool { return d.Field == "os_hash_value" || d.Field == "status" }) && !o.DryRun:
		return Outcome{Fields: diff}, errcode.New(errcode.Conflict, "the target has another image of this id, or one that is not active")
	case o.DryRun:
		return Outcome{Status: Differs, Fields: diff}, nil
	}
	_, err := to.ChangeImage(ctx, img.ID, changes)
	return Outcome{Status: Updated, Fields: diff}, err
}

func (o Options) ignores(field string) bool { return slices.Contains(o.Ignore, field) }

// copiedProperty reports whether a property means the same elsewhere: what services note
// of their own work does not.
func (o Options) copiedProperty(name string) bool {
	return !o.ignores(name) && !strings.HasPrefix(name, "os_glance") && name != "stores" && !wire.IsCore(name)
}

// members are the fields that can be changed, with their JSON values.
func (o Options) members(img wire.Image) map[string]any {
	out := map[string]any{"name": img.Name, "visibility": img.Visibility, "protected": img.Protected, "os_hidden": img.Hidden,
		"min_disk": img.MinDisk, "min_ram": img.MinRAM}
	for _, field := range o.Ignore {
		delete(out, field)
	}
	for name, value := range img.Properties {
		if o.copiedProperty(name) {
			out[name] = value
		}
	}
	return out
}

// fields are what the replica is made with. It is protected when it is whole, so that a
// run that is cut off leaves nothing that cannot be removed.
func (o Options) fields(img wire.Image) map[string]any {
	out := o.members(img)
	delete(out, "protected")
	out["id"], out["disk_format"], out["container_format"] = img.ID, img.DiskFormat, img.ContainerFormat
	if len(img.Tags) > 0 && !o.ignores("tags") {
		out["tags"] = img.Tags
	}
	return out
}

// differences compares what the source has with the replica, and says how to change that.
func (o Options) differences(img, have wire.Image) ([]Difference, []client.Change) {
	var diff []Difference
	var changes []client.Change
	want, got := o.members(img), o.members(have)
	for _, field := range slices.Sorted(maps.Keys(want)) {
		value, there := got[field]
		if there && value == want[field] {
			continue
		}
		op, shown := "replace", fmt.Sprint(value)
		if !there {
			op, shown = "add", ""
		}
		diff = append(diff, Difference{field, fmt.Sprint(want[field]), shown})
		changes = append(changes, client.Change{Op: op, Path: "/" + pointer(field), Value: want[field]})
	}
	for _, field := range slices.Sorted(maps.Keys(got)) {
		if _, wanted := want[field]; !wanted {
			diff = append(diff, Difference{field, "", fmt.Sprint(got[field])})
			changes = append(changes, client.Change{Op: "remove", Path: "/" + pointer(field)})
		}
	}
	if a, b := sorted(img.Tags), sorted(have.Tags); !slices.Equal(a, b) && !o.ignores("tags") {
		diff = append(diff, Difference{"tags", strings.Join(a, ","), strings.Join(b, ",")})
		changes = append(changes, client.Change{Op: "replace", Path: "/tags", Value: a})
	}
	if img.HashAlgo != "" && img.HashAlgo == have.HashAlgo && img.HashValue != have.HashValue {
		diff = append(diff, Difference{"os_hash_value", img.HashValue, have.HashValue})
	}
	if img.Status == "active" && have.Status != "active" {
		diff = append(diff, Difference{"status", img.Status, have.Status})
	}
	return diff, changes
}

// pointer writes a name as an element of a JSON pointer (RFC 6901).
func pointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func sorted(tags []string) []string {
	out := append([]string{}, tags...)
	slices.Sort(out)
	return out
}
