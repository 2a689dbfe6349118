package partition_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/guest/guesttest"
	"ingest/guest/partition"
)

const mib = 1 << 20

// read reads the table of a file.
func read(t *testing.T, path string) partition.Table {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := partition.Read(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// messages are those of the findings.
func messages(table partition.Table) string {
	var out []string
	for _, f := range table.Findings {
		out = append(out, string(f.Code)+" "+f.Message)
	}
	return strings.Join(out, "\n")
}

// A seen is what sfdisk tells of a partition too.
type seen struct {
	Number   int
	Off, Len int64
	Type, ID string
	Bootable bool
}

func seenOf(table partition.Table) []seen {
	var out []seen
	for _, p := range table.Partitions {
		kind := p.Type
		if hex, ok := strings.CutPrefix(kind, "0x"); ok {
			kind = strings.TrimPrefix(hex, "0")
		}
		out = append(out, seen{p.Number, p.Off, p.Len, kind, p.ID, p.Bootable})
	}
	return out
}

// bySfdisk asks sfdisk.
func bySfdisk(t *testing.T, path string) (scheme, id string, parts []seen) {
	t.Helper()
	var got struct {
		Table struct {
			Label, ID  string
			SectorSize int64
			Partitions []struct {
				Node, Type, UUID string
				Start, Size      int64
				Bootable         bool
			}
		} `json:"partitiontable"`
	}
	if err := json.Unmarshal([]byte(guesttest.Run(t, "sfdisk", "--json", path)), &got); err != nil {
		t.Fatal(err)
	}
	scheme = map[string]string{"dos": "mbr"}[got.Table.Label]
	if scheme == "" {
		scheme = got.Table.Label
	}
	id = strings.ToLower(strings.TrimPrefix(got.Table.ID, "0x"))
	for _, p := range got.Table.Partitions {
		s := seen{Off: p.Start * got.Table.SectorSize, Len: p.Size * got.Table.SectorSize, Type: strings.ToLower(p.Type), ID: strings.ToLower(p.UUID), Bootable: p.Bootable}
		fmt.Sscanf(strings.TrimPrefix(p.Node, path), "%d", &s.Number)
		if scheme == "mbr" {
			s.ID = fmt.Sprintf("%s-%02x", id, s.Number)
		}
		parts = append(parts, s)
	}
	return scheme, id, parts
}

func TestTablesAsSfdiskSeesThem(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"gpt", "label: gpt\n,10M,U\n,20M,L\n,5M,S\n,,L\n"},
		{"gpt with gaps", "label: gpt\nstart=4096,size=2048,type=21686148-6449-6E6F-744E-656564454649\n5: start=40960,size=2048,name=\"late\"\n"},
		{"mbr", "label: dos\n,10M,c,*\n,20M,83\n,5M,82\n,,8e\n"},
		{"mbr with logical partitions", "label: dos\n,10M,83\n,,5\n,5M,83\n,6M,82\n,7M,7\n"},
		{"extended first", "label: dos\n,30M,f\n,20M,83\n5: size=4M\n6: size=4M\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := guesttest.Table(t, 64*mib, c.script)
			got := read(t, path)
			scheme, id, want := bySfdisk(t, path)
			if string(got.Scheme) != scheme || got.DiskID != id || got.SectorSize != 512 {
				t.Errorf("%s %s, sectors of %d; sfdisk: %s %s", got.Scheme, got.DiskID, got.SectorSize, scheme, id)
			}
			if diff := cmp.Diff(want, seenOf(got)); diff != "" {
				t.Errorf("sfdisk sees others (-want +got):\n%s", diff)
			}
			if len(want) == 0 || len(got.Findings) > 0 {
				t.Errorf("%d partitions, findings: %s", len(want), messages(got))
			}
		})
	}
}

