package pipeline

import (
	"os"
	"testing"

	"ingest/internal/errcode"
	"ingest/stores"
	"ingest/stores/mem"
)

// TestRecordBesideAnotherFileIsNotTakenUp lets an attempt that was overtaken ask for
// its token: the staged file that it reads was thrown away, and another attempt has
// made its own, with a record of the same upload.
func TestRecordBesideAnotherFileIsNotTakenUp(t *testing.T) {
	for _, begun := range []bool{true, false} { // by the other attempt, too
		s := staging{dir: t.TempDir(), name: firstFile}
		f, err := s.own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		store := mem.New("main")
		a := &ahead{p: &Pipeline{Stores: map[string]stores.Store{"main": store}}, ctx: t.Context(), staged: s, file: f, key: "k", boot: "b"}
		token, err := a.own(store)
		if err != nil || token == "" {
			t.Fatalf("token %q, %v", token, err)
		}
		if again, err := a.own(store); err != nil || again != token {
			t.Errorf("token %q, %v; it was %q", again, err, token)
		}
		if err := os.RemoveAll(s.dir); err != nil {
			t.Fatal(err)
		}
		next, err := s.own(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if begun {
			other := &ahead{p: a.p, ctx: a.ctx, staged: s, file: next, key: a.key, boot: a.boot}
			if _, err := other.own(store); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.own(store); errcode.Of(err) != errcode.UploadFenced {
			t.Errorf("begun again %v: got %v, want %s", begun, err, errcode.UploadFenced)
		}
	}
}
