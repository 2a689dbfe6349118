package temporalclient

import (
	"context"
	"net"
	"time"

	"github.com/rs/zerolog"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"

	"ingest/internal/errcode"
	"ingest/internal/logging"
	"ingest/internal/pause"
)

// DefaultNamespace is used when neither Options nor the environment name one.
const DefaultNamespace = "default"

// retryEvery is the pause between two attempts to reach a service that is
// still starting.
const retryEvery = 500 * time.Millisecond

// Options say which service and namespace to use.
type Options struct {
	// HostPort is the address of the service, such as "127.0.0.1:7233". It is
	// then used as it is, without TLS, key or profile, unless Env is set.
	// Empty means that the environment says it all.
	HostPort string
	// Namespace overrides the environment's; "" means that, or DefaultNamespace.
	Namespace string
	// Env applies TEMPORAL_* variables and profiles although HostPort is given:
	// only the address is taken from HostPort. Never set it for the embedded
	// server, which knows neither TLS nor keys.
	Env bool
	// Logger gets the lines of the SDK.
	Logger zerolog.Logger
	// Identity is shown beside what this client and its workers did; ""
	// means process id and host name.
	Identity string
	// Wait is how long to try again while the service does not answer. Zero
	// means one attempt.
	Wait time.Duration
	// Lookup replaces the process's environment; nil means that.
	Lookup envconfig.EnvLookup
}

// Dial connects to the service and returns a client for one namespace, whether
// that exists or not: see Setup. The caller closes the client. An unreachable
// service is a WORKFLOW_SERVICE_UNAVAILABLE error, a broken profile BAD_REQUEST.
func Dial(ctx context.Context, o Options) (client.Client, error) {
	opts, err := o.resolve()
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(o.Wait)
	for {
		c, err := client.DialContext(ctx, opts)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil || !time.Now().Add(retryEvery).Before(deadline) {
			return nil, errcode.Wrap(err, errcode.WorkflowService, "connect to Temporal at %s: %v", opts.HostPort, err)
		}
		if err := pause.For(ctx, retryEvery); err != nil {
			return nil, errcode.Wrap(err, errcode.WorkflowService, "connect to Temporal at %s: %v", opts.HostPort, err)
		}
	}
}

// Address returns the address and the namespace that Dial would use.
func (o Options) Address() (hostPort, namespace string, err error) {
	opts, err := o.resolve()
	return opts.HostPort, opts.Namespace, err
}

func (o Options) resolve() (client.Options, error) {
	var opts client.Options
	if o.HostPort == "" || o.Env {
		var err error
		opts, err = envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: o.Lookup})
		if err != nil {
			return opts, errcode.Wrap(err, errcode.BadRequest, "read TEMPORAL_* variables and profile: %v", err)
		}
	}
	if o.HostPort != "" {
		opts.HostPort = o.HostPort
	}
	if opts.HostPort == "" {
		opts.HostPort = client.DefaultHostPort
	}
	if o.Namespace != "" {
		opts.Namespace = o.Namespace
	}
	if opts.Namespace == "" {
		opts.Namespace = DefaultNamespace
	}
	if loopback(opts.HostPort) {
		opts.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	opts.Identity = o.Identity
	opts.Logger = logging.Temporal(o.Logger.With().Str("component", "temporal-sdk").Logger())
	return opts, nil
}

// loopback reports whether an address is one of this machine, to which it costs more to
// compress than to send.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
