package main

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"ingest/activities"
	"ingest/api"
	"ingest/cache"
	"ingest/formats/readers"
	"ingest/internal/config"
	"ingest/internal/contract"
	"ingest/internal/credentials"
	"ingest/internal/embedded"
	"ingest/internal/errcode"
	"ingest/internal/importer"
	"ingest/internal/policy"
	"ingest/internal/provenance"
	"ingest/internal/quota"
	"ingest/internal/ratelimit"
	"ingest/internal/reconcile"
	"ingest/internal/schemas"
	"ingest/internal/space"
	"ingest/internal/temporalclient"
	"ingest/metadata"
	"ingest/pipeline"
	"ingest/sources"
	"ingest/sources/file"
	glancesource "ingest/sources/glance"
	httpsource "ingest/sources/http"
	s3source "ingest/sources/s3"
	"ingest/sources/staged"
)

// services is everything behind the API.
type services struct {
	c         *config.Server
	log       zerolog.Logger
	catalogue *metadata.Catalogue
	pipeline  *pipeline.Pipeline
	importer  *importer.Importer
	cache     *cache.Cache   // nil if there is none
	policy    *policy.Holder // nil if everything may be imported
	access    accessFiles
	// imageProperties are what the operator's schema of images names, nil for the usual.
	imageProperties map[string]schemas.Object
	quotas          *quota.Holder
	space           *space.Keeper
	client          client.Client
	sweeper         *reconcile.Sweeper
	recorder        provenance.Recorder
	workers         []worker.Worker
	fatal           chan error    // takes the error with which a worker ends by itself
	closing         chan struct{} // closed when the API shuts down

	temporalAddr, namespace, uiAddr string

	closers []func() // run from the last to the first
}

// newServices starts everything behind the API.
func newServices(ctx context.Context, c *config.Server, log zerolog.Logger) (s *services, err error) {
	s = &services{c: c, log: log, namespace: c.Namespace, fatal: make(chan error, 1), closing: make(chan struct{})}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.recorder, err = recorder(c); err != nil {
		return s, err
	}
	repo, err := openCatalogue(ctx, c)
	if err != nil {
		return s, err
	}
	s.onClose(func() { repo.Close() })
	if err := s.hold(ctx, repo); err != nil {
		return s, err
	}
	if err := s.openQuotas(repo); err != nil {
		return s, err
	}
	if c.Policy != "" {
		if s.policy, err = policy.Open(c.Policy, log); err != nil {
			return s, notStarted(err, "the policy cannot be used", "Correct the file; `ingest policy check FILE` lists everything that is wrong with it.")
		}
	}
	if err := s.openAccess(); err != nil {
		return s, err
	}
	if err := s.openImageSchema(); err != nil {
		return s, err
	}
	if err := s.openPipeline(); err != nil {
		return s, err
	}
	if err := s.connect(ctx); err != nil {
		return s, err
	}
	s.importer = importer.New(s.client, nil)
	if err := s.openCache(); err != nil {
		return s, err
	}
	if err := s.forgetUploads(ctx); err != nil {
		return s, err
	}
	return s, s.startWorkers()
}

func (s *services) onClose(fn func()) { s.closers = append(s.closers, fn) }

func (s *services) close() {
	for len(s.closers) > 0 {
		last := len(s.closers) - 1
		s.closers[last]()
		s.closers = s.closers[:last]
	}
}

