// Package pipeline is the data path in plain Go: fetch, detect, validate,
// convert, checksum, commit. The activities, the API's downloads and the
// command line all call it; it knows nothing of Temporal or the catalogue.
//
// Every step can be run again after a crash, at any point: what it did is found
// in the staged file's sidecar or in the upload's note, and it goes on there.
package pipeline

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"ingest/detect"
	"ingest/exports"
	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/sources"
	"ingest/stores"
	"ingest/unwrap"
)

// A Pipeline holds what the steps need. It is made once by cmd/ingest and is
// safe for concurrent use.
type Pipeline struct {
	Readers []formats.Format // formats that can be read
	Sources sources.Set
	Stores  map[string]stores.Store
	// Exports are the destinations that images may be sent to.
	Exports exports.Set
	// DefaultStore is used when a request names none.
	DefaultStore string
	// Space is asked before staging or a store is written to; nil asks nobody.
	Space Keeper
	// StagingDir holds staged sources, one folder a task.
	StagingDir string
	// HostQueue is the task queue of this host; steps behind a fetch run on it
	// if they need what lies here. "" if nothing does.
	HostQueue string
	// Anywhere says that every host reaches StagingDir and the stores: no step belongs
	// to the host of the fetch.
	Anywhere bool
	// OutputFormat and OutputCompression are the target when the request names
	// none and the source is not raw.
	OutputFormat      string
	OutputCompression string
	// HashAlgo is the algorithm of the stored digest, "sha256" or "sha512";
	// MD5 adds Glance's old checksum.
	HashAlgo string
	MD5      bool
	// Verify is the level of imports that ask for none, and VerifyMinimum the
	// least strict one that an import may ask for: see contract.VerifyPolicy.
	Verify        string
	VerifyMinimum string

	// Keyrings hold the keys of the publishers that the operator trusts, and
	// AllowMD5 admits digests of MD5: see package verify.
	Keyrings verify.Keyrings
	AllowMD5 bool

	Limits  formats.Limits
	Workers int   // of one copy; 0 means one for each core
	Memory  int64 // bytes in flight of one copy; 0 means the default
	// MaxSourceBytes is the largest source that is taken; 0 means no limit.
	MaxSourceBytes int64
	// Guest says how what is inside of disks is found out; nil means not at all.
	Guest *GuestOptions
	// Unwrap bounds what is taken off a source; nil means unwrap.DefaultLimits.
	Unwrap *unwrap.Limits
	// CheckpointEvery is how much work a crash may cost; 0 means 2 seconds.
	CheckpointEvery time.Duration

	// Ahead is how many conversions may run at once beside the fetch of their source;
	// 0 means two. Each holds a quarter of Memory.
	Ahead int

	// free, if set by a test, is fsutil.Free.
	free func(dir string) (int64, error)

	once     sync.Once
	detector *detect.Detector
	aheads   atomic.Int64 // that run
	headings headings     // of files that Stream has made

	looksOnce sync.Once
	looks     chan struct{}
}

// Observe is told how far a step is: bytes done of total (-1 if unknown), and
// a hint for another attempt. It is called often and must be quick.
type Observe func(done, total int64, resume []byte)

// ignore is the Observe of a caller who does not care.
func ignore(int64, int64, []byte) {}

func (p *Pipeline) detect() *detect.Detector {
	p.once.Do(func() { p.detector = detect.New(p.Readers) })
	return p.detector
}

func (p *Pipeline) engine() transfer.Engine {
	return transfer.Engine{Workers: p.Workers, Memory: p.Memory}
}

// checkpointBytes is how much is written between two checkpoints at most,
// however fast it goes: making it durable shows no progress, and takes a slow
// disk seconds, not minutes.
const checkpointBytes = 512 << 20

// checkpointDue reports whether enough work has been done since the last
// checkpoint: each one makes the disk good for what was written, which costs.
func (p *Pipeline) checkpointDue(last time.Time, written int64) bool {
	every := p.CheckpointEvery
	if every == 0 {
		every = 2 * time.Second
	}
	return written >= checkpointBytes || time.Since(last) >= every
}

// verifyPolicy is what imports may ask for.
func (p *Pipeline) verifyPolicy() contract.VerifyPolicy {
	return contract.VerifyPolicy{Default: p.Verify, Least: p.VerifyMinimum}
}

// store returns the named store, or the default one.
func (p *Pipeline) store(name string) (stores.Store, error) {
	if name == "" {
		name = p.DefaultStore
	}
	s, ok := p.Stores[name]
	if !ok {
		return nil, errcode.New(errcode.StoreUnknown, "there is no store %q", name)
	}
	return s, nil
}

// Steps are the pipeline's steps as the activities call them. Each takes and
// returns what travels through Temporal.
type Steps interface {
	// Forecast says what an import would do, and leaves nothing behind.
	Forecast(ctx context.Context, req contract.ImportRequest) (contract.Forecast, error)
	// Fetch pins the source and its members and decides which of them are read
	// where they lie; stages the others, resuming what an earlier attempt
	// staged; checks the caller's digests. What it stages may be converted meanwhile,
	// into the upload that Convert will look for.
	Fetch(ctx context.Context, p contract.FetchParams, o Observe) (contract.Fetched, error)
	// Detect finds out what the source is. The report is whole even when the
	// error refuses the image.
	Detect(ctx context.Context, p contract.DetectParams) (contract.Detected, detect.Report, error)
	// Validate checks the whole structure, and fixes the target and the level
	// of verification.
	Validate(ctx context.Context, p contract.ValidateParams) (contract.Validated, []formats.Finding, error)
	// LookInside says what is inside a disk that Validate has passed. It fails
	// with the source and with nothing else.
	LookInside(ctx context.Context, p contract.ValidateParams) (Inside, error)
	// Convert writes the target into the upload named by the key, resuming
	// what an earlier attempt wrote.
	Convert(ctx context.Context, p contract.ConvertParams, o Observe) (contract.Converted, error)
	// Checksum seals the upload and reads it back: stored digests, and as
	// much of what is in it as the level of verification says. resume is the last hint of an earlier
	// attempt, or nil.
	Checksum(ctx context.Context, p contract.ChecksumParams, resume []byte, o Observe) (contract.Checksummed, error)
	// Commit makes the sealed upload visible.
	Commit(ctx context.Context, p contract.StoreParams) (contract.Stored, error)
	// Copy brings stored bytes into another store, resuming what an earlier attempt
	// copied, and proves on the way that they are those of the digest.
	Copy(ctx context.Context, p contract.CopyParams, o Observe) (contract.Stored, error)
	// Locate finds an object by its URL, checks it whole where it lies and takes its
	// digests. resume is the last hint of an earlier attempt, or nil.
	Locate(ctx context.Context, p contract.LocateParams, resume []byte, o Observe) (contract.Located, []formats.Finding, error)
	// Holds reports whether an object is there, with the digest that is wanted.
	Holds(ctx context.Context, at contract.Stored, want stores.Digest) (bool, error)
	// CopyTargets returns the stores that are meant.
	CopyTargets(s contract.StoresSpec) ([]string, error)
	// Export sends stored bytes to a destination, resuming what an earlier attempt sent
	// where that can be done.
	Export(ctx context.Context, p contract.ExportParams, o Observe) (contract.Exported, error)
	// Cleanup removes what the import left behind. It is idempotent.
	Cleanup(ctx context.Context, p contract.CleanupParams) error
}

var _ Steps = (*Pipeline)(nil)
