// Package config holds the server's configuration: typed, with defaults,
// checked as a whole before anything is started. Flags win over environment
// variables (INGEST_DATA_DIR for --data-dir), which win over defaults.
package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"ingest/internal/bandwidth"
	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// Server is the configuration of `ingest serve`.
type Server struct {
	DataDir   string   // everything that the server keeps
	Listen    string   // host:port of the API
	Exports   Exports  // where images may be sent to
	FileRoots []string // folders from which file sources may be read
	AllowNets []netip.Prefix
	Fetch     Fetch  // limits of http sources
	Policy    string // file that says what projects may import; "" allows everything
	Access    Access
	// ImageSchema is the file of properties that the schema of images names; "" means
	// those that OpenStack's services agree on.
	ImageSchema string
	Trust       Trust
	Limits      Limits // limits of images and of what is around them
	Stores      Stores // where images are kept
	// SignedURLs takes sources whose URL holds a secret.
	SignedURLs bool
	// Staging is the folder of staged sources; "" is one in DataDir. StagingShared says
	// that other hosts see the same folder.
	Staging       string
	StagingShared bool
	// Credentials is the file of named credentials; "" is none.
	Credentials string
	Inspect     Inspect
	Cache       Cache // of images in remote stores
	Quota       Quota
	Upload      Upload // of clients
	Keep        Keep
	Database    Database // that keeps the catalogue
	Auth        Auth     // who makes a request

	Temporal  string // host:port of a Temporal service; "" embeds one
	Namespace string
	UI        bool // serve Temporal's web UI too, when embedded
	// TemporalPort and UIPort are the embedded server's ports; 0 takes free ones.
	TemporalPort int
	UIPort       int

	OutputFormat      string // target of what is not raw, when the request names none
	OutputCompression string
	HashAlgo          string // of the stored digest
	MD5               bool   // fill Glance's old checksum field too
	Verify            string // level of verification of imports that ask for none: full, stored, none
	VerifyMinimum     string // least strict level that an import may ask for; "" means Verify

	// ProvenanceKey is the file of the key that signs provenance records; "" leaves
	// them unsigned.
	ProvenanceKey     string
	ProvenanceAddress bool // records name the address that a source was read from

	MaxSourceBytes int64          // largest source, bytes: 100 GiB; 0 means no limit
	Imports        int            // conversions at once
	Bandwidth      bandwidth.Rate // of all sources together; 0 means no limit
	Workers        int            // cores of one conversion; 0 means all
	Memory         int64          // bytes that one conversion holds at once; 0 means what the container allows
	Drain          time.Duration  // how long SIGTERM waits for a resume point

	LogFormat string // "json" or "console"
	LogLevel  string

	fileRoots string
	allowNets string
}

