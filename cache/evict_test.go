package cache

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ingest/internal/errcode"
)

// TestLeastRecent does a thousand things at random and compares with a list: what
// is there is what was read last, and it never takes more than it may.
func TestLeastRecent(t *testing.T) {
	const most = 40 << 10
	src := newRemote()
	rnd := rand.New(rand.NewPCG(7, 5))
	var objects []Object
	var bytes [][]byte
	for range 30 {
		o, data := src.put(t, 1+rnd.IntN(12<<10))
		objects, bytes = append(objects, o), append(bytes, data)
	}
	c := open(t, Options{Source: src, MaxBytes: most})
	var model []Object // read last first
	size := func() (n int64) {
		for _, o := range model {
			n += o.Size
		}
		return n
	}
	without := func(o Object) {
		model = slices.DeleteFunc(model, func(m Object) bool { return m == o })
	}
	for step := range 1000 {
		i := rnd.IntN(len(objects))
		o := objects[i]
		there := slices.Contains(model, o)
		switch what := rnd.IntN(20); {
		case what < 12:
			get(t, c, o, bytes[i], 0, -1)
			without(o)
			for !there && size()+o.Size > most {
				model = model[:len(model)-1]
			}
			model = append([]Object{o}, model...)
		case what < 15:
			get(t, c, o, bytes[i], o.Size/2, 1)
			if there {
				without(o)
				model = append([]Object{o}, model...)
			}
		case what < 17:
			if c.Drop(o.Store, o.Key) != there {
				t.Fatalf("step %d: Drop of what is there: %v", step, there)
			}
			without(o)
		case what < 18:
			to := rnd.Int64N(most)
			before, n := size(), len(model)
			for size() > to {
				model = model[:len(model)-1]
			}
			if got := c.Prune(to); got != (Removed{Files: n - len(model), Bytes: before - size()}) {
				t.Fatalf("step %d: Prune: %+v", step, got)
			}
		case what < 19:
			c.Close()
			c = open(t, c.o)
		default:
			if _, err := c.Clean(t.Context(), rnd.IntN(2) == 0); err != nil {
				t.Fatal(err)
			}
		}
		whole(t, c)
		var got []Object
		for _, e := range c.View().Entries {
			got = append(got, e.Object)
		}
		if !slices.Equal(got, model) {
			t.Fatalf("step %d: %d entries, want %d: %v, %v", step, len(got), len(model), got, model)
		}
	}
	if s := c.View().Stats; s.DiskErrors+s.Corrupt+s.Failed+s.Invalid > 0 {
		t.Errorf("%+v", s)
	}
}

// TestManyAtOnce reads, drops and prunes from many sides.
func TestManyAtOnce(t *testing.T) {
	src := newRemote()
	c := open(t, Options{Source: src, MaxBytes: 3 * mib})
	ctx, stop := context.WithCancel(t.Context())
	pruned := make(chan struct{})
	go func() {
		defer close(pruned)
		for i := int64(0); ctx.Err() == nil; i++ {
			c.Prune(i % 4 * mib)
			_, _ = c.Clean(ctx, i%2 == 0)
			if v := c.View(); v.Bytes > v.MaxBytes {
				t.Errorf("%d of %d bytes", v.Bytes, v.MaxBytes)
			}
		}
	}()
	t.Run("readers", func(t *testing.T) {
		for i := range 8 {
			o, data := src.put(t, mib-i*1000)
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for range 10 {
					readers(t, c, o, data, 3)
					c.Drop(o.Store, o.Key)
				}
			})
		}
	})
	stop()
	<-pruned
	whole(t, c)
}

func TestPruneWhileReading(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 2*mib)
	c := open(t, Options{Source: src})
	get(t, c, o, data, 0, -1)
	settle(t, c)
	r, err := c.Reader(t.Context(), o, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, mib)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if got := c.Prune(0); got != (Removed{1, 2 * mib}) || c.View().Bytes != 0 {
		t.Errorf("%+v", got)
	}
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(head, rest...), data) || src.opens.Load() != 1 {
		t.Errorf("%d bytes, %v, %d reads of the store", len(rest), err, src.opens.Load())
	}
	whole(t, c)
}

// TestDropWhileFilling makes sure that a copy that is dropped on its way never
// becomes an entry.
func TestDropWhileFilling(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, 4*mib)
	c := open(t, Options{Source: src})
	let := stopAt(src, mib)
	r, err := c.Reader(t.Context(), o, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	reached(t, c, o, mib)
	if !c.DropImage(o.ImageID) || c.DropImage("another") {
		t.Error("DropImage does not say whether there was something")
	}
	let()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	settle(t, c)
	if has(c, o) {
		t.Error("it is there again")
	}
	whole(t, c)
}

