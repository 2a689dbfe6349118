package vhdx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// diskID is the DataWriteGuid of disk n of a chain.
func diskID(n byte) guid { return guid{n, 0xAB, 0xCD, 0xEF, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, n} }

func linkTo(id guid) []byte {
	return locatorOf([2]string{"parent_linkage", strings.ToLower("{" + id.String() + "}")}, [2]string{"relative_path", `..\elsewhere.vhdx`})
}

// childOf makes a builder of disk n whose parent is disk n+1. Its blocks have
// random states, in partially present ones random runs of sectors are the
// child's.
func childOf(n byte, disk *imgtest.Disk, block int64, logical uint32) *builder {
	b := newBuilder(disk, block)
	b.flags, b.logical, b.id, b.locator = hasParent, logical, diskID(n), linkTo(diskID(n+1))
	rng := rand.New(rand.NewPCG(uint64(n), uint64(block)))
	for _, i := range b.notHoles() {
		for _, j := range []int64{i - 1, i} {
			if j >= 0 {
				b.state[j] = [...]uint64{blockNotPresent, blockUndefined, blockZero, blockUnmapped,
					blockFullyPresent, blockPartiallyPresent, blockPartiallyPresent, blockPartiallyPresent}[rng.IntN(8)]
			}
		}
	}
	b.ours = func(s int64) bool {
		length := int64(20_000)
		if block <= 4*mib || s>>11%64 < 5 { // few, as a block of 256 MiB takes long else
			length = [...]int64{1, 3, 64, 200, 1000}[s>>11%5]
		}
		return rand.NewPCG(uint64(s/length), uint64(n)).Uint64()%3 == 0
	}
	return b
}

// A model is what a chain of built disks shows, the child's first.
type model struct{ layers []*builder }

func (m model) Size() int64 { return m.layers[0].disk.Size() }

// at returns whose bytes stand at off, nil for zeros, and in which state.
func (m model) at(off int64) (*imgtest.Disk, formats.State) {
	for _, b := range m.layers {
		i := off / b.block
		s, forced := b.state[i]
		if !forced && slices.Contains(b.present(), i) {
			s = blockFullyPresent
		}
		switch s {
		case blockNotPresent:
		case blockFullyPresent:
			return b.disk, formats.Data
		case blockPartiallyPresent:
			if b.ours(off / int64(b.logical)) {
				return b.disk, formats.Data
			}
		default:
			return nil, formats.Zero
		}
	}
	return nil, formats.Hole
}

// present returns what notHoles does, found once.
func (b *builder) present() []int64 {
	if b.blocks == nil {
		b.blocks = b.notHoles()
	}
	return b.blocks
}

func (m model) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for n := int64(0); n < int64(len(p)); {
		step := min(512-(off+n)%512, int64(len(p))-n)
		if d, _ := m.at(off + n); d != nil {
			if k, err := d.ReadAt(p[n:n+step], off+n); int64(k) < step {
				return int(n), err
			}
		}
		n += step
	}
	return len(p), nil
}

// NextData treats what any layer has as data.
func (m model) NextData(off int64) (int64, int64, error) {
	start, end := m.Size(), m.Size()
	for _, b := range m.layers {
		if s, e, _ := b.disk.NextData(off); s < e && s < start {
			start, end = s, e
		}
	}
	return start, end, nil
}

