package pipeline

import (
	"context"
	"errors"
	"io"
	"strconv"

	"ingest/detect"
	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/stores"
)

// Reach is asked before the bytes of an upload up to end are written; an error ends
// the upload.
type Reach = func(end int64) error

// Save takes the bytes of an image as a client sends them, and keeps them as they are:
// what their first MiB refuses is not read any further, the digests are taken on the
// way, and nothing is committed before the whole structure was checked and all of the disk
// in it was read. An image may
// have no bytes at all. What is not committed is aborted; a caller who does not make an
// image of what is removes it by Discard.
func (p *Pipeline) Save(ctx context.Context, u contract.Upload, body io.Reader, reach Reach) (contract.Uploaded, error) {
	store, err := p.store(u.Store)
	if err != nil {
		return contract.Uploaded{}, err
	}
	if err := keptAsItIs(u); err != nil {
		return contract.Uploaded{}, err
	}
	in := &intake{p: p, u: u, body: whole{body}, reach: reach, sums: p.newSums()}
	if err := in.start(ctx, nil); err != nil {
		return contract.Uploaded{}, err
	}
	up, err := beginUpload(ctx, store, u)
	if err != nil {
		return contract.Uploaded{}, err
	}
	defer up.Close()
	// Aborts whatever was not committed, also after the client has gone.
	defer up.Abort(context.WithoutCancel(ctx))
	if err := in.run(ctx, up); err != nil {
		return contract.Uploaded{}, err
	}
	if err := up.Seal(ctx, in.off); err != nil {
		return contract.Uploaded{}, err
	}
	out := contract.Uploaded{Store: store.Name(), Size: in.off}
	// Nova keeps snapshots of instances that boot from volumes as images without bytes.
	if in.off > 0 {
		if err := p.examine(ctx, up, u, &out); err != nil {
			return out, err
		}
	}
	s := in.sums.result()
	out.HashAlgo, out.HashValue, out.Checksum = s.HashAlgo, s.HashValue, s.Checksum
	return out, up.Commit(ctx, stores.Digest{Algo: s.HashAlgo, Hex: s.HashValue, Size: in.off})
}

func beginUpload(ctx context.Context, store stores.Store, u contract.Upload) (stores.Upload, error) {
	switch {
	case u.Size >= 0:
		return store.Begin(ctx, u.Key(), u.Size)
	case u.Most > 0:
		return stores.BeginUpTo(ctx, store, u.Key(), u.Most)
	}
	return store.Begin(ctx, u.Key(), -1)
}

// keptAsItIs refuses containers whose disks cannot be checked where they are: they are
// unpacked by an import.
func keptAsItIs(u contract.Upload) error {
	switch u.Container {
	case "", "bare", "ami", "aki", "ari", "ova":
		return nil
	}
	return errcode.New(errcode.FormatNotAllowed, "bytes in the container format %q cannot be checked as they are; import it, which unpacks it", u.Container).
		With(errcode.Evidence{Structure: "image", Field: "container_format", Value: u.Container})
}

// examine opens what was sealed as the disk that it is said to be, and checks it whole.
func (p *Pipeline) examine(ctx context.Context, up stores.Upload, u contract.Upload, out *contract.Uploaded) error {
	r, err := up.ReaderAt()
	if err != nil {
		return err
	}
	set := openedSet{&opened{ReaderAt: r, size: out.Size, closer: io.NopCloser(nil), check: func(context.Context) error { return nil }}}
	declared := u.Format
	if u.Container == "ova" {
		declared = "" // that of the disks in it, which are what is judged
	}
	in, rep, err := p.lookInto(ctx, set, contract.Fetched{Size: out.Size}, declared)
	if err != nil {
		return err
	}
	if err := in.asSaid(rep, u.Container); err != nil {
		return err
	}
	return p.examineDisks(ctx, in, out)
}

// examineDisks checks the disks one after the other; the first one's size is told.
func (p *Pipeline) examineDisks(ctx context.Context, in *insight, out *contract.Uploaded) error {
	for n := 1; n <= in.count(); n++ {
		disk, rep, err := in.open(ctx, n)
		if err != nil {
			return err
		}
		found, err := CheckDisk(ctx, disk)
		if n == 1 {
			out.VirtualSize, out.Subformat = disk.Size(), rep.Subformat
		}
		for _, f := range found {
			out.Findings = append(out.Findings, contract.Finding{Code: string(f.Code), Message: f.Message})
		}
		if err == nil && in.box == nil {
			out.Detected = in.detected(rep)
			err = p.describe(ctx, disk, rep, found, out)
		}
		if err = errors.Join(err, disk.Close()); err != nil {
			return err
		}
	}
	return in.verify(ctx)
}

// An intake takes a body in, chunk by chunk.
type intake struct {
	p     *Pipeline
	u     contract.Upload
	body  io.Reader
	reach Reach
	sums  *storedSums // nil if none are wanted

	head   []byte // the first bytes, until they are written
	off    int64  // bytes that are written
	pieces []transfer.Piece
}

