package unwrap

import (
	"bufio"
	"errors"
	"io"

	"ingest/formats"
	"ingest/internal/binio"
	"ingest/internal/errcode"
)

// inputBuffer is how much of the source is read at once.
const inputBuffer = 64 << 10

// An input is the source's bytes with a count of those that a decoder took.
type input struct {
	*bufio.Reader
	src   *source
	layer Layer
}

func newInput(r io.Reader, layer Layer) *input {
	s := &source{r: r}
	return &input{Reader: bufio.NewReaderSize(s, inputBuffer), src: s, layer: layer}
}

// A source counts what is read from it and remembers its error.
type source struct {
	r   io.Reader
	n   int64
	err error // nil for io.EOF
}

// Read reads from the source.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n < 0 || n > len(p) {
		n, err = 0, errors.New("the source returned an impossible count")
	}
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// taken returns how many bytes of the source were taken.
func (in *input) taken() int64 { return in.src.n - int64(in.Buffered()) }

// place is where in the source something is wrong: where reading got to.
func (in *input) place(structure, field string) formats.Place {
	return formats.Place{Format: formats.Name(in.layer), Structure: structure, Field: field, Off: in.taken()}
}

// corrupt is the error of a structure that is not as it should be.
func (in *input) corrupt(structure, field string, value any, limit string) error {
	return in.place(structure, field).Refuse(errcode.CompressionCorrupt, value, limit, "the %s is damaged: %s", in.layer, structure)
}

// full reads exactly len(p) bytes of a structure.
func (in *input) full(p []byte) error {
	if _, err := io.ReadFull(in, p); err != nil {
		return noEOF(err)
	}
	return nil
}

// noEOF is for an end where there should be none.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next returns what follows a whole stream: true if another one may, which begins
// with magic, and io.EOF if nothing but zeros follow. It does not consume the
// magic.
func (in *input) next(magic func(p []byte) bool) (bool, error) {
	p, err := in.Peek(6)
	if len(p) == 0 {
		return false, err
	}
	if magic(p) {
		return true, nil
	}
	return false, in.rest()
}

// rest reads the source to its end, which has to be zeros, and returns io.EOF.
func (in *input) rest() error {
	for {
		if _, err := in.Peek(1); err != nil {
			return err
		}
		p, _ := in.Peek(in.Buffered())
		if !binio.IsZero(p) {
			return in.place("end", "").Refuse(errcode.TrailingData, nil, "zeros", "there is something else behind the end of the %s", in.layer)
		}
		if _, err := in.Discard(len(p)); err != nil {
			return err
		}
	}
}
