package replaytest

import (
	"context"
	"testing"

	"go.temporal.io/sdk/temporal"

	"ingest/activities/activitytest"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/pipeline"
)

// A beginning is what a recording that is not of an import can prepare itself with.
type beginning struct {
	t        *testing.T
	cat      *metadata.Catalogue
	imported func() string // makes an active image, and returns its id
}

// further are the recordings of what is done with images beside their import.
func further() []recording {
	plain := &activitytest.Steps{}
	succeeded := func(err error) bool { return err == nil }
	return []recording{
		{name: "export", begin: exported, ended: succeeded, steps: func(s *activitytest.Steps) {
			s.OnExport = func(ctx context.Context, p contract.ExportParams, o pipeline.Observe) (contract.Exported, error) {
				if err := slowly(ctx, 4, o); err != nil {
					return contract.Exported{}, err
				}
				return plain.Export(ctx, p, o)
			}
		}},
		{name: "export-fails", begin: exported, ended: func(err error) bool { return failedWith(err, errcode.DestinationExist) }, steps: func(s *activitytest.Steps) {
			s.OnExport = func(context.Context, contract.ExportParams, pipeline.Observe) (contract.Exported, error) {
				return contract.Exported{}, errcode.New(errcode.DestinationExist, "it exists")
			}
		}},
		{name: "export-cancelled", begin: exported, cancel: true, ended: temporal.IsCanceledError, steps: func(s *activitytest.Steps) {
			s.OnExport = func(ctx context.Context, _ contract.ExportParams, o pipeline.Observe) (contract.Exported, error) {
				return contract.Exported{}, slowly(ctx, 60, o)
			}
		}},
		{name: "export-paused", begin: exported, pause: true, ended: succeeded, steps: func(s *activitytest.Steps) {
			first := true
			s.OnExport = func(ctx context.Context, p contract.ExportParams, o pipeline.Observe) (contract.Exported, error) {
				if first {
					first = false
					return contract.Exported{}, slowly(ctx, 60, o)
				}
				return plain.Export(ctx, p, o)
			}
		}},
		{name: "clone", begin: cloned, ended: succeeded, steps: func(s *activitytest.Steps) { s.OnDetect = twoDisks }},
		{name: "clone-fails", begin: cloned, ended: func(err error) bool { return failedWith(err, errcode.SourceDescription) }, steps: func(s *activitytest.Steps) {
			s.OnFetch = func(context.Context, contract.FetchParams, pipeline.Observe) (contract.Fetched, error) {
				return contract.Fetched{}, errcode.New(errcode.SourceDescription, "no digest is known")
			}
		}},
		{name: "locate", begin: located, ended: succeeded, steps: func(s *activitytest.Steps) {
			s.OnLocate = func(ctx context.Context, p contract.LocateParams, resume []byte, o pipeline.Observe) (contract.Located, []formats.Finding, error) {
				if err := slowly(ctx, 4, o); err != nil {
					return contract.Located{}, nil, err
				}
				return plain.Locate(ctx, p, resume, o)
			}
		}},
		{name: "locate-fails", begin: located, ended: func(err error) bool { return failedWith(err, errcode.ChecksumMismatch) }, steps: func(s *activitytest.Steps) {
			s.OnLocate = func(context.Context, contract.LocateParams, []byte, pipeline.Observe) (contract.Located, []formats.Finding, error) {
				return contract.Located{}, nil, errcode.New(errcode.ChecksumMismatch, "the object has another digest")
			}
		}},
	}
}

// exported is an export of an image that was imported before.
func exported(b beginning) (string, any) {
	return contract.ExportWorkflow, contract.ExportRequest{ImageID: b.imported(), Target: contract.TargetSpec{Format: "raw"},
		Destination: contract.DestinationSpec{URL: "/srv/exports/disk.raw"}}
}

// cloned is a clone of another service's image.
func cloned(beginning) (string, any) {
	return contract.CloneWorkflow, contract.ImportRequest{Owner: "recorded",
		Source: contract.SourceSpec{URL: "glance://images.example.org/0d9b3c58-2a56-4f0c-8b1c-3d7c7f1f2e11"}}
}

// located makes a queued image of an object that is there already.
func located(b beginning) (string, any) {
	const id = "0b8f1d52-5e0c-4c0a-8f35-4a6e0f2b7d11"
	if _, err := b.cat.CreateImage(b.t.Context(), metadata.Image{ID: id, Owner: "recorded", DiskFormat: "raw", ContainerFormat: "bare"}); err != nil {
		b.t.Fatal(err)
	}
	return contract.LocateWorkflow, contract.ImportRequest{Method: contract.MethodLocate, Owner: "recorded", ImageID: id,
		Source: contract.SourceSpec{URL: "file:///srv/images/external/disk.raw", Format: "raw"},
		Target: contract.TargetSpec{Store: "local"}, Image: contract.ImageSpec{ContainerFormat: "bare"}}
}
