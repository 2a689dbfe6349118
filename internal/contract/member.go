package contract

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"ingest/internal/errcode"
)

// Limits of an image's other files. A request travels through Temporal many
// times, so that all URLs together are bounded too.
const (
	MaxMembers         = 64        // of one image
	MaxMirrors         = 15        // of one source
	MaxMemberURLBytes  = 128 << 10 // of all members together
	maxMemberNameBytes = 255
)

// A MemberSpec is another file of the source's image: an extent file of a VMDK,
// a parent of a differencing disk. It is read under the same rules as the source.
type MemberSpec struct {
	URL        string `json:"url"`                  // as that of the source
	Name       string `json:"name,omitempty"`       // by which the image knows it; "" means that of the URL's path
	Checksum   string `json:"checksum,omitempty"`   // of its bytes, as that of the source
	Credential string `json:"credential,omitempty"` // name of a credential, never the secret
}

// FileName is the name by which the image knows the member, without any folder:
// the given one, or the last element of the URL's path; "" if there is none.
func (m MemberSpec) FileName() string {
	if m.Name != "" {
		return m.Name
	}
	p := m.URL
	if strings.Contains(m.URL, "://") {
		u, err := url.Parse(m.URL)
		if err != nil {
			return ""
		}
		p = u.Path
	}
	if base := path.Base(p); base != "." && base != "/" && base != ".." {
		return base
	}
	return ""
}

// checkMembers is Check for the source's members.
func (s SourceSpec) checkMembers() error {
	if len(s.Members) > MaxMembers {
		return badField("source.members", fmt.Sprintf("are more than %d", MaxMembers))
	}
	total := 0
	for i, m := range s.Members {
		at := fmt.Sprintf("source.members[%d]", i)
		total += len(m.URL)
		switch {
		case m.URL == "":
			return badField(at+".url", "is missing")
		case len(m.URL) > MaxURLBytes:
			return badField(at+".url", "is too long")
		case total > MaxMemberURLBytes:
			return badField("source.members", fmt.Sprintf("have URLs of more than %d bytes together", MaxMemberURLBytes))
		}
		if name := m.FileName(); !plainName(name) {
			return badField(at+".name", "is no file name: give the one by which the image knows the file, without a folder").
				With(errcode.Evidence{Structure: "request", Field: at + ".name", Value: m.Name})
		}
	}
	return nil
}

// plainName accepts a short name of one file.
func plainName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxMemberNameBytes && utf8.ValidString(name) &&
		!strings.Contains(name, "/") && strings.IndexFunc(name, unicode.IsControl) < 0
}
