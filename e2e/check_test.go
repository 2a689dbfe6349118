package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// submit submits an import.
func (s *server) submit(req contract.ImportRequest) wire.Submitted {
	s.t.Helper()
	out, err := s.api.Import(s.t.Context(), req)
	if err != nil {
		s.t.Fatalf("submit %+v: %v", req, err)
	}
	return out
}

// of is a request to import url as the target.
func of(url string, target contract.TargetSpec) contract.ImportRequest {
	return contract.ImportRequest{
		Source: contract.SourceSpec{URL: url}, Target: target, Image: contract.ImageSpec{Name: "e2e"},
	}
}

func (s *server) task(id string) wire.Task {
	s.t.Helper()
	task, err := s.api.Task(s.t.Context(), id)
	if err != nil {
		s.t.Fatalf("task %s: %v", id, err)
	}
	return task
}

// progress asks how far a task is. A workflow service that stands still for some seconds
// with its machine is asked once more.
func (s *server) progress(id string) contract.Progress {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		p, err := s.api.Progress(s.t.Context(), id)
		if err == nil {
			return p
		}
		if !errcode.Lookup(errcode.Of(err)).Retryable || time.Now().After(end) {
			s.t.Fatalf("progress of task %s: %v", id, err)
		}
	}
}

// await waits until the task has moved at least so many bytes of the stage.
func (s *server) await(id string, stage contract.Stage, bytes int64) {
	s.t.Helper()
	eventually(s.t, time.Minute, "bytes of "+string(stage), func() (bool, string) {
		p := s.progress(id)
		if task := s.task(id); task.Finished() {
			s.t.Fatalf("the task ended before: %s", show(task))
		}
		return p.Stage == stage && p.Bytes >= bytes, show(p)
	})
}

// finished waits until the task has ended.
func (s *server) finished(id string) wire.Task {
	s.t.Helper()
	var task wire.Task
	eventually(s.t, 2*time.Minute, "the end of the task", func() (bool, string) {
		task = s.task(id)
		return task.Finished(), show(task)
	})
	return task
}

// succeeded waits for the end of the task and checks all that is said of its
// image: active, with the content of the raw disk, with the digest of the bytes
// that a download gives, with a record of where they come from, and nothing left beside
// it.
func (s *server) succeeded(id, content string) wire.Image {
	s.t.Helper()
	task := s.finished(id)
	if task.Status != "success" || task.Result == nil || len(task.Result.Images) != 1 {
		s.t.Fatalf("the task has not succeeded: %s", show(task))
	}
	img, err := s.api.Image(s.t.Context(), task.ImageID)
	if err != nil {
		s.t.Fatal(err)
	}
	if img.Status != "active" || img.ContentDigest != content {
		s.t.Errorf("image is %s with content %s, want active with %s", img.Status, img.ContentDigest, content)
	}
	size, sum := s.download(img)
	if img.Size == nil || *img.Size != size || img.HashAlgo != "sha256" || img.HashValue != sum {
		s.t.Errorf("a download has %d bytes with sha256 %s, the image says %s", size, sum, show(img))
	}
	if r := task.Result.Images[0]; r.ImageID != img.ID || r.Size != size || r.HashValue != sum || r.ContentDigest != content {
		s.t.Errorf("the task's result is %s, the image %s", show(r), show(img))
	}
	s.recorded(img, sum)
	s.nothingLeft()
	return img
}

// download reads an image's stored bytes.
func (s *server) download(img wire.Image) (int64, string) {
	s.t.Helper()
	body, err := s.api.Download(s.t.Context(), img, 0, "")
	if err != nil {
		s.t.Fatal(err)
	}
	defer body.Close()
	h := sha256.New()
	n, err := io.Copy(h, body)
	if err != nil {
		s.t.Fatalf("download after %d bytes: %v", n, err)
	}
	return n, hex.EncodeToString(h.Sum(nil))
}

// failed waits for the end of the task, which must be failure with the code
// and say what can be done. The image waits again.
func (s *server) failed(id, code string) wire.Task {
	s.t.Helper()
	task := s.finished(id)
	if task.Status != "failure" || task.Error == nil || string(task.Error.Code) != code {
		s.t.Fatalf("want failure with %s, got %s", code, show(task))
	}
	if task.Error.Message == "" || task.Error.Remedy == "" {
		s.t.Errorf("the failure does not say what was found and what can be done: %s", show(task.Error))
	}
	img, err := s.api.Image(s.t.Context(), task.ImageID)
	if err != nil {
		s.t.Fatal(err)
	}
	if img.Status != "queued" || img.Size != nil || img.HashValue != "" {
		s.t.Errorf("the image of a failed task is %s", show(img))
	}
	s.nothingLeft()
	return task
}

// nothingLeft checks that staging and uploads hold no file, and the store the
// objects of the active images and nothing else. A task that has succeeded
// removes its staged files a moment later.
func (s *server) nothingLeft() {
	s.t.Helper()
	eventually(s.t, 20*time.Second, "nothing is left", func() (bool, string) {
		left := append(files(s.t, s.path("staging")), files(s.t, s.path("store", "uploads"))...)
		objects := files(s.t, s.path("store", "objects"))
		want := s.objects()
		left = append(left, slices.DeleteFunc(slices.Clone(objects), func(p string) bool { return slices.Contains(want, p) })...)
		lost := slices.DeleteFunc(want, func(p string) bool { return slices.Contains(objects, p) })
		return len(left)+len(lost) == 0, show(map[string][]string{"left": left, "lost": lost})
	})
}

func (s *server) path(elem ...string) string {
	return filepath.Join(append([]string{s.data}, elem...)...)
}

// objects lists the files that the active images are made of.
func (s *server) objects() []string {
	s.t.Helper()
	images, err := s.api.Images(s.t.Context(), nil, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	tasks, err := s.api.Tasks(s.t.Context(), url.Values{"status": {"success"}}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, img := range images {
		if img.Status != "active" {
			continue
		}
		for _, task := range tasks {
			if task.ImageID != img.ID || task.Result == nil {
				continue
			}
			for _, r := range task.Result.Images {
				key, local := strings.CutPrefix(r.Location, "store://local/")
				if !local {
					continue // looked for where it is
				}
				path := s.path("store", "objects", key)
				out = append(out, path, path+".json")
			}
		}
	}
	return out
}

// files lists the files below a folder.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, path)
		}
		return nil // what goes away meanwhile is gone
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// show writes a value as it travels.
func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
