package pipeline

import (
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/flate"

	"ingest/formats"
	"ingest/formats/writers"
	"ingest/internal/binio"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/zstandard"
	"ingest/stores"
)

// How the guest's data is sampled: enough pieces that a disk's parts all show, each
// as long as the blocks that targets compress.
const (
	samples     = 16
	sampleBytes = 64 << 10
)

// stored estimates the stored size: by laying the target out, or by a sample of what
// is to be compressed.
func (f *forecaster) stored(ctx context.Context, disk formats.Disk, out *contract.ForecastDisk) {
	f.b.phase(85)
	m, err := writerOf(out.Target, f.p.engine())
	if err != nil {
		return
	}
	if m.Plans(disk.Info()) {
		f.laidOut(ctx, m, disk, out)
		return
	}
	err = f.sampled(ctx, disk, out)
	if err != nil && !f.tired(err, "stored size") {
		f.unknown("stored size: %s", errcode.Lookup(errcode.Of(err)).Meaning)
	}
}

// laidOut makes the target's layout.
func (f *forecaster) laidOut(ctx context.Context, m writers.Made, disk formats.Disk, out *contract.ForecastDisk) {
	plan, err := m.Planner.Plan(ctx, disk)
	if err != nil {
		if !f.tired(err, "stored size") {
			f.unknown("stored size: %s", errcode.Lookup(errcode.Of(err)).Meaning)
		}
		return
	}
	s := contract.ForecastSize{Bytes: plan.Size(), Exact: true, Basis: "the target laid out by the source's tables"}
	for r := range plan.Metadata() {
		s.Least += r.Len()
	}
	s.Least = min(s.Bytes, s.Least+max(out.AllocatedSize, 0))
	if out.AllocatedSize < 0 {
		s.Basis = "every byte of the disk: the source does not tell where its holes are"
	}
	out.Stored = s
}

// sampled estimates by pieces of the guest's data.
func (f *forecaster) sampled(ctx context.Context, disk formats.Disk, out *contract.ForecastDisk) error {
	whole := out.AllocatedSize
	known := whole >= 0
	if !known {
		whole = disk.Size()
	}
	p := packing(out.Target)
	z, err := p.new()
	if err != nil {
		return err
	}
	offs, err := pieces(disk, whole, known)
	if err != nil {
		return err
	}
	buf := make([]byte, sampleBytes)
	var read, data, packed int64
	for _, off := range offs {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(sampleBytes, disk.Size()-off)]
		if _, err := formats.ReadData(disk, part, off); err != nil {
			return err
		}
		read += int64(len(part))
		if binio.IsZero(part) {
			continue
		}
		n, err := z.size(part)
		if err != nil {
			return err
		}
		data, packed = data+int64(len(part)), packed+min(n, int64(len(part)))
	}
	out.Stored = estimate(whole, read, data, packed, p, known)
	return nil
}

// estimate draws the conclusion from samples: of read bytes data were not zero, and
// packed to so many.
func estimate(whole, read, data, packed int64, p packer, known bool) contract.ForecastSize {
	s := contract.ForecastSize{Least: 0}
	share := 0.0
	if read > 0 {
		share = float64(packed) / float64(read)
	}
	s.Bytes = int64(float64(whole) * share)
	of := "allocated bytes"
	if !known {
		of = "bytes of the disk"
	}
	s.Basis = fmt.Sprintf("%d pieces of %d KiB: %d %% of %d %s", binio.DivCeil(read, sampleBytes), sampleBytes>>10, int(share*100+0.5), whole, of)
	if p != packsNothing {
		s.Basis += ", compressed with " + string(p)
	}
	if data < read {
		s.Basis += fmt.Sprintf("; %d %% were zeros", int(100*float64(read-data)/float64(read)+0.5))
	}
	return s
}

// pieces returns guest offsets that are spread evenly over the disk's whole bytes of
// data, or over all of it if its holes are not known.
func pieces(disk formats.Disk, whole int64, known bool) ([]int64, error) {
	n := min(int64(samples), binio.DivCeil(whole, sampleBytes))
	var at []int64 // within the data
	for i := range n {
		at = append(at, whole/n*i/sampleBytes*sampleBytes)
	}
	if !known || n == 0 {
		return at, nil
	}
	var out []int64
	passed := int64(0)
	for e, err := range formats.Extents(disk, 0, disk.Size()) {
		if err != nil {
			return nil, err
		}
		if e.State != formats.Data {
			continue
		}
		for len(out) < len(at) && at[len(out)] < passed+e.Len {
			out = append(out, e.Off+at[len(out)]-passed)
		}
		if passed += e.Len; len(out) == len(at) {
			break
		}
	}
	return out, nil
}

