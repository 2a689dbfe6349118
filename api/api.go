package api

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ingest/api/wire"
	"ingest/cache"
	"ingest/internal/access"
	"ingest/internal/contract"
	"ingest/internal/identity"
	"ingest/internal/policy"
	"ingest/internal/provenance"
	"ingest/internal/ratelimit"
	"ingest/internal/schemas"
	"ingest/metadata"
)

// MaxBody is how large a request's JSON may be, bytes: a request with 128
// properties of Glance's size fits many times.
const MaxBody = 1 << 20

// Imports runs accepted imports.
type Imports interface {
	// Start starts the workflow of an import. Starting one that runs, or has
	// run to its end, does nothing.
	Start(ctx context.Context, req contract.ImportRequest, workflowID string) error
	// Cancel asks a workflow to stop and clean up. errcode.NotFound says that
	// there is none that runs.
	Cancel(ctx context.Context, workflowID string) error
	// Steer tells a running workflow how its task is to be worked on. errcode.NotFound
	// says that there is none that runs.
	Steer(ctx context.Context, workflowID string, c contract.Control) error
	// Progress says how far an unfinished task is.
	Progress(ctx context.Context, task metadata.Task) (contract.Progress, error)
}

// A Planner makes dry runs.
type Planner interface {
	// Plan says what an import would do. errcode.DryRunTimedOut says that it took
	// longer than a request waits.
	Plan(ctx context.Context, req contract.ImportRequest) (contract.Forecast, error)
}

// Space knows how much room stores and staging have.
type Space interface {
	// Promise measures the place of a reservation, and has that recorded which is
	// promised there.
	Promise(ctx context.Context, r metadata.Reservation, record func(metadata.Room) error) error
}

// Blobs reads and removes what images are made of.
type Blobs interface {
	// OpenRange reads n bytes from off; n < 0 reads to the end.
	OpenRange(ctx context.Context, store, key string, off, n int64) (io.ReadCloser, error)
	// Delete is idempotent.
	Delete(ctx context.Context, store, key string) error
}

// Defaults say what the server takes and what it makes of it. An empty list of
// schemes or source formats means that of StandardDefaults; without Resolve, the
// import itself finds out whether its target is right.
type Defaults struct {
	OutputFormat      string
	OutputCompression string
	Schemes           []string // of source URLs; "file" also admits plain paths
	// SignedURLs takes sources whose URL holds a secret: it is kept with the task.
	SignedURLs bool
	// Destinations are the schemes that images may be exported to; "file" also admits
	// plain paths. Empty admits none.
	Destinations  []string
	SourceFormats []string      // that may be declared
	Targets       []wire.Target // that can be written
	Presets       []wire.Preset
	// Resolve returns a target with its preset resolved and every option named,
	// or says what is wrong with it.
	Resolve func(contract.TargetSpec) (contract.TargetSpec, error)
	// Verify is what an import may ask to be verified.
	Verify contract.VerifyPolicy
	// Keyrings are the names of those whose signatures an import may demand, and
	// AllowMD5 admits digests of MD5.
	Keyrings []string
	AllowMD5 bool
}

// StandardDefaults returns what a server takes that was not told otherwise.
func StandardDefaults() Defaults {
	return Defaults{
		OutputFormat:  "qcow2",
		Schemes:       []string{"http", "https", "file"},
		SourceFormats: []string{"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ploop", "ami", "aki", "ari"},
	}
}

