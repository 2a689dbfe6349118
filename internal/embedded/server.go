//go:build !noembed && unix

package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	"ingest/internal/contract"
	"ingest/internal/temporalclient"
)

// Available reports whether this program holds the server.
const Available = true

// A Server is a running Temporal service.
type Server struct {
	hostPort string
	dir      string
	lock     *os.File
	server   temporal.Server
	log      serverLogger
	ui       *ui // nil without one

	stopOnce sync.Once
	stopErr  error
}

// Start runs the server on the file in o.Dir and returns once its namespace can
// be used, with the search attributes of ingest. The context bounds the start
// only. A folder that another process uses is a CONFLICT error.
func Start(ctx context.Context, o Options) (*Server, error) {
	o = o.withDefaults()
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("embedded Temporal: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded Temporal: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, lock: lock, log: newServerLogger(o.Logger, o.Verbose)}
	if err := s.start(ctx, o); err != nil {
		return nil, fmt.Errorf("start embedded Temporal: %w", errors.Join(err, s.Stop()))
	}
	return s, nil
}

// HostPort returns the address of the frontend.
func (s *Server) HostPort() string { return s.hostPort }

// UIAddr returns the host and port of the web interface, "" without one.
func (s *Server) UIAddr() string {
	if s.ui == nil {
		return ""
	}
	return s.ui.addr
}

// Stop ends the web interface and the server and gives the folder back. Workers
// and clients are to be stopped before. It may be called more than once.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		s.log.phase.Store(stopping)
		if s.ui != nil {
			s.ui.stop()
		}
		if s.server != nil {
			s.stopErr = s.server.Stop()
			s.foldLog()
		}
		s.stopErr = errors.Join(s.stopErr, s.lock.Close())
	})
	return s.stopErr
}

func (o Options) withDefaults() Options {
	if o.Namespace == "" {
		o.Namespace = temporalclient.DefaultNamespace
	}
	if o.Retention == 0 {
		o.Retention = temporalclient.DefaultRetention
	}
	return o
}

func (s *Server) start(ctx context.Context, o Options) error {
	db := sqlConfig(s.dir)
	moved, err := prepareFile(ctx, s.dir, db)
	if err != nil {
		return err
	}
	if moved != nil {
		o.Logger.Warn().Str("reason", moved.Reason).Str("old", moved.Old).Str("new", moved.New).Str("moved_to", moved.MovedTo).
			Msg("the embedded Temporal file was made again; the catalogue's open imports are started again from it")
		if o.OnRecreated != nil {
			o.OnRecreated(*moved)
		}
	}
	if err := createNamespace(db, o); err != nil {
		return err
	}
	if err := s.startServer(db, o); err != nil {
		return err
	}
	if err := s.setUp(ctx, o); err != nil {
		return err
	}
	s.log.phase.Store(running)
	if o.UI {
		if s.ui, err = startUI(ctx, s.hostPort, o.Namespace, o.UIPort); err != nil {
			return err
		}
	}
	return nil
}

// createNamespace writes a namespace with its search attributes into the file,
// so that no cache has to learn of them later. One that is there stays as it is.
func createNamespace(db *config.SQL, o Options) error {
	attributes := map[string]enumspb.IndexedValueType{}
	for _, name := range contract.SearchAttributes() {
		attributes[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	ns, err := sqliteschema.NewNamespaceConfig(clusterName, o.Namespace, false, attributes)
	if err != nil {
		return fmt.Errorf("describe namespace: %w", err)
	}
	ns.Detail.Config.Retention = durationpb.New(o.Retention)
	if err := sqliteschema.CreateNamespaces(db, ns); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	return nil
}

func (s *Server) startServer(db *config.SQL, o Options) error {
	p, err := choosePorts(o.Port)
	if err != nil {
		return err
	}
	s.hostPort = address(p.frontend)
	srv, err := temporal.NewServer(
		temporal.WithConfig(serverConfig(db, p)),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(staticHosts(p)),
		temporal.WithLogger(s.log),
		temporal.WithDynamicConfigClient(knobs()),
		// Only this machine reaches the port, and ingest itself decides who
		// may do what.
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
	)
	if err != nil {
		return fmt.Errorf("configure server: %w", err)
	}
	s.server = srv
	if err := srv.Start(); err != nil {
		return fmt.Errorf("run server: %w", err)
	}
	return nil
}

// setUp brings a namespace that an older ingest made up to date and waits until
// it can be used.
func (s *Server) setUp(ctx context.Context, o Options) error {
	c, err := temporalclient.Dial(ctx, temporalclient.Options{
		HostPort: s.hostPort, Namespace: o.Namespace, Logger: o.Logger, Wait: time.Minute,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	return temporalclient.Setup(ctx, c, o.Namespace, o.Retention)
}

// foldLog writes the write-ahead log back into the database, so that a stopped
// ingest leaves one small file to back up. The server keeps its connection as
// long as the process lives, so nobody else does it. Failing is harmless: the
// next start replays the log.
func (s *Server) foldLog() {
	db, err := sql.Open("sqlite", "file:"+escape(filepath.Join(s.dir, dbName))+"?mode=rw&_pragma=busy_timeout=1000")
	if err != nil {
		return
	}
	defer db.Close()
	_, _ = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
}