// Flags declares the flags with their defaults.
func (c *Server) Flags(f *pflag.FlagSet) {
	f.StringVar(&c.DataDir, "data-dir", "./ingest-data", "folder that holds the catalogue, the store, staging and the embedded Temporal")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:9292", "host:port of the API; port 0 takes a free one")
	f.StringVar(&c.fileRoots, "file-roots", "", "folders from which file sources may be read, DIR[:DIR] (default none)")
	f.StringVar(&c.allowNets, "allow-net", "", "private or loopback networks that http sources may reach, CIDR[,CIDR] (default none)")
	f.StringVar(&c.Policy, "policy", "", "YAML `FILE` that says what projects may import; read again when it changes (default: everything)")
	c.Access.flags(f)
	f.StringVar(&c.ImageSchema, "image-schema", "", "`FILE` of the properties that the schema of images names to clients, in the shape of Glance's schema-image.json (default: those that OpenStack's services agree on)")
	c.Fetch.flags(f)
	c.Trust.flags(f)
	c.Limits.flags(f)
	c.Stores.flags(f)
	c.Exports.flags(f)
	f.BoolVar(&c.SignedURLs, "allow-signed-urls", false, "take source URLs that hold a signature or a token, which are then kept with the task and in Temporal")
	f.StringVar(&c.Staging, "staging", "", "`DIR` in which sources are staged (default: staging in the data folder)")
	f.BoolVar(&c.StagingShared, "staging-shared", false, "the staging folder is one that all workers share: another worker goes on with what one has staged")
	f.StringVar(&c.Credentials, "credentials", "", "file of named credentials, of mode 0600 (see ingest credential)")
	c.Inspect.flags(f)
	c.Quota.flags(f)
	c.Upload.flags(f)
	c.Keep.flags(f)
	c.Database.Flags(f)
	c.Auth.flags(f)
	c.Cache.flags(f)
	f.StringVar(&c.Temporal, "temporal", "", "host:port of a Temporal service (default: an embedded one)")
	f.StringVar(&c.Namespace, "namespace", "default", "Temporal namespace")
	f.BoolVar(&c.UI, "ui", true, "serve the web UI of the embedded Temporal on loopback")
	f.IntVar(&c.TemporalPort, "temporal-port", 0, "port of the embedded Temporal on 127.0.0.1, for the temporal command (0: a free one)")
	f.IntVar(&c.UIPort, "ui-port", 0, "port of its web UI on 127.0.0.1 (0: a free one)")
	f.StringVar(&c.OutputFormat, "output-format", "qcow2", "format of what is stored when a request names none and the source is not raw: qcow2, raw")
	f.StringVar(&c.OutputCompression, "output-compression", "none", "its compression: none, zlib, zstd")
	f.StringVar(&c.HashAlgo, "hash-algo", "sha256", "algorithm of os_hash_value: sha256, sha512")
	f.BoolVar(&c.MD5, "md5", false, "fill Glance's checksum field (MD5) as well")
	f.StringVar(&c.Verify, "verify", "full", "what is proven of an image before it is activated: full (its content, read back), stored (its size and tables), none")
	f.StringVar(&c.VerifyMinimum, "verify-minimum", "", "least of these that an import may ask for: full, stored, none (default: that of --verify)")
	f.StringVar(&c.ProvenanceKey, "provenance-key", "", "file of the Ed25519 private key, PEM, that signs the provenance record of each image (default: they are not signed)")
	f.BoolVar(&c.ProvenanceAddress, "provenance-address", true, "name the address that a source's server answered from in the record, which may be one of a network of your own")
	f.Int64Var(&c.MaxSourceBytes, "max-source-bytes", 100<<30, "largest source that is taken, bytes (0: no limit)")
	f.Var(&c.Bandwidth, "bandwidth", "bytes a second that this server reads from sources, all imports together, such as 200MiB (0: no limit)")
	f.IntVar(&c.Imports, "imports", 2, "imports that are converted at once")
	f.IntVar(&c.Workers, "workers", 0, "cores that one conversion uses (0: all)")
	f.Int64Var(&c.Memory, "memory", 0, "bytes that one conversion holds at once (0: 67108864, less in a small container)")
	f.DurationVar(&c.Drain, "drain", 10*time.Second, "how long SIGTERM waits for running steps to reach a resume point")
	f.StringVar(&c.LogFormat, "log-format", "console", "json or console")
	f.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn, error")
}

// Env sets every flag that was not given from its environment variable.
func Env(f *pflag.FlagSet) error {
	var first error
	f.VisitAll(func(fl *pflag.Flag) {
		name := "INGEST_" + strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))
		v, ok := os.LookupEnv(name)
		if !ok || fl.Changed || first != nil {
			return
		}
		if err := f.Set(fl.Name, v); err != nil {
			first = bad(name, v, "cannot be used: "+reason(err))
		}
	})
	return first
}

// reason leaves out what pflag says of flag and value: both have been named.
func reason(err error) string {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && invalid.Unwrap() != nil {
		return invalid.Unwrap().Error()
	}
	return err.Error()
}

func bad(field, value, why string) error {
	return errcode.New(errcode.BadRequest, "%s %q %s", field, value, why).With(errcode.Evidence{Structure: "configuration", Field: field, Value: value})
}