// TestDeletedImage deletes an object from its store too.
func TestDeletedImage(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, mib)
	kept, other := src.put(t, mib)
	gone := map[string]bool{}
	fail := errors.New("the database is away")
	c := open(t, Options{Source: src, Live: func(context.Context) (func(string, string) bool, error) {
		return func(_, key string) bool { return !gone[key] }, fail
	}})
	get(t, c, o, data, 0, -1)
	get(t, c, kept, other, 0, -1)
	settle(t, c)
	if err := src.Delete(t.Context(), o.Key); err != nil {
		t.Fatal(err)
	}
	gone[o.Key] = true
	if out, err := c.Clean(t.Context(), false); !errors.Is(err, fail) || out != (Cleaned{}) {
		t.Errorf("%+v, %v", out, err)
	}
	fail = nil
	if out, err := c.Clean(t.Context(), false); err != nil || out != (Cleaned{Dead: 1, Bytes: mib}) {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := c.Reader(t.Context(), o, 0, -1); errcode.Of(err) != errcode.NotFound {
		t.Errorf("a deleted object is read: %v", err)
	}
	if !has(c, kept) {
		t.Error("the other one went too")
	}
	whole(t, c)
}

// TestFolder opens a folder with all kinds of things in it.
func TestFolder(t *testing.T) {
	src := newRemote()
	o, data := src.put(t, mib)
	c := open(t, Options{Source: src})
	get(t, c, o, data, 0, -1)
	settle(t, c)
	name := id(o.Store, o.Key)
	rec, err := os.ReadFile(c.record(name))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	other := id("far", "other")
	for path, text := range map[string]string{
		"index/" + other + ".json":            string(rec),                                                                                  // of another object
		"index/" + id("a", "b") + ".json":     `{"store":"a","key":"b","size":3,"algo":"sha256","hex":"` + o.Hex + `","file":"../../lock"}`, // out of the folder
		"index/" + id("a", "c") + ".json":     "{",
		"index/" + id("a", "d") + ".json":     string(bytes.Repeat([]byte(" "), maxRecord+1)),
		"index/" + name + ".json.tmp":         "{}",
		"index/readme.json":                   "mine",
		"data/" + other + ".0123456789abcdef": "half a copy",
		"data/photo.jpg":                      "mine",
		"queue/" + other + ".json":            "{}",
		"usage.json":                          "[",
	} {
		if err := os.WriteFile(filepath.Join(c.o.Dir, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c = open(t, c.o)
	if v := c.View(); len(v.Entries) != 1 || !has(c, o) || len(v.Queue) != 0 {
		t.Errorf("%+v", v)
	}
	gotData, gotIndex, gotQueue := files(t, c)
	if len(gotData) != 2 || !slices.Contains(gotData, "photo.jpg") || !slices.Equal(gotIndex, []string{name + ".json", "readme.json"}) && !slices.Equal(gotIndex, []string{"readme.json", name + ".json"}) || len(gotQueue) != 0 {
		t.Errorf("%v, %v, %v", gotData, gotIndex, gotQueue)
	}
	get(t, c, o, data, 0, -1)
	if src.opens.Load() != 1 {
		t.Error("the entry was not found again")
	}
	if _, err := Open(c.o); errcode.Of(err) != errcode.Conflict {
		t.Errorf("a second cache in the folder: %v", err)
	}
	c.Close()
	c.o.MaxBytes = mib - 1
	if c = open(t, c.o); len(c.View().Entries) != 0 {
		t.Error("a smaller cache keeps everything")
	}
}

// TestBusy: fills that take the whole cache let nothing else begin.
func TestBusy(t *testing.T) {
	src := newRemote()
	a, first := src.put(t, 3*mib)
	b, second := src.put(t, 3*mib)
	c := open(t, Options{Source: src, MaxBytes: 5 * mib})
	let := stopAt(src, 2*mib)
	r, err := c.Reader(t.Context(), a, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	reached(t, c, a, 2*mib)
	rb, err := c.Reader(t.Context(), b, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rb.Close()
	if v := c.View(); v.Stats.Busy != 1 || len(v.Fills) != 1 {
		t.Errorf("%+v", v)
	}
	let()
	for r, want := range map[io.Reader][]byte{r: first, rb: second} {
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	whole(t, c)
}
