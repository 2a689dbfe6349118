package formattest_test

import (
	"context"
	"io"
	"iter"
	"os"
	"os/exec"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/formats/qcow2"
	"ingest/formats/raw"
	"ingest/formats/transfer"
	"ingest/internal/imgtest"
)

// faultEnv names the fault with which TestFaultyWriter runs.
const faultEnv = "FORMATTEST_FAULT"

// good is a writer without a fault.
func good() formattest.WriterSpec {
	return formattest.WriterSpec{
		Format: qcow2.Format{}, Planner: qcow2.Planner{ClusterBits: 12},
		Encoder: func(workers int) formats.Encoder {
			return qcow2.Encoder{ClusterBits: 12, Engine: transfer.Engine{Workers: workers}}
		},
		Disks: []imgtest.Case{{Name: "random", Disk: imgtest.Random(3, 9<<20+512, 4<<20)}},
	}
}

// faults are writers that the suite must refuse.
var faults = map[string]func() formattest.WriterSpec{
	"locate":       planFault(func(p *faultyPlan) { p.locate = func(off int64) int64 { return off + 512 } }),
	"no metadata":  planFault(func(p *faultyPlan) { p.metadata = []formats.Range{} }),
	"overlap":      planFault(func(p *faultyPlan) { p.metadata = []formats.Range{{Off: 0, End: p.Size()}} }),
	"size":         planFault(func(p *faultyPlan) { p.longer = 1 }),
	"virtual size": planFault(func(p *faultyPlan) { p.virtual = 512 }),
	"end":          planFault(func(p *faultyPlan) { p.err = func(error) error { return nil } }),
	"odd reads": planFault(func(p *faultyPlan) {
		p.change = func(b []byte, off int64) {
			if off%2 == 1 {
				b[0] ^= 1
			}
		}
	}),
	"a wrong byte": planFault(func(p *faultyPlan) { p.change = flip(p.Size() - 5000) }),
	"next data": func() formattest.WriterSpec {
		w := good()
		w.Format, w.Encoder, w.Planner = raw.Format{}, nil, faultyPlanner{raw.Planner{}, func(p *faultyPlan) { p.skip = 1 }}
		return w
	},
	"differs":          sinkFault(func(s *faultySink) { s.change = flip(200_000) }),
	"head first":       sinkFault(func(s *faultySink) { s.early = true }),
	"twice":            sinkFault(func(s *faultySink) { s.twice = true }),
	"resumed":          encodeFault(func(e *faultyEncoder) { e.resumed = true }),
	"foreign codec":    encodeFault(func(e *faultyEncoder) { e.credulous = true }),
	"no state":         sinkFault(func(s *faultySink) { s.stateless = true }),
	"ignores the sink": sinkFault(func(s *faultySink) { s.deaf = true }),
	"workers": func() formattest.WriterSpec {
		w := good()
		w.Encoder = func(workers int) formats.Encoder {
			comp := qcow2.CompressionZlib
			if workers == 1 {
				comp = qcow2.CompressionNone
			}
			return qcow2.Encoder{ClusterBits: 12, Compression: comp}
		}
		return w
	},
	"not the same": func() formattest.WriterSpec {
		w := good()
		w.Same = true // qcow2's plan and encoder lay out differently
		return w
	},
}

func TestGoodWriterPasses(t *testing.T) { formattest.Writer(t, good()) }

// TestFaultsAreSeen runs the suite over each fault in a process of its own, which
// must fail.
func TestFaultsAreSeen(t *testing.T) {
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestFaultyWriter$")
			cmd.Env = append(os.Environ(), faultEnv+"="+name)
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Errorf("the suite passes a writer with the fault %q\n%s", name, out)
			}
		})
	}
}

// TestFaultyWriter is the process.
func TestFaultyWriter(t *testing.T) {
	if fault, ok := faults[os.Getenv(faultEnv)]; ok {
		formattest.Writer(t, fault())
	}
}

// flip changes the byte at an output offset.
func flip(at int64) func(b []byte, off int64) {
	return func(b []byte, off int64) {
		if i := at - off; i >= 0 && i < int64(len(b)) {
			b[i] ^= 1
		}
	}
}