// start reads the first bytes, as many as a format is known by, and refuses what they
// refuse. layers are the containers that may be around the disk.
func (in *intake) start(ctx context.Context, layers []formats.Name) error {
	in.head = make([]byte, detect.HeadBytes)
	n, err := io.ReadFull(in.body, in.head)
	in.head = in.head[:n]
	size := in.u.Size
	switch {
	case err == io.EOF, err == io.ErrUnexpectedEOF: // of ReadFull: the body is shorter
		size = int64(n)
	case err != nil:
		return err
	}
	if err := in.fits(int64(n)); err != nil {
		return err
	}
	if n == 0 && !in.u.Stage {
		return nil // an image of no bytes holds nothing that could be refused
	}
	declared := formats.Name(in.u.Format)
	if in.u.Container == "ova" {
		declared, layers = "", append(layers, "tar", "ova")
	}
	_, err = in.p.detect().Head(ctx, in.head, detect.Stream{Size: size, Declared: declared, Limits: in.p.Limits, Layers: layers})
	return err
}

// A whole body ends with io.EOF only where its sender ended it. One that was cut off says
// io.ErrUnexpectedEOF, as io.ReadFull does of one that is merely shorter than a buffer.
type whole struct{ io.Reader }

func (w whole) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && err != io.EOF && errors.Is(err, io.ErrUnexpectedEOF) {
		err = errcode.New(errcode.UploadCutOff, "the connection ended before the upload did")
	}
	return n, err
}

// fits refuses more bytes than are taken, or than were announced.
func (in *intake) fits(end int64) error {
	if in.u.Most > 0 && max(end, in.u.Size) > in.u.Most {
		return tooLarge(max(end, in.u.Size), in.u.Most)
	}
	if in.u.Size >= 0 && end > in.u.Size {
		return in.otherSize(end)
	}
	return nil
}

func (in *intake) otherSize(got int64) error {
	return errcode.New(errcode.BadRequest, "the upload has %d bytes or more, %d were announced", got, in.u.Size).
		With(errcode.Evidence{Structure: "upload", Field: "size", Value: strconv.FormatInt(got, 10), Limit: strconv.FormatInt(in.u.Size, 10)})
}

// A chunk is what was read at once.
type chunk struct {
	data []byte
	err  error
}

// intakeChunks is how many chunks of a MiB an upload holds at once: one is hashed and
// written while the next one is read.
const intakeChunks = 3

// run writes the whole body to where it belongs. Runs of zeros stay holes.
func (in *intake) run(ctx context.Context, to io.WriterAt) error {
	if err := in.write(to, in.head); err != nil {
		return err
	}
	in.head = nil
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	free, full := make(chan []byte, intakeChunks), make(chan chunk)
	for range intakeChunks {
		free <- nil
	}
	go in.read(ctx, free, full)
	for {
		select {
		case c := <-full:
			if c.err != nil && c.err != io.EOF {
				return c.err
			}
			if err := in.write(to, c.data); err != nil {
				return err
			}
			if c.err != nil {
				return in.ended()
			}
			free <- c.data[:0]
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// read reads the body until it ends, or nobody takes what was read.
func (in *intake) read(ctx context.Context, free chan []byte, full chan<- chunk) {
	for {
		var buf []byte
		select {
		case buf = <-free:
		case <-ctx.Done():
			return
		}
		if cap(buf) == 0 {
			buf = make([]byte, 1<<20)
		}
		n, err := io.ReadFull(in.body, buf[:cap(buf)])
		if err == io.ErrUnexpectedEOF { // of ReadFull, see whole
			err = io.EOF
		}
		select {
		case full <- chunk{buf[:n], err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (in *intake) ended() error {
	if in.u.Size >= 0 && in.off != in.u.Size {
		return in.otherSize(in.off)
	}
	return nil
}

// write writes and hashes the next bytes, side by side.
func (in *intake) write(to io.WriterAt, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	end := in.off + int64(len(p))
	if err := in.fits(end); err != nil {
		return err
	}
	if err := in.reach(end); err != nil {
		return err
	}
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		if in.sums != nil {
			in.sums.unit(&transfer.Unit{Off: in.off, Len: int64(len(p)), Data: p})
		}
	}()
	err := in.put(to, p)
	<-hashed
	if err == nil {
		in.off = end
	}
	return err
}

// put writes what of p is not zero.
func (in *intake) put(to io.WriterAt, p []byte) error {
	zeros, _ := to.(stores.Zeroer)
	leave := func(from, end int) error {
		if zeros == nil || end == from {
			return nil
		}
		return zeros.WriteZeros(in.off+int64(from), int64(end-from))
	}
	in.pieces = transfer.Pieces(in.pieces[:0], p, sparseGrain)
	at := 0
	for _, pc := range in.pieces {
		if err := leave(at, pc.Start); err != nil {
			return err
		}
		if _, err := to.WriteAt(p[pc.Start:pc.End], in.off+int64(pc.Start)); err != nil {
			return err
		}
		at = pc.End
	}
	return leave(at, len(p))
}
