package glance

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"ingest/internal/errcode"
	"ingest/sources"
	httpsource "ingest/sources/http"
)

// What a record says travels with the import, and is short, whatever the service says.
func TestWhatIsTakenIsShort(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	r, err := readRecord([]byte(`{"id":"8e5e2a7e-3f5d-4d3c-9b5e-111111111111","status":"active","name":"` + long + `","disk_format":"` + long + `","container_format":"` + long +
		`","os_hash_algo":"` + long + `","os_hash_value":"` + long + `","checksum":"` + long + `","tags":["` + long + `"],"a":"` + long + `","` + long + `":"b"}`))
	if err != nil {
		t.Fatal(err)
	}
	if a, notes := r.about(false); !reflect.DeepEqual(a, sources.About{}) || len(notes) != 1 {
		t.Errorf("taken: %+v, noted: %q", a, notes)
	}
}

// A service that answers with very much is refused before it takes memory many times
// the answer's length.
func TestAnswersAreBounded(t *testing.T) {
	const id = "8e5e2a7e-3f5d-4d3c-9b5e-111111111111"
	record := func(members int) string {
		var b strings.Builder
		fmt.Fprintf(&b, `{"id":"%s","name":"web","status":"queued"`, id)
		for i := range members {
			fmt.Fprintf(&b, `,"p%d":""`, i)
		}
		return b.String() + "}"
	}
	list := func(n int) string {
		return `{"images":[` + strings.TrimSuffix(strings.Repeat(record(0)+",", n), ",") + `]}`
	}
	for _, tt := range []struct {
		name, image, answer string
		want                errcode.Code
	}{
		{"a record", id, record(1000), errcode.SourceNotReady},
		{"a record of many members", id, record(200_000), errcode.SourceUnreachable},
		{"as many records as are asked for", "web", list(100), errcode.SourceAmbiguous},
		{"more", "web", list(101), errcode.SourceUnreachable},
		{"a list with a large record", "web", `{"images":[` + record(200_000) + `]}`, errcode.SourceUnreachable},
		{"one", "web", list(1), errcode.SourceNotReady},
		{"none", "web", `{"images":[]}`, errcode.SourceNotFound},
		{"no list", "web", `{"images":null}`, errcode.SourceUnreachable},
		{"nothing of images", "web", `{}`, errcode.SourceUnreachable},
		{"a list that breaks off", "web", `{"images":[{"id":1},`, errcode.SourceUnreachable},
	} {
		srv := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tt.answer)) }))
		_, err := New(httpsource.New(loopback()), nil).Open(t.Context(), sources.Ref{URL: urlOf(strings.TrimPrefix(srv, "http://"), tt.image)}, nil)
		wantCode(t, tt.name, err, tt.want)
	}
}
