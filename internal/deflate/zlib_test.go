package deflate

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ingest/internal/imgtest"
)

// script reads clusters of 64 KiB and our streams of them, inflates these with the
// window's size, a piece at a time so that what came out is not at hand, and writes
// how long zlib's own streams are.
const script = `
import sys, zlib, struct
bits = int(sys.argv[1])
plain, packed = open(sys.argv[2], "rb"), open(sys.argv[3], "rb")
ours = theirs = n = 0
while True:
    p = plain.read(65536)
    if not p:
        break
    z = packed.read(struct.unpack(">I", packed.read(4))[0])
    d = zlib.decompressobj(-bits)
    out, rest = b"", z
    while not d.eof:
        piece = d.decompress(rest, 100)
        if not piece and not d.eof:
            sys.exit("zlib wants more")
        out, rest = out + piece, d.unconsumed_tail
    if out != p:
        sys.exit("zlib reads other bytes")
    n += 1
    if n > int(sys.argv[4]):
        continue
    c = zlib.compressobj(6, zlib.DEFLATED, -bits, 9)
    theirs += len(c.compress(p) + c.flush())
    ours += len(z)
print(ours * 1000 // theirs)
`

// TestAgainstZlib has zlib read streams, and holds their size against that of its own
// of level 6, which is what qemu-img writes.
func TestAgainstZlib(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		if os.Getenv(imgtest.SkipEnv) != "" {
			t.Skipf("NOT TESTED: python3 is absent and %s is set", imgtest.SkipEnv)
		}
		t.Fatalf("python3 is a witness of this test and is absent; set %s to skip", imgtest.SkipEnv)
	}
	all := materials(t)
	data := all["program"]
	compared := fmt.Sprint(len(data) >> 16)
	for _, name := range []string{"mixed", "period 4096", "period 4097", "period 32768", "skewed"} {
		data = append(data, all[name][:1<<19]...)
	}
	dir := t.TempDir()
	plain, packed := filepath.Join(dir, "plain"), filepath.Join(dir, "packed")
	if err := os.WriteFile(plain, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		window int
		bits   string
		effort Effort
		most   int // thousandths of zlib's size
	}{
		{SmallWindow, "12", Fast, 1060}, {SmallWindow, "12", Good, 1050}, {MaxWindow, "15", Fast, 1060}, {MaxWindow, "15", Good, 1060},
	} {
		var out []byte
		e := New(c.window, c.effort)
		for i := 0; i < len(data); i += 64 << 10 {
			at := len(out)
			out, _ = e.Raw(append(out, 0, 0, 0, 0), data[i:i+64<<10], 1<<20)
			binary.BigEndian.PutUint32(out[at:], uint32(len(out)-at-4))
		}
		if err := os.WriteFile(packed, out, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("python3", "-c", script, c.bits, plain, packed, compared)
		cmd.Stderr = os.Stderr
		b, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, d := range bytes.TrimSpace(b) {
			n = 10*n + int(d-'0')
		}
		t.Logf("window %d, effort %d: %d thousandths of zlib's size", c.window, c.effort, n)
		if n > c.most || n < 800 {
			t.Errorf("window %d, effort %d: %d thousandths of zlib's size", c.window, c.effort, n)
		}
	}
}
