package pipeline

import (
	"context"
	"slices"

	"ingest/sources"
)

type besideKey struct{}

// beside collects where the small files of a fetch were found. It is of one fetch, which
// reads them one after the other.
type beside struct{ urls []string }

// listening returns a context in which redirects of small files are noted.
func listening(ctx context.Context) (context.Context, *beside) {
	b := &beside{}
	return context.WithValue(ctx, besideKey{}, b), b
}

// tell notes where redirects led to a small file.
func tell(ctx context.Context, src sources.Source) {
	b, _ := ctx.Value(besideKey{}).(*beside)
	trace, ok := sources.TraceOf(src)
	if b == nil || !ok || len(trace.Redirects) == 0 {
		return
	}
	for _, at := range trace.Redirects {
		if !slices.Contains(b.urls, at) {
			b.urls = append(b.urls, at)
		}
	}
}
