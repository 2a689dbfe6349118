package main

import (
	"context"

	"ingest/api"
	"ingest/internal/contract"
	"ingest/internal/reconcile"
	"ingest/pipeline"
)

// uploadLimits turns the configuration's limits, in which 0 means none, into those of
// the API, in which 0 means the default.
func (s *services) uploadLimits() api.UploadLimits {
	u := s.c.Upload
	return api.UploadLimits{Most: orNone(u.MostBytes), PerProject: orNone(u.PerProject), Stall: u.Stall}
}

// regions are the clouds that clients may name in glance-download.
func (s *services) regions() map[string]api.Region {
	out := map[string]api.Region{}
	for name, r := range s.c.Upload.Regions {
		out[name] = api.Region{URL: r.URL, Credential: r.Credential}
	}
	return out
}

// uploads gives up the uploads that nobody receives any more.
func (s *services) uploads() *reconcile.Uploads {
	return &reconcile.Uploads{Catalogue: s.catalogue, Discard: s.pipeline.Discard, Waits: s.c.Upload.Staged,
		Silence: reconcile.DefaultUploadSilence + s.c.Upload.Stall, Log: s.log}
}

// forgetUploads gives up at the start what a server that was killed has received, where
// no other one can be receiving it: the catalogue in the data folder is this process's
// alone.
func (s *services) forgetUploads(ctx context.Context) error {
	if s.c.Database.URL != "" {
		return nil
	}
	return s.uploads().Once(ctx, true)
}

// A converter computes downloads in other formats.
type converter struct{ p *pipeline.Pipeline }

// Render implements api.Converter.
func (c converter) Render(ctx context.Context, from []contract.Stored, size int64, format string, t contract.TargetSpec) (api.Rendering, error) {
	r, err := c.p.Render(ctx, from, size, format, t)
	if err != nil {
		return nil, err // and not a nil Rendering in an interface
	}
	return r, nil
}
