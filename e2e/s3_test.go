package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/contract"
	"ingest/internal/s3test"
)

// bucketServer is a server whose default store is a bucket.
type bucketServer struct {
	*server
	s3     *s3test.Server
	bucket string
}

// startInBucket starts an S3 server, and an ingest server that keeps its images
// there.
func startInBucket(t testing.TB, more ...string) *bucketServer {
	t.Helper()
	b := &bucketServer{s3: s3test.Start(t, s3test.Versity())}
	b.bucket = b.s3.Bucket(t)
	file := credentialsFile(t, fmt.Sprintf("lab: {type: s3, endpoint: %q, access_key: %s, secret_key: %s}\n", b.s3.Endpoint, s3test.AccessKey, s3test.SecretKey))
	args := append([]string{"--credentials", file, "--store", "cloud=s3://" + b.bucket + "/images?credential=lab", "--default-store", "cloud"}, more...)
	b.server = start(t, args)
	return b
}

func credentialsFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// put puts a file into a bucket of its own and returns its URL.
func (b *bucketServer) put(path string) string {
	b.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	bucket := b.s3.Bucket(b.t)
	if _, err := b.s3.Client.PutObject(b.t.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: aws.String("disk.img"), Body: f}); err != nil {
		b.t.Fatal(err)
	}
	return "s3://" + bucket + "/disk.img"
}

// holds waits until the bucket has the given number of images, and nothing else
// but the stamp.
func (b *bucketServer) holds(images int) {
	b.t.Helper()
	eventually(b.t, 20*time.Second, "the bucket's images", func() (bool, string) {
		out, err := b.s3.Client.ListObjectsV2(b.t.Context(), &awss3.ListObjectsV2Input{Bucket: &b.bucket})
		if err != nil {
			return false, err.Error()
		}
		var names []string
		data := 0
		for _, o := range out.Contents {
			names = append(names, aws.ToString(o.Key))
			if strings.HasPrefix(aws.ToString(o.Key), "images/data/") {
				data++
			}
		}
		names = slices.DeleteFunc(names, func(n string) bool { return n == "images/store.json" || strings.HasSuffix(n, "/") })
		ups, err := b.s3.Client.ListMultipartUploads(b.t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &b.bucket})
		if err != nil {
			return false, err.Error()
		}
		return data == images && len(names) == 2*images && len(ups.Uploads) == 0, fmt.Sprintf("%d uploads, %q", len(ups.Uploads), names)
	})
}

