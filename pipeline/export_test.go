package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/exports"
	"ingest/exports/file"
	webput "ingest/exports/put"
	"ingest/exports/s3"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/pipeline"
)

// exportable is a pipeline with a stored raw image, and what exports of it are asked with.
func exportable(t *testing.T, bytes []byte) (*pipeline.Pipeline, contract.ExportParams) {
	t.Helper()
	p, store := newPipeline(t, t.TempDir())
	at := keepObject(t, store, bytes)
	sum := sha256.Sum256(bytes)
	return p, contract.ExportParams{TaskID: uuid.NewString(), From: []contract.Stored{at},
		Image: contract.ImageResult{ImageID: uuid.NewString(), DiskFormat: "raw", Size: int64(len(bytes)), VirtualSize: int64(len(bytes)),
			HashAlgo: "sha256", HashValue: hex.EncodeToString(sum[:])}}
}

// disk is sparse in whole sectors.
func disk(t *testing.T) []byte { return append(sparse(t), make([]byte, 1<<20-777)...) }

// same has qemu-img find what a file holds equal to the raw bytes.
func same(t *testing.T, path, format string, want []byte) {
	t.Helper()
	plain := filepath.Join(t.TempDir(), "want.raw")
	if err := os.WriteFile(plain, want, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "-f", format, path}, {"compare", "-f", "raw", "-F", format, plain, path}} {
		if args[0] == "check" && (format == "raw" || format == "vpc") {
			continue
		}
		if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
			t.Errorf("qemu-img %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

var exportTargets = []struct {
	name, qemu string
	target     contract.TargetSpec
}{
	{"as it is", "raw", contract.TargetSpec{}},
	{"qcow2", "qcow2", contract.TargetSpec{Format: "qcow2"}},
	{"qcow2 that compresses", "qcow2", contract.TargetSpec{Format: "qcow2", Compression: "zstd"}},
	{"streamOptimized", "vmdk", contract.TargetSpec{Format: "vmdk"}},
	{"fixed vhd", "vpc", contract.TargetSpec{Format: "vhd", Options: map[string]string{"subformat": "fixed"}}},
}

func TestExportToAFile(t *testing.T) {
	want := disk(t)
	for _, c := range exportTargets {
		t.Run(c.name, func(t *testing.T) {
			p, params := exportable(t, want)
			root := t.TempDir()
			p.Exports = exports.Set{file.New([]string{root})}
			params.Target, params.Destination.URL = c.target, "file://"+filepath.Join(root, "disk.out")
			got, err := p.Export(t.Context(), params, nil)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(filepath.Join(root, "disk.out"))
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(raw)
			if !got.Verified || got.HashValue != hex.EncodeToString(sum[:]) || got.Size != int64(len(raw)) {
				t.Errorf("reported %+v", got)
			}
			same(t, filepath.Join(root, "disk.out"), c.qemu, want)
			again, err := p.Export(t.Context(), params, nil)
			if err != nil || again != got {
				t.Errorf("again: %+v, %v", again, err)
			}
			tidyExport(t, p, params, true)
			if left, _ := os.ReadDir(root); len(left) != 1 {
				t.Errorf("left: %v", left)
			}
			params.TaskID = uuid.NewString()
			if _, err := p.Export(t.Context(), params, nil); errcode.Of(err) != errcode.DestinationExist {
				t.Errorf("another export to the same place: %v", err)
			}
		})
	}
}

func tidyExport(t *testing.T, p *pipeline.Pipeline, c contract.ExportParams, success bool) {
	t.Helper()
	if err := p.Cleanup(t.Context(), contract.CleanupParams{TaskID: c.TaskID, Success: success, Destination: &c.Destination}); err != nil {
		t.Fatal(err)
	}
	empty(t, p.StagingDir)
}

// An export that is cut off at any point goes on, and ends with the same bytes.
func TestExportGoesOn(t *testing.T) {
	want := disk(t)
	for _, c := range exportTargets {
		t.Run(c.name, func(t *testing.T) {
			p, params := exportable(t, want)
			p.CheckpointEvery = 1
			root := t.TempDir()
			p.Exports = exports.Set{file.New([]string{root})}
			params.Target, params.Destination.URL = c.target, filepath.Join(root, "disk.out")
			for cut := int64(1 << 20); cut < int64(len(want)); cut += 5 << 20 {
				ctx, stop := context.WithCancel(t.Context())
				_, err := p.Export(ctx, params, func(done, _ int64, _ []byte) {
					if done >= cut {
						stop()
					}
				})
				stop()
				if !errors.Is(err, context.Canceled) {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if _, err := os.Stat(filepath.Join(root, "disk.out")); err == nil {
					t.Fatal("half of it can be seen")
				}
			}
			if _, err := p.Export(t.Context(), params, nil); err != nil {
				t.Fatal(err)
			}
			same(t, filepath.Join(root, "disk.out"), c.qemu, want)
		})
	}
}

func TestExportThatIsGivenUpLeavesNothing(t *testing.T) {
	p, params := exportable(t, disk(t))
	root := t.TempDir()
	p.Exports = exports.Set{file.New([]string{root})}
	params.Target, params.Destination.URL = contract.TargetSpec{Format: "qcow2"}, filepath.Join(root, "disk.out")
	ctx, stop := context.WithCancel(t.Context())
	p.Export(ctx, params, func(done, _ int64, _ []byte) {
		if done > 0 {
			stop()
		}
	})
	stop()
	if left, _ := os.ReadDir(root); len(left) == 0 {
		t.Fatal("nothing had been begun")
	}
	tidyExport(t, p, params, false)
	if left, _ := os.ReadDir(root); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestExportRefusesDestinations(t *testing.T) {
	p, params := exportable(t, disk(t))
	root, outside := t.TempDir(), t.TempDir()
	if err := errors.Join(os.Symlink(outside, filepath.Join(root, "link")), os.Mkdir(filepath.Join(root, "folder"), 0o700)); err != nil {
		t.Fatal(err)
	}
	p.Exports = exports.Set{file.New([]string{root})}
	for url, code := range map[string]errcode.Code{
		outside + "/x":                        errcode.DestinationOutside,
		root + "/../x":                        errcode.DestinationOutside,
		root + "/link/x":                      errcode.DestinationOutside,
		root:                                  errcode.DestinationOutside,
		root + "/none/x":                      errcode.DestinationMissing,
		root + "/folder":                      errcode.DestinationExist,
		root + "/link":                        errcode.DestinationExist,
		root + "/a\x01b":                      errcode.DestinationInvalid,
		"file://host" + root + "/x":           errcode.DestinationInvalid,
		"file://" + root + "/x?y=z":           errcode.DestinationInvalid,
		"relative":                            errcode.DestinationInvalid,
		"s3://bucket/key":                     errcode.DestinationScheme,
		"ftp://h/x":                           errcode.DestinationScheme,
		root + "/" + strings.Repeat("x", 256): errcode.DestinationInvalid,
	} {
		params.Destination = contract.DestinationSpec{URL: url, Overwrite: false}
		if _, err := p.Export(t.Context(), params, nil); errcode.Of(err) != code {
			t.Errorf("%q: %v, want %s", url, err, code)
		}
		tidyExport(t, p, params, false)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

// Bytes that are not the image's any more are never shown.
func TestExportOfDamagedBytes(t *testing.T) {
	for _, target := range []contract.TargetSpec{{}, {Format: "qcow2"}} {
		p, params := exportable(t, disk(t))
		root := t.TempDir()
		p.Exports = exports.Set{file.New([]string{root})}
		params.Image.HashValue, params.Image.ContentDigest = strings.Repeat("0", 64), "blake3:none"
		params.Target, params.Destination.URL = target, filepath.Join(root, "x")
		if _, err := p.Export(t.Context(), params, nil); errcode.Of(err) != errcode.VerifyMismatch {
			t.Errorf("%+v: %v", target, err)
		}
		tidyExport(t, p, params, false)
		if left, _ := os.ReadDir(root); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

func TestExportToABucket(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	want := disk(t)
	for _, c := range exportTargets {
		t.Run(c.name, func(t *testing.T) {
			p, params := exportable(t, want)
			bucket := server.Bucket(t)
			p.Exports = exports.Set{s3.New(s3.Options{Buckets: []string{bucket}, PartSize: 5 << 20, Connect: func(context.Context, exports.Destination) (s3.Place, error) {
				return s3.Place{Client: server.Client, Bucket: bucket, Key: "images/disk.out"}, nil
			}})}
			params.Target, params.Destination.URL = c.target, "s3://"+bucket+"/images/disk.out"
			// What is cut off goes on in the same multipart upload.
			ctx, stop := context.WithCancel(t.Context())
			_, err := p.Export(ctx, params, func(done, total int64, hint []byte) {
				if done > 6<<20 && done < total && hint == nil {
					stop()
				}
			})
			stop()
			uploads := func() (ids []string) {
				out, err := server.Client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket})
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range out.Uploads {
					ids = append(ids, aws.ToString(u.UploadId))
				}
				return ids
			}
			t.Logf("cut off: %v, %d uploads", err, len(uploads()))
			got, err := p.Export(t.Context(), params, nil)
			if err != nil {
				t.Fatal(err)
			}
			out, err := server.Client.GetObject(t.Context(), &awss3.GetObjectInput{Bucket: &bucket, Key: aws.String("images/disk.out")})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := io.ReadAll(out.Body)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(raw)
			if !got.Verified || got.HashValue != hex.EncodeToString(sum[:]) || got.Size != int64(len(raw)) {
				t.Errorf("reported %+v", got)
			}
			path := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			same(t, path, c.qemu, want)
			if again, err := p.Export(t.Context(), params, nil); err != nil || again != got {
				t.Errorf("again: %+v, %v", again, err)
			}
			tidyExport(t, p, params, true)
			if left := uploads(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			params.TaskID = uuid.NewString()
			if _, err := p.Export(t.Context(), params, nil); errcode.Of(err) != errcode.DestinationExist {
				t.Errorf("another export to the same place: %v", err)
			}
		})
	}
}

func TestExportByPut(t *testing.T) {
	want := disk(t)
	for _, c := range exportTargets {
		t.Run(c.name, func(t *testing.T) {
			p, params := exportable(t, want)
			var got []byte
			var lengths []int64
			status := http.StatusServiceUnavailable
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, _ = io.ReadAll(r.Body)
				lengths = append(lengths, r.ContentLength)
				w.WriteHeader(status)
			}))
			t.Cleanup(s.Close)
			p.Exports = exports.Set{webput.New(func(ctx context.Context, d exports.Destination) (webput.Request, error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodPut, d.URL, nil)
				return webput.Request{Request: req, Sender: http.DefaultTransport, Shown: "shown"}, err
			})}
			params.Target, params.Destination.URL = c.target, s.URL+"/x?secret"
			if _, err := p.Export(t.Context(), params, nil); errcode.Of(err) != errcode.DestinationUnreachable {
				t.Errorf("a server that is busy: %v", err)
			}
			status = http.StatusCreated
			out, err := p.Export(t.Context(), params, nil)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(got)
			if out.Verified || out.Destination != "shown" || out.HashValue != hex.EncodeToString(sum[:]) || slices.Contains(lengths, -1) || out.Size != int64(len(got)) {
				t.Errorf("reported %+v, lengths %v", out, lengths)
			}
			path := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
			same(t, path, c.qemu, want)
			if c.qemu == "raw" && !bytes.Equal(got, want) {
				t.Error("the bytes differ")
			}
			tidyExport(t, p, params, true)
		})
	}
}
