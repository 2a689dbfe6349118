package api

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"ingest/internal/errcode"
	"ingest/metadata"
)

func TestCreateImageIsRepeated(t *testing.T) {
	b := newBench(t)
	const body = `{"name":"n","tags":["a"],"os_distro":"debian"}`
	first := b.do("POST", "/v2/images", body, keyHeader, "k").want(t, 201, "")
	var img struct{ ID string }
	first.into(t, &img)
	b.patch(img.ID, `[{"op":"replace","path":"/name","value":"later"}]`).want(t, 200, "")
	second := b.do("POST", "/v2/images", "{\"os_distro\":\"debian\",\n\"tags\":[\"a\"], \"name\":\"n\"}", keyHeader, "k").want(t, 201, "")
	if string(first.body) != string(second.body) || first.Header.Get("Location") != second.Header.Get("Location") {
		t.Errorf("first %s, then %s", first.body, second.body)
	}
	if first.Header.Get("Idempotent-Replayed") != "" || second.Header.Get("Idempotent-Replayed") != "true" {
		t.Error("nothing says which answer is the repeated one")
	}
	b.do("POST", "/v2/images", `{"name":"other"}`, keyHeader, "k").want(t, 409, errcode.IdempotencyReuse)
	// Keys are a project's own, and what is refused leaves none.
	b.do("POST", "/v2/images", `{"name":"other"}`, keyHeader, "k", "X-Project-Id", "blue").want(t, 201, "")
	b.do("POST", "/v2/images", `{"name":5}`, keyHeader, "fresh").want(t, 400, errcode.BadRequest)
	b.do("POST", "/v2/images", `{}`, keyHeader, "fresh").want(t, 201, "")
	for _, key := range []string{"a b", "a/b", "ä", strings.Repeat("k", maxKey+1)} {
		b.do("POST", "/v2/images", `{}`, keyHeader, key).want(t, 400, errcode.BadRequest)
	}
	images, err := b.cat.Images(t.Context(), metadata.ImageFilter{})
	if err != nil || len(images) != 3 {
		t.Errorf("%d images, %v", len(images), err)
	}
}

func TestRequestsAreRepeatedAtOnce(t *testing.T) {
	b := newBench(t)
	const n = 24
	image := b.newImage(someImage)
	var mu sync.Mutex
	seen := map[string]int{}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			var what string
			if i%2 == 0 {
				what = "image " + b.do("POST", "/v2/images", `{"name":"n"}`, keyHeader, "create").want(t, 201, "").Header.Get("Location")
			} else {
				what = "task " + b.do("POST", image+"/import", download).want(t, 202, "").Header.Get("X-Ingest-Task-Id")
			}
			mu.Lock()
			defer mu.Unlock()
			seen[what]++
		})
	}
	all.Wait()
	if len(seen) != 2 {
		t.Errorf("made %s", fmt.Sprint(seen))
	}
}
