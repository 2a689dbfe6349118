package contract

import "encoding/json"

// Names of the dry run that Temporal knows. They are stable for ever.
const (
	// PlanWorkflow takes an ImportRequest and returns a Forecast. It leaves nothing
	// behind: no row, no upload, no staged file.
	PlanWorkflow = "PlanImport"
	PlanActivity = "Plan"
)

// PlanID returns the id of the workflow of a dry run.
func PlanID(owner, id string) string {
	if owner == "" {
		owner = "default"
	}
	return "plan/" + owner + "/" + id
}

// The verdicts of a Forecast.
const (
	// VerdictAccepted: nothing that was read stands against the import.
	VerdictAccepted = "accepted"
	// VerdictRefused: the import would fail, with Error.
	VerdictRefused = "refused"
	// VerdictUnknown: too little could be read within the limits.
	VerdictUnknown = "unknown"
)

// Unknown is the figure of a Forecast that could not be found out.
const Unknown = -1

// A Forecast is what an import would do, from a few reads of its source. A figure
// that is not known is Unknown, never guessed without saying so: each estimate has
// its basis beside it.
type Forecast struct {
	Verdict string `json:"verdict"`
	// Stage and Error are where and why the import would be refused.
	Stage Stage       `json:"stage,omitempty"`
	Error *ErrorValue `json:"error,omitempty"`
	// Sources are the files of the image, the one that was asked for first.
	Sources  []ForecastSource `json:"sources"`
	Detected *Detected        `json:"detected,omitempty"`
	// Report is that of detection, as ingest inspect prints it.
	Report json.RawMessage `json:"report,omitempty"`
	// Disks are what becomes an image each.
	Disks []ForecastDisk `json:"disks,omitempty"`
	// About is what the source's own catalogue says of the image, nil if it stands in
	// none.
	About   *About        `json:"about,omitempty"`
	Staging ForecastSpace `json:"staging"`
	Store   ForecastSpace `json:"store"`
	// Checks are the digests and other proofs that the import demands, none of
	// which has been made.
	Checks   []ForecastCheck `json:"checks"`
	Policies []PolicyReport  `json:"policies"`
	Quota    string          `json:"quota"`
	Time     ForecastTime    `json:"time"`
	Read     ForecastRead    `json:"read"`
	// Unknowns says what was not looked at, and why, one sentence each.
	Unknowns []string `json:"unknowns"`
}

// A ForecastSource says how a file would be read.
type ForecastSource struct {
	Name      string `json:"name,omitempty"`      // of a member
	Origin    string `json:"origin"`              // scheme and host, or the path of a file; never the rest of a URL
	Resolved  string `json:"resolved,omitempty"`  // scheme and host behind the redirects
	Redirects int    `json:"redirects,omitempty"` // that led there
	Driver    string `json:"driver"`
	Size      int64  `json:"size"`                // bytes, Unknown if the server does not say
	Validator string `json:"validator,omitempty"` // by which a version is recognised
	Strong    bool   `json:"strong,omitempty"`    // the validator changes with every change of the bytes
	Ranges    bool   `json:"ranges"`              // any range of a known version can be read
	Layer     string `json:"layer,omitempty"`     // compression around the file
	Staged    bool   `json:"staged"`              // it is copied before it is read
	Reason    string `json:"reason"`              // why it is staged, or read in place
}

// A ForecastDisk says what would become of one disk.
type ForecastDisk struct {
	Name          string          `json:"name,omitempty"` // of the container's member
	Format        string          `json:"format,omitempty"`
	Subformat     string          `json:"subformat,omitempty"`
	VirtualSize   int64           `json:"virtual_size"`   // bytes
	AllocatedSize int64           `json:"allocated_size"` // guest bytes stored as data
	Target        TargetSpec      `json:"target"`         // with every option resolved
	Verify        string          `json:"verify,omitempty"`
	Stored        ForecastSize    `json:"stored"`
	MinDisk       int64           `json:"min_disk,omitempty"` // GiB
	Summary       string          `json:"summary,omitempty"`  // what is inside, in one line
	Guest         json.RawMessage `json:"guest,omitempty"`    // facts of package guest, without lists of files
	// Properties are those that the image would get where its owner sets none of
	// that name.
	Properties map[string]string `json:"properties,omitempty"`
}

// A ForecastSize is an estimate of stored bytes.
type ForecastSize struct {
	Bytes int64 `json:"bytes"`
	// Least is how much of it takes room for certain: the rest may be holes.
	Least int64 `json:"least"`
	// Exact says that the layout was made, and not estimated.
	Exact bool   `json:"exact,omitempty"`
	Basis string `json:"basis"`
}

// A ForecastSpace says whether there is room.
type ForecastSpace struct {
	Name   string `json:"name,omitempty"` // of the store
	Needed int64  `json:"needed"`         // bytes
	Free   int64  `json:"free"`           // bytes
	Enough *bool  `json:"enough"`         // nil if that is not known
	Basis  string `json:"basis"`
}

// A ForecastCheck is a proof that the import demands.
type ForecastCheck struct {
	What  string `json:"what"`
	Value string `json:"value,omitempty"`
}

// ForecastTime is how long the import would take.
type ForecastTime struct {
	Seconds float64 `json:"seconds"`
	Basis   string  `json:"basis"`
}

// ForecastRead is what the dry run itself has read of the image's files. Checksum
// files and signatures, which are small, are not counted.
type ForecastRead struct {
	Bytes       int64   `json:"bytes"`
	Requests    int64   `json:"requests"`
	Seconds     float64 `json:"seconds"`       // of waiting for the source
	MaxBytes    int64   `json:"max_bytes"`     // that it may read
	MaxRequests int64   `json:"max_requests"`  // that it may make, 0 for any number
	BytesPerSec float64 `json:"bytes_per_sec"` // Unknown if too little was read to say
}

// NewForecast returns a forecast in which nothing is known.
func NewForecast() Forecast {
	return Forecast{
		Verdict: VerdictUnknown, Sources: []ForecastSource{},
		Staging: ForecastSpace{Needed: Unknown, Free: Unknown}, Store: ForecastSpace{Needed: Unknown, Free: Unknown},
		Checks: []ForecastCheck{}, Policies: []PolicyReport{}, Quota: "none configured",
		Time: ForecastTime{Seconds: Unknown, Basis: "unknown"}, Unknowns: []string{},
		Read: ForecastRead{BytesPerSec: Unknown},
	}
}

// Stages says whether any file is copied before it is read.
func (f Forecast) Stages() bool {
	for _, s := range f.Sources {
		if s.Staged {
			return true
		}
	}
	return false
}

// Stored is the estimate of what all disks take in the store, bytes, and what they
// take at least; Unknown if that of any is not known.
func (f Forecast) Stored() (bytes, least int64) {
	if len(f.Disks) == 0 {
		return Unknown, Unknown
	}
	for _, d := range f.Disks {
		if bytes >= 0 && d.Stored.Bytes >= 0 {
			bytes += d.Stored.Bytes
		} else {
			bytes = Unknown
		}
		least += max(d.Stored.Least, 0)
	}
	return bytes, least
}
