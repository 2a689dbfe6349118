package pipeline

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/sources"
	"ingest/unwrap"
)

// layerHead is how many first bytes tell a compression.
const layerHead = 16

// unwrapLimits bound what taking a layer off may cost here.
func (p *Pipeline) unwrapLimits() unwrap.Limits {
	if p.Unwrap != nil {
		return *p.Unwrap
	}
	return unwrap.DefaultLimits()
}

// layered reports whether a layer around a file of the declared format is taken
// off. Kernels and ramdisks are compressed for whoever boots them, and other files
// of an image are never packed alone.
func layered(declared string, members int) bool {
	return !detect.Opaque(formats.Name(strings.ToLower(strings.TrimSpace(declared)))) && members == 0
}

// layerOf returns the layer that a file shows at its head, "" for none. A zip is one
// if its member is compressed (APPNOTE 4.3.7, "compression method"), and else a
// container that is read in place.
func layerOf(head []byte) unwrap.Layer {
	if len(head) >= 10 && string(head[:4]) == "PK\x03\x04" && head[8]|head[9] != 0 {
		return unwrap.Zip
	}
	l, _ := unwrap.Match(head)
	return l
}

// readLayer is layerOf for a file that is read at random.
func readLayer(r io.ReaderAt, size int64) (unwrap.Layer, error) {
	head := make([]byte, min(size, layerHead))
	if err := binio.ReadFull(r, head, 0); err != nil {
		return "", err
	}
	return layerOf(head), nil
}

// zipMember finds the file in a zip.
func zipMember(r io.ReaderAt, size int64, lim unwrap.Limits) (unwrap.Disk, error) {
	c, err := unwrap.OpenArchive(r, size, lim)
	if err != nil {
		return unwrap.Disk{}, err
	}
	return c.Disks[0], nil
}

