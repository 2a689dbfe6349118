package pipeline

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

// Proofs are what an image that is opened where it lies must be held against, as the
// members of contract.SourceSpec of the same names. The zero value demands nothing.
type Proofs struct {
	Checksum, ChecksumFile, Signature, Keyring string
}

// A proving judges the files of an image by themselves.
type proving func(openedSet, contract.Fetched) error

// prove holds the files against the proofs that are demanded, and returns those that
// held. What comes from another machine is read once, into a file without a name,
// and from there on: what was proved must be what is read.
func (p *Pipeline) prove(ctx context.Context, set openedSet, f contract.Fetched, want Proofs, o Observe) ([]contract.Verification, error) {
	if want == (Proofs{}) {
		return nil, nil
	}
	src := contract.SourceSpec{URL: f.URL, Checksum: want.Checksum, ChecksumFile: want.ChecksumFile, Signature: want.Signature, Keyring: want.Keyring}
	local := []bool{f.Local}
	for _, m := range f.Members {
		src.Members = append(src.Members, contract.MemberSpec{URL: m.URL, Name: m.Name})
		local = append(local, m.Local)
	}
	parts, err := p.parts(contract.FetchParams{Source: src})
	if err != nil {
		return nil, err
	}
	for i, pt := range parts {
		if pt.about = f.About; i > 0 {
			pt.about = f.Members[i-1].About
		}
	}
	if err := p.expect(ctx, parts, src); err != nil {
		return nil, err
	}
	t := tally{o: o}
	for _, file := range set {
		t.total = addSizes(t.total, file.size)
	}
	var out []contract.Verification
	for i, pt := range parts {
		proofs, err := p.proveFile(ctx, pt, set[i], local[i], t.observe)
		if err != nil {
			return nil, pt.in(err)
		}
		for _, v := range proofs {
			v.File = pt.name
			out = append(out, v)
		}
		t.base += set[i].size
	}
	return out, nil
}

// proveFile reads one file to its end.
func (p *Pipeline) proveFile(ctx context.Context, pt *part, file *opened, local bool, o Observe) ([]contract.Verification, error) {
	if !pt.want.any() {
		return nil, nil
	}
	d, err := pt.want.digester()
	if err != nil {
		return nil, err
	}
	var copied *os.File
	if !local {
		if copied, err = tempFile(file.size); err != nil {
			return nil, err
		}
	}
	e := transfer.Engine{Workers: rangesInFlight, Memory: p.Memory}
	err = e.Run(ctx, raw.New(file.ReaderAt, file.size), 0, file.size, nil, func(u *transfer.Unit) error {
		o(u.Off+u.Len, file.size, nil)
		if u.Data == nil {
			hashZeros(d, u.Len)
			return nil
		}
		d.Write(u.Data)
		if copied == nil {
			return nil
		}
		_, err := copied.WriteAt(u.Data, u.Off)
		return err
	})
	if err == nil && copied != nil {
		err = copied.Truncate(file.size)
	}
	var out []contract.Verification
	if err == nil {
		out, err = pt.want.check(d, time.Now())
	}
	if copied == nil {
		return out, err
	}
	if err != nil {
		return nil, errors.Join(tempError(err), copied.Close())
	}
	file.ReaderAt, file.closer = sparseFile{copied, file.size}, closers{copied, file.closer}
	return out, nil
}

// tempFile makes a temporary file without a name, so that it goes with the process.
// It is to take so many bytes.
func tempFile(size int64) (*os.File, error) {
	dir := os.TempDir()
	if free, err := fsutil.Free(dir); err == nil && size > free {
		return nil, noTemp(dir, nil)
	}
	tmp, err := os.CreateTemp(dir, "ingest-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(tmp.Name()); err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	return tmp, nil
}

// tempError says where there was no room.
func tempError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return noTemp(os.TempDir(), err)
	}
	return err
}

func noTemp(dir string, err error) error {
	return errcode.Wrap(err, errcode.NoSpace, "the folder for temporary files has no room for what is in the source: set TMPDIR to one that has").
		With(errcode.Evidence{Structure: "temporary files", Field: "folder", Value: dir})
}
