package pipeline_test

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/guest/child"
	"ingest/guest/guesttest"
	"ingest/guest/listing"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
	"ingest/pipeline"
	"ingest/stores"
	"ingest/stores/fs"
)

// TestMain is the child that reads file systems too, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "guest-child" {
		os.Exit(child.Main(listing.List))
	}
	if os.Getenv(stagerEnv) != "" {
		stageAsChild()
		os.Exit(0)
	}
	if os.Getenv(aheadEnv) != "" {
		fetchAheadAsChild()
		os.Exit(0)
	}
	if os.Getenv(converterEnv) != "" {
		convertAsChild()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// looking lets a pipeline look inside disks.
func looking(t *testing.T, p *pipeline.Pipeline) *child.Runner {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &child.Runner{Path: exe, Args: []string{"guest-child"}, Limits: child.DefaultLimits()}
	p.Guest = &pipeline.GuestOptions{Lister: r}
	return r
}

// debianFiles is the tree of a small Debian.
func debianFiles() map[string]string {
	return map[string]string{
		"etc/os-release":       "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"boot/vmlinuz-6.1.0-1": "kernel",
		"usr/bin/dash":         "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00",
	}
}

// withESP makes a disk of a bit more than 1 GiB with an EFI system partition and a
// second partition of the given file system.
func withESP(t *testing.T, loader, kind string, root string) string {
	t.Helper()
	disk := guesttest.Table(t, 1<<30+1<<20, "label: gpt\n,20M,U\n,,"+kind+"\n")
	guesttest.Insert(t, disk, guesttest.FAT(t, 20<<20, "16", "ESP", map[string]string{"EFI/BOOT/BOOTX64.EFI": "MZ", loader: "MZ"}), 1<<20)
	if root != "" {
		guesttest.Insert(t, disk, root, 21<<20)
	}
	return disk
}

func ext4Of(t *testing.T, files map[string]string) string {
	t.Helper()
	path := guesttest.Blank(t, 32<<20)
	guesttest.Run(t, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", guesttest.Tree(t, files), path)
	return path
}

// look fetches, detects and validates a source, and looks inside its disk.
func (j *job) look(t *testing.T, p *pipeline.Pipeline) (pipeline.Inside, error) {
	t.Helper()
	ctx := t.Context()
	var err error
	if j.fetched, err = p.Fetch(ctx, contract.FetchParams{TaskID: j.task, ImageID: j.image, Source: j.source}, nil); err != nil {
		t.Fatal(err)
	}
	if j.detected, _, err = p.Detect(ctx, contract.DetectParams{TaskID: j.task, Fetched: j.fetched, Format: j.source.Format}); err != nil {
		t.Fatal(err)
	}
	params := contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Target: j.target}
	if _, _, err = p.Validate(ctx, params); err != nil {
		t.Fatal(err)
	}
	return p.LookInside(ctx, params)
}

// TestInsideIsTheSameFromEverySource looks into one disk in several formats, read in
// place from a file and from a server, staged, and unpacked; what is stored does not
// depend on it.
func TestInsideIsTheSameFromEverySource(t *testing.T) {
	disk := withESP(t, "EFI/debian/grubx64.efi", "L", ext4Of(t, debianFiles()))
	qcow2 := imgtest.Convert(t, disk, "raw", "qcow2", "-c")
	packed := qcow2 + ".gz"
	gz := guesttest.Run(t, "gzip", "-c", qcow2)
	if err := os.WriteFile(packed, []byte(gz), 0o600); err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	want := &contract.GuestFacts{Summary: "Debian GNU/Linux 12 (bookworm), x86_64, UEFI", MinDisk: 2, Properties: map[string]string{
		"os_type": "linux", "os_distro": "debian", "os_version": "12", "architecture": "x86_64", "hw_firmware_type": "uefi", "hw_machine_type": "q35"}}
	stored := ""
	for _, c := range []struct{ name, url string }{
		{"raw file", disk},
		{"qcow2 file", qcow2},
		{"stream-optimized VMDK", imgtest.Convert(t, disk, "raw", "vmdk", "subformat=streamOptimized")},
		{"server with ranges", serveFile(t, qcow2, true, &sent)},
		{"server without ranges", serveFile(t, qcow2, false, &sent)},
		{"gzip", packed},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, "/", loopback())
			j := newJob(c.url, contract.TargetSpec{Format: "qcow2"})
			if err := j.run(t, p); err != nil {
				t.Fatal(err)
			}
			without := j.checksummed.HashValue
			looking(t, p)
			j = newJob(c.url, contract.TargetSpec{Format: "qcow2"})
			got, err := j.look(t, p)
			if err != nil || got.NotInspected != "" {
				t.Fatalf("%+v, %v", got, err)
			}
			if diff := cmp.Diff(want, got.Contract()); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if got.Read.Guest == 0 || got.Read.Source == 0 || got.Read.Guest > 16<<20 {
				t.Errorf("read %+v", got.Read)
			}
			j.run(t, p)
			if j.checksummed.HashValue != without || stored != "" && without != stored {
				t.Errorf("stored %s, without inspection %s, before %s", j.checksummed.HashValue, without, stored)
			}
			stored = without
		})
	}
}