// peel finds out which layer is around the file. What can only be read forward is
// begun, and goes on where that stopped.
func (pt *part) peel(ctx context.Context) error {
	pin := pt.src.Pin()
	if c := pt.staged.load(); c.Done && c.Pin == pin {
		pt.layer = unwrap.Layer(c.Layer)
		return nil
	}
	if pin.Random && pin.Size > 0 {
		r, err := pt.src.ReaderAt(ctx)
		if err == nil {
			pt.layer, err = readLayer(r, pin.Size)
		}
		return err
	}
	body, err := pt.src.Stream(ctx, 0)
	if err != nil {
		return err
	}
	b := &begun{Source: pt.src, body: body, in: bufio.NewReaderSize(body, 64<<10)}
	pt.src = b
	head, err := b.in.Peek(layerHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	pt.layer = layerOf(head)
	return nil
}

// A begun source has had its first bytes looked at. Its first Stream is the one
// that was begun.
type begun struct {
	sources.Source
	body io.ReadCloser
	in   *bufio.Reader
}

// Unwrap returns the source that was begun.
func (b *begun) Unwrap() sources.Source { return b.Source }

// Stream goes on with what was begun, once.
func (b *begun) Stream(ctx context.Context, off int64) (io.ReadCloser, error) {
	if b.body == nil || off != 0 {
		return b.Source.Stream(ctx, off)
	}
	body := struct {
		io.Reader
		io.Closer
	}{b.in, b.body}
	b.body = nil
	return body, nil
}

// Notes are those of the source.
func (b *begun) Notes() []string { return sources.NotesOf(b.Source) }

// Close closes the stream too, if nobody has taken it.
func (b *begun) Close() error {
	if b.body != nil {
		return errors.Join(b.body.Close(), b.Source.Close())
	}
	return b.Source.Close()
}

// unpack stages what is within the part's layer. An attempt begins anew: a
// decompressor's state is not kept, so a crash costs what had been unwrapped. d is
// for the bytes before.
func (p *Pipeline) unpack(ctx context.Context, pt *part, d *digester, out *contract.Fetched, o Observe) error {
	f, err := pt.staged.own(ctx)
	if err != nil {
		return spaceError(err)
	}
	defer f.Close()
	pin, algo := pt.src.Pin(), d.names()
	c := pt.staged.load()
	h, err := d.fresh()
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err != nil || !c.Done || c.Pin != pin || c.Algo != algo || c.Layer != string(pt.layer) || st.Size() != c.Off || pt.want.any() && !h.restored(c.State) {
		h = d
		if c, err = p.unpackInto(ctx, pt, f, h, sidecar{Pin: pin, Algo: algo, Layer: string(pt.layer)}, o); err != nil {
			return spaceError(err)
		}
	}
	out.Staged, out.Layer, out.Size, out.SourceSize, out.SourceDigest = true, c.Layer, c.Off, c.SourceSize, c.Digest
	if !pt.want.any() {
		return nil
	}
	out.Verifications, err = pt.want.check(h, time.Now())
	return err
}

// unpackInto is unpack from the source's first byte on.
func (p *Pipeline) unpackInto(ctx context.Context, pt *part, f *os.File, d *digester, c sidecar, o Observe) (sidecar, error) {
	// The sidecar goes first: it must not vouch for bytes that are written anew.
	if err := pt.staged.forget(); err != nil {
		return c, err
	}
	if err := f.Truncate(0); err != nil {
		return c, err
	}
	in, err := p.layerInput(ctx, pt, d, o)
	if err != nil {
		return c, err
	}
	defer in.close()
	w := &unwrapper{ctx: ctx, claim: pt.staged.claim, f: f, in: in, max: p.MaxSourceBytes, o: o, look: pt.staged.look.within()}
	if c.Off, err = w.copy(ctx); err != nil {
		return c, in.fault(err)
	}
	if err := pt.staged.claim.set(ctx, w.stored, w.stored); err != nil {
		return c, err
	}
	if err := in.whole(); err != nil {
		return c, err
	}
	c.SourceSize, c.Done = in.size, true
	if in.digest != nil {
		c.Digest = in.digest.text()
		if c.State, err = in.digest.MarshalBinary(); err != nil {
			return c, err
		}
		*d = *in.digest
	}
	if err := pt.staged.owned(f); err != nil {
		return c, err
	}
	return c, pt.staged.save(c)
}

// A layerInput is the source of an unwrapping.
type layerInput struct {
	z      io.Reader
	taken  func() int64 // bytes of the source that were taken
	size   int64        // of the source, bytes; -1 until it has ended
	want   int64        // that the pin says, -1 if it says nothing
	n      int64        // bytes that came from a stream
	digest *digester    // of the source, once its bytes have been read; nil if none is taken
	close  func()
}

// layerInput opens the part's source within its layer. The stream's bytes go
// through h.
func (p *Pipeline) layerInput(ctx context.Context, pt *part, h *digester, o Observe) (*layerInput, error) {
	in := &layerInput{want: pt.src.Pin().Size, size: -1, close: func() {}}
	if pt.layer == unwrap.Zip {
		return in, p.zipInput(ctx, pt, h, in, o)
	}
	body, err := pt.forward(ctx)
	if err != nil {
		return nil, err
	}
	in.close = func() { body.Close() }
	counted := readerFunc(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		n, err := body.Read(b)
		if in.n += int64(n); p.MaxSourceBytes > 0 && in.n > p.MaxSourceBytes {
			return 0, tooLarge(in.n, p.MaxSourceBytes)
		}
		h.Write(b[:n])
		return n, err
	})
	z, err := unwrap.Open(counted, pt.layer, p.unwrapLimits())
	if err != nil {
		in.close()
		return nil, in.fault(err)
	}
	in.z, in.taken, in.digest = z, z.In, h
	return in, nil
}

// forward reads the part's source from front to end: with many ranges in flight where
// there are ranges.
func (pt *part) forward(ctx context.Context) (io.ReadCloser, error) {
	pin := pt.src.Pin()
	if !pin.Random || pin.Size <= 0 || pin.Local {
		return pt.src.Stream(ctx, 0)
	}
	r, err := pt.src.ReaderAt(ctx)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bufio.NewReaderSize(io.NewSectionReader(r, 0, pin.Size), 256<<10)), nil
}

// zipInput opens the member of a zip. What is not read at random is staged packed
// first: what the zip is stands at its end.
func (p *Pipeline) zipInput(ctx context.Context, pt *part, d *digester, in *layerInput, o Observe) error {
	var r io.ReaderAt
	var err error
	in.size = in.want
	if pt.src.Pin().Random {
		if r, err = pt.src.ReaderAt(ctx); err != nil {
			return err
		}
		if pt.want.any() {
			if err = p.digestSource(ctx, pt.src, d, o); err != nil {
				return err
			}
			in.digest = d
		}
	} else {
		packed := pt.staged.packed()
		if in.size, in.digest, err = p.stage(ctx, packed, pt.src, d, 0, o); err != nil {
			return err
		}
		file, err := openStaged(packed, in.size)
		if err != nil {
			return err
		}
		in.close = func() {
			file.closer.Close()
			// What is left of the claim ends with the task.
			if packed.discard() == nil {
				_ = packed.claim.set(ctx, 0, 0)
			}
		}
		r = file.ReaderAt
	}
	lim := p.unwrapLimits()
	m, err := zipMember(r, in.size, lim)
	if err == nil {
		in.z, err = m.Open(lim)
	}
	if err != nil {
		in.close()
		return err
	}
	in.taken = func() int64 { return in.size }
	return nil
}

