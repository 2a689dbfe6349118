package vhdx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/formats/formattest"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

func TestQemuImages(t *testing.T) {
	for _, o := range []struct {
		options string
		every   int // of the disks
	}{
		{"subformat=dynamic", 1},
		{"subformat=dynamic,block_size=1M", 1},
		{"subformat=dynamic,block_size=8M,log_size=3M", 3},
		{"subformat=dynamic,block_size=32M,block_state_zero=on", 3},
		{"subformat=dynamic,block_size=256M", 5},
		{"subformat=dynamic,block_size=1M,log_size=64M", 5},
		{"subformat=fixed", 1},
		{"subformat=fixed,block_size=1M,block_state_zero=off", 3},
		{"subformat=fixed,block_size=8M,log_size=2M", 5},
		{"subformat=fixed,block_size=256M", 5},
	} {
		for i, c := range imgtest.Cases() {
			large := c.Disk.Size() > 6<<30
			if i%o.every != 0 || large && !strings.Contains(o.options, "block_size=1M") {
				continue // with large blocks all of it is data, which only takes time
			}
			t.Run(o.options+"/"+c.Name, func(t *testing.T) {
				path := imgtest.Convert(t, imgtest.WriteRaw(t, c.Disk), "raw", "vhdx", o.options)
				f := imgtest.OpenFile(t, path)
				open := formattest.OpenBytes(Format{}, f, f.Size())
				oracle := imgtest.OpenFile(t, imgtest.Convert(t, path, "vhdx", "raw"))
				formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: oracle})
				d := open(t)
				imgtest.Equal(t, d, c.Disk, min(c.Disk.Size(), 64<<20))
				checkInfo(t, d, o.options, c.Disk.Size())
			})
		}
	}
}

// checkInfo holds what the metadata tell against how the image was made.
func checkInfo(t *testing.T, d formats.Disk, options string, size int64) {
	t.Helper()
	info := d.Info()
	if d.Size() != size || !strings.HasPrefix(options, "subformat="+info.Subformat) || info.Creator == "" || len(info.Findings) != 0 || !info.HolesKnown || info.Names != nil {
		t.Errorf("size %d, want %d; info %+v", d.Size(), size, info)
	}
	if v, err := d.(formats.Validator).Validate(t.Context()); err != nil || len(v) != 0 {
		t.Errorf("validate: findings %+v, %v", v, err)
	}
}

// TestBlockStateZeroOff makes an image in which zeros are blocks that are not
// present. It is created and written, as converting with it is unsafe.
func TestBlockStateZeroOff(t *testing.T) {
	path := imgtest.Create(t, "vhdx", 40<<20, "block_state_zero=off,block_size=1M")
	qemuIO(t, path, "write -P 7 3M 2M", "write -P 8 30M 64k", "write -z 6M 2M")
	f := imgtest.OpenFile(t, path)
	oracle := imgtest.OpenFile(t, imgtest.Convert(t, path, "vhdx", "raw"))
	open := formattest.OpenBytes(Format{}, f, f.Size())
	formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: oracle})
	if e, err := open(t).ExtentAt(0); err != nil || e.State != formats.Hole || e.Len != 3<<20 {
		t.Errorf("first extent %+v, %v, want a hole of 3 MiB", e, err)
	}
}

// qemuIO runs qemu-io's commands on the image.
func qemuIO(t *testing.T, image string, commands ...string) {
	t.Helper()
	path, err := exec.LookPath("qemu-io")
	if err != nil {
		imgtest.NeedQemu(t)
		t.Fatalf("qemu-io is part of this test and is absent: install qemu-utils")
	}
	var args []string
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	if !strings.HasPrefix(image, "json:") {
		args = append(args, "-f", "vhdx")
	}
	out, err := exec.Command(path, append(args, image)...).CombinedOutput()
	if err != nil && commands[len(commands)-1] != "abort" {
		t.Fatalf("qemu-io %q: %v\n%s", commands, err, out)
	}
}

