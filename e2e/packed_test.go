package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"ingest/internal/contract"
)

// ovaOf writes an OVA of raw disks.
func ovaOf(t testing.TB, raws ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "machine.ova")
	if got := ingest(t, append(append([]string{"convert", "--option", "firmware=efi"}, raws...), path)...); got.code != 0 {
		t.Fatalf("convert ends with %d: %s", got.code, got.stderr)
	}
	return path
}

func TestKill9DuringUnwrapping(t *testing.T) {
	t.Parallel()
	raw := disk(t, 21, 32*mib)
	if out, err := exec.Command("gzip", "-k1", raw).CombinedOutput(); err != nil {
		t.Fatalf("gzip: %v %s", err, out)
	}
	from := serveFile(t, raw+".gz", false, 4*mib).slowBehind(8 * mib)
	s := start(t, loopback)
	req := of(from.URL, contract.TargetSpec{Format: "qcow2"})
	req.Source.Checksum = sha256Of(t, raw+".gz")
	id := s.submit(req).TaskID
	s.await(id, contract.StageFetch, 4*mib)
	from.rate.Store(0)
	s.crash(id)
	s.succeeded(id, contentOf(t, raw))
}

// atSecondDisk waits until the second disk is being converted.
func (s *server) atSecondDisk(id string) {
	s.t.Helper()
	eventually(s.t, time.Minute, "the second disk", func() (bool, string) {
		p := s.progress(id)
		if task := s.task(id); task.Finished() {
			s.t.Fatalf("the task ended before: %s", show(task))
		}
		return p.Stage == contract.StageConvert && p.Disk == 2 && p.Disks == 2, show(p)
	})
}

// Killed between the disks of an OVA, an import ends with an image of each.
func TestKill9BetweenDisks(t *testing.T) {
	t.Parallel()
	raws := []string{disk(t, 22, 16*mib), disk(t, 23, 32*mib)}
	from := serveFile(t, ovaOf(t, raws...), true, 2*mib)
	s := start(t, loopback)
	req := of(from.URL, contract.TargetSpec{Format: "qcow2"})
	req.Image.Name = "machine"
	id := s.submit(req).TaskID
	s.atSecondDisk(id)
	from.rate.Store(0)
	s.crash(id)
	task := s.finished(id)
	if task.Status != "success" || task.Result == nil || len(task.Result.Images) != 2 {
		t.Fatalf("the task has not succeeded: %s", show(task))
	}
	for i, r := range task.Result.Images {
		img, err := s.api.Image(t.Context(), r.ImageID)
		if err != nil {
			t.Fatal(err)
		}
		size, sum := s.download(img)
		if img.Status != "active" || img.ContentDigest != contentOf(t, raws[i]) || r.Size != size || r.HashValue != sum ||
			img.Name != []string{"machine", "machine-disk2"}[i] || img.ContainerFormat != "bare" || img.Properties["hw_firmware_type"] != "uefi" {
			t.Errorf("image %d is %s, a download has %d bytes with %s", i+1, show(img), size, sum)
		}
	}
	s.nothingLeft()
}

// Cancelled at its second disk, an import of an OVA leaves nothing of the first.
func TestCancelAtTheSecondDisk(t *testing.T) {
	t.Parallel()
	from := serveFile(t, ovaOf(t, disk(t, 24, 8*mib), disk(t, 25, 48*mib)), true, 2*mib)
	s := start(t, loopback)
	id := s.submit(of(from.URL, contract.TargetSpec{Format: "raw"})).TaskID
	s.atSecondDisk(id)
	if _, err := s.api.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	from.rate.Store(0)
	s.failed(id, "TASK_CANCELLED")
	images, err := s.api.Images(t.Context(), nil, 0)
	if err != nil || len(images) != 1 {
		t.Errorf("%d images, %v; want the task's own", len(images), err)
	}
	if left := files(t, s.path("store", "objects")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
