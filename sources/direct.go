package sources

import "context"

type directKey struct{}

// WithDirect asks drivers for readers without a cache and without reading ahead:
// each ReadAt of a Source that is opened at random under the context is then one
// request for those bytes and no others. It is for callers who count what they ask
// for. A driver that does not heed it reads more than it is asked for, and no less
// right.
func WithDirect(ctx context.Context) context.Context {
	return context.WithValue(ctx, directKey{}, true)
}

// Direct reports whether the context is one of WithDirect.
func Direct(ctx context.Context) bool { return ctx.Value(directKey{}) != nil }

type tablesKey struct{}

// WithTables tells drivers that a reader will be asked for tables here and there, and
// not for all that lies between: each fetch is then small, and little is read ahead
// before a sequence of reads has shown that it is one.
func WithTables(ctx context.Context) context.Context {
	return context.WithValue(ctx, tablesKey{}, true)
}

// Tables reports whether the context is one of WithTables.
func Tables(ctx context.Context) bool { return ctx.Value(tablesKey{}) != nil }
