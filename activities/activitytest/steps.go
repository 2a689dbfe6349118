package activitytest

import (
	"context"
	"sync"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/pipeline"
	"ingest/stores"
)

// Steps is a pipeline that moves no bytes. A nil function gives a plausible
// result at once; every call is noted before it is made.
type Steps struct {
	OnForecast func(context.Context, contract.ImportRequest) (contract.Forecast, error)
	OnFetch    func(context.Context, contract.FetchParams, pipeline.Observe) (contract.Fetched, error)
	OnDetect   func(context.Context, contract.DetectParams) (contract.Detected, detect.Report, error)
	OnValidate func(context.Context, contract.ValidateParams) (contract.Validated, []formats.Finding, error)
	OnLook     func(context.Context, contract.ValidateParams) (pipeline.Inside, error)
	OnConvert  func(context.Context, contract.ConvertParams, pipeline.Observe) (contract.Converted, error)
	OnChecksum func(context.Context, contract.ChecksumParams, []byte, pipeline.Observe) (contract.Checksummed, error)
	OnCommit   func(context.Context, contract.StoreParams) (contract.Stored, error)
	OnCopy     func(context.Context, contract.CopyParams, pipeline.Observe) (contract.Stored, error)
	OnLocate   func(context.Context, contract.LocateParams, []byte, pipeline.Observe) (contract.Located, []formats.Finding, error)
	OnHolds    func(context.Context, contract.Stored, stores.Digest) (bool, error)
	OnTargets  func(contract.StoresSpec) ([]string, error)
	OnExport   func(context.Context, contract.ExportParams, pipeline.Observe) (contract.Exported, error)
	OnCleanup  func(context.Context, contract.CleanupParams) error

	mu    sync.Mutex
	calls []Call
}

var _ pipeline.Steps = (*Steps)(nil)

// A Call is one call of a step.
type Call struct {
	Stage  contract.Stage
	Params any
}

// Calls lists the calls so far, in the order in which they were made.
func (s *Steps) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Cleanups lists the parameters of all calls of Cleanup.
func (s *Steps) Cleanups() []contract.CleanupParams {
	var out []contract.CleanupParams
	for _, c := range s.Calls() {
		if p, ok := c.Params.(contract.CleanupParams); ok {
			out = append(out, p)
		}
	}
	return out
}

func (s *Steps) note(stage contract.Stage, params any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, Call{stage, params})
}

// Export implements pipeline.Steps.
func (s *Steps) Export(ctx context.Context, p contract.ExportParams, o pipeline.Observe) (contract.Exported, error) {
	s.note(contract.StageExport, p)
	if s.OnExport != nil {
		return s.OnExport(ctx, p, o)
	}
	o(p.Image.Size, p.Image.Size, nil)
	return contract.Exported{Destination: p.Destination.URL, DiskFormat: p.Image.DiskFormat, Size: p.Image.Size, VirtualSize: p.Image.VirtualSize,
		HashAlgo: "sha256", HashValue: p.Image.HashValue, Verified: true}, nil
}

// SourceSize is the size of the source that is plausible, bytes.
const SourceSize = 64 << 20

// Forecast implements pipeline.Steps.
func (s *Steps) Forecast(ctx context.Context, r contract.ImportRequest) (contract.Forecast, error) {
	s.note("", r)
	if s.OnForecast != nil {
		return s.OnForecast(ctx, r)
	}
	f := contract.NewForecast()
	f.Verdict = contract.VerdictAccepted
	f.Detected = &contract.Detected{Format: "vmdk", Subformat: "streamOptimized", VirtualSize: 10 << 30, AllocatedSize: contract.Unknown}
	f.Disks = []contract.ForecastDisk{{Format: "vmdk", VirtualSize: 10 << 30, AllocatedSize: contract.Unknown, Stored: contract.ForecastSize{Bytes: 3 << 30}}}
	return f, nil
}

// Fetch implements pipeline.Steps.
func (s *Steps) Fetch(ctx context.Context, p contract.FetchParams, o pipeline.Observe) (contract.Fetched, error) {
	s.note(contract.StageFetch, p)
	if s.OnFetch != nil {
		return s.OnFetch(ctx, p, o)
	}
	o(SourceSize, SourceSize, nil)
	out := plausible(p.Source.URL)
	for _, m := range p.Source.Members {
		out.Members = append(out.Members, contract.FetchedMember{Name: m.FileName(), Fetched: plausible(m.URL)})
	}
	return out, nil
}

func plausible(url string) contract.Fetched {
	return contract.Fetched{URL: url, Driver: "http", Size: SourceSize, Validator: `"e1"`, Strong: true, Staged: true}
}

// Detect implements pipeline.Steps.
func (s *Steps) Detect(ctx context.Context, p contract.DetectParams) (contract.Detected, detect.Report, error) {
	s.note(contract.StageDetect, p)
	if s.OnDetect != nil {
		return s.OnDetect(ctx, p)
	}
	out := contract.Detected{Format: "vmdk", Subformat: "streamOptimized", VirtualSize: 10 << 30, AllocatedSize: -1}
	return out, detect.Report{DiskFormat: formats.VMDK, VirtualSize: out.VirtualSize, Safe: true}, nil
}

