package ova

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"ingest/formats"
	"ingest/formats/content"
	"ingest/formats/transfer"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// version changes whenever the same input and options give other bytes. A test
// holds the bytes of a small image against it; those of the disks within have the
// version of their own codec.
const version = 1

// An Encoder writes a virtual machine's disks into an OVA in one forward pass:
//
//	descriptor | first disk | further disks | manifest
//
// The descriptor and the first disk's tar header, of which the sizes are known
// last, are written last. A tar header precedes its member, and the writes in
// between ascend; so further disks are encoded twice, first to learn the size and
// then to be written. Checkpoints lie within the first disk.
type Encoder struct {
	Options
	// Disk returns the encoder of one disk, with an engine made from Engine: a
	// streamOptimized VMDK, with Head 0. Its checkpoints lie where all that it
	// was given is written. Its codec must be the same for every disk.
	Disk func(e transfer.Engine) formats.Encoder
	// Engine copies the bytes. A Digest that it carries is the first disk's, and
	// must be as far as the checkpoint that Encode is given. Its Progress is told
	// how far all disks are, one behind the other.
	Engine transfer.Engine
	// More are the disks behind the one that Encode is given.
	More []formats.Disk
	// MoreDigests, if set, has a fresh digest for each of More.
	MoreDigests []*content.Hasher
}

var _ formats.Encoder = Encoder{}

// Head returns the length of the descriptor with its tar header and of the first
// disk's tar header. It does not depend on size.
func (e Encoder) Head(int64) int64 {
	return 2*blockBytes + e.Options.defaults().descriptorSize(1+len(e.More))
}

// Codec names the options, the version of the layout and the disks' codec.
func (e Encoder) Codec() string {
	disk := "none"
	if e.Disk != nil {
		disk = e.Disk(e.Engine).Codec()
	}
	return fmt.Sprintf("ova v%d %s disks=%d (%s)", version, e.Options.codec(), 1+len(e.More), disk)
}

// A sum is a line of the manifest.
type sum struct {
	name string
	sha  []byte
}

// A job is one call of Encode.
type job struct {
	Encoder
	dst   formats.Sink
	pos   int64 // host offset up to which all is written, but for the head
	done  int64 // guest bytes of the disks before the current one
	disks []stored
	sums  []sum
}

// Encode writes src and the disks of More to dst. It goes on at the checkpoint if
// that was made by the same codec for a disk of the same size, and starts from the
// beginning if not.
func (e Encoder) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	if err := e.check(src); err != nil {
		return formats.Summary{}, err
	}
	e.Options = e.Options.defaults()
	j := &job{Encoder: e, dst: dst, pos: e.Head(src.Size())}
	virtual, err := j.first(ctx, src, from)
	if err != nil {
		return formats.Summary{}, err
	}
	for i := range e.More {
		if err := j.next(ctx, i); err != nil {
			return formats.Summary{}, err
		}
	}
	if err := j.finish(); err != nil {
		return formats.Summary{}, err
	}
	return formats.Summary{Format: formats.VMDK, FileSize: j.pos, VirtualSize: virtual}, nil
}

// check checks the options and the disks.
func (e Encoder) check(src formats.Disk) error {
	if _, err := e.complete(); err != nil {
		return err
	}
	switch n := 1 + len(e.More); {
	case n > MaxDisks:
		return wrongOption("disks", n, fmt.Sprintf("1 to %d", MaxDisks))
	case e.Disk == nil:
		return errors.New("ova: no encoder for the disks is set")
	case e.MoreDigests != nil && len(e.MoreDigests) != len(e.More):
		return fmt.Errorf("ova: %d digests for %d further disks", len(e.MoreDigests), len(e.More))
	}
	codec := e.Disk(e.Engine).Codec()
	for _, d := range append([]formats.Disk{src}, e.More...) {
		disk := e.Disk(e.Engine)
		if head := disk.Head(d.Size()); head != 0 || disk.Codec() != codec {
			return fmt.Errorf("ova: the disks' encoder %q writes a head of %d bytes, or differs from disk to disk", disk.Codec(), head)
		}
		if d.Size() <= 0 {
			return errcode.New(errcode.VirtualSizeZero, "a disk has %d bytes", d.Size()).
				With(errcode.Evidence{Format: container, Structure: "source", Field: "virtual size", Value: fmt.Sprint(d.Size())})
		}
	}
	return nil
}

