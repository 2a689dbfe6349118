package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Upload is what clients may send.
type Upload struct {
	MostBytes  int64         // of one upload; 0: no limit
	PerProject int           // received at once; 0: no limit
	Stall      time.Duration // in which a client has to send something
	Staged     time.Duration // for which staged bytes wait for their import
	// Methods are the import methods that are enabled, empty for all.
	Methods []string
	// Regions are the other clouds of glance-download.
	Regions map[string]Region
	// DirectURL and Locations show where the bytes of images lie.
	DirectURL, Locations bool

	regions []string
}

// A Region is another cloud, by the URL of its image service or by a credential.
type Region struct{ URL, Credential string }

// ImportMethods are those that can be enabled.
func ImportMethods() []string {
	return []string{"glance-direct", "web-download", "glance-download", "copy-image"}
}

func (u *Upload) flags(f *pflag.FlagSet) {
	f.Int64Var(&u.MostBytes, "upload-max-bytes", 1<<40, "largest upload that is taken, bytes (0: no limit)")
	f.IntVar(&u.PerProject, "uploads-per-project", 16, "uploads of one project that are received at once (0: no limit)")
	f.DurationVar(&u.Stall, "upload-stall", time.Minute, "how long the client of an upload may send nothing")
	f.DurationVar(&u.Staged, "staged-lifetime", 24*time.Hour, "how long bytes that were staged wait for their import")
	f.StringSliceVar(&u.Methods, "import-methods", nil, "import methods of the image API that are enabled: glance-direct, web-download, glance-download, copy-image (default: all that the server can do)")
	f.StringArrayVar(&u.regions, "glance-region", nil, "cloud that glance-download reads from, `NAME=URL[,CREDENTIAL]` or NAME=,CREDENTIAL for one whose list of services names it; repeat for each")
	f.BoolVar(&u.DirectURL, "show-image-direct-url", false, "show in direct_url where the bytes of an image lie, to whom the rule get_image_location lets see it")
	f.BoolVar(&u.Locations, "show-multiple-locations", false, "show all places of an image's bytes in locations, and let patches add and remove them; whoever may write to a store then decides what is in its images")
}

func (u *Upload) check() error {
	switch {
	case u.MostBytes < 0:
		return bad("--upload-max-bytes", "", "is negative")
	case u.PerProject < 0:
		return bad("--uploads-per-project", "", "is negative")
	case u.Stall < time.Second || u.Stall > time.Hour:
		return bad("--upload-stall", u.Stall.String(), "is not between a second and an hour")
	case u.Staged < time.Minute:
		return bad("--staged-lifetime", u.Staged.String(), "is less than a minute")
	}
	for _, m := range u.Methods {
		if !slices.Contains(ImportMethods(), m) {
			return bad("--import-methods", m, "is none of "+strings.Join(ImportMethods(), ", "))
		}
	}
	u.Regions = map[string]Region{}
	for _, text := range u.regions {
		name, rest, ok := strings.Cut(text, "=")
		at, credential, _ := strings.Cut(rest, ",")
		if !ok || name == "" || at == "" && credential == "" {
			return bad("--glance-region", text, "is not NAME=URL[,CREDENTIAL]")
		}
		if to, err := url.Parse(at); at != "" && (err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" || to.User != nil || to.RawQuery != "") {
			return bad("--glance-region", name, "has a URL that is not http(s)://HOST[:PORT][/PREFIX]")
		}
		u.Regions[name] = Region{URL: at, Credential: credential}
	}
	return nil
}