// Deps is what the handler works with. Catalogue, Imports and Blobs are needed.
type Deps struct {
	Catalogue *metadata.Catalogue
	Imports   Imports
	Blobs     Blobs
	// Uploads takes the bytes that clients send; nil takes none.
	Uploads      Uploads
	UploadLimits UploadLimits
	// Provenance makes the records of where the bytes of uploads come from.
	Provenance provenance.Recorder
	// Space measures what the places of uploads have left; nil measures nothing.
	Space Space
	// Converter computes images in other formats than their own; nil computes none.
	Converter Converter
	// Regions are the other clouds that images can be taken over from, by the names
	// that clients give them.
	Regions map[string]Region
	// Methods are the import methods that are enabled; nil means all that the server
	// can do.
	Methods []string
	// Locations knows the stores' objects by URL; nil takes no locations and shows none.
	Locations Locations
	// ShowDirectURL and ShowLocations tell where images' bytes lie, to whom a rule lets see
	// it. With ShowLocations, places can be given to images and taken from them, too.
	ShowDirectURL, ShowLocations bool
	// Cache keeps copies of what is downloaded; nil keeps none.
	Cache *cache.Cache
	// Planner makes dry runs; nil makes none.
	Planner Planner
	// Bulks runs imports in bulk; nil runs none.
	Bulks Bulks
	// Checker compares catalogue and stores; nil compares nothing.
	Checker Checker
	// Schedules keeps schedules; nil keeps none.
	Schedules Schedules
	// Reaper collects what nobody needs; nil collects nothing.
	Reaper   Reaper
	Defaults Defaults
	// Stores names the stores that images can be put into, DefaultStore the
	// one that is used when a request names none.
	Stores       []string
	DefaultStore string
	// StoreDetails say how stores are set up, by name.
	StoreDetails map[string]StoreDetail
	// ReadOnly are those of Stores that imports cannot be put into.
	ReadOnly []string
	// ReadFirst are the stores in the order in which images that lie in several are
	// read; those that it leaves out come last.
	ReadFirst []string
	// Policy returns the operator's policy in force; nil, or one that returns nil,
	// means that there is none.
	Policy func() *policy.Policy
	// Access returns the rules in force of what callers may do; nil means the
	// built-in ones: access.Open where nothing proves who asks, else access.Standard.
	Access func() *access.Rules
	// Protections returns the property protections in force; nil, or one that returns
	// nil, protects nothing.
	Protections func() *access.Protections
	// ImageProperties are the free properties of images that the schema of images
	// names, by name, in the shape of Glance's schema-image.json; nil means those that
	// OpenStack's services agree on.
	ImageProperties map[string]schemas.Object
	Version         string
	Log             zerolog.Logger
	// Hosts are the names under which clients reach the server, without port.
	// A request to any other is refused, which keeps web pages out that make
	// their own name resolve to the loopback address. Empty admits all.
	Hosts []string
	// Identity finds out who makes a request; nil believes what it says of itself.
	Identity identity.Authenticator
	// IdentityService answers below /identity, with that prefix; nil has none there.
	IdentityService http.Handler
	// BodyTime is how long a client may take to send a request's JSON; 0 means BodyTime.
	BodyTime time.Duration
	// Limits bounds how often a project asks; nil does not.
	Limits *ratelimit.Limiter
	// Addresses bounds how often an address asks, and Failures how often it fails to prove
	// who it is, both before anybody is asked about it; nil bounds nothing.
	Addresses, Failures *ratelimit.Limiter
	// Proxies may say for whom they ask.
	Proxies ratelimit.Proxies
	// Closing is closed when the server shuts down, so that streams, which last, end. nil
	// never is.
	Closing <-chan struct{}
}

type api struct {
	Deps
	streams *streams
	// manifests has room for those that are read at once.
	manifests  chan struct{}
	uploading  counted
	converting counted
	// convertingOf counts those of each project.
	convertingOf counted
	locating     counted
	// description returns the OpenAPI document.
	description func() []byte
}

// lookEvery is the time between two looks at a task that is streamed.
const lookEvery = time.Second

// New returns the handler of the whole API.
func New(d Deps) http.Handler {
	d.Defaults = filled(d.Defaults)
	if d.Identity == nil {
		d.Identity = identity.Headers{}
	}
	if d.Access == nil {
		rules := access.Standard()
		if _, believes := d.Identity.(identity.Headers); believes {
			rules = access.Open()
		}
		d.Access = func() *access.Rules { return rules }
	}
	if d.ImageProperties == nil {
		d.ImageProperties = schemas.WellKnown()
	}
	if d.Protections == nil {
		d.Protections = func() *access.Protections { return nil }
	}
	d.UploadLimits = d.UploadLimits.filled()
	a := &api{Deps: d, manifests: make(chan struct{}, manifestsAtOnce)}
	a.streams = newStreams(a.framesOf, lookEvery)
	a.description = sync.OnceValue(a.openAPIDocument)
	mux := http.NewServeMux()
	a.register(mux)
	return a.wrap(mux)
}

func filled(d Defaults) Defaults {
	std := StandardDefaults()
	if d.OutputFormat == "" {
		d.OutputFormat = std.OutputFormat
	}
	if len(d.Schemes) == 0 {
		d.Schemes = std.Schemes
	}
	if len(d.SourceFormats) == 0 {
		d.SourceFormats = std.SourceFormats
	}
	if d.Resolve == nil {
		d.Resolve = func(t contract.TargetSpec) (contract.TargetSpec, error) { return t, nil }
	}
	return d
}

// A handler answers a request, or returns the error to answer it with.
type handler func(w http.ResponseWriter, r *http.Request) error

type route struct {
	method, path string
	serve        handler
}

