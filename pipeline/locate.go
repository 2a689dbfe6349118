package pipeline

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json"
	"io"
	"slices"
	"time"

	"ingest/formats"
	"ingest/formats/transfer"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/sources"
	"ingest/stores"
)

// locateChunk is how much of an object is in memory while it is hashed, bytes, and
// locateNote how much of it is hashed between two hints for another attempt.
const (
	locateChunk = 1 << 20
	locateNote  = 64 << 20
)

// FindLocation returns the store in which a URL lies, and the object's key there. That the
// object is there is not known; ok is false if the URL lies in no store.
func (p *Pipeline) FindLocation(url string) (store, key string, ok bool) {
	for _, name := range p.storeNames() {
		l, can := p.Stores[name].(stores.Locator)
		if !can {
			continue
		}
		if key, ok := l.KeyOf(url); ok {
			return name, key, true
		}
	}
	return "", "", false
}

func (p *Pipeline) storeNames() []string {
	var out []string
	for name := range p.Stores {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// LocationURL returns the URL of an object, errcode.NotFound if the store has it not or
// has no URLs.
func (p *Pipeline) LocationURL(ctx context.Context, store, key string) (string, error) {
	s, err := p.store(store)
	if err != nil {
		return "", err
	}
	l, ok := s.(stores.Locator)
	if !ok {
		return "", errcode.New(errcode.NotFound, "store %s has no URLs for its objects", store)
	}
	return l.URL(ctx, key)
}

// SameBytes returns errcode.VerifyMismatch unless an object has the stored bytes of the
// digest. It reads all of it.
func (p *Pipeline) SameBytes(ctx context.Context, store, key string, want stores.Digest) error {
	s, err := p.store(store)
	if err != nil {
		return err
	}
	return sameThere(ctx, s, key, contract.CopyParams{Size: want.Size, HashAlgo: want.Algo, HashValue: want.Hex}, ignore)
}

// Locate makes sure that an object is what an image is said to be, where it lies.
func (p *Pipeline) Locate(ctx context.Context, l contract.LocateParams, resume []byte, o Observe) (contract.Located, []formats.Finding, error) {
	if o == nil {
		o = ignore
	}
	var out contract.Located
	if err := keptAsItIs(contract.Upload{Container: l.ContainerFormat}); err != nil || l.ContainerFormat == "ova" {
		if err == nil {
			err = errcode.New(errcode.FormatNotAllowed, "an OVA is unpacked by an import, and cannot be used where it lies").
				With(errcode.Evidence{Structure: "image", Field: "container_format", Value: l.ContainerFormat})
		}
		return out, nil, err
	}
	at, info, err := p.located(ctx, l)
	if err != nil {
		return out, nil, err
	}
	src, err := p.openStored(ctx, []contract.Stored{at}, info.Size)
	if err != nil {
		return out, nil, err
	}
	defer src.Close()
	out = contract.Located{
		Fetched:   contract.Fetched{URL: l.Source.URL, Driver: "store", Size: info.Size, Strong: true, Random: true},
		Target:    contract.TargetSpec{Format: l.Source.Format, Store: at.Store},
		Converted: contract.Converted{Store: at.Store, Size: info.Size},
		Stored:    at,
	}
	found, err := p.examineLocated(sources.WithTables(ctx), src.readerAt(), l, &out)
	if err != nil {
		return out, append(found, formats.FindingOf(err)), err
	}
	sums, err := p.hashLocated(ctx, src.readerAt(), l, info, resume, o)
	if err != nil {
		return out, found, err
	}
	out.Checksummed = contract.Checksummed{HashAlgo: sums.HashAlgo, HashValue: sums.HashValue, Checksum: sums.Checksum}
	if err := verifyLocated(l, info, sums, &out); err != nil {
		return out, found, err
	}
	return out, found, p.unchanged(ctx, at, info)
}

// located finds the object that a URL names. One that the URL does not name by its one
// name, as of another upload or in another folder, is not it.
func (p *Pipeline) located(ctx context.Context, l contract.LocateParams) (contract.Stored, stores.ObjectInfo, error) {
	var none stores.ObjectInfo
	missing := errcode.New(errcode.NotFound, "no store has an object at the location").
		With(errcode.Evidence{Structure: "location", Field: "url"})
	store, key, ok := p.FindLocation(l.Source.URL)
	if !ok || store != l.Store {
		return contract.Stored{}, none, missing
	}
	s, err := p.store(store)
	if err != nil {
		return contract.Stored{}, none, err
	}
	info, err := s.Stat(ctx, key)
	if err != nil {
		return contract.Stored{}, none, err
	}
	named, err := s.(stores.Locator).URL(ctx, key)
	if err == nil && !stores.SameURL(named, l.Source.URL) {
		err = missing
	}
	return contract.Stored{Store: store, Key: key, Location: Location(store, key)}, info, err
}

// examineLocated opens the object as the disk that it is said to be, and checks it whole.
func (p *Pipeline) examineLocated(ctx context.Context, r io.ReaderAt, l contract.LocateParams, out *contract.Located) ([]formats.Finding, error) {
	set := openedSet{&opened{ReaderAt: r, size: out.Fetched.Size, closer: io.NopCloser(nil), check: func(context.Context) error { return nil }}}
	in, rep, err := p.lookInto(ctx, set, contract.Fetched{Size: out.Fetched.Size}, l.Source.Format)
	in.soft = l.Soft
	if err != nil {
		return rep.Findings, err
	}
	if err := in.asSaid(rep, l.ContainerFormat); err != nil {
		return rep.Findings, err
	}
	disk, rep, err := in.open(ctx, 1)
	if err != nil {
		return rep.Findings, err
	}
	defer disk.Close()
	found, err := CheckDisk(ctx, disk)
	if err != nil {
		return found, err
	}
	out.Detected = in.detected(rep)
	out.Converted.VirtualSize, out.Converted.SourceSize = disk.Size(), disk.Size()
	return found, in.verify(ctx)
}

// A locateHint is where another attempt goes on.
type locateHint struct {
	Off       int64     `json:"off"`
	Size      int64     `json:"size"`
	Committed time.Time `json:"committed,omitzero"` // of the object that was read
	Sums      sumsState `json:"sums"`
}

// hashLocated takes the digests of an object, in its order. Holes are not read.
func (p *Pipeline) hashLocated(ctx context.Context, r io.ReaderAt, l contract.LocateParams, info stores.ObjectInfo, resume []byte, o Observe) (contract.StoredSums, error) {
	sums, off := p.locateSums(l), int64(0)
	var hint locateHint
	if json.Unmarshal(resume, &hint) == nil && hint.Size == info.Size && hint.Committed.Equal(info.Committed) && hint.Off > 0 && hint.Off <= info.Size {
		if sums.restore(hint.Sums) {
			off = hint.Off
		} else {
			sums = p.locateSums(l)
		}
	}
	noted, buf := off, make([]byte, locateChunk)
	for off < info.Size {
		if err := ctx.Err(); err != nil {
			return contract.StoredSums{}, context.Cause(ctx)
		}
		n, zeros, err := nextPiece(r, buf, off, info.Size)
		if err != nil {
			return contract.StoredSums{}, err
		}
		if zeros {
			sums.zeros(n)
		} else {
			sums.unit(&transfer.Unit{Off: off, Len: n, Data: buf[:n]})
		}
		off += n
		var note []byte
		if off-noted >= locateNote {
			noted = off
			note, _ = json.Marshal(locateHint{Off: off, Size: info.Size, Committed: info.Committed, Sums: sums.state()})
		}
		o(off, info.Size, note)
	}
	return sums.result(), nil
}

// nextPiece reads what comes next of an object, or says how many zeros do.
func nextPiece(r io.ReaderAt, buf []byte, off, size int64) (n int64, zeros bool, err error) {
	end := size
	if f, ok := r.(formats.DataFinder); ok {
		start, stop, err := f.NextData(off)
		switch {
		case err != nil:
			return 0, false, err
		case start >= stop: // nothing but holes follows
			return min(size-off, locateNote), true, nil
		case start > off:
			return min(start, size, off+locateNote) - off, true, nil
		}
		end = min(stop, size)
	}
	n = min(int64(len(buf)), end-off)
	if k, err := r.ReadAt(buf[:n], off); int64(k) < n {
		if err == nil || err == io.EOF {
			err = errcode.New(errcode.StoreUnavailable, "the object ends at %d of %d bytes", off+int64(k), size)
		}
		return 0, false, err
	}
	return n, false, nil
}

// locateSums are the digests that are wanted: the stored one by the algorithm of what the
// bytes are said to be, else by the operator's.
func (p *Pipeline) locateSums(l contract.LocateParams) *storedSums {
	s := p.newSums()
	s.blocks = nil
	if d, err := verify.ParseDigest(l.Source.Checksum, false); l.Source.Checksum != "" && err == nil {
		switch d.Algo {
		case verify.SHA256:
			s.algo, s.sum = "sha256", sha256.New()
		case verify.SHA512:
			s.algo, s.sum = "sha512", sha512.New()
		}
	}
	return s
}

// verifyLocated holds the digests against what the bytes were said to be, and against what
// the store has kept of them.
func verifyLocated(l contract.LocateParams, info stores.ObjectInfo, sums contract.StoredSums, out *contract.Located) error {
	if info.Digest.Algo == sums.HashAlgo && info.Digest.Hex != "" && info.Digest.Hex != sums.HashValue {
		return errcode.New(errcode.VerifyMismatch, "the object is not what was stored: it is damaged").
			With(errcode.Evidence{Structure: "object", Field: sums.HashAlgo, Value: sums.HashValue, Limit: info.Digest.Hex})
	}
	if l.Source.Checksum == "" {
		return nil
	}
	want, err := verify.ParseDigest(l.Source.Checksum, false)
	if err != nil {
		return err
	}
	if want.Algo != sums.HashAlgo || want.Hex != sums.HashValue {
		return errcode.New(errcode.ChecksumMismatch, "the object has not the digest that it was said to have").
			With(errcode.Evidence{Structure: "location", Field: "validation_data.os_hash_value", Value: sums.HashValue, Limit: want.Hex})
	}
	out.Fetched.Verifications = []contract.Verification{{Kind: contract.VerifiedDigest, Algo: want.Algo, Digest: want.Hex, VerifiedAt: time.Now().UTC()}}
	return nil
}

// unchanged returns errcode.SourceChanged if an object is another one than it was before
// it was read.
func (p *Pipeline) unchanged(ctx context.Context, at contract.Stored, was stores.ObjectInfo) error {
	s, err := p.store(at.Store)
	if err != nil {
		return err
	}
	is, err := s.Stat(ctx, at.Key)
	if err == nil && (is.Size != was.Size || !is.Committed.Equal(was.Committed)) {
		err = errcode.New(errcode.SourceChanged, "the object was changed while it was read")
	}
	return err
}