// TestLogOfACrashedQemu lets writes to the BAT fail, so that qemu has written
// its log and no more, and then aborts it.
func TestLogOfACrashedQemu(t *testing.T) {
	path := imgtest.Create(t, "vhdx", 4<<30, "block_size=1M")
	qemuIO(t, path, "write -P 1 0 3M", "write -P 2 600M 64k", "write -P 5 50M 1M")
	clean, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bat := binary.LittleEndian.Uint64(clean[region1Off+16+16:])
	for i, at := range []int64{60, 700, 3000} {
		entrySector := (int64(bat) + 8*at + 8*(at/4096)) / 4096 * 8
		path := filepath.Join(t.TempDir(), "crashed.vhdx")
		if err := os.WriteFile(path, clean, 0o600); err != nil {
			t.Fatal(err)
		}
		qemuIO(t, fmt.Sprintf(`json:{"driver":"vhdx","file":{"driver":"blkdebug","inject-error":[{"event":"none","iotype":"write","sector":%d,"errno":5}],"image":{"driver":"file","filename":%q}}}`,
			entrySector, path), fmt.Sprintf("write -P %d %dM 1M", 3+i, at), "abort")
		f := imgtest.OpenFile(t, path)
		d := formattest.OpenBytes(Format{}, f, f.Size())(t)
		if len(d.Info().Findings) != 1 {
			t.Fatalf("block %d: the image is not dirty: findings %+v", at, d.Info().Findings)
		}
		e, err := d.ExtentAt(at << 20)
		if err != nil || e.State != formats.Data {
			t.Errorf("block %d, which only the log knows: %+v, %v", at, e, err)
		}
		if _, err := d.(formats.Validator).Validate(t.Context()); err != nil {
			t.Errorf("block %d: validate: %v", at, err)
		}
		// The repair is made on a copy: the disk reads the file as it was.
		mended := filepath.Join(t.TempDir(), "mended.vhdx")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(mended, b, 0o600); err != nil {
			t.Fatal(err)
		}
		sameAsRepaired(t, mended, d)
	}
}

// TestBuiltImages reads what qemu-img does not write, and lets qemu-img read it
// too where it can.
func TestBuiltImages(t *testing.T) {
	data := func(size int64, mibs ...int64) *imgtest.Disk {
		var runs []imgtest.Run
		for _, m := range mibs {
			runs = append(runs, imgtest.Run{Off: m << 20, Len: 70_001, Kind: imgtest.Noise})
		}
		return imgtest.New(size, 3, runs...)
	}
	chunks := data(9<<30+512, 256*15, 256*16+100, 256*32+255)
	for _, c := range []struct {
		name   string
		disk   *imgtest.Disk
		block  int64
		set    func(b *builder)
		noQemu bool
		notes  int
	}{
		{name: "plain", disk: logDisk(), block: mib},
		{name: "metadata before the BAT", disk: logDisk(), block: mib, set: func(b *builder) { b.batLast = true }},
		{name: "chunk ratio 16, sector bitmap entries of old qemu", disk: chunks, block: 256 * mib, set: func(b *builder) { b.bitmaps = 5<<20 | blockFullyPresent }},
		{name: "chunk ratio 4096", disk: data(9<<30, 0, 4095, 4096, 4097, 8191, 8192), block: mib},
		{name: "4096 byte sectors", disk: logDisk(), block: mib, set: func(b *builder) { b.logical = 4096 }, noQemu: true, notes: 1},
		{name: "4096 byte sectors, chunk ratio 128", disk: data(40<<30, 256*127, 256*128+3), block: 256 * mib, set: func(b *builder) { b.logical = 4096 }, noQemu: true, notes: 1},
		{name: "all states that read as zeros", disk: data(12<<20, 0, 11), block: mib, set: func(b *builder) {
			for i, s := range []uint64{blockNotPresent, blockUndefined, blockZero, blockUnmapped, blockUnmappedDraft} {
				b.state[int64(i)+2] = s
				b.state[int64(i)+7] = s | 77<<20 // the offset means nothing
			}
			delete(b.state, 11)
		}},
		{name: "fixed", disk: data(12<<20, 0, 11), block: mib, set: func(b *builder) {
			b.flags = leaveBlockAllocated
			for i := range int64(12) {
				b.state[i] = blockFullyPresent
			}
		}},
		{name: "last block beyond the virtual size", disk: data(5<<20+512, 0), block: 8 * mib},
		{name: "parent locator without a parent", disk: logDisk(), block: mib, set: func(b *builder) {
			b.locator = locatorOf([2]string{"relative_path", `..\base.vhdx`})
		}, noQemu: true, notes: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuilder(c.disk, c.block)
			if c.set != nil {
				c.set(b)
			}
			path := b.file(t)
			f := imgtest.OpenFile(t, path)
			open := formattest.OpenBytes(Format{}, f, f.Size())
			formattest.Reader(t, formattest.Spec{Open: open, File: f, Want: c.disk})
			info := open(t).Info()
			if len(info.Findings) != c.notes || info.Creator != "ingest test" {
				t.Errorf("info %+v, want %d findings", info, c.notes)
			}
			if !c.noQemu {
				imgtest.EqualDisk(t, open(t), imgtest.OpenFile(t, imgtest.Convert(t, path, "vhdx", "raw")))
			}
		})
	}
}

