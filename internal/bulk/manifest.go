package bulk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"

	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// Bounds of a manifest.
const (
	MaxItems = 100_000
	// MaxBytes is how long a manifest may be; MaxYAML is how long one in YAML may be,
	// which takes many times its length to be read.
	MaxBytes = 64 << 20
	MaxYAML  = 16 << 20
	maxName  = 200
	maxKey   = 200
	// maxTold is how many errors of a manifest are told at once.
	maxTold = 10
)

// StandardBreaker is that of a manifest that says nothing of one.
var StandardBreaker = metadata.Breaker{Failures: 5, Pause: 30, MaxPause: 600, GiveUp: 3600}

// An Item is one source of a manifest.
type Item struct {
	Key       string              `json:"key,omitempty"`      // by which people know it, unique; its number unless set
	Source    contract.SourceSpec `json:"source"`             // as in an import
	Target    contract.TargetSpec `json:"target"`             // as in an import
	Image     contract.ImageSpec  `json:"image"`              // as in an import; the name is "{basename}" unless set
	ImageID   string              `json:"image_id,omitempty"` // that the image shall have
	Verify    string              `json:"verify,omitempty"`
	Priority  *int                `json:"priority,omitempty"`  // items of a higher one begin first
	Bandwidth bandwidth.Rate      `json:"bandwidth,omitempty"` // as in an import
	contract.StoresSpec
}

// A Head is what a manifest says beside its items.
type Head struct {
	Name      string              `json:"name,omitempty"`
	Again     bool                `json:"again,omitempty"` // do also what an earlier bulk has done
	Defaults  json.RawMessage     `json:"defaults,omitempty"`
	Limits    metadata.BulkLimits `json:"limits,omitzero"`
	Windows   []string            `json:"windows,omitempty"`
	OnFailure string              `json:"on_failure,omitempty"`
	Breaker   *metadata.Breaker   `json:"breaker,omitempty"` // StandardBreaker unless set; {"failures":0} is none
}

// A rawItem is an item as it was written.
type rawItem struct {
	line int
	json json.RawMessage
}

// A Manifest is one that was read, with nothing resolved.
type Manifest struct {
	Head
	items []rawItem
}

// Len is the number of items.
func (m *Manifest) Len() int { return len(m.items) }

// Settings are those of the bulk.
func (m *Manifest) Settings() metadata.BulkSettings {
	s := metadata.BulkSettings{Limits: m.Limits, Windows: m.Windows, OnFailure: m.OnFailure, Breaker: StandardBreaker}
	if m.Breaker != nil {
		s.Breaker = *m.Breaker
	}
	return s
}

// A Submission is who asks for a bulk, and as what.
type Submission struct {
	ID, Owner, UserID, WorkflowID string
	// Roles are those of the user, by which the operator's policy goes; nil if nothing
	// proves them.
	Roles []string
	// Check judges the request of an item; nil finds nothing wrong.
	Check func(contract.ImportRequest) error
}

// Bulk resolves a manifest: the bulk and its items, to be written down.
func (m *Manifest) Bulk(s Submission) (metadata.Bulk, []metadata.BulkItem, error) {
	b := metadata.Bulk{ID: s.ID, Owner: s.Owner, UserID: s.UserID, WorkflowID: s.WorkflowID, Name: m.Name, Settings: m.Settings()}
	if len([]rune(m.Name)) > maxName {
		return b, nil, bad("name", m.Name, "the name has more than %d characters", maxName)
	}
	if err := b.Settings.Check(); err != nil {
		return b, nil, err
	}
	r := resolver{m: m, s: s, keys: map[string]int{}, sources: map[string]int{}}
	items := make([]metadata.BulkItem, 0, len(m.items))
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q\n", s.Owner, m.Name)
	for i, raw := range m.items {
		it, err := r.item(i+1, raw)
		if err != nil {
			if r.wrong(i+1, raw.line, err) {
				break
			}
			continue
		}
		sum.Write([]byte(it.Digest))
		items = append(items, it)
	}
	b.Digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return b, items, r.err()
}

// Requests are the requests of all items, as Bulk resolves them.
func (m *Manifest) Requests(s Submission) ([]contract.ImportRequest, []metadata.BulkItem, error) {
	_, items, err := m.Bulk(s)
	if err != nil {
		return nil, nil, err
	}
	out := make([]contract.ImportRequest, len(items))
	for i, it := range items {
		if err := json.Unmarshal(it.Request, &out[i]); err != nil {
			return nil, nil, errcode.Wrap(err, errcode.Internal, "read the request of item %d", it.N)
		}
	}
	return out, items, nil
}

// A resolver makes items of what was written.
type resolver struct {
	m       *Manifest
	s       Submission
	keys    map[string]int // number of the item by key
	sources map[string]int // and of the first one of a source
	told    []string
	first   *errcode.Evidence
	code    errcode.Code
}

