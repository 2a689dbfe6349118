package provenance

import "ingest/internal/errcode"

// Types of the statement and of what is in it. They are compared as a whole and lead
// nowhere.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "urn:ingest:provenance:v1"
	BuildType     = "urn:ingest:import:v1"
	BuilderID     = "urn:ingest:server"
)

// A Statement says of one image where it comes from.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"` // the image, as stored
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// A Subject is an image: its id, and the digests of its stored bytes by algorithm.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// A Predicate is what is said of the image.
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
	Image           Image           `json:"image"`
	// Chain is what the bytes went through, from the source to the store.
	Chain        []Link       `json:"chain"`
	Verification Verification `json:"verification"`
	Detection    *Findings    `json:"detection,omitempty"`
	Structure    *Findings    `json:"structure,omitempty"`
	Guest        any          `json:"guest,omitempty"`  // the report on what is inside the disk
	Policy       []any        `json:"policy,omitempty"` // the reports of the operator's policy, oldest first
}

// A BuildDefinition is what was asked for, and what it was made of.
type BuildDefinition struct {
	BuildType            string       `json:"buildType"`
	ExternalParameters   External     `json:"externalParameters"`
	InternalParameters   Internal     `json:"internalParameters"`
	ResolvedDependencies []Dependency `json:"resolvedDependencies"`
}

// External is the request.
type External struct {
	Source AskedSource `json:"source"`
	Target Target      `json:"target"`
	Verify string      `json:"verify,omitempty"`
}

// AskedSource is the source as the request has it.
type AskedSource struct {
	URL          string        `json:"url"`
	Format       string        `json:"format,omitempty"`
	Checksum     string        `json:"checksum,omitempty"`
	ChecksumFile string        `json:"checksumFile,omitempty"`
	Signature    string        `json:"signature,omitempty"`
	Keyring      string        `json:"keyring,omitempty"`
	Mirrors      []string      `json:"mirrors,omitempty"`
	Members      []AskedMember `json:"members,omitempty"`
}

// An AskedMember is another file of the image, as the request has it.
type AskedMember struct {
	URL      string `json:"url"`
	Name     string `json:"name"`
	Checksum string `json:"checksum,omitempty"`
}

// A Target is what the image is stored as.
type Target struct {
	Format          string            `json:"format,omitempty"`
	Compression     string            `json:"compression,omitempty"`
	Options         map[string]string `json:"options,omitempty"`
	Store           string            `json:"store,omitempty"`
	DiskFormat      string            `json:"diskFormat,omitempty"`
	ContainerFormat string            `json:"containerFormat,omitempty"`
}

// Internal is what the server made of the request.
type Internal struct {
	Target Target `json:"target"` // nothing is left open
	Verify string `json:"verify,omitempty"`
	Codec  string `json:"codec,omitempty"` // writer, options and version
}

// A Dependency is a file that the image was made of, in the pinned version.
type Dependency struct {
	Name        string            `json:"name"` // "source", or by which the image knows the file
	URI         string            `json:"uri"`
	Digest      map[string]string `json:"digest,omitempty"` // of the bytes before anything was taken off, if it was taken
	Annotations Pinned            `json:"annotations"`
}

// Pinned is what was known of a file when its version was fixed.
type Pinned struct {
	Driver       string   `json:"driver"`
	Size         int64    `json:"size"`                // of the source, bytes
	Unpacked     int64    `json:"unpacked,omitempty"`  // of what came out of the layer, bytes
	Layer        string   `json:"layer,omitempty"`     // compression that was taken off
	Validator    string   `json:"validator,omitempty"` // that every read was held against
	Strong       bool     `json:"strong"`              // the validator changes with every change of the bytes
	ETag         string   `json:"etag,omitempty"`
	LastModified string   `json:"lastModified,omitempty"`
	Version      string   `json:"version,omitempty"`
	Address      string   `json:"address,omitempty"`   // host:port that answered
	Location     string   `json:"location,omitempty"`  // URL behind the redirects
	Redirects    []string `json:"redirects,omitempty"` // where each one led
	// RedirectsOmitted is how many more there were.
	RedirectsOmitted int `json:"redirectsOmitted,omitempty"`
	// Mirrors are the other places that were read too, and where their redirects led;
	// MirrorsOmitted is how many more there were.
	Mirrors        []string `json:"mirrors,omitempty"`
	MirrorsOmitted int      `json:"mirrorsOmitted,omitempty"`
	Staged         bool     `json:"staged"` // read from a copy on the server
}