func TestNames(t *testing.T) {
	disk := gpt(t, 512, mib, [2]uint64{40, 50})
	entries := disk[1024:][:128*128]
	copy(entries[56:], "s\x00p\x00\xe4\x00t\x00e\x00")
	header(disk, 512, 1, mib/512-1, 2, 32, entries)
	got, err := partition.Read(reader(disk), mib)
	if err != nil || len(got.Partitions) != 1 || got.FromBackup {
		t.Fatalf("%+v, %v", got, err)
	}
	if p := got.Partitions[0]; p.Name != "späte" || p.TypeName != "Linux file system" {
		t.Errorf("%+v", p)
	}
}

func TestNoTable(t *testing.T) {
	vbr := make([]byte, mib)
	copy(vbr, "\xeb\x3c\x90mkfs.fat")
	copy(vbr[54:], "FAT16   ")
	vbr[510], vbr[511] = 0x55, 0xaa
	vbr[446+4], vbr[446+12] = 1, 1
	code := make([]byte, mib)
	code[510], code[511], code[446] = 0x55, 0xaa, 0x7f
	code[446+4], code[446+12] = 0x83, 1
	for name, disk := range map[string][]byte{"zeros": make([]byte, mib), "nothing": nil, "less than a sector": make([]byte, 511), "volume boot sector": vbr, "code": code} {
		got, err := partition.Read(reader(disk), int64(len(disk)))
		if err != nil || got.Scheme != partition.None || len(got.Partitions) > 0 || len(got.Findings) > 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// gpt makes a disk in memory with a GPT of sectors of the given size.
func gpt(t testing.TB, sector int64, size int64, spans ...[2]uint64) []byte {
	t.Helper()
	disk := make([]byte, size)
	last := uint64(size/sector) - 1
	entries := make([]byte, 128*128)
	for i, s := range spans {
		e := entries[i*128:]
		copy(e, "\xaf\x3d\xc6\x0f\x83\x84\x72\x47\x8e\x79\x3d\x69\xd8\x47\x7d\xe4")
		e[16] = byte(i + 1)
		binary.LittleEndian.PutUint64(e[32:], s[0])
		binary.LittleEndian.PutUint64(e[40:], s[1])
	}
	n := uint64(len(entries)) / uint64(sector)
	disk[510], disk[511] = 0x55, 0xaa
	mbrEntry(disk, 0, 0xee, 1, 0xffffffff)
	header(disk, sector, 1, last, 2, n, entries)
	header(disk, sector, last, 1, last-n, n, entries)
	return disk
}

func mbrEntry(disk []byte, i int, kind byte, start, count uint32) {
	e := disk[446+16*i:]
	e[4] = kind
	binary.LittleEndian.PutUint32(e[8:], start)
	binary.LittleEndian.PutUint32(e[12:], count)
}

func header(disk []byte, sector int64, at, alternate, table, n uint64, entries []byte) {
	copy(disk[table*uint64(sector):], entries)
	h := disk[at*uint64(sector):]
	le := binary.LittleEndian
	copy(h, "EFI PART\x00\x00\x01\x00")
	le.PutUint32(h[12:], 92)
	le.PutUint64(h[24:], at)
	le.PutUint64(h[32:], alternate)
	le.PutUint64(h[40:], 2+n)
	le.PutUint64(h[48:], uint64(len(disk))/uint64(sector)-2-n)
	copy(h[56:], "0123456789abcdef")
	le.PutUint64(h[72:], table)
	le.PutUint32(h[80:], 128)
	le.PutUint32(h[84:], 128)
	le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	seal(h)
}

// seal writes the header's checksum.
func seal(h []byte) {
	clear(h[16:20])
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
}

func TestGPTDamage(t *testing.T) {
	const size = 8 * mib
	spans := [][2]uint64{{2048, 4095}, {4096, 8191}}
	for _, c := range []struct {
		name   string
		sector int64
		spans  [][2]uint64
		harm   func(p []byte) []byte
		scheme partition.Scheme
		parts  int
		backup bool
		want   string // in the findings, "" for none
	}{
		{"sound", 512, spans, nil, partition.GPT, 2, false, ""},
		{"4096", 4096, [][2]uint64{{256, 511}}, nil, partition.GPT, 1, false, ""},
		{"primary header", 512, spans, func(p []byte) []byte { p[512+50]++; return p }, partition.GPT, 2, true, "IMG_GPT_INVALID the primary GPT is broken (checksum of the header)"},
		{"primary entries", 512, spans, func(p []byte) []byte { p[1024]++; return p }, partition.GPT, 2, true, "checksum of the entries"},
		{"primary wiped", 512, spans, func(p []byte) []byte { clear(p[512:2048]); return p }, partition.GPT, 2, true, "it is not there"},
		{"primary wiped, 4096", 4096, [][2]uint64{{256, 511}}, func(p []byte) []byte { clear(p[4096:8192]); return p }, partition.GPT, 1, true, "it is not there"},
		{"backup header", 512, spans, func(p []byte) []byte { p[size-512+50]++; return p }, partition.GPT, 2, false, "IMG_GPT_INVALID the backup GPT is broken: checksum of the header"},
		{"backup entries", 512, spans, func(p []byte) []byte { p[size-33*512]++; return p }, partition.GPT, 2, false, "IMG_GPT_INVALID the backup GPT is broken: checksum of the entries"},
		{"backup wiped", 4096, [][2]uint64{{256, 511}}, func(p []byte) []byte { clear(p[size-4096:]); return p }, partition.GPT, 1, false, "IMG_GPT_INVALID the backup GPT is broken: it is not there"},
		{"backup differs", 512, spans, func(p []byte) []byte {
			entries := slices.Clone(p[1024:][:128*128])
			entries[40]++ // the end of the first partition
			header(p, 512, size/512-1, 1, size/512-33, 32, entries)
			return p
		}, partition.GPT, 2, false, "IMG_GPT_INVALID the backup GPT differs from the primary"},
		{"protective MBR only", 512, nil, func(p []byte) []byte { clear(p[512:]); return p }, partition.GPT, 0, false, "IMG_GPT_INVALID the primary GPT is broken (it is not there), and there is no backup"},
		{"both", 512, spans, func(p []byte) []byte { p[512+50]++; p[size-512+50]++; return p }, partition.GPT, 0, false, "there is no backup"},
		{"cut off", 512, spans, func(p []byte) []byte { return p[:6*mib] }, partition.GPT, 2, false, "IMG_TRUNCATED the backup GPT would lie behind the disk's end, by 2097152 bytes"},
		{"cut off within a partition", 512, spans, func(p []byte) []byte { return p[:3*mib] }, partition.GPT, 2, false, "partition 2 ends 1048576 bytes behind"},
		{"grown", 512, spans, func(p []byte) []byte { return append(p, make([]byte, mib)...) }, partition.GPT, 2, false, "the disk has grown"},
		{"count", 512, spans, func(p []byte) []byte { binary.LittleEndian.PutUint32(p[512+80:], 0xffffffff); seal(p[512:]); return p }, partition.GPT, 2, true, "4294967295 entries, at most 1024"},
		{"entry size", 512, spans, func(p []byte) []byte { binary.LittleEndian.PutUint32(p[512+84:], 0xffffffff); seal(p[512:]); return p }, partition.GPT, 2, true, "entries of 4294967295 bytes"},
		{"header size", 512, spans, func(p []byte) []byte { binary.LittleEndian.PutUint32(p[512+12:], 0xffffffff); return p }, partition.GPT, 2, true, "header of 4294967295 bytes"},
		{"table far away", 512, spans, func(p []byte) []byte { binary.LittleEndian.PutUint64(p[512+72:], 1<<62); seal(p[512:]); return p }, partition.GPT, 2, true, "entries at LBA 4611686018427387904"},
		{"negative address", 512, spans, func(p []byte) []byte { binary.LittleEndian.PutUint64(p[512+32:], 1<<63); seal(p[512:]); return p }, partition.GPT, 2, true, "an address of 9223372036854775808"},
		{"copied header", 512, spans, func(p []byte) []byte { binary.LittleEndian.PutUint64(p[512+24:], 2); seal(p[512:]); return p }, partition.GPT, 2, true, "it belongs to LBA 2"},
		{"overlap", 512, [][2]uint64{{2048, 4095}, {4000, 8191}}, nil, partition.GPT, 2, false, "IMG_PARTITION_BOUNDS partitions 1 and 2 overlap"},
		{"inside out", 512, [][2]uint64{{4095, 2048}}, nil, partition.GPT, 0, false, "IMG_PARTITION_BOUNDS partition 1 has no bounds that make sense"},
		{"over the table", 512, [][2]uint64{{1, 4095}}, nil, partition.GPT, 1, false, "IMG_PARTITION_BOUNDS partition 1 lies outside the sectors that the table calls usable"},
		{"behind the end", 512, [][2]uint64{{2048, 1 << 40}}, nil, partition.GPT, 1, false, "IMG_PARTITION_BOUNDS partition 1 ends"},
		{"no protective MBR", 512, spans, func(p []byte) []byte { clear(p[:512]); return p }, partition.GPT, 2, false, "IMG_GPT_INVALID the GPT has no protective MBR"},
		{"stale", 512, spans, func(p []byte) []byte { mbrEntry(p, 0, 0x83, 2048, 100); return p }, partition.MBR, 1, false, "IMG_GPT_INVALID a GPT lies behind an MBR that does not announce it"},
		{"hybrid", 512, spans, func(p []byte) []byte { mbrEntry(p, 1, 0x83, 2048, 2048); return p }, partition.GPT, 2, false, "hybrid MBR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := gpt(t, c.sector, size, c.spans...)
			if c.harm != nil {
				disk = c.harm(disk)
			}
			got, err := partition.Read(reader(disk), int64(len(disk)))
			if err != nil {
				t.Fatal(err)
			}
			if got.Scheme != c.scheme || len(got.Partitions) != c.parts || got.FromBackup != c.backup {
				t.Errorf("%s with %d partitions, from backup: %v", got.Scheme, len(got.Partitions), got.FromBackup)
			}
			if text := messages(got); !strings.Contains(text, c.want) || (text == "") != (c.want == "") {
				t.Errorf("findings %q, want %q", text, c.want)
			}
		})
	}
}

// TestEntryLimit holds the limit to the entry.
func TestEntryLimit(t *testing.T) {
	for count, want := range map[int]bool{partition.MaxEntries: true, partition.MaxEntries + 1: false} {
		disk := make([]byte, 2*mib)
		disk[510], disk[511] = 0x55, 0xaa
		mbrEntry(disk, 0, 0xee, 1, 0xffffffff)
		entries := make([]byte, count*128)
		entries[0], entries[(partition.MaxEntries-1)*128] = 1, 1
		for _, i := range []int{0, partition.MaxEntries - 1} {
			binary.LittleEndian.PutUint64(entries[i*128+32:], uint64(3000+i))
			binary.LittleEndian.PutUint64(entries[i*128+40:], uint64(3000+i))
		}
		header(disk, 512, 1, 4095, 2, 0, entries)
		binary.LittleEndian.PutUint32(disk[512+80:], uint32(count))
		seal(disk[512:])
		got, err := partition.Read(reader(disk), int64(len(disk)))
		if err != nil || (len(got.Partitions) == 2) != want {
			t.Errorf("%d entries: %d partitions, %v", count, len(got.Partitions), err)
		}
		if want && got.Partitions[1].Number != partition.MaxEntries {
			t.Errorf("the last one is %d", got.Partitions[1].Number)
		}
	}
}

// chain makes an MBR with an extended partition over the whole disk, and a chain of
// records whose k-th leads to the sector next(k).
func chain(size int64, n int, next func(k int) uint32) []byte {
	disk := make([]byte, size)
	disk[510], disk[511] = 0x55, 0xaa
	mbrEntry(disk, 0, 0x05, 64, uint32(size/512)-64)
	for k := range n {
		ebr := disk[(64+2*k)*512:]
		ebr[510], ebr[511] = 0x55, 0xaa
		mbrEntry(ebr, 0, 0x83, 1, 1)
		if to := next(k); to != 0 {
			mbrEntry(ebr, 1, 0x05, to, 2)
		}
	}
	return disk
}

func TestLogicalChains(t *testing.T) {
	straight := func(last int) func(int) uint32 {
		return func(k int) uint32 {
			if k == last {
				return 0
			}
			return uint32(2 * (k + 1))
		}
	}
	for _, c := range []struct {
		name    string
		n       int
		next    func(int) uint32
		logical int
		want    string
	}{
		{"three", 3, straight(2), 3, ""},
		{"at the limit", partition.MaxLogical, straight(partition.MaxLogical - 1), partition.MaxLogical, ""},
		{"above the limit", partition.MaxLogical + 2, straight(-1), partition.MaxLogical + 1, "IMG_PARSER_LIMIT more than 251"},
		{"to itself", 2, func(k int) uint32 { return uint32(2) }, 2, "IMG_PARTITION_LOOP the chain of logical partitions is a loop"},
		{"back", 3, func(k int) uint32 { return []uint32{2, 4, 2}[k] }, 3, "is a loop"},
		{"out of the extended partition", 1, func(int) uint32 { return 0x7fffffff }, 1, "IMG_PARTITION_BOUNDS the chain of logical partitions leaves the extended partition"},
		{"to nothing", 1, func(int) uint32 { return 100 }, 1, "IMG_MBR_INVALID a record is none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := chain(mib, c.n, c.next)
			got, err := partition.Read(reader(disk), int64(len(disk)))
			if err != nil {
				t.Fatal(err)
			}
			logical := slices.DeleteFunc(slices.Clone(got.Partitions), func(p partition.Partition) bool { return !p.Logical })
			want := strings.ReplaceAll(c.want, "a record", "an extended boot record")
			if text := messages(got); len(logical) != c.logical || !strings.Contains(text, want) || (text == "") != (want == "") {
				t.Errorf("%d logical partitions, findings %q", len(logical), text)
			}
		})
	}
	disk := chain(mib, 2, straight(5))[:(64+1)*512]
	got, err := partition.Read(reader(disk), int64(len(disk)))
	if err != nil || !strings.Contains(messages(got), "IMG_PARTITION_BOUNDS the chain of logical partitions leads behind the disk's end") {
		t.Errorf("cut off: %s, %v", messages(got), err)
	}
}

