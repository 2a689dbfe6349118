package s3

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"

	"ingest/internal/errcode"
	"ingest/internal/s3test"
	"ingest/stores"
)

// TestMain is the process that tests kill when it is told an endpoint.
func TestMain(m *testing.M) {
	if os.Getenv("S3_STORE_WRITE") != "" {
		if err := writeForEver(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// content returns n bytes from off of a file that repeats nowhere near; off is a
// multiple of eight.
func content(off, n int64) []byte {
	b := make([]byte, n+7)
	for i := int64(0); i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], uint64(off+i)*0x9e3779b97f4a7c15+1)
	}
	return b[:n]
}

const (
	killSize  = 160 << 20
	killPiece = 1 << 20
	killNotes = 13 // pieces between two checkpoints
)

// writeForEver goes on with the upload of the environment from its note, seals
// it at its end, and prints the id at once.
func writeForEver() error {
	ctx := context.Background()
	s := openQuiet(os.Getenv("S3_STORE_WRITE"), Options{Bucket: os.Getenv("S3_STORE_BUCKET")})
	key := os.Getenv("S3_STORE_KEY")
	var u stores.Upload
	id, err := s.Find(ctx, key)
	if err == nil {
		u, err = s.Resume(ctx, id)
	} else {
		u, err = s.Begin(ctx, key, -1)
	}
	if err != nil {
		return err
	}
	from := int64(0)
	if n := u.Note(); n != nil {
		from, _ = strconv.ParseInt(string(n), 10, 64)
	}
	for off := from; off < killSize; off += killPiece {
		if _, err := u.WriteAt(content(off, killPiece), off); err != nil {
			return err
		}
		fmt.Println(off + killPiece)
		if (off/killPiece+1)%killNotes == 0 {
			if err := u.Checkpoint(ctx, []byte(strconv.FormatInt(off+killPiece, 10))); err != nil {
				return err
			}
		}
	}
	if err := u.Seal(ctx, killSize); err != nil {
		return err
	}
	return u.Commit(ctx, stores.Digest{Algo: "sha256", Hex: "00", Size: killSize})
}

func openQuiet(endpoint string, o Options) *Store {
	var tb quiet
	return open(&tb, endpoint, o)
}

// quiet is a testing.TB outside of a test.
type quiet struct{ testing.TB }

func (*quiet) Helper()           {}
func (*quiet) Fatal(args ...any) { fmt.Fprintln(os.Stderr, args...); os.Exit(1) }

// TestKilled kills a writing process again and again, and counts at a proxy
// what is sent more than once.
func TestKilled(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			server := s3test.Start(t, kind)
			proxy := s3test.NewProxy(t, server)
			bucket, key := server.Bucket(t), stores.NewKey(uuid.NewString(), uuid.NewString())
			kills := 0
			for {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "S3_STORE_WRITE="+proxy.Endpoint, "S3_STORE_BUCKET="+bucket, "S3_STORE_KEY="+key)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if kills < 5 {
					b := make([]byte, 1)
					for lines := 0; lines < 20+rand.IntN(20); {
						if _, err := out.Read(b); err != nil {
							break
						}
						if b[0] == '\n' {
							lines++
						}
					}
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
					kills++
					continue
				}
				_, _ = io.Copy(io.Discard, out)
				if err := cmd.Wait(); err != nil {
					t.Fatalf("%v: %s", err, stderr.String())
				}
				break
			}
			s := open(t, server.Endpoint, Options{Bucket: bucket})
			wantContent(t, s, key, killSize)
			// A kill costs what was being sent, 4 parts of 8 MiB at most, and what
			// was written behind the last note of a part that was not whole.
			more := proxy.Sent.Load() - killSize
			if limit := int64(kills) * (4*8 + killNotes + 8) << 20; more > limit {
				t.Errorf("%d bytes were sent more than once, over %d kills; at most %d", more, kills, limit)
			}
			t.Logf("%d kills cost %d KiB", kills, more>>10)
		})
	}
}

func wantContent(t *testing.T, s *Store, key string, size int64) {
	t.Helper()
	r, err := s.OpenRange(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := make([]byte, 1<<20)
	for off := int64(0); off < size; off += int64(len(b)) {
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, content(off, int64(len(b)))) {
			t.Fatalf("the object differs at %d", off)
		}
	}
}

