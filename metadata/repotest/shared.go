package repotest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"ingest/metadata"
)

// processes is how many repositories share one database.
const processes = 5

// Shared runs the tests of concurrency over several repositories on one database,
// which stand for servers on several machines. Each call of fresh makes an empty
// database; what it returns opens it, at once from several sides.
func Shared(t *testing.T, fresh func(testing.TB) func() (metadata.Repository, error)) {
	tests := []struct {
		name string
		run  func(*testing.T, metadata.Repository)
	}{
		{"ManyReserve", manyReserve},
		{"ManyAcceptOneKey", manyAcceptOneKey},
		{"ManyIncrement", manyIncrement},
		{"ReadersBesideWriters", readersBesideWriters},
		{"OneObject", oneObject},
		{"LastName", lastName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := &several{repos: make([]metadata.Repository, processes)}
			openOne := fresh(t)
			var wg sync.WaitGroup
			for i := range all.repos {
				wg.Go(func() { // all find an empty database, and one migrates it
					repo, err := openOne()
					if err != nil {
						t.Error(err)
						return
					}
					all.repos[i] = repo
				})
			}
			wg.Wait()
			t.Cleanup(func() {
				for _, repo := range all.repos {
					if repo != nil {
						repo.Close()
					}
				}
			})
			if !t.Failed() {
				tt.run(t, all)
			}
		})
	}
}

// several gives each transaction to another repository.
type several struct {
	repos []metadata.Repository
	next  atomic.Int64
}

func (s *several) one() metadata.Repository {
	return s.repos[int(s.next.Add(1))%len(s.repos)]
}

func (s *several) InTx(ctx context.Context, fn func(metadata.Tx) error) error {
	return s.one().InTx(ctx, fn)
}

func (s *several) View(ctx context.Context, fn func(metadata.Tx) error) error {
	repo := s.one()
	if v, ok := repo.(metadata.Viewer); ok {
		return v.View(ctx, fn)
	}
	return repo.InTx(ctx, fn)
}

func (s *several) Close() error { return nil }

// lastName deletes, at once, all the images that are made of one object: one of
// those who delete is told to remove it, since nobody would otherwise, and two might
// remove what a third one has been made of meanwhile.
func lastName(t *testing.T, repo metadata.Repository) {
	do(t, repo, func(ctx context.Context, tx metadata.Tx) error {
		var errs []error
		for i := range crowd {
			errs = append(errs, tx.PutImage(ctx, metadata.Image{ID: numbered("i", i), Status: metadata.ImageActive, DiskFormat: "raw", ContainerFormat: "bare",
				Store: "s", Key: numbered("k", i/2), CreatedAt: noon, UpdatedAt: noon}))
		}
		return errors.Join(errs...)
	})
	cat := metadata.New(repo)
	var mu sync.Mutex
	told := map[string]int{}
	for i, err := range together(func(i int) error {
		left, err := cat.DeleteImage(t.Context(), numbered("i", i))
		mu.Lock()
		defer mu.Unlock()
		for _, loc := range left {
			told[loc.Key]++
		}
		return err
	}) {
		if err != nil {
			t.Errorf("image %d: %v", i, err)
		}
	}
	for i := range crowd / 2 {
		if n := told[numbered("k", i)]; n != 1 {
			t.Errorf("%d were told to remove object %d, want 1", n, i)
		}
	}
}

// oneObject activates, at once, images whose bytes are equal and kept once: each of
// those who come later is told of the first one's object, and takes it.
func oneObject(t *testing.T, repo metadata.Repository) {
	cat := metadata.New(repo, metadata.WithSharing(metadata.ShareWithAll))
	b := metadata.Bytes{HashAlgo: "sha256", HashValue: "abc", Size: 7}
	for i, err := range together(func(i int) error {
		id, img := numbered("t", i), numbered("i", i)
		_, err := cat.Accept(t.Context(), metadata.NewImport{Task: metadata.Task{ID: id, Owner: "p"}, Image: metadata.Image{ID: img}})
		if err == nil {
			err = cat.Start(t.Context(), id)
		}
		if err != nil {
			return err
		}
		a := metadata.Activation{TaskID: id, Result: []byte("{}"), Images: []metadata.ImageActivation{{ImageID: img, DiskFormat: "raw", ContainerFormat: "bare",
			Size: b.Size, HashAlgo: b.HashAlgo, HashValue: b.HashValue, Store: "s", Key: img}}}
		for range 3 {
			if err = cat.Activate(t.Context(), a); !errors.Is(err, metadata.ErrTwins) {
				return err
			}
			twins, err := cat.Twins(t.Context(), "p", b, "s", img)
			if err != nil || len(twins) != 1 {
				return fmt.Errorf("twins %v, %w", twins, err)
			}
			a.Images[0].Key, a.Images[0].Twins.Shared = twins[0].Key, []metadata.Location{twins[0].Location}
		}
		return err
	}) {
		if err != nil {
			t.Errorf("image %d: %v", i, err)
		}
	}
	images, err := cat.Images(t.Context(), metadata.ImageFilter{Status: metadata.ImageActive})
	if err != nil || len(images) != crowd {
		t.Fatalf("%d active images, %v", len(images), err)
	}
	for _, img := range images {
		if img.Key != images[0].Key {
			t.Errorf("image %s is made of %s, %s of %s", img.ID, img.Key, images[0].ID, images[0].Key)
		}
	}
}
