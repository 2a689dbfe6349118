package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"ingest/api"
	"ingest/internal/cli"
	"ingest/internal/config"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/identity/devkeystone"
	"ingest/internal/logging"
)

// newServeCommand returns `ingest serve`: API, worker, workflow service,
// catalogue and store in one process.
func newServeCommand(g *globals) *cobra.Command {
	var c config.Server
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: API, worker, embedded Temporal, catalogue and store in one process",
		Long: `Run the server: API, worker, workflow service, catalogue and store in one process.

Everything is kept below --data-dir. The process can be killed at any moment; the
next start goes on where it was. SIGTERM or Ctrl-C lets running steps reach a resume
point, for --drain at the longest; a second one ends the process at once.

Each option can be given as an environment variable: INGEST_DATA_DIR for --data-dir.`,
		Example: `  # everything embedded, files below /srv/images may be imported
  ingest serve --file-roots /srv/images

  # reach a mirror in a private network
  ingest serve --allow-net 10.20.0.0/16

  # with the catalogue on a database server
  INGEST_DATABASE_PASSWORD=... ingest serve --database postgres://ingest@db.example.net/ingest

  # on a Temporal service of one's own (once: ingest temporal setup)
  ingest serve --temporal 127.0.0.1:7233`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := config.Env(cmd.Flags())
			if err == nil {
				err = c.Check()
			}
			if e, ok := errcode.As(err); ok {
				return cli.Usage(cmd, "%s", e.Message)
			}
			if err != nil {
				return err
			}
			return reported(cmd, g, serve(cmd.Context(), &c, cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	c.Flags(cmd.Flags())
	return cmd
}

// serve runs until a signal or a failure, and then lets go of everything in the
// opposite order of its start.
func serve(ctx context.Context, c *config.Server, out, logTo io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	frugal()
	log, err := newLogger(c, logTo)
	if err != nil {
		return err
	}
	unlock, err := lockData(c)
	if err != nil {
		return err
	}
	defer unlock()
	// First of all, so that no work is begun by a server that nobody can reach.
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return notStarted(err, "the API cannot listen", "Correct --listen.")
	}
	defer ln.Close()
	g, err := openGate(c, log, ln.Addr())
	if err != nil {
		return err
	}
	s, err := newServices(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.close()
	srv := s.listener(ln.Addr(), g)
	failed := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			failed <- srv.ServeTLS(ln, "", "")
			return
		}
		failed <- srv.Serve(ln)
	}()
	s.background(ctx)
	greet(out, ln.Addr().String(), c, s)
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case err := <-s.fatal:
		return fmt.Errorf("the worker ended: %w", err)
	case <-ctx.Done():
	}
	stop() // a second signal ends the process at once
	log.Info().Str("drain", c.Drain.String()).Msg("stopping; once more ends at once")
	drain(srv, s, c.Drain)
	return nil
}

// listener returns the API's server.
func (s *services) listener(addr net.Addr, g gate) *http.Server {
	srv := api.NewServer(s.handler(addr, g))
	// What goes wrong before there is a request, such as a TLS handshake.
	srv.ErrorLog = stdlog.New(s.log, "", 0)
	srv.RegisterOnShutdown(sync.OnceFunc(func() { close(s.closing) }))
	if g.cert != nil {
		srv.TLSConfig = g.cert.config()
	}
	return srv
}

// drain lets requests and running steps come to an end, side by side: a slow
// download must not take the time that a conversion needs for its checkpoint.
func drain(srv *http.Server, s *services, longest time.Duration) {
	grace, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() {
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	both.Go(s.stopWorkers)
	both.Wait()
}

// frugal trades a little processor time for memory: by default the collector would let
// as much garbage lie as there is live data, of which an import's buffers are the most.
func frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(40)
	}
}

func newLogger(c *config.Server, w io.Writer) (zerolog.Logger, error) {
	level, err := logging.ParseLevel(c.LogLevel)
	if err != nil {
		return zerolog.Nop(), err
	}
	return logging.New(w, c.LogFormat, level), nil
}

// lockData makes sure that no other process uses the data folder.
func lockData(c *config.Server) (func(), error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, notStarted(err, "the data folder cannot be made", folder(c.DataDir))
	}
	f, err := os.OpenFile(c.Path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, notStarted(err, "the data folder cannot be locked", folder(c.DataDir))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errcode.New(errcode.Conflict, "another ingest uses %s", c.DataDir)
			return nil, notStarted(err, "the data folder is taken", "Stop the other one, or choose another --data-dir.")
		}
		return nil, notStarted(err, "the data folder cannot be locked", "Choose a --data-dir on a file system that has locks.")
	}
	return func() { f.Close() }, nil
}

// greet says where everything is and what to try next.
func greet(out io.Writer, addr string, c *config.Server, s *services) {
	fmt.Fprintf(out, "ingest %s is ready (Ctrl-C stops it)\n", version)
	fmt.Fprintf(out, "  API          %s://%s\n", c.Scheme(), addr)
	if c.Auth.Users != "" {
		fmt.Fprintf(out, "  identity     %s://%s%s/v3\n", c.Scheme(), addr, devkeystone.Prefix)
	}
	fmt.Fprintf(out, "  data         %s\n", c.DataDir)
	if c.Database.URL != "" {
		fmt.Fprintf(out, "  catalogue    %s\n", c.Database.Name())
	}
	fmt.Fprintf(out, "  Temporal     %s, namespace %s\n", s.temporalAddr, s.namespace)
	if s.uiAddr != "" {
		fmt.Fprintf(out, "  Temporal UI  http://%s\n", s.uiAddr)
	}
	if len(c.FileRoots) == 0 {
		fmt.Fprintln(out, "  file roots   none: only http and https sources (see --file-roots)")
	}
	for _, root := range c.FileRoots {
		fmt.Fprintf(out, "  file root    %s\n", root)
	}
	fmt.Fprint(out, "\nTry:\n")
	url := ""
	if addr != "127.0.0.1:9292" || c.Auth.TLS.On() {
		url = " --server " + c.Scheme() + "://" + addr
	}
	fmt.Fprintf(out, "  ingest import%s https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2 --name debian-12\n", url)
	fmt.Fprintf(out, "  ingest task list%s\n", url)
}

// hostID returns the persisted name of this host, by which staged files are
// found again after a restart.
func hostID(c *config.Server) (string, error) {
	path := c.Path("host-id")
	if b, err := os.ReadFile(path); err == nil && len(b) >= 32 {
		return string(b[:32]), nil
	}
	id := newHostID()
	return id, fsutil.WriteDurable(c.DataDir, "host-id", []byte(id+"\n"))
}