type faultyPlanner struct {
	formats.Planner
	spoil func(*faultyPlan)
}

func planFault(spoil func(*faultyPlan)) func() formattest.WriterSpec {
	return func() formattest.WriterSpec {
		w := good()
		w.Encoder, w.Planner = nil, faultyPlanner{w.Planner, spoil}
		return w
	}
}

func (f faultyPlanner) Plan(ctx context.Context, src formats.Disk) (formats.Plan, error) {
	p, err := f.Planner.Plan(ctx, src)
	if err != nil {
		return nil, err
	}
	out := &faultyPlan{Plan: p}
	f.spoil(out)
	return out, nil
}

type faultyPlan struct {
	formats.Plan
	locate                func(int64) int64
	metadata              []formats.Range
	longer, virtual, skip int64
	err                   func(error) error
	change                func(b []byte, off int64)
}

func (p *faultyPlan) Size() int64 { return p.Plan.Size() + p.longer }

func (p *faultyPlan) Summary() formats.Summary {
	s := p.Plan.Summary()
	s.VirtualSize += p.virtual
	return s
}

func (p *faultyPlan) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.Plan.ReadAt(b, off)
	if p.change != nil && n > 0 {
		p.change(b[:n], off)
	}
	if p.err != nil {
		err = p.err(err)
	}
	return n, err
}

func (p *faultyPlan) NextData(off int64) (start, end int64, err error) {
	start, end, err = p.Plan.NextData(off)
	return min(start+p.skip, end), end, err
}

func (p *faultyPlan) Metadata() iter.Seq[formats.Range] {
	if p.metadata == nil {
		return p.Plan.Metadata()
	}
	return func(yield func(formats.Range) bool) {
		for _, r := range p.metadata {
			if !yield(r) {
				return
			}
		}
	}
}

func (p *faultyPlan) Locate(off int64) (hostOff, n int64) {
	hostOff, n = p.Plan.Locate(off)
	if p.locate != nil && hostOff >= 0 {
		hostOff = p.locate(hostOff)
	}
	return hostOff, n
}

type faultyEncoder struct {
	formats.Encoder
	spoil              func(*faultySink)
	resumed, credulous bool
}

func encodeFault(spoil func(*faultyEncoder)) func() formattest.WriterSpec {
	return func() formattest.WriterSpec {
		w := good()
		inner := w.Encoder
		w.Planner = nil
		w.Encoder = func(workers int) formats.Encoder {
			e := &faultyEncoder{Encoder: inner(workers)}
			spoil(e)
			return e
		}
		return w
	}
}

func sinkFault(spoil func(*faultySink)) func() formattest.WriterSpec {
	return encodeFault(func(e *faultyEncoder) { e.spoil = spoil })
}

func (e *faultyEncoder) Encode(ctx context.Context, dst formats.Sink, src formats.Disk, from formats.Checkpoint) (formats.Summary, error) {
	s := &faultySink{Sink: dst}
	if e.spoil != nil {
		e.spoil(s)
	}
	if e.resumed && from.Off > 0 {
		s.change = flip(from.HostOff + 100)
	}
	if e.credulous {
		from.Codec = e.Codec()
	}
	return e.Encoder.Encode(ctx, s, src, from)
}

type faultySink struct {
	formats.Sink
	change                        func(b []byte, off int64)
	early, twice, deaf, stateless bool
}

func (s *faultySink) WriteAt(p []byte, off int64) (int, error) {
	if s.change != nil {
		p = append([]byte(nil), p...)
		s.change(p, off)
	}
	if s.early {
		s.early = false
		if n, err := s.Sink.WriteAt([]byte("QFI\xfb"), 0); err != nil {
			return n, err
		}
	}
	n, err := s.Sink.WriteAt(p, off)
	if s.twice && err == nil {
		n, err = s.Sink.WriteAt(p, off)
	}
	if s.deaf && err != nil && err != io.EOF {
		return len(p), nil
	}
	return n, err
}

func (s *faultySink) Checkpoint(ctx context.Context, state func() formats.Checkpoint) error {
	return s.Sink.Checkpoint(ctx, func() formats.Checkpoint {
		cp := state()
		if s.stateless {
			cp.State = nil
		}
		return cp
	})
}