func (r *resolver) item(n int, raw rawItem) (metadata.BulkItem, error) {
	var it Item
	if len(r.m.Defaults) > 0 {
		if err := strict(r.m.Defaults, &it); err != nil {
			return metadata.BulkItem{}, within("defaults", err)
		}
	}
	if err := strict(raw.json, &it); err != nil {
		return metadata.BulkItem{}, err
	}
	if it.Key == "" {
		it.Key = strconv.Itoa(n)
	}
	if len([]rune(it.Key)) > maxKey {
		return metadata.BulkItem{}, bad("key", it.Key, "the key has more than %d characters", maxKey)
	}
	if other, taken := r.keys[it.Key]; taken {
		return metadata.BulkItem{}, bad("key", it.Key, "the key %q is that of item %d too", it.Key, other)
	}
	r.keys[it.Key] = n
	if err := fill(&it, n); err != nil {
		return metadata.BulkItem{}, err
	}
	req := contract.ImportRequest{ImageID: it.ImageID, Owner: r.s.Owner, UserID: r.s.UserID, Roles: r.s.Roles, Source: it.Source, Target: it.Target, Image: it.Image,
		Verify: it.Verify, Priority: it.Priority, Bandwidth: it.Bandwidth, StoresSpec: it.StoresSpec}
	if err := r.check(req); err != nil {
		return metadata.BulkItem{}, err
	}
	return r.row(n, it, req)
}

func (r *resolver) check(req contract.ImportRequest) error {
	if err := req.Check(); err != nil || r.s.Check == nil {
		return err
	}
	return r.s.Check(req)
}

// row is the item as the catalogue keeps it.
func (r *resolver) row(n int, it Item, req contract.ImportRequest) (metadata.BulkItem, error) {
	out := metadata.BulkItem{N: n, Key: it.Key, Host: Host(it.Source.URL), Store: it.Target.Store, ImageID: it.ImageID, Urgency: contract.MaxPriority - req.Urgency()}
	if out.Store == "" && len(it.Stores) > 0 {
		out.Store = it.Stores[0]
	}
	var err error
	if out.Request, err = json.Marshal(req); err != nil {
		return out, errcode.Wrap(err, errcode.Internal, "write the request of item %d", n)
	}
	asked := req
	asked.Priority, asked.UserID, asked.Roles, asked.Bandwidth = nil, "", nil, 0
	if out.Digest, err = digest(asked); err != nil {
		return out, err
	}
	same, err := digest(contract.ImportRequest{Source: req.Source, Target: req.Target, Verify: req.Verify, StoresSpec: req.StoresSpec})
	if err != nil {
		return out, err
	}
	if first, known := r.sources[same]; known {
		out.SameAs = first
	} else {
		r.sources[same] = n
	}
	return out, nil
}

// digest is that of a request.
func digest(req contract.ImportRequest) (string, error) {
	raw, err := json.Marshal(req)
	if err != nil {
		return "", errcode.Wrap(err, errcode.Internal, "write a request")
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// Host names where a source is: the host and port of a URL, the bucket of S3, "file" for
// a file.
func Host(source string) string {
	u, err := url.Parse(source)
	if err != nil || u.Host == "" {
		return "file"
	}
	if u.Scheme == "s3" {
		return "s3:" + strings.ToLower(u.Host)
	}
	host := strings.ToLower(u.Host)
	if len(host) > 255 {
		host = host[:255]
	}
	return host
}

// file is the last element of a source's path.
func file(source string) string {
	p := source
	if u, err := url.Parse(source); err == nil && u.Scheme != "" {
		p = u.Path
	}
	if base := path.Base(p); base != "." && base != "/" {
		return base
	}
	return ""
}

// wrong notes what is wrong with an item, and reports whether that is enough.
func (r *resolver) wrong(n, line int, err error) bool {
	at := fmt.Sprintf("item %d", n)
	if line > 0 {
		at = fmt.Sprintf("line %d, item %d", line, n)
	}
	message := err.Error()
	if e, ok := errcode.As(err); ok {
		message = e.Message
		if r.first == nil {
			r.code = e.Code
			r.first = &errcode.Evidence{Structure: "manifest", Field: fmt.Sprintf("items[%d]", n-1)}
			if e.Evidence != nil {
				r.first.Value, r.first.Limit = e.Evidence.Value, e.Evidence.Limit
				if e.Evidence.Field != "" {
					r.first.Field += "." + e.Evidence.Field
				}
			}
		}
	}
	r.told = append(r.told, at+": "+message)
	return len(r.told) >= maxTold
}

func (r *resolver) err() error {
	if len(r.told) == 0 {
		return nil
	}
	if r.first == nil {
		r.first, r.code = &errcode.Evidence{Structure: "manifest"}, errcode.BadRequest
	}
	return errcode.New(r.code, "%s", strings.Join(r.told, "; ")).With(*r.first)
}

func bad(field, value, format string, args ...any) *errcode.Error {
	return errcode.New(errcode.BadRequest, format, args...).With(errcode.Evidence{Structure: "manifest", Field: field, Value: value})
}

// within says in which part of the head an error is.
func within(part string, err error) error {
	if e, ok := errcode.As(err); ok && e.Evidence != nil {
		ev := *e.Evidence
		ev.Field = part + "." + ev.Field
		return errcode.New(e.Code, "%s: %s", part, e.Message).With(ev)
	}
	return err
}