func TestStatesOfBlocks(t *testing.T) {
	b := newBuilder(imgtest.New(8<<20, 1), mib)
	for i, s := range []uint64{0, 1, 2, 3, 5, 6, 1, 0} {
		b.state[int64(i)] = s
	}
	file := b.bytes()
	d := formattest.OpenBytes(Format{}, bytes.NewReader(file), int64(len(file)))(t)
	var got string
	for e, err := range formats.Extents(d, 0, d.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		got += fmt.Sprintf("%s %d ", e.State, e.Len>>20)
	}
	if want := "hole 1 zero 4 data 1 zero 1 hole 1 "; got != want {
		t.Errorf("extents %q, want %q", got, want)
	}
}

// TestLastBlockIsCutOff: a file that ends within its last block is a download
// that was cut short, however little is missing.
func TestLastBlockIsCutOff(t *testing.T) {
	disk := imgtest.New(4*mib, 4, imgtest.Run{Off: 0, Len: 3*mib + 5000, Kind: imgtest.Noise})
	file := newBuilder(disk, mib).bytes()
	for _, left := range []int64{5000, 8192, mib - 1} {
		f := file[:int64(len(file))-mib+left]
		open := formattest.OpenBytes(Format{}, bytes.NewReader(f), int64(len(f)))
		if _, err := open(t).(formats.Validator).Validate(t.Context()); errcode.Of(err) != errcode.Truncated {
			t.Errorf("%d bytes left: %v, want %s", left, err, errcode.Truncated)
		}
	}
}

func TestHeaders(t *testing.T) {
	b := newBuilder(logDisk(), mib)
	good := b.bytes()
	old := func(at int64) []byte {
		f := bytes.Clone(good)
		h := f[at:][:headerBytes]
		copy(h, b.header(6))
		copy(h[48:], logGUID[:]) // a log that must not be looked for
		seal(h)
		return f
	}
	for name, f := range map[string][]byte{
		"first is older":       old(header1Off),
		"second is older":      old(header2Off),
		"first is damaged":     formattest.Set(header1Off+100, 1)(bytes.Clone(good)),
		"second is damaged":    formattest.Set(header2Off+100, 1)(bytes.Clone(good)),
		"first has no magic":   formattest.Set(header1Off, 0)(bytes.Clone(good)),
		"region table damaged": formattest.Set(region1Off+100, 1)(bytes.Clone(good)),
		"region copy damaged":  formattest.Set(region2Off, 0)(bytes.Clone(good)),
	} {
		d := formattest.OpenBytes(Format{}, bytes.NewReader(f), int64(len(f)))(t)
		imgtest.EqualDisk(t, d, b.disk)
		if n := len(d.Info().Findings); n != 0 && name[:6] != "region" || n != 1 && name[:6] == "region" {
			t.Errorf("%s: findings %+v", name, d.Info().Findings)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		head string
		want formats.Match
	}{
		{"vhdxfile", formats.Match{OK: true, Value: "vhdxfile"}},
		{"vhdxfilX", formats.Match{}},
		{"vhdxfil", formats.Match{}},
		{"", formats.Match{}},
	} {
		if got := (Format{}).Match([]byte(c.head), nil, int64(len(c.head))); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.head, got, c.want)
		}
	}
}

func TestDifferencing(t *testing.T) {
	b := newBuilder(logDisk(), mib)
	b.flags = hasParent
	b.locator = locatorOf([2]string{"parent_linkage", "{83ed0ec3-24c8-49a6-a959-5e4bf1288bfb}"},
		[2]string{"absolute_win32_path", `\\?\d:\base.vhdx`}, [2]string{"relative_path", `..\b` + "\x00x"})
	b.state[3] = blockPartiallyPresent
	file := b.bytes()
	d, err := Format{}.Open(bytes.NewReader(file), int64(len(file)), formats.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	info := d.Info()
	if info.Unreadable == nil || info.Subformat != "differencing" || len(info.Names) != 2 || info.Names[0] != `..\b` || info.Names[1] != `\\?\d:\base.vhdx` {
		t.Errorf("info %+v", info)
	}
	if _, err := d.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("data of a differencing disk were read")
	}
	if _, err := d.ExtentAt(0); err == nil {
		t.Error("a differencing disk has extents")
	}
}

func BenchmarkRead(b *testing.B) {
	raw := imgtest.WriteRaw(b, imgtest.New(64<<20, 1, imgtest.Run{Off: 0, Len: 64 << 20, Kind: imgtest.Noise}))
	for _, sub := range []string{"dynamic,block_size=1M", "fixed"} {
		b.Run(sub, func(b *testing.B) {
			f := imgtest.OpenFile(b, imgtest.Convert(b, raw, "raw", "vhdx", "subformat="+sub))
			formattest.BenchmarkRead(b, formattest.OpenBytes(Format{}, f, f.Size())(b))
		})
	}
}
