package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"ingest/formats"
	"ingest/internal/contract"
	"ingest/pipeline"
)

// stallEnv names a moment at which an import stands still for a while, as
// "STEP=DURATION", so that the crash tests can kill the process right there.
const stallEnv = "INGEST_TEST_STALL"

// stalled returns the steps, with a pause behind one of them if the
// environment asks for it.
func stalled(p *pipeline.Pipeline) pipeline.Steps {
	step, length, ok := strings.Cut(os.Getenv(stallEnv), "=")
	d, err := time.ParseDuration(length)
	if !ok || err != nil {
		return p
	}
	return &stall{Pipeline: p, step: step, d: d}
}

type stall struct {
	*pipeline.Pipeline
	step string
	d    time.Duration
}

func (s *stall) after(ctx context.Context, step contract.Stage) {
	if s.step != string(step) {
		return
	}
	fmt.Fprintln(os.Stderr, stallEnv+": standing still behind "+s.step)
	select {
	case <-time.After(s.d):
	case <-ctx.Done():
	}
}

// Fetch stands still behind the fetch.
func (s *stall) Fetch(ctx context.Context, p contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
	out, err := s.Pipeline.Fetch(ctx, p, o)
	s.after(ctx, contract.StageFetch)
	return out, err
}

// Convert stands still behind the conversion.
func (s *stall) Convert(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
	out, err := s.Pipeline.Convert(ctx, p, o)
	s.after(ctx, contract.StageConvert)
	return out, err
}

// Checksum stands still behind the reading back.
func (s *stall) Checksum(ctx context.Context, p contract.ChecksumParams, resume []byte, o pipeline.Observe) (contract.Checksummed, error) {
	out, err := s.Pipeline.Checksum(ctx, p, resume, o)
	s.after(ctx, contract.StageChecksum)
	return out, err
}

// Commit stands still behind the commit, just before the activation.
func (s *stall) Commit(ctx context.Context, p contract.StoreParams) (contract.Stored, error) {
	out, err := s.Pipeline.Commit(ctx, p)
	s.after(ctx, contract.StageStore)
	return out, err
}

// Export stands still behind an export, before its success is recorded.
func (s *stall) Export(ctx context.Context, p contract.ExportParams, o pipeline.Observe) (contract.Exported, error) {
	out, err := s.Pipeline.Export(ctx, p, o)
	s.after(ctx, contract.StageExport)
	return out, err
}

// Locate stands still behind the look at an object that was there before.
func (s *stall) Locate(ctx context.Context, p contract.LocateParams, resume []byte, o pipeline.Observe) (contract.Located, []formats.Finding, error) {
	out, found, err := s.Pipeline.Locate(ctx, p, resume, o)
	s.after(ctx, contract.StageLocate)
	return out, found, err
}

// Copy stands still behind a copy to another store.
func (s *stall) Copy(ctx context.Context, p contract.CopyParams, o pipeline.Observe) (contract.Stored, error) {
	out, err := s.Pipeline.Copy(ctx, p, o)
	s.after(ctx, contract.StageCopy)
	return out, err
}
