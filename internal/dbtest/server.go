package dbtest

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ingest/internal/testserver"
)

// patience is how long a server may take to answer on a machine that is busy.
const patience = 90 * time.Second

// A kind is one make of server.
type kind struct {
	name, driver string
	// prepare makes the data folder and returns the user that the server runs as,
	// nil for this one.
	prepare func(dir string) (*syscall.Credential, error)
	command func(dir, port string) (string, []string, error)
	// admin is what database/sql opens to make databases; url is what ingest takes.
	admin func(port string) string
	url   func(port, database string) string
}

// A Server is one that runs.
type Server struct {
	kind  kind
	dir   string
	port  string
	as    *syscall.Credential
	admin *sql.DB
	made  atomic.Int64

	process *testserver.Process
}

var shared struct {
	sync.Mutex
	servers map[string]*Server
}

// Main runs the tests of a binary and stops the servers that they have asked for.
func Main(m *testing.M) int {
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		for _, s := range shared.servers {
			s.stop()
		}
	}()
	return m.Run()
}

// Postgres returns a new database in this test binary's PostgreSQL, as a URL.
func Postgres(tb testing.TB) string { return one(tb, postgres).Database(tb) }

// MariaDB returns a new database in this test binary's MariaDB, as a URL.
func MariaDB(tb testing.TB) string { return one(tb, mariadb).Database(tb) }

// one returns the server that all tests of this binary share.
func one(tb testing.TB, k kind) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if s := shared.servers[k.name]; s != nil {
		return s
	}
	s, err := start(k)
	if err != nil {
		tb.Fatalf("%s: %v", k.name, err)
	}
	if shared.servers == nil {
		shared.servers = map[string]*Server{}
	}
	shared.servers[k.name] = s
	return s
}

// StartPostgres starts a PostgreSQL that ends with the test.
func StartPostgres(tb testing.TB) *Server { return begin(tb, postgres) }

// StartMariaDB starts a MariaDB that ends with the test.
func StartMariaDB(tb testing.TB) *Server { return begin(tb, mariadb) }

func begin(tb testing.TB, k kind) *Server {
	tb.Helper()
	s, err := start(k)
	if err != nil {
		tb.Fatalf("%s: %v", k.name, err)
	}
	tb.Cleanup(s.stop)
	return s
}

// Database makes an empty database and returns its URL.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := fmt.Sprintf("test_%d", s.made.Add(1))
	if _, err := s.admin.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("%s: %v", s.kind.name, err)
	}
	return s.kind.url(s.port, name)
}

// Exec runs statements in the database of a URL, beside ingest.
func Exec(tb testing.TB, url string, statements ...string) {
	tb.Helper()
	db := Open(tb, url)
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

// Kill ends the server at once, as a crash of its machine's kernel would end all of it.
func (s *Server) Kill() { s.process.Kill() }

// Restart starts a server that was killed again, at its port and with what it kept.
func (s *Server) Restart() error { return s.run() }

// start runs a server on a free port, which somebody else may have got meanwhile.
func start(k kind) (*Server, error) {
	dir, err := os.MkdirTemp("", "ingest-"+k.name+"-")
	if err != nil {
		return nil, err
	}
	s := &Server{kind: k, dir: dir}
	if s.as, err = k.prepare(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for range 3 {
		if s.port, err = testserver.FreePort(); err != nil {
			break
		}
		if err = s.run(); err == nil {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if s.admin, err = sql.Open(k.driver, k.admin(s.port)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// run starts the process and waits until it answers. Processes of a server that was
// killed may still hold its folder: then it is tried again.
func (s *Server) run() error {
	deadline := time.Now().Add(patience)
	var err error
	for range 50 {
		if err = s.spawn(); err != nil {
			return err
		}
		if err = s.ready(deadline); err == nil {
			return nil
		}
		s.Kill()
		if out := s.process.Output(); time.Now().After(deadline) || !strings.Contains(out, "in use") {
			return fmt.Errorf("%w\n%s", err, out)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// spawn starts the process.
func (s *Server) spawn() error {
	program, args, err := s.kind.command(s.dir, s.port)
	if err != nil {
		return err
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	s.process, err = testserver.Start(cmd)
	return err
}

// ready waits until the server answers a query.
func (s *Server) ready(deadline time.Time) error {
	db, err := sql.Open(s.kind.driver, s.kind.admin(s.port))
	if err != nil {
		return err
	}
	defer db.Close()
	return s.process.Await(time.Until(deadline), func() error {
		_, err := db.Exec("SELECT 1")
		return err
	})
}

func (s *Server) stop() {
	if s.admin != nil {
		s.admin.Close()
	}
	s.Kill()
	// What a killed PostgreSQL leaves may write for a moment longer.
	for range 20 {
		if os.RemoveAll(s.dir) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// program finds a program in the path or in folders that Debian keeps out of it.
func program(name string, folders ...string) (string, error) {
	for _, pattern := range folders {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		if len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: scripts/setup installs it", err)
	}
	return path, nil
}

// run1 runs a program that ends by itself.
func run1(as *syscall.Credential, dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
	}
	return nil
}
