package unwrap

import (
	"errors"
	"fmt"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// headBytes is how much is decompressed before Open returns: one block of tar.
const headBytes = 512

// blockBytes is the unit in which a sparse file stores bytes or leaves them out.
const blockBytes = 4 << 10

// A Reader gives the contents of a layer, once and forward. It ends with io.EOF
// only after everything that the layer says of its own integrity was checked and
// nothing but zeros follow. Every other end is an error that stays. A Reader is
// not safe for concurrent use.
type Reader struct {
	layer Layer
	lim   Limits
	in    *input
	dec   io.Reader
	head  []byte // the first bytes
	given int    // how many of head Read has returned
	out   int64  // bytes that came out
	data  int64  // those in blocks that hold anything but zeros
	dirty bool   // the block at out does
	err   error
}

// Open takes a layer off the source's bytes. It decompresses the first ones:
// compression inside compression is refused at once. Open does not close r, whose
// own errors come through unchanged.
func Open(r io.Reader, layer Layer, lim Limits) (*Reader, error) {
	in := newInput(r, layer)
	dec := decoderOf(layer, in, lim)
	if dec == nil {
		return nil, in.place("", "").Refuse(errcode.FormatNotAllowed, string(layer), "gzip, xz, zstd, bzip2", "%q is not a compression that is taken off", string(layer))
	}
	return open(in, dec, lim)
}

// open reads the head.
func open(in *input, dec io.Reader, lim Limits) (*Reader, error) {
	z := &Reader{layer: in.layer, lim: lim, in: in, dec: dec}
	buf := make([]byte, headBytes)
	n, err := io.ReadFull(decoded{z}, buf)
	z.head = buf[:n]
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	if z.err != nil && z.err != io.EOF {
		return nil, z.err
	}
	if name := nested(z.head); name != "" {
		return nil, formats.Place{Format: formats.Name(in.layer), Structure: "contents", Off: -1}.
			Refuse(errcode.CompressionNested, name, "one layer", "what is compressed with %s is again compressed, with %s", in.layer, name)
	}
	return z, nil
}

// Layer returns what is taken off.
func (z *Reader) Layer() Layer { return z.layer }

// Head returns the first bytes, at most 512. They stay to be read.
func (z *Reader) Head() []byte { return z.head }

// In returns how many bytes of the source were taken, Out how many came out.
func (z *Reader) In() int64 { return z.in.taken() }

// Out returns how many bytes came out, the head included.
func (z *Reader) Out() int64 { return z.out }

// Read reads the next bytes. It never returns more of them, in all, than the
// limits allow.
func (z *Reader) Read(p []byte) (int, error) {
	if z.given < len(z.head) {
		n := copy(p, z.head[z.given:])
		z.given += n
		return n, nil
	}
	return z.decode(p)
}

// decoded reads past the head.
type decoded struct{ z *Reader }

// Read decompresses.
func (d decoded) Read(p []byte) (int, error) { return d.z.decode(p) }

// decode decompresses, counts and holds the counts against the limits.
func (z *Reader) decode(p []byte) (int, error) {
	if z.err != nil {
		return 0, z.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := z.safely(p)
	if err != nil {
		z.err = z.fault(err)
	}
	if room := z.lim.Output - z.out; int64(n) > room {
		n = int(max(room, 0))
		z.err = z.place("output").Refuse(errcode.DecompressedTooLarge, fmt.Sprint("more than ", z.lim.Output), fmt.Sprint(z.lim.Output),
			"the %s holds more than %d bytes", z.layer, z.lim.Output)
	}
	z.count(p[:n])
	if z.err == nil || z.err == io.EOF {
		if err := z.ratio(); err != nil {
			z.err = err
			return 0, err
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

// safely calls the decoder. Decoders are other people's programs: one that fails
// on crafted bytes refuses them and does not end the process.
func (z *Reader) safely(p []byte) (n int, err error) {
	defer func() {
		if x := recover(); x != nil {
			n = 0
			err = z.place("stream").Refuse(errcode.ParserCrash, fmt.Sprint(x), "", "the decoder of %s failed", z.layer)
		}
	}()
	for range 100 {
		if n, err = z.dec.Read(p); n != 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// fault gives an error of the decoder its code.
func (z *Reader) fault(err error) error {
	_, coded := errcode.As(err)
	switch {
	case z.in.src.err != nil:
		return fmt.Errorf("read %s: %w", z.layer, z.in.src.err)
	case err == io.EOF, coded:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return z.place("stream").Refuse(errcode.Truncated, nil, "", "the %s ends before its last byte", z.layer)
	}
	return z.place("stream").Refuse(errcode.CompressionCorrupt, nil, "", "the %s is damaged: %v", z.layer, err)
}

func (z *Reader) place(structure string) formats.Place { return z.in.place(structure, "") }

// count counts bytes that came out, by blocks.
func (z *Reader) count(p []byte) {
	for len(p) > 0 {
		n := min(int64(len(p)), blockBytes-z.out%blockBytes)
		if !z.dirty && !binio.IsZero(p[:n]) {
			z.dirty = true
			z.data += blockBytes
		}
		p = p[n:]
		if z.out += n; z.out%blockBytes == 0 {
			z.dirty = false
		}
	}
}

// ratio holds what came out against what went in.
func (z *Reader) ratio() error {
	in := z.in.taken()
	for _, r := range []struct {
		got, ratio, floor int64
		what              string
	}{
		{z.data, z.lim.Ratio, ratioFloor, "bytes that are not zero"},
		{z.out, z.lim.ZeroRatio, zeroRatioFloor, "bytes"},
	} {
		most, err := binio.Mul(in, r.ratio)
		if err == nil && r.got > max(most, r.floor) {
			return z.place("output").Refuse(errcode.ExpansionRatio, fmt.Sprintf("%d from %d", r.got, in), fmt.Sprintf("%d:1", r.ratio),
				"%d bytes of %s hold more than %d %s", in, z.layer, max(most, r.floor), r.what)
		}
	}
	return nil
}