// Check makes paths absolute and refuses what cannot work.
func (c *Server) Check() error {
	if c.DataDir == "" {
		return bad("--data-dir", "", "is no folder; leave it out for ./ingest-data")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return err
	}
	c.DataDir = dir
	if c.Staging != "" {
		if c.Staging, err = filepath.Abs(c.Staging); err != nil {
			return err
		}
	}
	if err := c.checkLists(); err != nil {
		return err
	}
	if err := c.Access.check(); err != nil {
		return err
	}
	if err := c.Fetch.check(); err != nil {
		return err
	}
	if err := c.Trust.check(); err != nil {
		return err
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	if err := c.Stores.check(c.Path("store")); err != nil {
		return err
	}
	if err := c.Inspect.check(); err != nil {
		return err
	}
	if err := c.Cache.check(); err != nil {
		return err
	}
	if err := c.Quota.check(); err != nil {
		return err
	}
	if err := c.Upload.check(); err != nil {
		return err
	}
	if err := c.Keep.check(); err != nil {
		return err
	}
	if err := c.Database.Check(); err != nil {
		return err
	}
	if err := c.Auth.check(c.DataDir); err != nil {
		return err
	}
	for _, choice := range []struct {
		flag, value string
		of          []string
	}{
		{"--output-format", c.OutputFormat, []string{"qcow2", "raw"}},
		{"--output-compression", c.OutputCompression, []string{"none", "zlib", "zstd"}},
		{"--hash-algo", c.HashAlgo, []string{"sha256", "sha512"}},
		{"--verify", c.Verify, contract.VerifyLevels()},
		{"--verify-minimum", c.VerifyMinimum, append(contract.VerifyLevels(), "")},
		{"--log-format", c.LogFormat, []string{"json", "console"}},
		{"--log-level", c.LogLevel, []string{"debug", "info", "warn", "error"}},
	} {
		if !slices.Contains(choice.of, choice.value) {
			return bad(choice.flag, choice.value, "must be one of "+strings.Join(choice.of, ", "))
		}
	}
	if c.OutputFormat == "raw" && c.OutputCompression != "none" {
		return bad("--output-compression", c.OutputCompression, "raw is not compressed")
	}
	if !(contract.VerifyPolicy{Default: c.Verify, Least: c.VerifyMinimum}).Sound() {
		return bad("--verify-minimum", c.VerifyMinimum, "is stricter than --verify "+c.Verify)
	}
	if c.StagingShared && c.Staging == "" {
		return bad("--staging-shared", "true", "needs the shared folder: give it with --staging DIR")
	}
	if c.Namespace == "" {
		return bad("--namespace", "", "is no name; leave it out for \"default\"")
	}
	if err := c.checkNumbers(); err != nil {
		return err
	}
	return c.checkListen()
}

func (c *Server) checkNumbers() error {
	for _, n := range []struct {
		flag             string
		value, low, high int64
	}{
		{"--imports", int64(c.Imports), 1, 1000},
		{"--workers", int64(c.Workers), 0, 10000},
		{"--memory", c.Memory, 0, 1 << 40},
		{"--max-source-bytes", c.MaxSourceBytes, 0, math.MaxInt64},
		{"--temporal-port", int64(c.TemporalPort), 0, 65535},
		{"--ui-port", int64(c.UIPort), 0, 65535},
	} {
		switch {
		case n.value < n.low:
			return bad(n.flag, fmt.Sprint(n.value), fmt.Sprintf("is less than %d", n.low))
		case n.value > n.high:
			return bad(n.flag, fmt.Sprint(n.value), fmt.Sprintf("is more than %d", n.high))
		}
	}
	if c.Drain < 0 {
		return bad("--drain", c.Drain.String(), "is less than 0s")
	}
	return nil
}

// checkLists parses the lists.
func (c *Server) checkLists() error {
	if err := c.Exports.check(); err != nil {
		return err
	}
	c.FileRoots, c.AllowNets = nil, nil
	for _, root := range filepath.SplitList(c.fileRoots) {
		abs, err := filepath.Abs(root)
		if err != nil {
			return err
		}
		st, err := os.Stat(abs)
		if err != nil || !st.IsDir() {
			return bad("--file-roots", root, "is not a folder")
		}
		c.FileRoots = append(c.FileRoots, abs)
	}
	var err error
	c.AllowNets, err = networks("--allow-net", c.allowNets)
	return err
}

// checkListen keeps a server without authentication on loopback.
func (c *Server) checkListen() error {
	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return bad("--listen", c.Listen, "is not host:port, such as 127.0.0.1:9292")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return bad("--listen", c.Listen, "has no port from 0 to 65535")
	}
	if Loopback(c.Listen) || c.Auth.Mode != AuthNone || os.Getenv("INGEST_INSECURE_LISTEN") == "1" {
		return nil
	}
	return bad("--listen", c.Listen, "is not a loopback address, and with --auth none everybody who reaches it is its administrator: "+
		"use --auth token or --auth keystone; or put a reverse proxy with authentication before it, and set INGEST_INSECURE_LISTEN=1 if it must listen here")
}

// Path returns a path below the data folder.
func (c *Server) Path(elem ...string) string {
	return filepath.Join(append([]string{c.DataDir}, elem...)...)
}

// Scheme is that of the API's URLs.
func (c *Server) Scheme() string {
	if c.Auth.TLS.On() {
		return "https"
	}
	return "http"
}

// String is what may be logged.
func (c *Server) String() string {
	return fmt.Sprintf("data %s, listen %s, roots %d, nets %d", c.DataDir, c.Listen, len(c.FileRoots), len(c.AllowNets))
}

// StagingDir is where sources are staged.
func (c *Server) StagingDir() string {
	if c.Staging != "" {
		return c.Staging
	}
	return c.Path("staging")
}

// Anywhere reports whether what is staged and stored can be reached from every host,
// so that no step of an import belongs to one.
func (c *Server) Anywhere() bool {
	for _, s := range c.Stores.List {
		if s.S3 == nil {
			return false
		}
	}
	return c.StagingShared
}
