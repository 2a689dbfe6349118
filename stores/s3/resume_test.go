package s3

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"

	"ingest/internal/s3test"
	"ingest/stores"
)

// content returns n bytes from off of a file that repeats nowhere near; off is a
// multiple of eight.
func content(off, n int64) []byte {
	b := make([]byte, n+7)
	for i := int64(0); i < n; i += 8 {
		binary.LittleEndian.PutUint64(b[i:], uint64(off+i)*0x9e3779b97f4a7c15+1)
	}
	return b[:n]
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
