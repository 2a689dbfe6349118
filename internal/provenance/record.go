package provenance

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// MaxStatementBytes bounds a statement. What an import yields takes a tenth of it;
// crafted images can have any number of findings, of which so many are kept as fit.
const MaxStatementBytes = 512 << 10

// A Recorder makes the records of one server. The zero value makes unsigned ones
// that name no versions.
type Recorder struct {
	// Versions are those of the server, see Versions.
	Versions map[string]string
	// Key signs; nil leaves the records unsigned.
	Key *Key
	// NoAddress leaves the addresses out that the sources' servers answered from.
	NoAddress bool
}

// An Import is what is known of one disk of an import once it is stored.
type Import struct {
	Request  contract.ImportRequest
	Fetched  contract.Fetched // zero if the workflow did not carry it
	Detected contract.Detected
	Done     contract.DiskDone // the disk, from 1
	Reports  []Report          // those of the task, oldest first
	// WorkflowID and RunID are the run that activates.
	WorkflowID, RunID string
	Started, Finished time.Time
}

// A Report is one that a stage has put into the task's history.
type Report struct {
	Stage  string
	Detail json.RawMessage
}

// Record returns the document that is kept with the image: an envelope if there is a
// key, else the statement itself.
func (r Recorder) Record(in Import) (json.RawMessage, error) {
	body, err := r.statement(in)
	if err != nil {
		return nil, err
	}
	if r.Key == nil {
		return body, nil
	}
	return r.Key.Seal(body)
}

// statement writes as much of what is known as fits.
func (r Recorder) statement(in Import) ([]byte, error) {
	for _, b := range budgets() {
		body, err := canonical(r.build(in, b), b)
		if err != nil {
			return nil, errcode.Wrap(err, errcode.Internal, "write provenance of image %s", in.Done.ImageID)
		}
		if len(body) <= MaxStatementBytes {
			return body, nil
		}
	}
	return nil, errcode.New(errcode.Internal, "the provenance of image %s has more than %d bytes", in.Done.ImageID, MaxStatementBytes)
}

// Versions returns what a record says of the program: the version of ingest as
// given, that of Go, and those of the modules that touch an image's bytes or judge
// them.
func Versions(ingest string) map[string]string {
	out := map[string]string{"ingest": ingest, "go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/klauspost/compress", "github.com/ulikunitz/xz", "github.com/zeebo/blake3",
			"github.com/diskfs/go-diskfs", "github.com/ProtonMail/go-crypto":
			if m.Replace != nil {
				m = m.Replace
			}
			out[m.Path] = m.Version
		}
	}
	return out
}