// TestSectorsOf4096 holds an MBR in sectors of 4096 bytes, with logical partitions,
// against fdisk.
func TestSectorsOf4096(t *testing.T) {
	path := guesttest.Blank(t, 64*mib)
	guesttest.Feed(t, "o\nn\np\n1\n\n+10M\nn\ne\n2\n\n\nn\n\n+8M\nn\n\n+4M\na\n1\nw\n", "fdisk", "-b", "4096", path)
	var want []string
	for line := range strings.Lines(guesttest.Run(t, "fdisk", "-b", "4096", "-l", "-o", "Start,Sectors,Id", path)) {
		var start, sectors int64
		var id string
		if n, _ := fmt.Sscanf(line, "%d %d %s", &start, &sectors, &id); n == 3 {
			want = append(want, fmt.Sprintf("%d+%d 0x%02s", start*4096, sectors*4096, id))
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := partition.ReadMBR(f, 64*mib, 4096)
	if err != nil || got.SectorSize != 4096 || len(got.Findings) > 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	var have []string
	for _, p := range got.Partitions {
		have = append(have, fmt.Sprintf("%d+%d %s", p.Off, p.Len, p.Type))
	}
	if diff := cmp.Diff(want, have); diff != "" || len(want) != 4 {
		t.Errorf("fdisk sees others (-want +got):\n%s", diff)
	}
	table := guesttest.Table(t, 64*mib, "label: gpt\n,10M,U\n")
	g, err := os.Open(table)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if got, err := partition.ReadMBR(g, 64*mib, 4096); err != nil || got.Scheme != partition.None {
		t.Errorf("a disk with a GPT: %+v, %v", got, err)
	}
}
