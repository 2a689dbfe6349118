package config

import (
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// LocalStore is the store below the data folder, which is always there.
const LocalStore = "local"

// Stores says where images are kept.
type Stores struct {
	List    []Store // as declared, the one below the data folder first
	Default string  // its name, used by imports that name none

	// Once lets images share the objects of equal bytes: "" for none, "project" or
	// "all".
	Once string

	declared declarations
}

// A Store is declared by --store NAME=PLACE.
type Store struct {
	Name string
	// Dirs are the folders of a file store; nil for one in a bucket.
	Dirs []string
	// Weights are those of several folders: which of them is filled first.
	Weights []int
	S3      *S3Store
	Web     *WebStore
}

// WebStore is a store that is read from a web server: URL[?credential=NAME].
type WebStore struct {
	Base       string // without a slash at its end
	Credential string
}

// S3Store is a store in a bucket: s3://BUCKET[/PREFIX][?OPTION=VALUE&…].
type S3Store struct {
	Bucket, Prefix          string
	Endpoint, Region, Style string
	Credential              string // its name
	PartSize, Memory        int64  // bytes; 0 means the default
	MaxObject               int64  // bytes; 0 means the default
	Parallel                int
	Checksum                string
	Encryption, KMSKey      string
	StorageClass            string
	OneWriter               bool
}

// declarations is the flag, which is given again and again; one value may hold
// several, apart by spaces.
type declarations []string

func (d *declarations) String() string { return strings.Join(*d, " ") }

// Set adds what is declared.
func (d *declarations) Set(v string) error {
	*d = append(*d, strings.Fields(v)...)
	return nil
}

// Type names the value in the help.
func (d *declarations) Type() string { return "NAME=PLACE" }

func (c *Stores) flags(f *pflag.FlagSet) {
	f.Var(&c.declared, "store", "a further store, NAME=FOLDER[:FOLDER...] or NAME=s3://BUCKET/PREFIX?credential=NAME&region=R or, to be read only, NAME=https://HOST/PATH; given again for each")
	f.StringVar(&c.Once, "store-once", "", "keep equal bytes once in a store: \"project\" for the images of a project, \"all\" for those of all projects (default: every image has its own)")
	f.StringVar(&c.Default, "default-store", LocalStore, "store of imports that name none")
}

// check parses the declarations; local is the folder of the store that is always
// there.
func (c *Stores) check(local string) error {
	c.List = []Store{{Name: LocalStore, Dirs: []string{local}}}
	for _, d := range c.declared {
		name, place, ok := strings.Cut(d, "=")
		if !ok || place == "" {
			return bad("--store", shown(d), "is not NAME=FOLDER, NAME=s3://BUCKET/PREFIX or NAME=https://HOST/PATH")
		}
		if !storeName(name) {
			return bad("--store", shown(name), "is no name: it has up to 64 letters, digits, '-', '_' and '.'")
		}
		if slices.ContainsFunc(c.List, func(s Store) bool { return s.Name == name }) {
			return bad("--store", name, "is declared twice; \""+LocalStore+"\" is the store below the data folder")
		}
		s := Store{Name: name}
		var err error
		if strings.HasPrefix(place, "s3://") {
			s.S3, err = s3Store(place)
		} else if strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://") {
			s.Web, err = webStore(place)
		} else {
			s.Dirs, s.Weights, err = folders(place)
		}
		if err != nil {
			return err
		}
		if other := slices.IndexFunc(c.List, func(o Store) bool { return o.place() == s.place() }); other >= 0 {
			return bad("--store", name, "is where the store \""+c.List[other].Name+"\" is: each would take the other's images for nobody's")
		}
		c.List = append(c.List, s)
	}
	if !slices.ContainsFunc(c.List, func(s Store) bool { return s.Name == c.Default }) {
		return bad("--default-store", c.Default, "is not declared; say --store "+c.Default+"=PLACE")
	}
	if slices.ContainsFunc(c.List, func(s Store) bool { return s.Name == c.Default && s.Web != nil }) {
		return bad("--default-store", c.Default, "is read from a web server, and takes no images")
	}
	if !slices.Contains([]string{"", "project", "all"}, c.Once) {
		return bad("--store-once", shown(c.Once), "is neither project nor all")
	}
	return nil
}

// place is where a store lies, as far as its declaration tells.
func (s Store) place() string {
	if s.S3 != nil {
		return "s3://" + s.S3.Bucket + "/" + s.S3.Prefix + "@" + strings.TrimRight(s.S3.Endpoint, "/")
	}
	if s.Web != nil {
		return s.Web.Base
	}
	dir := s.Dirs[0]
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return filepath.Clean(dir)
}

