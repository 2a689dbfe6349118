package pipeline

import (
	"errors"
	"testing"

	"ingest/internal/errcode"
)

func TestSourceErrorNamesTheSource(t *testing.T) {
	gone := errcode.New(errcode.SourceNotFound, "gone")
	for _, c := range []struct{ ref, want string }{
		{"/srv/disk.raw", "/srv/disk.raw"},
		{"file:///srv/disk.raw", "/srv/disk.raw"},
		{"https://host:8443/a/secret/path?signature=secret#secret", "https://host:8443"},
		{"https://user:secret@host/", ""},
		{"http://%zz", ""},
	} {
		e, ok := errcode.As(sourceError(gone, c.ref))
		if !ok || e.Code != gone.Code || e.Evidence == nil || e.Evidence.Field != "url" || e.Evidence.Value != c.want {
			t.Errorf("%s: got %+v", c.ref, e)
		}
	}
	said := gone.With(errcode.Evidence{Field: "other"})
	plain, full := errors.New("plain"), errcode.New(errcode.NoSpace, "full")
	for _, err := range []error{nil, plain, full, said} {
		if got := sourceError(err, "/srv/disk.raw"); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}