// TestInsideOfOtherDisks demands that nothing is made up of what cannot be read.
func TestInsideOfOtherDisks(t *testing.T) {
	firmware := map[string]string{"architecture": "x86_64", "hw_firmware_type": "uefi", "hw_machine_type": "q35"}
	windows := map[string]string{"architecture": "x86_64", "hw_firmware_type": "uefi", "hw_machine_type": "q35", "os_type": "windows", "os_distro": "windows"}
	lvm := func(t *testing.T) string {
		path := guesttest.Blank(t, 4<<20)
		label := make([]byte, 1024)
		copy(label[512:], "LABELONE")
		label[512+8], label[512+20] = 1, 32
		copy(label[512+24:], "LVM2 001")
		copy(label[512+32:], "abcdef0123456789ABCDEFGHIJKLMNOP")
		binary.LittleEndian.PutUint64(label[512+64:], 4<<20)
		guesttest.Patch(t, path, 0, label)
		return path
	}
	luks := func(t *testing.T) string {
		path := guesttest.Blank(t, 20<<20)
		guesttest.Feed(t, "secret", "cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", "-", path)
		return path
	}
	for _, c := range []struct {
		name    string
		make    func(t *testing.T) string
		format  string
		props   map[string]string
		min     int64
		summary string
	}{
		{"windows", func(t *testing.T) string { return withESP(t, "EFI/Microsoft/Boot/bootmgfw.efi", "L", "") }, "", windows, 2, "Windows, x86_64, UEFI"},
		{"luks", func(t *testing.T) string { return withESP(t, "EFI/a/b.efi", "L", luks(t)) }, "", firmware, 2, "GPT with FAT16, LUKS2, x86_64, UEFI"},
		{"lvm", func(t *testing.T) string { return withESP(t, "EFI/a/b.efi", "L", lvm(t)) }, "", firmware, 2, "GPT with FAT16, LVM2 physical volume, x86_64, UEFI"},
		{"nothing", func(t *testing.T) string { return imgtest.WriteRaw(t, mixed()) }, "", nil, 1, "nothing known"},
		{"ramdisk", func(t *testing.T) string { return imgtest.WriteRaw(t, mixed()) }, "ari", nil, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, "/")
			looking(t, p)
			j := newJob(c.make(t), contract.TargetSpec{})
			j.source.Format = c.format
			got, err := j.look(t, p)
			if err != nil {
				t.Fatal(err)
			}
			if c.min == 0 {
				if got.Contract() != nil || got.NotInspected == "" {
					t.Errorf("%+v", got)
				}
				return
			}
			want := &contract.GuestFacts{Summary: c.summary, Properties: c.props, MinDisk: c.min}
			if diff := cmp.Diff(want, got.Contract()); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
	p, _ := newPipeline(t, "/")
	j := newJob(imgtest.WriteRaw(t, mixed()), contract.TargetSpec{})
	if got, err := j.look(t, p); err != nil || got.NotInspected == "" || got.Facts != nil || got.Contract().MinDisk != 1 {
		t.Errorf("switched off: %+v, %v", got, err)
	}
}

// TestCraftedInside imports a disk whose FAT leads its reader in circles, through each
// limit that may end it. This process keeps what it had.
func TestCraftedInside(t *testing.T) {
	esp := guesttest.FAT(t, 20<<20, "16", "LOOP", map[string]string{"EFI/BOOT/BOOTX64.EFI": strings.Repeat("MZ", 4000)})
	p, err := os.ReadFile(esp)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	reserved, sectors := int(le.Uint16(p[14:])), int(le.Uint16(p[22:]))
	for n := range 2 {
		for i := 2; i < 200; i++ {
			le.PutUint16(p[(reserved+n*sectors)*512+2*i:], uint16(i))
		}
	}
	if err := os.WriteFile(esp, p, 0o600); err != nil {
		t.Fatal(err)
	}
	disk := guesttest.Table(t, 40<<20, "label: gpt\n,20M,U\n")
	guesttest.Insert(t, disk, esp, 1<<20)
	for _, c := range []struct {
		name string
		set  func(l *child.Limits)
		says string
	}{
		{"processor time", func(l *child.Limits) { l.CPU = time.Second }, "it took more than"},
		{"clock", func(l *child.Limits) { l.Wall = 300 * time.Millisecond }, "it took longer than 300ms"},
		{"reads", func(l *child.Limits) { l.Served = 1 << 20 }, "it took more than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := newPipeline(t, "/")
			c.set(&looking(t, p).Limits)
			j := newJob(disk, contract.TargetSpec{})
			before, grown := descriptors(t), allocated()
			got, err := j.look(t, p)
			if err != nil || got.Facts == nil || len(got.Facts.Findings) != 1 || !strings.Contains(got.Facts.Findings[0].Message, "not inspected: "+c.says) {
				t.Errorf("%+v, %v", got, err)
			}
			// Others' may be closed meanwhile, such as connections to servers that have gone.
			if !eventually(func() bool { return descriptors(t) <= before }) {
				t.Errorf("%d descriptors, %d before", descriptors(t), before)
			}
			if grown = allocated() - grown; grown > 64<<20 {
				t.Errorf("this process allocated %d bytes", grown)
			}
			if err := j.run(t, p); err != nil {
				t.Errorf("the import fails: %v", err)
			}
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestInsideOfABadSource inspects disks whose server stands still or sends something
// else.
func TestInsideOfABadSource(t *testing.T) {
	disk := withESP(t, "EFI/debian/grubx64.efi", "L", ext4Of(t, debianFiles()))
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	size := fileSize(t, disk)
	var mode atomic.Pointer[string]
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tag := `"version-1"`
		switch *mode.Load() {
		case "stands still":
			<-r.Context().Done()
			return
		case "changes":
			tag = `"version-2"`
		}
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "disk", time.Time{}, io.NewSectionReader(f, 0, size))
	}))
	t.Cleanup(srv.Close)
	for _, c := range []struct {
		mode string
		says string // not inspected because
		code errcode.Code
	}{
		{"is well", "", ""},
		{"stands still", "it took too long to read", ""},
		{"changes", "", errcode.SourceChanged},
	} {
		t.Run(c.mode, func(t *testing.T) {
			well := "is well"
			mode.Store(&well)
			p, _ := newPipeline(t, t.TempDir(), loopback())
			looking(t, p)
			j := newJob(srv.URL+"/disk.img", contract.TargetSpec{})
			if _, err := j.look(t, p); err != nil {
				t.Fatal(err)
			}
			if j.fetched.Staged {
				t.Fatal("staged")
			}
			mode.Store(&c.mode)
			if c.says != "" {
				p.Guest.Longest = 500 * time.Millisecond
			}
			got, err := p.LookInside(t.Context(), contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected})
			if errcode.Of(err) != c.code || got.NotInspected != c.says {
				t.Errorf("%+v, %v", got, err)
			}
			if c.code == "" && got.MinDisk != 2 {
				t.Errorf("min_disk %d", got.MinDisk)
			}
		})
	}
	t.Run("the caller gives up", func(t *testing.T) {
		well, still := "is well", "stands still"
		mode.Store(&well)
		p, _ := newPipeline(t, t.TempDir(), loopback())
		looking(t, p)
		j := newJob(srv.URL+"/disk.img", contract.TargetSpec{})
		if _, err := j.look(t, p); err != nil {
			t.Fatal(err)
		}
		mode.Store(&still)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if got, err := p.LookInside(ctx, contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected}); err == nil {
			t.Errorf("%+v without an error", got)
		}
	})
}

// TestInsideOfAnOVA looks into each disk of a machine.
func TestInsideOfAnOVA(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "machine.ova")
	p, _ := newPipeline(t, "/")
	_, err := p.ConvertTo(t.Context(), pipeline.ConvertRequest{
		URLs:   []string{withESP(t, "EFI/debian/grubx64.efi", "L", ext4Of(t, debianFiles())), imgtest.WriteRaw(t, mixed())},
		Target: contract.TargetSpec{Format: "ova", Options: map[string]string{}},
		Begin:  func() (stores.Upload, error) { return fs.BeginFile(dst, false) },
	}, func(string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	looking(t, p)
	j := newJob(dst, contract.TargetSpec{})
	if _, err := j.look(t, p); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{1: "debian", 2: ""} {
		got, err := p.LookInside(t.Context(), contract.ValidateParams{TaskID: j.task, Fetched: j.fetched, Detected: j.detected, Disk: n})
		if err != nil || got.Contract().Properties["os_distro"] != want {
			t.Errorf("disk %d: %+v, %v", n, got, err)
		}
	}
}