// Validate implements pipeline.Steps.
func (s *Steps) Validate(ctx context.Context, p contract.ValidateParams) (contract.Validated, []formats.Finding, error) {
	s.note(contract.StageValidate, p)
	if s.OnValidate != nil {
		return s.OnValidate(ctx, p)
	}
	t := p.Target
	t.Format, t.Compression = "qcow2", "none"
	out := contract.Validated{Target: t, Verify: p.Verify}
	if p.Stores == nil {
		out.Target.Store = "local"
		return out, nil, nil
	}
	all, err := s.CopyTargets(*p.Stores)
	if t.Store == "" && len(all) > 0 {
		out.Target.Store = all[0]
	}
	out.Stores = []string{out.Target.Store}
	for _, name := range all {
		if name != out.Target.Store {
			out.Stores = append(out.Stores, name)
		}
	}
	return out, nil, err
}

// LookInside implements pipeline.Steps. It belongs to the validation and is not noted.
func (s *Steps) LookInside(ctx context.Context, p contract.ValidateParams) (pipeline.Inside, error) {
	if s.OnLook != nil {
		return s.OnLook(ctx, p)
	}
	return pipeline.Inside{MinDisk: contract.MinDisk(p.Detected.Disk(p.Disk).VirtualSize)}, nil
}

// Convert implements pipeline.Steps.
func (s *Steps) Convert(ctx context.Context, p contract.ConvertParams, o pipeline.Observe) (contract.Converted, error) {
	s.note(contract.StageConvert, p)
	if s.OnConvert != nil {
		return s.OnConvert(ctx, p, o)
	}
	o(p.Detected.VirtualSize, p.Detected.VirtualSize, nil)
	return contract.Converted{Store: p.Target.Store, UploadID: p.Key[37:], Size: 3 << 30, VirtualSize: p.Detected.VirtualSize,
		SourceSize: p.Detected.VirtualSize, ContentDigest: "ingest1:aa"}, nil
}

// Checksum implements pipeline.Steps.
func (s *Steps) Checksum(ctx context.Context, p contract.ChecksumParams, resume []byte, o pipeline.Observe) (contract.Checksummed, error) {
	s.note(contract.StageChecksum, p)
	if s.OnChecksum != nil {
		return s.OnChecksum(ctx, p, resume, o)
	}
	o(p.Converted.Size, p.Converted.Size, nil)
	return contract.Checksummed{HashAlgo: "sha256", HashValue: "bb", Verify: p.Verify}, nil
}

// Commit implements pipeline.Steps.
func (s *Steps) Commit(ctx context.Context, p contract.StoreParams) (contract.Stored, error) {
	s.note(contract.StageStore, p)
	if s.OnCommit != nil {
		return s.OnCommit(ctx, p)
	}
	return contract.Stored{Store: p.Converted.Store, Key: p.Key, Location: "store://" + p.Converted.Store + "/" + p.Key}, nil
}

// Copy implements pipeline.Steps.
func (s *Steps) Copy(ctx context.Context, p contract.CopyParams, o pipeline.Observe) (contract.Stored, error) {
	s.note(contract.StageCopy, p)
	if s.OnCopy != nil {
		return s.OnCopy(ctx, p, o)
	}
	o(p.Size, p.Size, nil)
	return contract.Stored{Store: p.Store, Key: p.Key, Location: "store://" + p.Store + "/" + p.Key}, nil
}

// Locate implements pipeline.Steps.
func (s *Steps) Locate(ctx context.Context, p contract.LocateParams, resume []byte, o pipeline.Observe) (contract.Located, []formats.Finding, error) {
	s.note(contract.StageLocate, p)
	if s.OnLocate != nil {
		return s.OnLocate(ctx, p, resume, o)
	}
	o(SourceSize, SourceSize, nil)
	key := "external/disk.raw"
	return contract.Located{
		Fetched:  contract.Fetched{URL: p.Source.URL, Driver: "store", Size: SourceSize},
		Detected: contract.Detected{Format: p.Source.Format, VirtualSize: SourceSize, AllocatedSize: contract.Unknown},
		Target:   contract.TargetSpec{Format: p.Source.Format, Store: p.Store}, Converted: contract.Converted{Store: p.Store, Size: SourceSize, VirtualSize: SourceSize},
		Checksummed: contract.Checksummed{HashAlgo: "sha256", HashValue: "bb"}, Stored: contract.Stored{Store: p.Store, Key: key, Location: "store://" + p.Store + "/" + key},
	}, nil, nil
}

// Holds implements pipeline.Steps.
func (s *Steps) Holds(ctx context.Context, at contract.Stored, want stores.Digest) (bool, error) {
	if s.OnHolds != nil {
		return s.OnHolds(ctx, at, want)
	}
	return true, nil
}

// AllStores are those of a server with several stores, which is plausible.
func AllStores() []string { return []string{"local", "fast", "remote"} }

// CopyTargets implements pipeline.Steps.
func (s *Steps) CopyTargets(spec contract.StoresSpec) ([]string, error) {
	if s.OnTargets != nil {
		return s.OnTargets(spec)
	}
	if spec.AllStores {
		return AllStores(), nil
	}
	return spec.Stores, nil
}

// Cleanup implements pipeline.Steps.
func (s *Steps) Cleanup(ctx context.Context, p contract.CleanupParams) error {
	s.note(contract.StageCleanup, p)
	if s.OnCleanup != nil {
		return s.OnCleanup(ctx, p)
	}
	return nil
}
