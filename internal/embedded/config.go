//go:build !noembed && unix

package embedded

import (
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/primitives"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "active"
)

// sqlConfig says how to open the file in dir. Each call makes a distinct
// configuration: the server shares open databases by their address for as long
// as the process lives, so that a second Start would get the first one's file.
func sqlConfig(dir string) *config.SQL {
	return &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: escape(filepath.Join(dir, dbName)),
		// MaxConns stays at its default of 1: with more, writers fail with
		// "database is locked" by the hundred.
		ConnectAttributes: map[string]string{
			"mode":         "rwc",
			"busy_timeout": "10000",
			"journal_mode": "wal",
			// In WAL mode this survives the death of the process without
			// loss; a power failure may lose the last transactions, which
			// the catalogue knows.
			"synchronous":        "normal",
			"journal_size_limit": strconv.Itoa(64 << 20),
			// SQLite ignores pragmas that it does not know.
			"ingest_open": strconv.FormatInt(time.Now().UnixNano(), 10),
		},
	}
}

// ports are those of the four services on the loopback address.
type ports struct{ frontend, history, matching, worker int }

// choosePorts finds ports that are free at this moment. They are all held until
// the last one is found, so that they differ.
func choosePorts(frontend int) (ports, error) {
	var p ports
	wanted := []struct {
		port int
		out  *int
	}{{frontend, &p.frontend}, {0, &p.history}, {0, &p.matching}, {0, &p.worker}}
	for _, w := range wanted {
		ln, err := listen(w.port)
		if err != nil {
			return p, fmt.Errorf("choose a port: %w", err)
		}
		defer ln.Close()
		*w.out = ln.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

// Ports that are chosen are let go before the server takes them. They are none of those
// that systems give to connections which go out, of anybody, in between.
const (
	firstPort = 20000
	portCount = 12000
)

// listen takes a port of the loopback address, 0 for one that is free.
func listen(port int) (net.Listener, error) {
	for tries := 0; port == 0 && tries < 100; tries++ {
		if ln, err := net.Listen("tcp", address(firstPort+rand.N(portCount))); err == nil {
			return ln, nil
		}
	}
	return net.Listen("tcp", address(port))
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// serverConfig is the server's static configuration. There is no metrics, no
// profiling and no HTTP port: less to listen on.
func serverConfig(db *config.SQL, p ports) *config.Config {
	service := func(port int) config.Service {
		return config.Service{RPC: config.RPC{GRPCPort: port, BindOnLocalHost: true}}
	}
	disabled := "disabled"
	return &config.Config{
		Global: config.Global{
			Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: loopback},
		},
		Persistence: config.Persistence{
			DefaultStore:     sqlite.PluginName,
			VisibilityStore:  sqlite.PluginName,
			NumHistoryShards: 1, // fixed for the life of a file; SQLite has one writer anyway
			DataStores:       map[string]config.DataStore{sqlite.PluginName: {SQL: db}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address(p.frontend)},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services: map[string]config.Service{
			"frontend": service(p.frontend),
			"history":  service(p.history),
			"matching": service(p.matching),
			"worker":   service(p.worker),
		},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: disabled},
			Visibility: config.VisibilityArchival{State: disabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: disabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: disabled},
		}},
		PublicClient: config.PublicClient{HostPort: address(p.frontend)},
	}
}

// staticHosts names one host for each service, so that none is searched for.
func staticHosts(p ports) map[primitives.ServiceName]static.Hosts {
	return map[primitives.ServiceName]static.Hosts{
		primitives.FrontendService: static.SingleLocalHost(address(p.frontend)),
		primitives.HistoryService:  static.SingleLocalHost(address(p.history)),
		primitives.MatchingService: static.SingleLocalHost(address(p.matching)),
		primitives.WorkerService:   static.SingleLocalHost(address(p.worker)),
	}
}

// knobs are the dynamic settings that one process on one SQLite file wants. The
// reasons and figures are in docs/adr/0003-embedded-temporal.md.
func knobs() dynamicconfig.StaticClient {
	return dynamicconfig.StaticClient{
		// With several partitions, a burst of submissions leaves some of
		// them waiting for a minute, and priorities are not exact.
		dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
		dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
		// Both together bring a cancel to a worker in milliseconds rather
		// than with its next heartbeat.
		dynamicconfig.WorkerCommandsEnabled.Key():             true,
		dynamicconfig.EnableCancelActivityWorkerCommand.Key(): true,
		// An attribute that was just added can be used at once.
		dynamicconfig.ForceSearchAttributesCacheRefreshOnRead.Key(): true,
		dynamicconfig.NamespaceCacheRefreshInterval.Key():           time.Second,
		// Limits that protect a shared cluster from its tenants. There is
		// one tenant here, and the file is its own limit.
		dynamicconfig.FrontendPersistenceMaxQPS.Key():                                          10000,
		dynamicconfig.MatchingPersistenceMaxQPS.Key():                                          10000,
		dynamicconfig.HistoryPersistenceMaxQPS.Key():                                           45000,
		dynamicconfig.FrontendRPS.Key():                                                        10000,
		dynamicconfig.FrontendMaxNamespaceRPSPerInstance.Key():                                 10000,
		dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key():                       200,
		dynamicconfig.FrontendMaxNamespaceNamespaceReplicationInducingAPIsRPSPerInstance.Key(): 20,
		// The default of 128,000 cached histories is for machines that do
		// nothing else.
		dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): 8096,
	}
}
