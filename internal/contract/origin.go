package contract

// An Origin is where a source was when it was pinned. Nothing in it is secret: URLs
// have neither user nor query.
type Origin struct {
	URL          string   `json:"url"`                     // behind all redirects
	Redirects    []string `json:"redirects,omitempty"`     // where each one led, in their order
	Address      string   `json:"address,omitempty"`       // host:port of the server that answered
	ETag         string   `json:"etag,omitempty"`          // also a weak one, which pins nothing
	LastModified string   `json:"last_modified,omitempty"` // as HTTP writes dates
	Version      string   `json:"version,omitempty"`       // of the object, where the source keeps several
	Others       []string `json:"others,omitempty"`        // the mirrors that are read too, and where their redirects led
}