// TestOrders writes 64 MiB in orders that plans and encoders have, with little
// memory, and takes the upload up again in the middle.
func TestOrders(t *testing.T) {
	const size, piece = 40 << 20, 1 << 20
	var ascending, descending, shuffled, strided, headLast []int
	for i := range size / piece {
		ascending = append(ascending, i)
		descending = append([]int{i}, descending...)
		shuffled = append(shuffled, i)
		strided = append(strided, i*17%(size/piece))
		headLast = append(headLast, (i+1)%(size/piece))
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	server := s3test.Start(t, s3test.Versity())
	for name, order := range map[string][]int{"ascending": ascending, "descending": descending, "shuffled": shuffled, "strided": strided, "head last": headLast} {
		for _, resume := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, resume %v", name, resume), func(t *testing.T) {
				proxy := s3test.NewProxy(t, server)
				s := open(t, proxy.Endpoint, Options{Bucket: server.Bucket(t), Memory: 24 << 20, Parallel: 2})
				key := stores.NewKey(uuid.NewString(), uuid.NewString())
				u, err := s.Begin(t.Context(), key, -1)
				if err != nil {
					t.Fatal(err)
				}
				for i, n := range order {
					off := int64(n) * piece
					if _, err := u.WriteAt(content(off, piece), off); err != nil {
						t.Fatal(err)
					}
					if used := u.(*upload).parts.memory(); used > 24<<20 {
						t.Fatalf("%d bytes are held", used)
					}
					if resume && i%13 == 12 {
						if err := u.Checkpoint(t.Context(), []byte("x")); err != nil {
							t.Fatal(err)
						}
						if _, err := u.WriteAt(content(0, piece), 0); err != nil { // lost with the handle
							t.Fatal(err)
						}
						id := u.ID()
						if err := u.Close(); err != nil {
							t.Fatal(err)
						}
						if u, err = s.Resume(t.Context(), id); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := u.Seal(t.Context(), size); err != nil {
					t.Fatal(err)
				}
				if err := u.Commit(t.Context(), stores.Digest{Algo: "sha256", Hex: "00", Size: size}); err != nil {
					t.Fatal(err)
				}
				wantContent(t, s, key, size)
				t.Logf("sent %d MiB, fetched %d MiB of %d", proxy.Sent.Load()>>20, (proxy.Received.Load()-size)>>20, size>>20)
				if err := s.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				if left := leftovers(t, server, s); len(left) > 0 {
					t.Errorf("left behind: %q", left)
				}
			})
		}
	}
}