func (a *api) routes() []route {
	return slices.Concat(a.metadefRoutes(), a.schemaRoutes(), a.webhookRoutes(), a.scheduleRoutes(), a.bulkRoutes(), []route{
		{"GET", "/{$}", a.multipleChoices},
		{"GET", "/versions", a.versions},
		{"GET", "/v2", a.multipleChoices},
		{"GET", "/v2/{$}", a.multipleChoices},
		{"GET", "/v2/info/import", a.importInfo},
		{"GET", "/v2/info/usage", a.usageInfo},
		{"GET", "/v2/info/stores", a.storesInfo},
		{"GET", "/v2/info/stores/detail", a.storesDetail},

		{"POST", "/v2/images", a.createImage},
		{"GET", "/v2/images", a.listImages},
		{"GET", "/v2/images/{id}", a.showImage},
		{"PATCH", "/v2/images/{id}", a.patchImage},
		{"DELETE", "/v2/images/{id}", a.deleteImage},
		{"POST", "/v2/images/{id}/actions/deactivate", a.deactivate},
		{"POST", "/v2/images/{id}/actions/reactivate", a.reactivate},
		{"POST", "/v2/images/{id}/import", a.importImage},
		{"GET", "/v2/images/{id}/file", a.download},
		{"PUT", "/v2/images/{id}/file", a.uploadFile},
		{"PUT", "/v2/images/{id}/stage", a.stageFile},
		{"GET", "/v2/images/{id}/tasks", a.imageTasks},
		{"GET", "/v2/images/{id}/locations", a.listLocations},
		{"POST", "/v2/images/{id}/locations", a.addLocation},
		{"PUT", "/v2/images/{id}/tags/{tag}", a.addTag},
		{"DELETE", "/v2/images/{id}/tags/{tag}", a.removeTag},
		{"GET", "/v2/images/{id}/members", a.listMembers},
		{"POST", "/v2/images/{id}/members", a.addMember},
		{"GET", "/v2/images/{id}/members/{member}", a.showMember},
		{"PUT", "/v2/images/{id}/members/{member}", a.setMember},
		{"DELETE", "/v2/images/{id}/members/{member}", a.removeMember},
		{"DELETE", "/v2/stores/{store}/{id}", a.deleteFromStore},
		{"GET", "/v2/cache", a.cachedImages},
		{"DELETE", "/v2/cache", a.clearCache},
		{"PUT", "/v2/cache/{id}", a.queueCached},
		{"DELETE", "/v2/cache/{id}", a.deleteCached},
		{"POST", "/v2/cache/{id}", a.cacheAction},
		{"POST", "/v2/tasks", a.createTask},
		{"GET", "/v1/schemas/tasks/{type}", a.taskSchema},
		{"GET", "/v2/tasks", a.listTasks},
		{"GET", "/v2/tasks/{id}", a.showTask},

		{"POST", "/v1/imports", a.submit},
		{"POST", "/v1/exports", a.submitExport},
		{"GET", "/v1/tasks", a.listWholeTasks},
		{"GET", "/v1/tasks/{id}", a.showWholeTask},
		{"GET", "/v1/tasks/{id}/progress", a.taskProgress},
		{"GET", "/v1/tasks/{id}/stream", a.streamTask},
		{"GET", "/v1/tasks/{id}/events", a.taskEvents},
		{"GET", "/v1/tasks/{id}/policy", a.taskPolicy},
		{"POST", "/v1/tasks/{id}/cancel", a.cancelTask},
		{"POST", "/v1/tasks/{id}/pause", a.pauseTask},
		{"POST", "/v1/tasks/{id}/resume", a.resumeTask},
		{"POST", "/v1/tasks/{id}/retry", a.retryTask},
		{"PUT", "/v1/tasks/{id}/priority", a.rankTask},
		{"GET", "/v1/images/{id}/provenance", a.provenance},
		{"POST", "/v1/images/{id}/restore", a.restore},
		{"POST", "/v1/fsck", a.check},
		{"POST", "/v1/gc", a.reap},
		{"GET", "/v1/gc/{id}", a.reaped},
		{"GET", "/v1/quota", a.quotas},
		{"GET", "/v1/cache", a.cacheView},
		{"GET", "/v1/healthz", a.healthz},
		{"GET", "/v1/server", a.server},
		{"GET", "/v1/openapi.json", a.openAPI},
	})
}

// register adds all routes, and for each path an answer to other methods.
func (a *api) register(mux *http.ServeMux) {
	methods := map[string][]string{}
	for _, rt := range a.routes() {
		mux.HandleFunc(rt.method+" "+rt.path, a.answer(rt.serve))
		methods[rt.path] = append(methods[rt.path], rt.method)
	}
	for path, allowed := range methods {
		if slices.Contains(allowed, "GET") {
			allowed = append(allowed, "HEAD")
		}
		slices.Sort(allowed)
		mux.HandleFunc(path, a.answer(methodNotAllowed(strings.Join(allowed, ", "))))
	}
	if a.IdentityService != nil {
		mux.Handle(identityPrefix, a.IdentityService)
		mux.Handle(identityPrefix+"/", a.IdentityService)
	}
	mux.HandleFunc("/", a.answer(a.unknownPath))
}