func TestImportFromBucketIntoBucket(t *testing.T) {
	t.Parallel()
	raw := disk(t, 21, 48*mib)
	s := startInBucket(t)
	from := s.put(raw)
	var images []string
	for _, target := range []contract.TargetSpec{{Format: "raw"}, {Format: "qcow2"}, {Format: "qcow2", Compression: "zstd"}, {Format: "vhd"}} {
		req := of(from, target)
		req.Source.Credential = "lab"
		images = append(images, s.succeeded(s.submit(req).TaskID, contentOf(t, raw)).ID)
		s.holds(len(images))
	}
	// Nobody's credential, and an endpoint that a tenant names.
	req := of(from+"?endpoint="+s.s3.Endpoint, contract.TargetSpec{Format: "raw"})
	s.failed(s.submit(req).TaskID, "IMG_SOURCE_ADDR_BLOCKED")
	for i, id := range images {
		if err := s.api.DeleteImage(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		s.holds(len(images) - i - 1)
	}
}

func TestKill9DuringConvertIntoBucket(t *testing.T) {
	for _, target := range []contract.TargetSpec{{Format: "raw"}, {Format: "qcow2", Compression: "zlib"}} {
		t.Run(target.Format, func(t *testing.T) {
			t.Parallel()
			raw := disk(t, 22, 160*mib) // several times what is read ahead
			from := serveFile(t, raw, true, 16*mib).slowBehind(128 * mib)
			s := startInBucket(t, loopback...)
			id := s.submit(of(from.URL, target)).TaskID
			s.await(id, contract.StageConvert, 88*mib)
			before := from.sent.Load()
			from.rate.Store(0)
			s.crash(id)
			s.succeeded(id, contentOf(t, raw))
			goesOnBehind(t, from, before)
			s.holds(1)
		})
	}
}

// TestSecretsStayInTheFile imports with every kind of credential, rightly and
// wrongly, and looks for the secrets in everything that the server keeps, logs
// and answers.
func TestSecretsStayInTheFile(t *testing.T) {
	t.Parallel()
	const secret = "canary-0b7e55aa91"
	raw := disk(t, 23, 8*mib)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user+":"+password != "me:"+secret && r.Header.Get("Authorization") != "Bearer "+secret && r.URL.Query().Get("sig") != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/broken":
			w.WriteHeader(http.StatusBadRequest)
		default:
			w.Header().Set("ETag", `"v1"`)
			http.ServeFile(w, r, raw)
		}
	}))
	t.Cleanup(site.Close)
	u, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	s3 := s3test.Start(t, s3test.Versity())
	file := credentialsFile(t, strings.NewReplacer("HOST", u.Host, "BASE", site.URL, "S3", s3.Endpoint, "SECRET", secret).Replace(`
basic: {type: basic, hosts: ["HOST"], username: me, password: SECRET}
bearer: {type: bearer, hosts: ["HOST"], token: SECRET}
signed: {type: url, url: "BASE/disk.img?sig=SECRET"}
wrong: {type: bearer, hosts: ["HOST"], token: SECRET-wrong}
elsewhere: {type: bearer, hosts: [images.example.com], token: SECRET}
bucket: {type: s3, endpoint: "S3", access_key: `+s3test.AccessKey+`, secret_key: SECRET-not-the-key}
right: {type: s3, endpoint: "S3", access_key: `+s3test.AccessKey+`, secret_key: `+s3test.SecretKey+`}
`))
	b := &bucketServer{s3: s3}
	b.server = start(t, append([]string{"--credentials", file, "--log-level", "debug"}, loopback...))
	from := b.put(raw)
	var told []string
	for _, tt := range []struct{ url, credential, code string }{
		{site.URL + "/disk.img", "basic", ""},
		{site.URL + "/disk.img", "bearer", ""},
		{site.URL + "/disk.img", "signed", ""},
		{from, "right", ""},
		{site.URL + "/disk.img", "wrong", "IMG_SOURCE_AUTH"},
		{site.URL + "/missing", "basic", "IMG_SOURCE_NOT_FOUND"},
		{site.URL + "/disk.img", "elsewhere", "CREDENTIAL_NOT_ALLOWED"},
		{site.URL + "/disk.img", "nobody", "CREDENTIAL_UNKNOWN"},
		{site.URL + "/disk.img", "bucket", "CREDENTIAL_TYPE"},
		{site.URL + "/other", "signed", "CREDENTIAL_NOT_ALLOWED"},
		{from, "bucket", "IMG_SOURCE_AUTH"},
		{from + "-missing", "right", "IMG_SOURCE_NOT_FOUND"},
	} {
		req := of(tt.url, contract.TargetSpec{Format: "qcow2"})
		req.Source.Credential = tt.credential
		id := b.submit(req).TaskID
		if tt.code != "" {
			told = append(told, show(b.failed(id, tt.code)))
			continue
		}
		told = append(told, show(b.succeeded(id, contentOf(t, raw))), show(b.task(id)))
	}
	list := ingest(t, "credential", "list", "--credentials", file)
	check := ingest(t, "credential", "check", "--credentials", file, "--json")
	if list.code != 0 || check.code != 0 || !strings.Contains(list.stdout, "elsewhere") {
		t.Errorf("credential list and check: %+v, %+v", list, check)
	}
	told = append(told, list.stdout, list.stderr, check.stdout, b.log())
	b.kill9()
	secrets := []string{secret, base64.StdEncoding.EncodeToString([]byte("me:" + secret)), s3test.SecretKey}
	looked := 0
	for _, path := range append(files(t, b.data), files(t, b.dir)...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		looked++
		for _, canary := range secrets {
			if bytes.Contains(text, []byte(canary)) {
				t.Errorf("%s holds the secret %s", path, canary)
			}
		}
	}
	for _, text := range told {
		for _, canary := range secrets {
			if strings.Contains(text, canary) {
				t.Errorf("what was told holds the secret %s: %.200s", canary, text)
			}
		}
	}
	if looked < 5 {
		t.Errorf("only %d files were looked at", looked)
	}
}
