package s3

import (
	"errors"
	"reflect"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/stores"
)

// TestSizes begins uploads of sizes that no test can write, and takes them up again.
func TestSizes(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	bucket := server.Bucket(t)
	const tib = 1 << 40
	for _, tt := range []struct {
		name       string
		o          Options
		size, most int64 // size 0: begun up to most
		want       errcode.Code
		holds      int64 // bytes that the layout holds at least
		part       int64 // the largest, at most
	}{
		{name: "unknown", size: -1, holds: 700 << 30, part: 512 << 20},
		{name: "small", size: 1, holds: 1, part: 512 << 20},
		{name: "2 TiB", size: 2 * tib, holds: 2 * tib, part: 260 << 20},
		{name: "5 TiB", size: 5 * tib, holds: 5 * tib, part: 650 << 20},
		{name: "one byte more", size: 5*tib + 1, want: errcode.ObjectTooLarge},
		{name: "40 TiB in a service that takes them", o: Options{MaxObject: 48 * tib}, size: 40 * tib, holds: 40 * tib, part: maxPart},
		{name: "48 TiB in a service that takes them", o: Options{MaxObject: 48 * tib}, size: 48 * tib, holds: 48 * tib, part: maxPart},
		{name: "more than the service takes", o: Options{MaxObject: 48 * tib}, size: 48*tib + 1, want: errcode.ObjectTooLarge},
		{name: "more than equal parts hold", o: Options{PartSize: 8 << 20}, size: 79 << 30, want: errcode.ObjectTooLarge},
		{name: "as much as equal parts hold", o: Options{PartSize: 8 << 20}, size: 10_000 * 8 << 20, holds: 10_000 * 8 << 20, part: 8 << 20},
		{name: "up to 3 TiB", most: 3 * tib, holds: 3 * tib, part: 400 << 20},
		{name: "up to 60 TiB, mostly much less", most: 60 * tib, holds: 5 * tib, part: 650 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Bucket = bucket
			s := open(t, server.Endpoint, tt.o)
			key := stores.NewKey(uuid.NewString(), uuid.NewString())
			begin := func() (stores.Upload, error) { return s.Begin(t.Context(), key, tt.size) }
			if tt.size == 0 {
				begin = func() (stores.Upload, error) { return stores.BeginUpTo(t.Context(), s, key, tt.most) }
			}
			u, err := begin()
			if errcode.Of(err) != tt.want {
				t.Fatalf("Begin: %v (%v), want %q", err, errors.Unwrap(err), tt.want)
			}
			if err != nil {
				return
			}
			first := u.(*upload).parts.lay
			if got := first.max(); got < tt.holds {
				t.Errorf("the layout holds %d bytes, not %d", got, tt.holds)
			}
			if got := first.sizeOf(maxParts - 1); got > tt.part {
				t.Errorf("the last part has %d bytes, more than %d", got, tt.part)
			}
			if err := u.(stores.Zeroer).WriteZeros(first.max(), 1); errcode.Of(err) != errcode.ObjectTooLarge {
				t.Errorf("a byte behind the largest object: %v", err)
			}
			// With other options too, since parts are there of the first ones.
			again, err := open(t, server.Endpoint, Options{Bucket: bucket, PartSize: 5 << 20, Checksum: "sha256"}).Resume(t.Context(), u.ID())
			if err != nil {
				t.Fatal(err)
			}
			if got := again.(*upload).parts.lay; !reflect.DeepEqual(got, first) {
				t.Errorf("resumed with the layout %v, begun with %v", got, first)
			}
			if got := again.(*upload).sum; got != crc32C {
				t.Errorf("resumed with the checksum %s", got)
			}
			if err := again.Abort(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLayoutOfOlderManifests is that of the parts that such uploads have sent.
func TestLayoutOfOlderManifests(t *testing.T) {
	for _, tt := range []struct {
		m    manifest
		want layout
	}{
		{manifest{Size: -1}, growing()},
		{manifest{Size: 600 << 30}, growing()},
		{manifest{Size: 2 << 40}, layout{{10_000, 210 << 20}}},
		{manifest{Size: 2 << 40, PartSize: 512 << 20}, layout{{10_000, 512 << 20}}},
		{manifest{Size: -1, PartSize: 16 << 20}, layout{{10_000, 16 << 20}}},
	} {
		if got := tt.m.layout(); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.m, got, tt.want)
		}
	}
}