// openPipeline opens the store and the data path.
func (s *services) openPipeline() error {
	vault, err := credentials.Open(s.c.Credentials, os.Environ())
	if err != nil {
		return err
	}
	fetching := httpOptions(s.c, vault)
	if fetching.RootCAs, err = authorities("--source-ca", s.c.Fetch.CA); err != nil {
		return err
	}
	kept, err := s.openStores(vault, fetching)
	if err != nil {
		return err
	}
	staging := s.c.StagingDir()
	if err := os.MkdirAll(staging, 0o700); err != nil {
		return notStarted(err, "the staging folder cannot be made", folder(staging))
	}
	id, err := hostID(s.c)
	if err != nil {
		return notStarted(err, "the host's id cannot be kept", folder(s.c.Path("host-id")))
	}
	keyrings, err := s.openKeyrings()
	if err != nil {
		return err
	}
	web := httpsource.New(fetching)
	buckets := s3source.New(s3Options(s.c, vault))
	s.pipeline = &pipeline.Pipeline{
		Keyrings: keyrings,
		AllowMD5: s.c.Trust.AllowMD5,
		Readers:  readers.All(),
		Sources: sources.Set{
			file.New(s.c.FileRoots),
			web,
			buckets,
			glancesource.New(web, vault),
			staged.New(staging),
		},
		Exports:           destinations(s.c.Exports, web, buckets),
		Stores:            kept,
		DefaultStore:      s.c.Stores.Default,
		StagingDir:        staging,
		Anywhere:          s.c.Anywhere(),
		HostQueue:         contract.HostQueue(id),
		OutputFormat:      s.c.OutputFormat,
		OutputCompression: s.c.OutputCompression,
		HashAlgo:          s.c.HashAlgo,
		MD5:               s.c.MD5,
		Verify:            s.c.Verify,
		VerifyMinimum:     s.c.VerifyMinimum,
		Limits:            s.c.Limits.Formats,
		Unwrap:            &s.c.Limits.Unwrap,
		Workers:           s.c.Workers,
		Memory:            copyMemory(s.c.Memory, s.c.Imports),
		Ahead:             s.c.Imports,
		MaxSourceBytes:    s.c.MaxSourceBytes,
		Guest:             guestOptions(s.c.Inspect),
	}
	s.keepSpace()
	s.sweeper = &reconcile.Sweeper{Catalogue: s.catalogue, Stores: s.pipeline.Stores, StagingDir: staging, Log: s.log}
	return nil
}

// httpOptions turns the configuration's limits, in which 0 means none, into
// those of the driver, in which 0 means the default.
func httpOptions(c *config.Server, vault *credentials.Vault) httpsource.Options {
	f := c.Fetch
	return httpsource.Options{
		AllowNets: c.AllowNets, DenyNets: f.DenyNets, Ports: f.Ports, HTTPSOnly: f.HTTPSOnly,
		MaxBytes: orNone(c.MaxSourceBytes), MaxRedirects: orNone(f.Redirects), MaxHeaderBytes: f.HeaderBytes, Retries: orNone(f.Retries),
		ConnectTimeout: f.ConnectTimeout, HeaderTimeout: f.HeaderTimeout, StallTimeout: f.StallTimeout,
		MinRate: orNone(f.MinRate), RateWindow: f.RateWindow, Credentials: vault,
		PerHost: httpsource.HostLimit{Connections: orNone(f.ConnectionsPerHost), BytesPerSecond: orNone(f.Bandwidth)},
		Hosts:   hostLimits(f.Hosts), Proxy: f.Proxy,
	}
}

func hostLimits(budgets map[string]config.HostBudget) map[string]httpsource.HostLimit {
	out := map[string]httpsource.HostLimit{}
	for host, b := range budgets {
		out[host] = httpsource.HostLimit{Connections: orNone(b.Connections), BytesPerSecond: orNone(b.Bandwidth)}
	}
	return out
}

// authorities adds those of a PEM file to the system's; nil means the system's alone.
func authorities(flag, path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, notStarted(err, "the certificate authorities cannot be read", "See that the file that "+flag+" names is there and may be read.")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, errcode.New(errcode.BadRequest, "%s %q holds no certificate in PEM", flag, path).
			With(errcode.Evidence{Structure: "configuration", Field: flag, Value: path})
	}
	return pool, nil
}

func orNone[N int | int64](n N) N {
	if n == 0 {
		return -1
	}
	return n
}

// connect starts the embedded Temporal, or finds the one that was named.
func (s *services) connect(ctx context.Context) error {
	o := temporalclient.Options{HostPort: s.c.Temporal, Namespace: s.c.Namespace, Env: true, Logger: s.log, Wait: 30 * time.Second}
	if s.c.Temporal == "" && !embedded.Available && !temporalNamed() {
		return errcode.New(errcode.BadRequest, "this program was built without the embedded Temporal server: name a service with --temporal HOST:PORT or TEMPORAL_ADDRESS").
			With(errcode.Evidence{Structure: "configuration", Field: "--temporal"})
	}
	if s.c.Temporal == "" && embedded.Available {
		srv, err := embedded.Start(ctx, embedded.Options{
			Dir: s.c.Path("temporal"), Namespace: s.c.Namespace, UI: s.c.UI, Logger: s.log,
			Port: s.c.TemporalPort, UIPort: s.c.UIPort,
			OnRecreated: func(r embedded.Recreated) {
				s.log.Warn().Str("reason", r.Reason).Str("moved_to", r.MovedTo).Msg("the workflow file was made again; unfinished tasks are started again from the catalogue")
			},
		})
		if errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			return notStarted(err, "the embedded Temporal cannot be started", folder(s.c.Path("temporal")))
		}
		s.onClose(func() { srv.Stop() })
		o.HostPort, o.Env = srv.HostPort(), false
		s.uiAddr = srv.UIAddr()
	}
	var err error
	if s.temporalAddr, _, err = o.Address(); err != nil {
		return err
	}
	if s.client, err = temporalclient.Dial(ctx, o); err != nil {
		return err
	}
	s.onClose(s.client.Close)
	return nil
}

