package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"ingest/internal/errcode"
)

// DefaultTaskTTL is how long after its end a task expires, as in Glance.
const DefaultTaskTTL = 48 * time.Hour

// A Viewer is a Repository that can also read beside a writer. A Catalogue uses
// it, where there is one, so that people who look do not hold up work.
type Viewer interface {
	// View runs fn on one consistent state. What fn writes is refused.
	View(ctx context.Context, fn func(Tx) error) error
}

// A Catalogue holds the rules of images and tasks over any Repository. Each
// operation is one transaction. It is safe for concurrent use, by many
// processes too if their Repository is.
type Catalogue struct {
	repo Repository
	now  func() time.Time
	ttl  time.Duration
	// limits returns those of a project, nil if there are none.
	limits  func(owner string) Limits
	delayed bool // deleted images keep their bytes for a time
	sharing Sharing
	// ahead is by how much the clock of shares goes ahead of now; see shareTime.
	ahead atomic.Int64
}

// An Option adjusts a Catalogue.
type Option func(*Catalogue)

// WithClock makes the catalogue take the time from now.
func WithClock(now func() time.Time) Option { return func(c *Catalogue) { c.now = now } }

// WithTaskTTL sets how long after its end a task expires.
func WithTaskTTL(d time.Duration) Option { return func(c *Catalogue) { c.ttl = d } }

// New returns a Catalogue over repo. The caller closes repo.
func New(repo Repository, opts ...Option) *Catalogue {
	c := &Catalogue{repo: repo, now: time.Now, ttl: DefaultTaskTTL}
	for _, o := range opts {
		o(c)
	}
	return c
}

// NewImport is what Accept records.
type NewImport struct {
	// Task needs ID and Owner. Its status, times and counters are set by Accept.
	Task Task
	// Image is made in status queued; its id may stand in Task.ImageID instead.
	// With ExistingImage only its id is used.
	Image Image
	// ExistingImage says that the image has been made before, by CreateImage,
	// and waits for its bytes.
	ExistingImage bool
	// Staged says that the image's bytes were staged before, by an upload of the task's
	// id. With it only the image's id is used.
	Staged bool
	// Copy says that the task copies an image which is active, and stays so all
	// the time, to further stores. With it only the image's id is used.
	Copy bool
	// Export says that the task only reads an image which is active. Several such tasks
	// may work at once. With it only the image's id is used.
	Export bool
}

// Accepted is the answer of Accept.
type Accepted struct {
	Task    Task
	Image   Image // zero if the row is gone
	Created bool  // false if the task was there already
}

// An ImageActivation is what is known of one image once its bytes are stored.
type ImageActivation struct {
	// ImageID names the task's own image, or a further one of a source with
	// several disks. Such a row is made here, after the task's own image.
	ImageID string
	// Name is for further images; "" means that of the task's own image.
	Name            string
	DiskFormat      string
	ContainerFormat string // "" keeps the image's own
	Size            int64  // stored bytes
	VirtualSize     int64  // bytes
	Checksum        string // MD5, "" unless switched on
	HashAlgo        string
	HashValue       string
	ContentDigest   string
	Store           string
	Key             string
	// Copies are the further places that hold the bytes.
	Copies []Location
	// Twins says which of the places belong to other images too.
	Twins Choice
	// Located says that the object was there before the task, and is the one that the
	// image shall name. Unless it is an external one, another active image must name it.
	Located bool
	// FailedStores are the stores that the bytes could not be brought into.
	FailedStores []string
	// MinDisk is the image's min_disk, GiB, if its owner has set none, and MinRAM its
	// min_ram, MiB.
	MinDisk int64
	MinRAM  int64
	// Title is the name of the task's own image, and Tags are the tags of all, if the
	// owner has given none.
	Title string
	Tags  []string
	// Hidden makes the image a hidden one; one that is stays one.
	Hidden bool
	// Properties are added where the image has none of that name: what the
	// owner set stays.
	Properties map[string]string
	// Provenance is the record of where the bytes come from, nil for none.
	Provenance json.RawMessage
	// Override are properties that stand above what the owner set.
	Override map[string]string
}

// An Activation ends a task with success.
type Activation struct {
	TaskID string
	Images []ImageActivation // at least one; the task's own image must be among them
	Result json.RawMessage   // the whole contract.ImportResult
}

// A Location is where an object lies.
type Location struct {
	Store string // name of the store
	Key   string // "" if there is no object
}