// set writes the files and returns a Spec's Open over them.
func (m model) set(t testing.TB) func(testing.TB) formats.Disk {
	var files []*imgtest.File
	for _, b := range m.layers {
		b.present()
		files = append(files, imgtest.OpenFile(t, b.file(t)))
	}
	var members []formats.Member
	for i := len(files) - 1; i > 0; i-- { // the order does not matter
		members = append(members, formats.Member{Name: fmt.Sprintf("disk%d.vhdx", i), R: files[i], Size: files[i].Size()})
	}
	return func(t testing.TB) formats.Disk {
		t.Helper()
		d, err := Format{}.OpenSet(files[0], files[0].Size(), members, formats.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

// checkStates holds the states of sectors, of which half are near data, against
// the model.
func (m model) checkStates(t *testing.T, d formats.Disk) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	for n := range 20_000 {
		off := rng.Int64N(m.Size())
		if start, _, _ := m.NextData(off); n%2 == 0 && start < m.Size() {
			off = min(m.Size()-1, start+rng.Int64N(64<<10))
		}
		e, err := d.ExtentAt(off)
		if err != nil {
			t.Fatal(err)
		}
		if _, want := m.at(off); e.State != want || e.HostOff != -1 {
			t.Fatalf("extent at %d is %+v, want %s", off, e, want)
		}
	}
}

func baseOf(n byte, disk *imgtest.Disk, block int64, logical uint32) *builder {
	b := newBuilder(disk, block)
	b.id, b.logical = diskID(n), logical
	return b
}

// scattered has noise at each of the offsets, in MiB.
func scattered(seed uint64, size int64, mibs ...int64) *imgtest.Disk {
	var runs []imgtest.Run
	for _, m := range mibs {
		runs = append(runs, imgtest.Run{Off: m<<20 + int64(seed)*1000, Len: 90_001, Kind: imgtest.Noise})
	}
	return imgtest.New(size, seed, runs...)
}

func TestChains(t *testing.T) {
	const small, large = 20<<20 + 512, 9<<30 + 4096
	borders := []int64{1, 4095, 4096, 4097, 8191, 8192}
	for _, c := range []struct {
		name   string
		layers []*builder
	}{
		{"one parent", []*builder{childOf(0, imgtest.Random(1, small, 12<<20), mib, 512), baseOf(1, imgtest.Random(2, small, 9<<20), mib, 512)}},
		{"three disks, three block sizes", []*builder{childOf(0, imgtest.Random(3, small, 6<<20), mib, 512),
			childOf(1, imgtest.Random(4, small, 9<<20), 4*mib, 512), baseOf(2, imgtest.Random(5, small, 9<<20), 2*mib, 512)}},
		{"chunk ratio 16 over 4096", []*builder{childOf(0, scattered(1, large, borders...), 256*mib, 512), baseOf(1, scattered(2, large, borders...), mib, 512)}},
		{"chunk ratio 4096 over 16", []*builder{childOf(0, scattered(3, large, borders...), mib, 512), childOf(1, scattered(4, large, borders...), 256*mib, 512), baseOf(2, scattered(5, large, borders...), 32*mib, 512)}},
		{"4096 byte sectors", []*builder{childOf(0, imgtest.Random(6, 20<<20, 12<<20), mib, 4096), childOf(1, imgtest.Random(7, 20<<20, 12<<20), 2*mib, 4096), baseOf(2, imgtest.Random(8, 20<<20, 9<<20), mib, 4096)}},
		// The bitmap's entry of a chunk lies in another piece of the BAT.
		{"4096 byte sectors, chunk ratio 32768", []*builder{childOf(0, scattered(9, 40<<30, 0, 3, 8190, 32767, 32768, 40000), mib, 4096), baseOf(1, scattered(8, 40<<30, 0, 4, 32768, 40000), 64*mib, 4096)}},
		{"last chunk of one block", []*builder{childOf(0, scattered(2, 4<<30+512, 5, 4095), 256*mib, 512), baseOf(1, scattered(3, 4<<30+512, 5, 4095), 256*mib, 512)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := model{c.layers}
			open := m.set(t)
			formattest.Reader(t, formattest.Spec{Open: open, Want: m})
			d := open(t)
			m.checkStates(t, d)
			info := d.Info()
			notes := 0
			if c.layers[0].logical == 4096 {
				notes = 1
			}
			if info.Subformat != "differencing" || !info.HolesKnown || len(info.Findings) != notes || info.BlockSize != c.layers[0].block {
				t.Errorf("info %+v, want %d findings", info, notes)
			}
		})
	}
}

// memory makes members of files in memory.
func memory(files ...[]byte) []formats.Member {
	var members []formats.Member
	for i, f := range files {
		members = append(members, formats.Member{Name: fmt.Sprintf("parent%d.vhdx", i+1), R: bytes.NewReader(f), Size: int64(len(f))})
	}
	return members
}

func openSet(child []byte, lim formats.Limits, parents ...[]byte) (formats.Disk, error) {
	return Format{}.OpenSet(bytes.NewReader(child), int64(len(child)), memory(parents...), lim)
}

// TestLogsOfAChain leaves what every file needs in its log: BAT and sector
// bitmap of the children, the BAT of the base.
func TestLogsOfAChain(t *testing.T) {
	const size = 12 << 20
	m := model{[]*builder{childOf(0, imgtest.Random(1, size, 6<<20), mib, 512), childOf(1, imgtest.Random(2, size, 6<<20), mib, 512), baseOf(2, imgtest.Random(3, size, 8<<20), mib, 512)}}
	var files [][]byte
	for i, b := range m.layers {
		b.present()
		f := b.bytes()
		writes := pages(b.batOff, take(f, b.batOff, logSector))
		if i < 2 {
			writes = append(writes, pages(b.maps[0], take(f, b.maps[0], logSector))...)
		}
		files = append(files, dirty(f, mib, logged{sequence: 5, writes: writes}))
	}
	open := func(t testing.TB) formats.Disk {
		d, err := openSet(files[0], formats.DefaultLimits(), files[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	formattest.Reader(t, formattest.Spec{Open: open, Want: m})
	d := open(t)
	m.checkStates(t, d)
	findings := d.Info().Findings
	if len(findings) != 3 || strings.Contains(findings[0].Message, "member") || !strings.Contains(findings[1].Message, `"parent1.vhdx"`) || !strings.Contains(findings[2].Message, `"parent2.vhdx"`) {
		t.Errorf("findings %+v, want one of each file's log", findings)
	}
}

func TestSecondLinkageIsAsGood(t *testing.T) {
	files := badChain()
	l := func(a, b guid) []byte {
		return locatorOf([2]string{"parent_linkage", "{" + a.String() + "}"}, [2]string{"parent_linkage2", "{" + b.String() + "}"})
	}
	for name, locator := range map[string][]byte{
		"second":              l(diskID(9), diskID(1)),
		"first, second empty": l(diskID(1), guid{}),
		"second, first empty": l(guid{}, diskID(1)),
	} {
		b := badChild(0)
		b.locator = locator
		if d, err := openSet(b.bytes(), formats.DefaultLimits(), files[1:]...); err != nil || d.Size() != 5*mib {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBitRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	raw := make([]byte, 64)
	for i := range raw {
		raw[i] = [...]byte{0, 0xFF, 0xFF, 0, byte(rng.Uint32())}[rng.IntN(5)]
	}
	is := func(k int64) bool { return raw[k/8]>>(k%8)&1 == 1 }
	for bit := range int64(512) {
		for _, end := range []int64{bit + 1, (bit + 513) / 2, 512} {
			n := int64(1)
			for bit+n < end && is(bit+n) == is(bit) {
				n++
			}
			if set, got := bitRun(raw, bit, end); set != is(bit) || got != n {
				t.Fatalf("run at %d before %d: %v, %d, want %v, %d", bit, end, set, got, is(bit), n)
			}
		}
	}
}

func TestErrorsOfAMemberKeepTheirCodeAndNameIt(t *testing.T) {
	gone := errcode.New(errcode.SourceUnreachable, "no answer")
	files := badChain()
	for i := range files {
		for after := range 30 {
			members := memory(files[1:]...)
			r := io.ReaderAt(bytes.NewReader(files[0]))
			if i == 0 {
				r = &failing{r, after, gone}
			} else {
				members[i-1].R = &failing{members[i-1].R, after, gone}
			}
			d, err := Format{}.OpenSet(r, int64(len(files[0])), members, formats.DefaultLimits())
			for n := 0; err == nil && n < 40; n++ {
				if _, err = d.ReadAt(make([]byte, 5*mib), 0); err == nil {
					_, err = d.(formats.Validator).Validate(context.Background())
				}
			}
			named := strings.Contains(fmt.Sprint(err), fmt.Sprintf("parent%d.vhdx", i))
			if !errors.Is(err, gone) || named != (i > 0) {
				t.Fatalf("file %d fails at read %d: %v", i, after, err)
			}
		}
	}
}

// failing is a reader that fails after some reads.
type failing struct {
	io.ReaderAt
	left int
	err  error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}