// temporalNamed reports whether the environment says which service to use, as
// the temporal command reads it.
func temporalNamed() bool {
	for _, name := range []string{"TEMPORAL_ADDRESS", "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// deps is what the activities are made of.
func (s *services) deps() activities.Deps {
	return activities.Deps{
		MayCreate: s.access.mayCreate(),
		Steps:     stalled(s.pipeline), Catalogue: s.catalogue, Signaller: s.client,
		Log: s.log, HostQueue: s.pipeline.HostQueue, Provenance: s.recorder, Policy: s.policy.Current,
		Concurrency: max(activities.DefaultConcurrency, 2*s.c.Imports), SpaceWait: s.c.Quota.Wait, Reaper: s.reaper(), Looker: s.pipeline,
	}
}

// hosts are the names under which a listener of this machine alone is asked for.
func (s *services) hosts(addr net.Addr) []string {
	host, _, _ := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil
	}
	out := []string{"localhost", "127.0.0.1", "::1", host}
	if u, err := url.Parse(s.c.Auth.PublicEndpoint); err == nil && u.Hostname() != "" {
		out = append(out, strings.ToLower(u.Hostname())) // of the proxy before it
	}
	return out
}

// handler is the API.
func (s *services) handler(addr net.Addr, g gate) http.Handler {
	return api.New(api.Deps{
		Catalogue: s.catalogue,
		Imports:   s.importer,
		Planner:   s.importer,
		Bulks:     s.importer,
		Reaper:    importer.NewReaper(s.client),
		Schedules: s.scheduler(),
		Checker:   s.checker(),
		Blobs:     api.Stores(s.pipeline.Stores),
		Uploads:   s.pipeline, Space: s.space, Provenance: s.recorder, UploadLimits: s.uploadLimits(), Methods: s.c.Upload.Methods, Regions: s.regions(), Converter: converter{s.pipeline},
		Locations: s.pipeline, ShowDirectURL: s.c.Upload.DirectURL, ShowLocations: s.c.Upload.Locations,
		Cache:    s.cache,
		Defaults: s.apiDefaults(),
		Stores:   s.c.Stores.Names(), DefaultStore: s.c.Stores.Default, ReadFirst: s.c.Stores.ReadOrder(), ReadOnly: s.c.Stores.ReadOnly(),
		StoreDetails: storeDetails(s.c.Stores),
		Policy:       s.policy.Current, Access: s.access.rules, Protections: s.access.protections,
		ImageProperties: s.imageProperties,
		Version:         version, Log: s.log, Hosts: s.hosts(addr),
		Identity: g.callers, IdentityService: g.handler(), Limits: ratelimit.New(s.c.Auth.Rate, s.c.Auth.Burst),
		Addresses: ratelimit.New(s.c.Auth.AddressRate, s.c.Auth.AddressBurst), Failures: ratelimit.New(float64(s.c.Auth.Failures)/60, s.c.Auth.Failures), Proxies: s.c.Auth.Proxies,
		Closing: s.closing,
	})
}

// background starts what looks after things from time to time.
func (s *services) background(ctx context.Context) {
	s.watchPolicy(ctx)
	s.watchAccess(ctx)
	s.keepCache(ctx)
	s.watchQuotas(ctx)
	s.tellWebhooks(ctx)
	go s.scheduleReap(ctx)
	s.keepSchedules(ctx)
	go s.reconciler().Run(ctx, 5*time.Second)
	go s.uploads().Run(ctx, 5*time.Second)
	go reconcile.Every(ctx, 10*time.Minute, s.log, "sweep the staging folder", s.sweeper.SweepStaging)
}

// newHostID returns a name that no other host has.
func newHostID() string {
	id := uuid.New()
	return strings.ToLower(hex.EncodeToString(id[:]))
}