// RunDetails says who made the image, and when.
type RunDetails struct {
	Builder  Builder  `json:"builder"`
	Metadata Metadata `json:"metadata"`
}

// A Builder is the server.
type Builder struct {
	ID string `json:"id"`
	// Version has that of "ingest", of "go", and of the modules that touch images.
	Version map[string]string `json:"version"`
}

// Metadata is one run of the import.
type Metadata struct {
	InvocationID string `json:"invocationId"` // workflow id and run id
	StartedOn    string `json:"startedOn"`    // RFC 3339, UTC: the import was accepted
	FinishedOn   string `json:"finishedOn"`   // likewise: the record was made
	TaskID       string `json:"taskId"`
	WorkflowID   string `json:"workflowId"`
	RunID        string `json:"runId,omitempty"`
	Project      string `json:"project,omitempty"`
}

// An Image is the result. Sizes are bytes.
type Image struct {
	ID                string `json:"id"`
	Disk              int    `json:"disk"`  // number of the disk, from 1
	Disks             int    `json:"disks"` // that the source holds
	Size              int64  `json:"size"`  // stored
	VirtualSize       int64  `json:"virtualSize"`
	SourceVirtualSize int64  `json:"sourceVirtualSize"`
	ContentDigest     string `json:"contentDigest"` // of the guest's bytes, the same in every format
	HashAlgo          string `json:"hashAlgo"`
	HashValue         string `json:"hashValue"` // of the stored bytes
	MD5               string `json:"md5,omitempty"`
}

// A Link is one step of the chain: "layer", "container", "disk", or "stored".
type Link struct {
	Kind        string `json:"kind"`
	Name        string `json:"name"` // of the layer, the container or the format
	Subformat   string `json:"subformat,omitempty"`
	Compression string `json:"compression,omitempty"`
	Creator     string `json:"creator,omitempty"` // as the header says
	Member      string `json:"member,omitempty"`  // of the container
}

// Verification is what was proven, of the source and of what is stored.
type Verification struct {
	Level  string  `json:"level,omitempty"` // of the stored bytes: "full", "stored", "none"
	Proofs []Proof `json:"proofs"`          // that the source is its publisher's
	// Omitted is how many proofs more there were.
	Omitted int `json:"omitted,omitempty"`
}

// A Proof is a digest or signature that held.
type Proof struct {
	Kind         string `json:"kind"`
	File         string `json:"file,omitempty"`
	Algo         string `json:"algo,omitempty"`
	Digest       string `json:"digest,omitempty"`
	URL          string `json:"url,omitempty"`
	SignatureURL string `json:"signatureUrl,omitempty"`
	Keyring      string `json:"keyring,omitempty"`
	Fingerprint  string `json:"fingerprint,omitempty"`
	SigningKey   string `json:"signingKey,omitempty"`
	UserID       string `json:"userId,omitempty"`
	SignedAt     string `json:"signedAt,omitempty"`
	VerifiedAt   string `json:"verifiedAt,omitempty"`
}

// Findings are those of one stage. Omitted is how many more there were.
type Findings struct {
	Findings []Finding `json:"findings"`
	Checks   []Check   `json:"checks,omitempty"`
	Omitted  int       `json:"omitted,omitempty"`
}

// A Finding is one thing that was noticed and did not refuse the image.
type Finding struct {
	Code     errcode.Code      `json:"code"`
	Severity string            `json:"severity"`
	Message  string            `json:"message"`
	Evidence *errcode.Evidence `json:"evidence,omitempty"`
}

// A Check is one check of detection and how it came out.
type Check struct {
	Name   string `json:"name"`
	Result string `json:"result"`
}
