package refusals

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"ingest/formats"
	"ingest/internal/errcode"
	"ingest/internal/imgtest"
)

// TestEveryLimitHasATest fails for a limit of the formats that no image is held at.
func TestEveryLimitHasATest(t *testing.T) {
	held := map[string]bool{
		"VirtualSize":   true, // TestVirtualSizeHoldsExactly
		"CacheBytes":    true, // TestCacheBytesRefusesNothing
		"Snapshots":     true, // TestSnapshotsHoldExactly
		"SnapshotBytes": true, // the same
	}
	for _, b := range bounds() {
		held[b.name] = true
	}
	for f := range reflect.TypeFor[formats.Limits]().Fields() {
		if !held[f.Name] {
			t.Errorf("no image is held at formats.Limits.%s and one past it", f.Name)
		}
		delete(held, f.Name)
	}
	for name := range held {
		t.Errorf("%s is no limit", name)
	}
}

// TestSnapshotsHoldExactly has qemu-img make an image with snapshots.
func TestSnapshotsHoldExactly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshots.qcow2")
	imgtest.QemuImg(t, "create", "-q", "-f", "qcow2", path, "1M")
	for _, name := range []string{"first", "the second one"} {
		imgtest.QemuImg(t, "snapshot", "-c", name, path)
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	be := binary.BigEndian
	n, off := int64(be.Uint32(image[60:])), int64(be.Uint64(image[64:]))
	table := int64(0)
	for range n { // section "Snapshots" of the specification
		e := image[off+table:]
		table += (40 + int64(be.Uint32(e[36:])) + int64(be.Uint16(e[12:])) + int64(be.Uint16(e[14:])) + 7) &^ 7
	}
	if n != 2 || table < 100 {
		t.Fatalf("%d snapshots in %d bytes", n, table)
	}
	for _, b := range []bound{
		{"Snapshots", func(l *formats.Limits, n int64) { l.Snapshots = n }, "", n, errcode.TableBounds},
		{"SnapshotBytes", func(l *formats.Limits, n int64) { l.SnapshotBytes = n }, "", table, errcode.TableBounds},
	} {
		t.Run(b.name, func(t *testing.T) { holds(t, image, b) })
	}
}