// Image returns an image. A deleted one is errcode.NotFound.
func (c *Catalogue) Image(ctx context.Context, id string) (Image, error) {
	return view(ctx, c, func(tx Tx) (Image, error) { return liveImage(ctx, tx, id) })
}

// Images lists images, newest first.
func (c *Catalogue) Images(ctx context.Context, f ImageFilter) ([]Image, error) {
	return view(ctx, c, func(tx Tx) ([]Image, error) { return tx.Images(ctx, f) })
}

// Task returns a task.
func (c *Catalogue) Task(ctx context.Context, id string) (Task, error) {
	return view(ctx, c, func(tx Tx) (Task, error) { return tx.Task(ctx, id) })
}

// Tasks lists tasks, newest first.
func (c *Catalogue) Tasks(ctx context.Context, f TaskFilter) ([]Task, error) {
	return view(ctx, c, func(tx Tx) ([]Task, error) { return tx.Tasks(ctx, f) })
}

// LiveTasks lists what Tasks does but for those that have expired, whose records are
// kept for their history.
func (c *Catalogue) LiveTasks(ctx context.Context, f TaskFilter) ([]Task, error) {
	at := c.moment()
	f.LiveAt = &at
	return c.Tasks(ctx, f)
}

// Expired reports whether a task is one of those that LiveTasks leaves out.
func (c *Catalogue) Expired(t Task) bool {
	return t.ExpiresAt != nil && !t.ExpiresAt.After(c.moment())
}

// Unfinished lists every pending and processing task, newest first.
func (c *Catalogue) Unfinished(ctx context.Context) ([]Task, error) {
	return c.Tasks(ctx, TaskFilter{Unfinished: true})
}

// Events returns a task's history, oldest first.
func (c *Catalogue) Events(ctx context.Context, taskID string) ([]Event, error) {
	return view(ctx, c, func(tx Tx) ([]Event, error) {
		if _, err := tx.Task(ctx, taskID); err != nil {
			return nil, err
		}
		return tx.Events(ctx, taskID)
	})
}

// LiveKeys lists every object that an image which is not deleted names. An
// object that is stored but not activated yet is not among them, so a reaper
// also spares what is young or belongs to the image of an unfinished task.
func (c *Catalogue) LiveKeys(ctx context.Context) ([]Location, error) {
	return view(ctx, c, func(tx Tx) ([]Location, error) {
		images, err := tx.Images(ctx, ImageFilter{})
		if err != nil {
			return nil, err
		}
		out := make([]Location, 0, len(images))
		for _, img := range images {
			out = append(out, img.places()...)
		}
		return out, nil
	})
}

// moment returns the time as databases keep it: UTC, whole microseconds.
func (c *Catalogue) moment() time.Time { return c.now().UTC().Truncate(time.Microsecond) }

// view reads in one transaction.
func view[T any](ctx context.Context, c *Catalogue, fn func(Tx) (T, error)) (T, error) {
	run := c.repo.InTx
	if v, ok := c.repo.(Viewer); ok {
		run = v.View
	}
	return collect(ctx, run, fn)
}

// update reads and writes in one transaction.
func update[T any](ctx context.Context, c *Catalogue, fn func(Tx) (T, error)) (T, error) {
	return collect(ctx, c.repo.InTx, fn)
}

func collect[T any](ctx context.Context, run func(context.Context, func(Tx) error) error, fn func(Tx) (T, error)) (T, error) {
	var out, zero T
	err := run(ctx, func(tx Tx) (err error) {
		out, err = fn(tx)
		return err
	})
	if err != nil {
		return zero, err
	}
	return out, nil
}

// liveImage returns an image that is not deleted.
// A Guard is asked about an image inside of the transaction that is to change it, so that
// what has become of the image since its caller was judged counts. Its error ends the
// transaction. It may be asked more than once, and must not use the catalogue.
type Guard func(Image) error

// guarded is liveImage for those who change the image.
func guarded(ctx context.Context, tx Tx, id string, guards []Guard) (Image, error) {
	img, err := liveImage(ctx, tx, id)
	for _, ask := range guards {
		if err == nil {
			err = ask(img)
		}
	}
	return img, err
}

func liveImage(ctx context.Context, tx Tx, id string) (Image, error) {
	img, err := tx.Image(ctx, id)
	if err == nil && img.Status == ImageDeleted {
		return Image{}, errcode.New(errcode.NotFound, "image %s is deleted", id)
	}
	return img, err
}

func isNotFound(err error) bool {
	return errors.Is(err, errcode.Sentinel(errcode.NotFound))
}

// plain makes text that comes from outside fit every database: a message or a
// name found in an image must never keep a task from ending.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
