package e2e

import (
	"strings"
	"testing"

	"ingest/internal/contract"
)

// Of three places one dies in the middle, and one has other bytes under the same name,
// size and validator: the import ends right, and says which place it has left out.
func TestMirrorsThatDieAndLie(t *testing.T) {
	t.Parallel()
	raw := disk(t, 61, 48*mib)
	dying := serveFile(t, raw, true, 12*mib).slowBehind(12 * mib)
	good := serveFile(t, raw, true, 12*mib).slowBehind(12 * mib)
	lying := serveFile(t, disk(t, 62, 48*mib), true, 0)
	s := start(t, loopback)
	req := of(dying.URL, contract.TargetSpec{Format: "qcow2"})
	req.Source.Mirrors = []string{good.URL, lying.URL}
	req.Source.Checksum = sha256Of(t, raw)
	id := s.submit(req).TaskID
	s.await(id, contract.StageFetch, 12*mib)
	dying.CloseClientConnections()
	dying.Close()
	good.rate.Store(0)
	s.succeeded(id, contentOf(t, raw))
	if said := show(s.task(id).Events); !strings.Contains(said, lying.Listener.Addr().String()) {
		t.Errorf("nothing is said of the place with other bytes: %s", said)
	}
	if sent := lying.sent.Load(); sent > 8*mib {
		t.Errorf("%d bytes were taken from the place with other bytes", sent)
	}

	// Without a digest that is all that can be done, and it is said.
	again := of(good.URL, contract.TargetSpec{Format: "raw"})
	again.Source.Mirrors = []string{serveFile(t, raw, true, 0).URL}
	id = s.submit(again).TaskID
	s.succeeded(id, contentOf(t, raw))
	if said := show(s.task(id).Events); !strings.Contains(said, "in spots alone") {
		t.Errorf("nobody is warned of places that were compared in spots: %s", said)
	}
}