func (p *parts) memory() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// TestZerosLetPartsGo writes every other MiB and says of the others that they
// are zeros: nothing is put away.
func TestZerosLetPartsGo(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	proxy := s3test.NewProxy(t, server)
	s := open(t, proxy.Endpoint, Options{Bucket: server.Bucket(t), Memory: 24 << 20})
	key := stores.NewKey(uuid.NewString(), uuid.NewString())
	w, err := s.Begin(t.Context(), key, -1)
	if err != nil {
		t.Fatal(err)
	}
	u := w.(*upload)
	const size = 64 << 20
	for off := int64(0); off < size; off += 2 << 20 {
		if _, err := u.WriteAt(content(off, 1<<20), off); err != nil {
			t.Fatal(err)
		}
		if err := u.WriteZeros(off+1<<20, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Seal(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	if sent := proxy.Sent.Load(); sent > size+1<<20 {
		t.Errorf("%d bytes were sent for %d", sent, size)
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, server, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestStoppedAnywhere ends a handle behind each of its requests in turn, as a
// crash would, and brings the upload to either end with another handle.
func TestStoppedAnywhere(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	want := stores.Digest{Algo: "sha256", Hex: "00", Size: 18 << 20}
	for _, operation := range []string{"commit", "abort", "delete"} {
		for _, ending := range []string{"commit", "abort", "reap"} {
			for n := 1; ; n++ {
				proxy := s3test.NewProxy(t, server)
				o := Options{Bucket: server.Bucket(t), Parallel: 1}
				s := open(t, proxy.Endpoint, o)
				key := stores.NewKey(uuid.NewString(), uuid.NewString())
				stopped := stopAfter(proxy, n)
				ctx, cancel := context.WithCancel(t.Context())
				id, err := live(ctx, s, key, operation, want, func() { stopped.armed.Store(true) })
				cancel()
				if !stopped.hit.Load() {
					if err != nil {
						t.Fatalf("%s without a stop: %v", operation, err)
					}
					t.Logf("%s has %d requests", operation, n-1)
					break
				}
				t.Run(fmt.Sprintf("%s stopped behind request %d then %s", operation, n, ending), func(t *testing.T) {
					end(t, server, open(t, server.Endpoint, o), key, id, operation, ending, want)
				})
			}
		}
	}
}

type stop struct {
	armed, hit atomic.Bool
	left       atomic.Int64
}

// stopAfter lets n requests pass that change something, once it is armed, and
// then none.
func stopAfter(p *s3test.Proxy, n int) *stop {
	st := &stop{}
	st.left.Store(int64(n))
	p.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !st.armed.Load() || r.Method == http.MethodGet || r.Method == http.MethodHead {
			return !st.hit.Load()
		}
		if st.left.Add(-1) < 0 {
			st.hit.Store(true)
			w.WriteHeader(http.StatusForbidden) // is not repeated
			return false
		}
		return true
	})
	return st
}

// live takes an upload through its life; arm is called where it becomes interesting.
func live(ctx context.Context, s *Store, key, operation string, want stores.Digest, arm func()) (string, error) {
	u, err := s.Begin(ctx, key, -1)
	if err != nil {
		return "", err
	}
	defer u.Close()
	if operation == "commit" {
		arm()
	}
	if _, err := u.WriteAt(content(0, want.Size), 0); err != nil {
		return u.ID(), err
	}
	if err := u.Checkpoint(ctx, []byte("all")); err != nil {
		return u.ID(), err
	}
	if operation == "abort" {
		arm()
		return u.ID(), u.Abort(ctx)
	}
	if err := u.Seal(ctx, want.Size); err != nil {
		return u.ID(), err
	}
	if err := u.Commit(ctx, want); err != nil || operation == "commit" {
		return u.ID(), err
	}
	arm()
	return u.ID(), s.Delete(ctx, key)
}

// end brings an interrupted upload to its end and looks for what is left.
func end(t *testing.T, server *s3test.Server, s *Store, key, id, operation, ending string, want stores.Digest) {
	ctx := t.Context()
	_, err := s.Stat(ctx, key)
	visible := err == nil
	if visible {
		wantContent(t, s, key, want.Size)
	}
	switch ending {
	case "reap":
		for info, err := range s.Uploads(ctx, time.Now().Add(time.Hour)) {
			if err != nil {
				t.Fatal(err)
			}
			u, err := s.Resume(ctx, info.ID)
			if errcode.Of(err) == errcode.UploadUnknown {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Abort(ctx); err != nil {
				t.Fatal(err)
			}
			u.Close()
		}
	default:
		u, err := s.Resume(ctx, id)
		if errcode.Of(err) == errcode.UploadUnknown && (operation == "delete" || operation == "abort" && !visible) {
			break
		}
		if err != nil {
			t.Fatalf("Resume: %v (%v)", err, errors.Unwrap(err))
		}
		defer u.Close()
		if ending == "commit" {
			if _, sealed := u.Sealed(); !sealed {
				if _, err := u.WriteAt(content(0, want.Size), 0); err != nil {
					t.Fatal(err)
				}
			}
			if err := u.Seal(ctx, want.Size); err != nil {
				t.Fatalf("Seal: %v (%v)", err, errors.Unwrap(err))
			}
			if err := u.Commit(ctx, want); err != nil {
				t.Fatalf("Commit: %v (%v)", err, errors.Unwrap(err))
			}
			wantContent(t, s, key, want.Size)
			visible = true
		}
		if err := u.Abort(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Stat(ctx, key); visible && operation != "delete" && err != nil {
		t.Errorf("the object is gone: %v", err)
	} else if operation == "delete" && err == nil { // that it is to go is kept
		t.Errorf("the object is still there")
	}
	if err := s.Delete(ctx, key); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, server, s); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestOneOfManyCommits lets handles on uploads of one key commit at once.
func TestOneOfManyCommits(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		server := s3test.Start(t, kind)
		s := open(t, server.Endpoint, Options{Bucket: server.Bucket(t)})
		key := stores.NewKey(uuid.NewString(), uuid.NewString())
		var wins atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			u, err := s.Begin(t.Context(), key, 3)
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Seal(t.Context(), 3); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				err := u.Commit(t.Context(), stores.Digest{Size: 3})
				if err == nil {
					wins.Add(1)
				} else if errcode.Of(err) != errcode.Conflict {
					t.Errorf("%s: Commit: %v (%v)", kind.Name, err, errors.Unwrap(err))
				}
				if err := u.Abort(t.Context()); err != nil {
					t.Errorf("%s: Abort: %v", kind.Name, err)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Errorf("%s: %d of 8 commits succeed", kind.Name, wins.Load())
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if left := leftovers(t, server, s); len(left) > 0 {
			t.Errorf("%s: left behind: %q", kind.Name, left)
		}
	}
}

// TestNoConditions meets servers that refuse conditional writes, or take no
// notice of them.
func TestNoConditions(t *testing.T) {
	server := s3test.Start(t, s3test.Versity())
	for name, before := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"refused": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Match") == "" || r.Method != http.MethodPut {
				return true
			}
			w.WriteHeader(http.StatusNotImplemented)
			_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code></Error>`)
			return false
		},
		"unnoticed": func(w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("If-None-Match") == "" && r.Header.Get("If-Match") == "" || r.Method != http.MethodPut {
				return true
			}
			b, _ := io.ReadAll(r.Body)
			bucket, key, _ := strings.Cut(r.URL.Path[1:], "/")
			out, err := server.Client.PutObject(r.Context(), &awss3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(b)})
			if err != nil {
				w.WriteHeader(http.StatusInternalServerError)
				return false
			}
			w.Header().Set("ETag", *out.ETag)
			return false
		},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := s3test.NewProxy(t, server)
			proxy.Before(before)
			bucket := server.Bucket(t)
			key := stores.NewKey(uuid.NewString(), uuid.NewString())
			_, err := open(t, proxy.Endpoint, Options{Bucket: bucket}).Begin(t.Context(), key, 1)
			if errcode.Of(err) != errcode.StoreUnsuitable {
				t.Fatalf("Begin: %v (%v), want %s", err, errors.Unwrap(err), errcode.StoreUnsuitable)
			}
			s := open(t, proxy.Endpoint, Options{Bucket: bucket, OneWriter: true})
			u, err := s.Begin(t.Context(), key, 1)
			if err != nil {
				t.Fatal(err)
			}
			young, err := s.Resume(t.Context(), u.ID())
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Checkpoint(t.Context(), nil); errcode.Of(err) != errcode.UploadFenced {
				t.Errorf("Checkpoint of a fenced handle: %v", err)
			}
			if err := errors.Join(young.Seal(t.Context(), 1), young.Commit(t.Context(), stores.Digest{Size: 1}), s.Delete(t.Context(), key)); err != nil {
				t.Error(err)
			}
			if left := leftovers(t, server, s); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestDamageIsRefused has a part arrive other than it was sent.
func TestDamageIsRefused(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		server := s3test.Start(t, kind)
		proxy := s3test.NewProxy(t, server)
		proxy.Before(func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.Contains(r.URL.RawQuery, "partNumber") {
				r.Body = &flipped{r.Body}
			}
			return true
		})
		s := open(t, proxy.Endpoint, Options{Bucket: server.Bucket(t)})
		u, err := s.Begin(t.Context(), stores.NewKey(uuid.NewString(), uuid.NewString()), -1)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = u.WriteAt(content(0, 8<<20), 0)
		if err := u.Seal(t.Context(), 9<<20); errcode.Of(err) != errcode.StoreUnavailable {
			t.Errorf("%s: Seal of damaged parts: %v", kind.Name, err)
		}
		proxy.Before(nil)
		if err := u.Abort(t.Context()); err != nil {
			t.Errorf("%s: Abort: %v", kind.Name, err)
		}
	}
}

type flipped struct{ io.ReadCloser }

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 {
		p[n/2] ^= 1
	}
	return n, err
}