// A packer is a compression of targets.
type packer string

const (
	packsNothing packer = ""
	packsDeflate packer = "deflate"
	packsZstd    packer = "zstd"
)

// packing returns how a target compresses.
func packing(t contract.TargetSpec) packer {
	switch {
	case t.Compression == "zstd":
		return packsZstd
	case t.Compression == "zlib", t.Compression == "deflate", t.Compression == "gzip",
		t.Format == "gce", t.Format == "ova", t.Format == "vmdk" && t.Options["subformat"] != "monolithicSparse":
		return packsDeflate
	}
	return packsNothing
}

// A squeezer tells how small a piece gets.
type squeezer struct {
	zstd  *zstandard.Encoder
	flate *flate.Writer
}

func (p packer) new() (s squeezer, err error) {
	switch p {
	case packsZstd:
		s.zstd = zstandard.New()
	case packsDeflate:
		s.flate, err = flate.NewWriter(io.Discard, flate.DefaultCompression)
	}
	return s, err
}

func (s squeezer) size(p []byte) (int64, error) {
	switch {
	case s.zstd != nil:
		frame, _ := s.zstd.Frame(nil, p, 2*sampleBytes)
		return int64(len(frame)), nil
	case s.flate != nil:
		var n counter
		s.flate.Reset(&n)
		if _, err := s.flate.Write(p); err != nil {
			return 0, err
		}
		err := s.flate.Close()
		return int64(n), err
	}
	return int64(len(p)), nil
}

// A counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// staging says whether there is room for what would be staged.
func (f *forecaster) staging() {
	s := &f.out.Staging
	s.Needed, s.Basis = 0, "nothing is staged"
	for i, pt := range f.parts {
		if !f.out.Sources[i].Staged {
			continue
		}
		switch size := pt.src.Pin().Size; {
		case pt.layer != "":
			s.Needed, s.Basis = contract.Unknown, "what is within the "+string(pt.layer)+" tells its size at its end"
			return
		case size < 0:
			s.Needed, s.Basis = contract.Unknown, "the server does not say how long the source is"
			return
		default:
			s.Needed, s.Basis = addSizes(s.Needed, size), "the size of the files"
		}
	}
}

// store says whether there is room in the store, and in staging, once all figures
// are there. What does not fit for certain is refused.
func (f *forecaster) store(ctx context.Context) error {
	free := f.p.free
	if free == nil {
		free = fsutil.Free
	}
	if n, err := free(f.p.StagingDir); f.p.StagingDir != "" && err == nil {
		f.out.Staging.Free = n
	}
	room(&f.out.Staging, f.out.Staging.Needed)
	out := &f.out.Store
	bytes, least := f.out.Stored()
	out.Needed, out.Basis = bytes, "the sum of the disks' stored sizes"
	if len(f.p.Stores) == 0 {
		out.Basis = "there is no store"
		return nil
	}
	s, err := f.p.store(f.req.Target.Store)
	if err != nil {
		return err
	}
	out.Name = s.Name()
	if sp, ok := s.(stores.Space); ok {
		if n, err := sp.Free(ctx); err == nil {
			out.Free = n
		}
	} else {
		out.Basis += "; the store does not say how much room it has"
	}
	room(out, least)
	if out.Enough != nil && !*out.Enough {
		f.stage = contract.StageConvert
		return errcode.New(errcode.NoSpace, "the store has %d bytes left, the image takes %d at least", out.Free, least).
			With(errcode.Evidence{Structure: "store", Field: "free bytes", Value: fmt.Sprint(out.Free), Limit: fmt.Sprint(least)})
	}
	return nil
}

// room says whether there is enough, of which least is needed for certain.
func room(s *contract.ForecastSpace, least int64) {
	yes, no := true, false
	switch {
	case s.Free < 0:
	case least > s.Free:
		s.Enough = &no
	case s.Needed >= 0 && s.Needed <= s.Free:
		s.Enough = &yes
	}
}

// duration estimates the time from the dry run's own reads. Whoever knows how long
// like imports took knows better.
func (f *forecaster) duration() {
	rate := f.out.Read.BytesPerSec
	moved := int64(0)
	for _, s := range f.out.Sources {
		if s.Driver == "file" || rate <= 0 {
			return
		}
		if s.Size < 0 {
			return
		}
		moved = addSizes(moved, s.Size)
	}
	if moved == 0 || f.out.Verdict != contract.VerdictAccepted {
		return
	}
	f.out.Time = contract.ForecastTime{Seconds: float64(moved) / rate,
		Basis: fmt.Sprintf("reading %d bytes at the %.0f bytes a second of this dry run's own short requests; longer ones are faster", moved, rate)}
}