// fault keeps a source that was cut short from being called damaged.
func (in *layerInput) fault(err error) error {
	if errcode.Of(err) == errcode.Truncated && in.want >= 0 && in.n < in.want {
		return errcode.New(errcode.SourceLengthMismatch, "the source ended after %d of %d bytes", in.n, in.want)
	}
	return err
}

// whole checks, once the layer has ended, that the source has too.
func (in *layerInput) whole() error {
	if in.size < 0 {
		in.size = in.n
	}
	if in.want >= 0 && in.size != in.want {
		return errcode.New(errcode.SourceLengthMismatch, "the source ended after %d of %d bytes", in.size, in.want)
	}
	return nil
}

// An unwrapper writes what comes out of a layer, and leaves holes for zeros.
type unwrapper struct {
	ctx     context.Context // of the attempt
	claim   *claim
	f       *os.File
	in      *layerInput
	max     int64 // bytes that may be stored, 0 for any number
	o       Observe
	stored  int64 // bytes
	durable int64 // of them
	told    time.Time
	look    *look
}

// unwrapBytes is how much is unwrapped at once, and holeBytes the unit in which
// zeros are left out: that of file systems.
const (
	unwrapBytes = 1 << 20
	holeBytes   = 4 << 10
)

// copy copies all, and returns how much that was.
func (w *unwrapper) copy(ctx context.Context) (int64, error) {
	buf := make([]byte, unwrapBytes)
	for off := int64(0); ; {
		if ctx.Err() != nil {
			return off, context.Cause(ctx)
		}
		n, err := io.ReadFull(w.in.z, buf)
		if err := w.write(buf[:n], off); err != nil {
			return off, err
		}
		off += int64(n)
		if err := w.look.at(w.f, off); err != nil {
			return off, err
		}
		w.tell(off)
		switch {
		case err == io.EOF, err == io.ErrUnexpectedEOF: // ReadFull's own; a source's error comes wrapped
			return off, w.end(off)
		case err != nil:
			return off, err
		}
	}
}

// write writes those blocks that are not zero.
func (w *unwrapper) write(p []byte, off int64) error {
	for i := 0; i < len(p); {
		j := i
		for j < len(p) && !binio.IsZero(p[j:min(j+holeBytes, len(p))]) {
			j += holeBytes
		}
		if j = min(j, len(p)); j == i {
			i += holeBytes
			continue
		}
		if w.stored += int64(j - i); w.max > 0 && w.stored > w.max {
			return errcode.New(errcode.DecompressedTooLarge, "what the source holds takes more than %d bytes", w.max).
				With(errcode.Evidence{Structure: "source", Field: "decompressed bytes that are not zero", Value: strconv.FormatInt(w.stored, 10), Limit: strconv.FormatInt(w.max, 10)})
		}
		if err := w.claim.reach(w.ctx, w.stored); err != nil {
			return err
		}
		if _, err := w.f.WriteAt(p[i:j], off+int64(i)); err != nil {
			return err
		}
		i = j
	}
	if w.stored-w.durable < checkpointBytes {
		return nil
	}
	// In pieces, so that the last one does not stand still for minutes.
	w.durable = w.stored
	return fsutil.Datasync(w.f)
}

// tell says how far it is: zeros come out of nothing for a long time, which is
// told by a sign that it lives.
func (w *unwrapper) tell(off int64) {
	var alive []byte
	if time.Since(w.told) >= pulseEvery {
		w.told = time.Now()
		alive = sign("unwrapped", off)
	}
	w.o(w.in.taken(), max(w.in.want, -1), alive)
}

// end makes all of it durable.
func (w *unwrapper) end(size int64) error {
	if size == 0 {
		return errcode.New(errcode.Empty, "the source holds no bytes").With(errcode.Evidence{Structure: "source", Field: "decompressed bytes", Value: "0"})
	}
	if err := w.f.Truncate(size); err != nil {
		return err
	}
	return fsutil.Datasync(w.f)
}

// readerFunc is a function that is an io.Reader.
type readerFunc func([]byte) (int, error)

// Read calls the function.
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