// first encodes the first disk and returns its virtual size.
func (j *job) first(ctx context.Context, src formats.Disk, from formats.Checkpoint) (int64, error) {
	m := newMember(j.dst, j.pos)
	m.codec = j.Codec()
	inner := j.Disk(j.Engine)
	start := m.restore(from, inner.Codec())
	s, err := inner.Encode(ctx, m, src, start)
	if err != nil {
		return 0, err
	}
	return s.VirtualSize, j.end(m, src, s)
}

// next encodes a disk of More.
func (j *job) next(ctx context.Context, i int) error {
	src, name, done := j.More[i], j.diskName(1+i), j.done
	engine := transfer.Engine{Workers: j.Engine.Workers, Memory: j.Engine.Memory}
	if p := j.Engine.Progress; p != nil {
		engine.Progress = func(int64) { p(done) }
	}
	count := newMember(nowhere{}, 0)
	planned, err := j.Disk(engine).Encode(ctx, count, src, formats.Checkpoint{})
	if err != nil {
		return err
	}
	if err := j.write(header(name, planned.FileSize)); err != nil {
		return err
	}
	if p := j.Engine.Progress; p != nil {
		engine.Progress = func(off int64) { p(done + off) }
	}
	if j.MoreDigests != nil {
		engine.Digest = j.MoreDigests[i]
	}
	m := newMember(j.dst, j.pos)
	s, err := j.Disk(engine).Encode(ctx, m, src, formats.Checkpoint{})
	if err != nil {
		return err
	}
	if s != planned || !bytes.Equal(m.sum.Sum(nil), count.sum.Sum(nil)) {
		return errcode.New(errcode.SourceChanged, "disk %d is another than it was a moment ago", 2+i).
			With(errcode.Evidence{Format: container, Structure: "source", Field: "file size", Value: fmt.Sprint(s.FileSize), Limit: fmt.Sprint(planned.FileSize)})
	}
	return j.end(m, src, s)
}

// end ends a disk's member and notes what the descriptor and the manifest say of
// it.
func (j *job) end(m *member, src formats.Disk, s formats.Summary) error {
	if s.FileSize != m.pos {
		return fmt.Errorf("ova: the disks' encoder says %d bytes and wrote %d", s.FileSize, m.pos)
	}
	populated, err := formats.DataBytes(src)
	if err != nil {
		return err
	}
	j.sums = append(j.sums, sum{j.diskName(len(j.disks)), m.sum.Sum(nil)})
	j.disks = append(j.disks, stored{size: s.FileSize, capacity: s.VirtualSize, populated: populated})
	j.pos = m.base + m.pos
	j.done += src.Size()
	return j.write(make([]byte, padding(m.pos)))
}

// finish writes the manifest, the zeros that end the tar file, and the head.
func (j *job) finish() error {
	text := j.descriptor(j.disks)
	sha := sha256.Sum256(text)
	lines := manifest(append([]sum{{j.Name + ".ovf", sha[:]}}, j.sums...))
	tail := slices.Concat(header(j.Name+".mf", int64(len(lines))), lines)
	end := j.pos + int64(len(tail)) + 2*blockBytes
	tail = append(tail, make([]byte, binio.DivCeil(end, recordBytes)*recordBytes-j.pos-int64(len(tail)))...)
	if err := j.write(tail); err != nil {
		return err
	}
	head := slices.Concat(header(j.Name+".ovf", int64(len(text))), text, header(j.diskName(0), j.disks[0].size))
	_, err := j.dst.WriteAt(head, 0)
	return err
}

// manifest returns the manifest's lines (DSP0243, "OVF Package Structure").
func manifest(sums []sum) []byte {
	var b bytes.Buffer
	for _, s := range sums {
		fmt.Fprintf(&b, "SHA256(%s)= %x\n", s.name, s.sha)
	}
	return b.Bytes()
}

// write appends to the output.
func (j *job) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := j.dst.WriteAt(p, j.pos)
	j.pos += int64(len(p))
	return err
}
