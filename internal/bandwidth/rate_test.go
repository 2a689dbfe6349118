package bandwidth

import (
	"encoding/json"
	"testing"

	"ingest/internal/errcode"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Rate{
		"0": 0, "1024": 1 << 10, "52428800": 50 << 20, "50MiB": 50 << 20, "50 MiB/s": 50 << 20, " 1GiB ": 1 << 30, "3TiB/s": 3 << 40, "2048B": 2 << 10, "0KiB": 0, "1024TiB": Most,
	} {
		if got, err := Parse(text); got != want || err != nil {
			t.Errorf("Parse(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "/s", "MiB", "-1", "+4096", "- 1", "1.5MiB", "1e6", "50MB", "50mib", "50 Mbit/s", "1023", "1025TiB", "9223372036854775808", "9007199254740992KiB", "0x1000", "\xff\xff", "12 34"} {
		if got, err := Parse(text); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("Parse(%q) = %d, %v", text, got, err)
		}
	}
}

func TestString(t *testing.T) {
	for r, want := range map[Rate]string{0: "0", 1 << 10: "1KiB", 1025: "1025", 100 << 20: "100MiB", 1<<30 + 1<<20: "1025MiB", 1 << 50: "1024TiB"} {
		if got := r.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(r), got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	var v struct {
		R Rate `json:"r,omitempty"`
	}
	for text, want := range map[string]Rate{`{"r":1048576}`: 1 << 20, `{"r":"1MiB"}`: 1 << 20, `{"r":0}`: 0, `{"r":null}`: 7, `{}`: 7} {
		v.R = 7
		if err := json.Unmarshal([]byte(text), &v); err != nil || v.R != want {
			t.Errorf("%s is %d, %v, want %d", text, v.R, err, want)
		}
	}
	for _, text := range []string{`{"r":-1}`, `{"r":"fast"}`, `{"r":1.5}`, `{"r":[1]}`, `{"r":{}}`, `{"r":true}`} {
		if err := json.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("%s is %d", text, v.R)
		}
	}
	v.R = 1 << 20
	if out, err := json.Marshal(v); string(out) != `{"r":1048576}` || err != nil {
		t.Errorf("written as %s, %v", out, err)
	}
}

// FuzzParse holds that what is read is a limit or none, and is read again as it is
// written.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0", "1024", "50MiB", "1GiB/s", " 7 TiB ", "-1", "+1", "1.5MiB", "9223372036854775807TiB", "/s", "B", "KiB/s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			if r != 0 && r.Check() == nil || errcode.Of(err) != errcode.BadRequest {
				t.Fatalf("%q is refused as %d, %v", text, r, err)
			}
			return
		}
		if r < 0 || r > Most || r > 0 && r < Least {
			t.Fatalf("%q is %d", text, r)
		}
		if again, err := Parse(r.String()); again != r || err != nil {
			t.Fatalf("%q is %d, written %q and read as %d, %v", text, int64(r), r.String(), int64(again), err)
		}
	})
}
