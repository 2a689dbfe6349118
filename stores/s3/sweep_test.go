package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/stores"
)

// put makes an object below the server's folder.
func put(t *testing.T, folder, name string, b []byte) {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// reap resumes and aborts everything that is listed, and returns the ids.
func reap(t *testing.T, s *Store) (ids []string) {
	t.Helper()
	for info, err := range s.Uploads(t.Context(), time.Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, info.ID)
	}
	for _, id := range ids {
		u, err := s.Resume(t.Context(), id)
		if err == nil {
			err = u.Abort(t.Context())
			u.Close()
		}
		if err != nil && errcode.Of(err) != errcode.UploadUnknown {
			t.Fatal(err)
		}
	}
	return ids
}

// TestManyObjects lists objects over several pages, among them what crashes and late
// answers have left: bytes of no claim, bytes of another upload of a key, parts and
// multipart uploads without a manifest, and manifests. All of it goes, and no object.
func TestManyObjects(t *testing.T) {
	const count = 2500 // a page has 1000
	server := s3test.Start(t, s3test.Versity())
	o := Options{Bucket: server.Bucket(t), Prefix: "images"}
	s := open(t, server.Endpoint, o)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	folder := server.Folder(t, o.Bucket)
	var keys, lost []string
	var image string
	for i := range count {
		if i%50 == 0 {
			image = uuid.NewString()
		}
		key := stores.NewKey(image, uuid.NewString())
		id, other := stores.NewID(key), stores.NewID(key)
		put(t, folder, s.dataPath(id), []byte("abc"))
		if i%100 == 0 { // nothing but bytes
			lost = append(lost, id)
			continue
		}
		b, _ := json.Marshal(claim{Upload: id, Final: true, Size: 3, Digest: threeBytes})
		put(t, folder, s.claimPath(key), b)
		keys = append(keys, key)
		switch {
		case i%250 == 1:
			put(t, folder, s.dataPath(other), []byte("x"))
		case i%500 == 2:
			put(t, folder, s.heldName(other, 3, 1, 0), []byte("x"))
		default:
			continue
		}
		lost = append(lost, other)
	}
	for range 3 {
		u, err := s.Begin(t.Context(), keys[0], -1)
		if err != nil {
			t.Fatal(err)
		}
		lost = append(lost, u.ID())
		other := stores.NewID(keys[1])
		if _, err := server.Client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &o.Bucket, Key: aws.String(s.dataPath(other))}); err != nil {
			t.Fatal(err)
		}
		lost = append(lost, other)
	}
	slices.Sort(keys)
	slices.Sort(lost)

	got := reap(t, s)
	slices.Sort(got)
	if !slices.Equal(got, lost) {
		t.Errorf("%d uploads are listed, not %d: %q", len(got), len(lost), got[:min(len(got), 5)])
	}
	var listed []string
	for info, err := range s.Objects(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		listed = append(listed, info.Key)
	}
	if !slices.Equal(listed, keys) {
		t.Errorf("%d objects are listed, not %d", len(listed), len(keys))
	}
	left := map[string]int{}
	err := filepath.WalkDir(filepath.Join(folder, o.Prefix), func(path string, d fs.DirEntry, err error) error {
		if name, _ := filepath.Rel(filepath.Join(folder, o.Prefix), path); err == nil && !d.IsDir() {
			left[strings.Split(name, "/")[0]]++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"store.json": 1, "objects": len(keys), "data": len(keys)}; fmt.Sprint(left) != fmt.Sprint(want) {
		t.Errorf("left: %v, want %v", left, want)
	}
}

// TestGivenUpClaims has a service that takes no notice of If-Match on DELETE: claims
// stay there when their objects are deleted, and are objects no more.
func TestGivenUpClaims(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		server := s3test.Start(t, kind)
		o := Options{Bucket: server.Bucket(t)}
		s := open(t, server.Endpoint, o)
		key := stores.NewKey(uuid.NewString(), uuid.NewString())
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.drops != (kind.Name == "versitygw") {
			t.Errorf("%s: conditions on DELETE: %v", kind.Name, s.drops)
		}
		s.drops = false
		for range 2 { // the second takes the key over
			if err := sealed(t, s, key).Commit(t.Context(), threeBytes); err != nil {
				t.Fatalf("%s: %v", kind.Name, err)
			}
			if err := s.Delete(t.Context(), key); err != nil {
				t.Fatalf("%s: %v", kind.Name, err)
			}
			if _, err := s.Stat(t.Context(), key); errcode.Of(err) != errcode.NotFound {
				t.Errorf("%s: Stat: %v", kind.Name, err)
			}
			if err := s.Delete(t.Context(), key); err != nil {
				t.Errorf("%s: Delete again: %v", kind.Name, err)
			}
			for info, err := range s.Objects(t.Context()) {
				t.Errorf("%s: an object is listed: %+v, %v", kind.Name, info, err)
			}
			if got := reap(t, s); len(got) > 0 {
				t.Errorf("%s: listed at once: %q", kind.Name, got)
			}
		}
		if _, err := server.Client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &o.Bucket, Key: aws.String(s.claimPath(key))}); err != nil {
			t.Errorf("%s: the claim is gone: %v", kind.Name, err)
		}
		s.givenUpFor = -time.Hour
		if got := reap(t, s); len(got) != 1 {
			t.Errorf("%s: listed when it is old: %q", kind.Name, got)
		}
		if _, err := server.Client.HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &o.Bucket, Key: aws.String(s.claimPath(key))}); !isMissing(err) {
			t.Errorf("%s: the claim is still there: %v", kind.Name, err)
		}
	}
}
