// Package s3test runs real S3 servers for tests, each on a free port of
// 127.0.0.1. scripts/servers builds them; one that is absent fails the test.
package s3test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/testserver"
)

// A Kind is one make of server, as scripts/servers builds it.
type Kind struct {
	Name    string
	Version string
	start   func(dir, addr string) (args, env []string)
	more    []string // variables beside those of start
	health  string   // path that answers when the server is ready
}

// Versity is versitygw on a folder.
var versity = Kind{
	Name: "versitygw", Version: "v1.8.0", health: "/",
	start: func(dir, addr string) ([]string, []string) {
		return []string{"-p", addr, "-q", "posix", "--versioning-dir", filepath.Join(dir, "versions"), filepath.Join(dir, "root")},
			[]string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey}
	},
}

var minio = Kind{
	Name: "minio", Version: "v0.0.0-20260212201848-7aac2a2c5b7c", health: "/minio/health/cluster",
	start: func(dir, addr string) ([]string, []string) {
		return []string{"server", filepath.Join(dir, "root"), "--address", addr, "--quiet"},
			[]string{"MINIO_ROOT_USER=" + AccessKey, "MINIO_ROOT_PASSWORD=" + SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"}
	},
}

// The keys of every server.
const (
	AccessKey = "testkey"
	SecretKey = "testsecret-of-the-server"
	Region    = "us-east-1"
)

// With returns the kind with variables in its servers' environment.
func (k Kind) With(env ...string) Kind {
	k.more = append(append([]string{}, k.more...), env...)
	return k
}

// Minio returns MinIO, for what versitygw has not: roles, encryption. A test skips
// itself, and says so, where it is left out.
func Minio(tb testing.TB) Kind {
	if os.Getenv("INGEST_SKIP_MINIO") == "1" {
		tb.Skip("INGEST_SKIP_MINIO is set: not tried against MinIO")
	}
	return minio
}

// Versity returns versitygw.
func Versity() Kind { return versity }

// Kinds lists the servers that tests run against. INGEST_SKIP_MINIO=1 leaves
// MinIO out, which takes minutes to build.
func Kinds() []Kind {
	if os.Getenv("INGEST_SKIP_MINIO") == "1" {
		return []Kind{versity}
	}
	return []Kind{versity, minio}
}

// A Server is one running server.
type Server struct {
	Kind     Kind
	Endpoint string // http://127.0.0.1:PORT
	Client   *s3.Client

	dir     string
	process *testserver.Process
}

// Start starts a server, which ends with the test.
func Start(tb testing.TB, k Kind) *Server {
	tb.Helper()
	s, stop, err := Run(k, tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(stop)
	return s
}

// Run starts a server on a folder; stop ends it.
func Run(k Kind, dir string) (s *Server, stop func(), err error) {
	bin, err := program(k)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range []string{"root", "versions"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, nil, err
		}
	}
	port, err := testserver.FreePort()
	if err != nil {
		return nil, nil, err
	}
	addr := "127.0.0.1:" + port
	args, env := k.start(dir, addr)
	cmd := exec.Command(bin, args...)
	cmd.Env = append(append(os.Environ(), env...), k.more...)
	cmd.Dir = dir
	s = &Server{Kind: k, Endpoint: "http://" + addr, dir: dir, Client: NewClient("http://" + addr)}
	if s.process, err = testserver.Start(cmd); err != nil {
		return nil, nil, err
	}
	if err := s.process.Ready(s.Endpoint+k.health, time.Minute); err != nil {
		s.process.Kill()
		return nil, nil, fmt.Errorf("%s does not start: %w\n%s", k.Name, err, s.process.Output())
	}
	return s, s.process.Kill, nil
}

// Bucket makes a fresh bucket.
func (s *Server) Bucket(tb testing.TB) string {
	tb.Helper()
	name := "b" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := s.Client.CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
		tb.Fatalf("make a bucket on %s: %v", s.Kind.Name, err)
	}
	return name
}

// Folder returns where versitygw keeps a bucket's objects, each as a file of its name:
// thousands are made there at once.
func (s *Server) Folder(tb testing.TB, bucket string) string {
	tb.Helper()
	if s.Kind.Name != versity.Name {
		tb.Fatalf("%s keeps no plain files", s.Kind.Name)
	}
	return filepath.Join(s.dir, "root", bucket)
}

// NewClient returns a plain client of an endpoint, beside the one under test.
func NewClient(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(endpoint), Region: Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
	})
}

// program finds what scripts/servers has built.
func program(k Kind) (string, error) {
	dir := os.Getenv("INGEST_SERVERS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "ingest", "servers")
	}
	path := filepath.Join(dir, k.Name+"@"+k.Version, k.Name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s %s is not there: run scripts/servers, which builds it (%w)", k.Name, k.Version, err)
	}
	return path, nil
}
