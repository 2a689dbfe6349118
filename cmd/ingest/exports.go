package main

import (
	"context"

	"ingest/exports"
	"ingest/exports/file"
	"ingest/exports/put"
	"ingest/exports/s3"
	"ingest/internal/config"
	"ingest/sources"
	httpsource "ingest/sources/http"
	s3source "ingest/sources/s3"
)

// destinations are those that the operator allows. What may be reached, and with which
// credentials, is decided by the drivers of the sources.
func destinations(c config.Exports, web *httpsource.Driver, buckets *s3source.Driver) exports.Set {
	var out exports.Set
	if len(c.Roots) > 0 {
		out = append(out, file.New(c.Roots))
	}
	if len(c.Buckets) > 0 {
		out = append(out, s3.New(s3.Options{Buckets: c.Buckets, Connect: func(ctx context.Context, d exports.Destination) (s3.Place, error) {
			at, err := buckets.Place(ctx, reference(d))
			return s3.Place(at), err
		}}))
	}
	if c.Put {
		out = append(out, put.New(func(ctx context.Context, d exports.Destination) (put.Request, error) {
			req, sender, shown, err := web.NewPut(ctx, reference(d))
			if err != nil {
				return put.Request{}, err
			}
			return put.Request{Request: req, Sender: sender, Shown: sources.PublicURL(shown)}, nil
		}))
	}
	return out
}

func reference(d exports.Destination) sources.Ref {
	return sources.Ref{URL: d.URL, Credential: d.Credential, Project: d.Project}
}
