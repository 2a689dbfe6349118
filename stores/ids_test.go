package stores

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestIDs takes apart what was put together, and refuses every other spelling.
func TestIDs(t *testing.T) {
	image, upload := uuid.NewString(), uuid.NewString()
	key := NewKey(image, upload)
	id := NewID(key)
	if got, ok := KeyOfID(id); !ok || got != key {
		t.Errorf("KeyOfID(%q) = %q, %v, want %q", id, got, ok, key)
	}
	if a, b, ok := SplitKey(key); !ok || a != image || b != upload {
		t.Errorf("SplitKey(%q) = %q, %q, %v", key, a, b, ok)
	}
	if id == NewID(key) {
		t.Error("two uploads have one id")
	}
	if !strings.HasPrefix(id, IDPrefix(key)) {
		t.Errorf("%q does not begin with %q", id, IDPrefix(key))
	}
	for _, bad := range []string{"", "x", strings.ToUpper(image[:35]) + "A", "{" + image + "}", "urn:uuid:" + image, strings.ReplaceAll(image, "-", ""),
		image[:35], image + "0", image[:35] + "/", strings.Replace(image, "-", "0", 1), image[:8] + "0-" + image[10:], "--------" + image[8:], image[:32] + "-abc"} {
		if IsUUID(bad) {
			t.Errorf("%q is a UUID", bad)
		}
		if _, _, ok := SplitKey(bad + "/" + upload); ok {
			t.Errorf("%q is a key", bad+"/"+upload)
		}
		if CheckKey(image+"/"+bad) == nil {
			t.Errorf("%q is a key", image+"/"+bad)
		}
		if _, ok := KeyOfID(strings.Replace(id, image, bad, 1)); ok {
			t.Errorf("%q is an id", strings.Replace(id, image, bad, 1))
		}
	}
	for _, bad := range []string{id[:len(id)-1], id + "0", id[:len(id)-1] + "G", id + ".0", id[:73], strings.Replace(id, ".", "/", 1), key} {
		if _, ok := KeyOfID(bad); ok {
			t.Errorf("%q is an id", bad)
		}
	}
}