// ReadOrder lists the stores in the order in which images that lie in several are
// read: folders first, which answer at once.
func (c *Stores) ReadOrder() []string {
	var near, far []string
	for _, s := range c.List {
		if s.S3 == nil && s.Web == nil {
			near = append(near, s.Name)
		} else {
			far = append(far, s.Name)
		}
	}
	return append(near, far...)
}

// ReadOnly lists the stores that are read only.
func (c *Stores) ReadOnly() []string {
	var out []string
	for _, s := range c.List {
		if s.Web != nil {
			out = append(out, s.Name)
		}
	}
	return out
}

// Names lists the stores, in their order.
func (c *Stores) Names() []string {
	var out []string
	for _, s := range c.List {
		out = append(out, s.Name)
	}
	return out
}

// folders parses FOLDER or FOLDER[@WEIGHT]:FOLDER[@WEIGHT]...
func folders(place string) (dirs []string, weights []int, err error) {
	if strings.Contains(place, "://") {
		return nil, nil, bad("--store", shown(place), "is neither a folder nor s3://BUCKET/PREFIX nor https://HOST/PATH")
	}
	list := filepath.SplitList(place)
	for _, dir := range list {
		weight := 0
		if at := strings.LastIndexByte(dir, '@'); at > 0 && len(list) > 1 {
			if weight, err = strconv.Atoi(dir[at+1:]); err != nil || weight < 0 {
				return nil, nil, bad("--store", shown(dir), "has a weight that is not a number of 0 or more")
			}
			dir = dir[:at]
		}
		if dir == "" {
			return nil, nil, bad("--store", shown(place), "has a folder without a name")
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			return nil, nil, err
		}
		if slices.Contains(dirs, abs) {
			return nil, nil, bad("--store", shown(place), "has a folder twice")
		}
		dirs = append(dirs, abs)
		if len(list) > 1 {
			weights = append(weights, weight)
		}
	}
	return dirs, weights, nil
}

// s3Store parses the place of a store in a bucket. No message holds the URL:
// somebody may have written a secret into it.
func s3Store(place string) (*S3Store, error) {
	u, err := url.Parse(place)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, bad("--store", "", "is not s3://BUCKET/PREFIX?OPTION=VALUE; keys belong into a credential")
	}
	s := &S3Store{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, bad("--store", "", "has options that cannot be read")
	}
	texts := map[string]*string{
		"endpoint": &s.Endpoint, "region": &s.Region, "style": &s.Style, "credential": &s.Credential, "checksum": &s.Checksum,
		"encryption": &s.Encryption, "kms-key": &s.KMSKey, "storage-class": &s.StorageClass,
	}
	parallel := int64(0)
	numbers := map[string]*int64{"part-size": &s.PartSize, "memory": &s.Memory, "parallel": &parallel, "max-object": &s.MaxObject}
	for k, values := range q {
		v := values[len(values)-1]
		switch text, number := texts[k], numbers[k]; {
		case len(values) > 1:
			return nil, bad("--store", k, "is given twice")
		case text != nil:
			*text = v
		case number != nil:
			if *number, err = strconv.ParseInt(v, 10, 64); err != nil || *number <= 0 {
				return nil, bad("--store", k, "is not a number of more than 0")
			}
		case k == "writers":
			if v != "one" && v != "many" {
				return nil, bad("--store", k, "is one or many")
			}
			s.OneWriter = v == "one"
		default:
			return nil, bad("--store", shown(k), "is no option of an s3 store; there are endpoint, region, style, credential, part-size, max-object, memory, parallel, checksum, encryption, kms-key, storage-class, writers")
		}
	}
	s.Parallel = int(parallel)
	return s, nil
}

// webStore parses the place of a store on a web server. No message holds the URL:
// somebody may have written a secret into it.
func webStore(place string) (*WebStore, error) {
	u, err := url.Parse(place)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, bad("--store", "", "is not https://HOST/PATH?credential=NAME; passwords belong into a credential")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, bad("--store", "", "has options that cannot be read")
	}
	for k, values := range q {
		if k != "credential" || len(values) > 1 {
			return nil, bad("--store", shown(k), "is no option of a store on a web server, or given twice; there is credential")
		}
	}
	u.RawQuery = ""
	return &WebStore{Base: strings.TrimRight(u.String(), "/"), Credential: q.Get("credential")}, nil
}

func storeName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == ""
}

func shown(s string) string {
	const most = 60
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
