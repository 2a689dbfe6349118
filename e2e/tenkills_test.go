package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ingest/internal/contract"
	"ingest/internal/s3test"
	"ingest/pipeline"
)

// A killedImport is one of those that are killed together.
type killedImport struct {
	name   string
	target contract.TargetSpec
	from   *origin
	task   string
	kills  int64 // that it has lived through, unfinished
}

// written is what a process has caused to be written to disks, bytes.
func written(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "io"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			v, err := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no write_bytes in %s", text)
	return 0
}

// TestTenKills kills a server ten times at random points while it imports into a folder
// and into a bucket, by a plan and by an encoder. What was read, by the count of the
// sources, and what was written, by that of the bucket and of the kernel, is what an
// undisturbed import needs and at most pipeline.LostByKill for each kill.
func TestTenKills(t *testing.T) {
	t.Parallel()
	const size, kills = 128 * mib, 10
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	raw := disk(t, 41, size)
	b := &bucketServer{s3: s3test.Start(t, s3test.Versity())}
	b.bucket = b.s3.Bucket(t)
	proxy := s3test.NewProxy(t, b.s3)
	file := credentialsFile(t, fmt.Sprintf("lab: {type: s3, endpoint: %q, access_key: %s, secret_key: %s}\n", proxy.Endpoint, s3test.AccessKey, s3test.SecretKey))
	b.server = start(t, append([]string{"--credentials", file, "--store", "cloud=s3://" + b.bucket + "/images?credential=lab"}, loopback...))

	var all []*killedImport
	for _, store := range []string{"local", "cloud"} {
		for _, target := range []contract.TargetSpec{{Format: "raw", Store: store}, {Format: "qcow2", Compression: "zstd", Store: store}} {
			all = append(all, &killedImport{name: target.Format + " in " + store, target: target, from: serveFile(t, raw, true, 24*mib)})
		}
	}
	submit := func() {
		for _, k := range all {
			k.task = b.submit(of(k.from.URL, k.target)).TaskID
		}
	}
	submit()
	disk := int64(0)
	for n := range kills {
		b.strike(all, random, n)
		disk += written(t, b.cmd.Process.Pid)
		b.kill9()
		b.restart()
	}
	for _, k := range all {
		k.from.rate.Store(0)
	}
	content := contentOf(t, raw)
	hashes := b.settled(all, content)
	disk += written(t, b.cmd.Process.Pid)
	sent := proxy.Sent.Load()

	// The same once more, undisturbed.
	first := map[string]int64{}
	for _, k := range all {
		first[k.name] = k.from.sent.Swap(0)
	}
	calmDisk := written(t, b.cmd.Process.Pid)
	submit()
	calmHashes := b.settled(all, content)
	calmDisk = written(t, b.cmd.Process.Pid) - calmDisk
	calmSent := proxy.Sent.Load() - sent
	b.holds(4)

	within := func(what string, got, calm, lived, more int64) {
		t.Logf("%s: %.1f MiB, undisturbed %.1f, %d kills: %.1f MiB each", what, float64(got)/mib, float64(calm)/mib, lived, float64(got-calm)/mib/float64(max(lived, 1)))
		if got > calm+lived*pipeline.LostByKill+more {
			t.Errorf("%s: %d bytes, want at most the %d of an undisturbed import and %d for each of %d kills", what, got, calm, pipeline.LostByKill, lived)
		}
	}
	lived := map[string]int64{}
	for i, k := range all {
		if hashes[i] != calmHashes[i] {
			t.Errorf("%s: the stored digest is %s, undisturbed %s", k.name, hashes[i], calmHashes[i])
		}
		lived[k.target.Store] += k.kills
		within("read for "+k.name, first[k.name], k.from.sent.Load(), k.kills, 0)
	}
	within("sent to the bucket", sent, calmSent, lived["cloud"], 0)
	// Catalogue and Temporal write too, at each start and with each heartbeat.
	const databases = 16 * mib
	within("written to disks", disk, calmDisk, lived["local"], (kills+1)*databases)
}

// strike waits for a random moment in the work of the imports that are not finished.
func (b *bucketServer) strike(all []*killedImport, random *rand.Rand, n int) {
	b.t.Helper()
	total := func() (sum int64) {
		for _, k := range all {
			sum += k.from.sent.Load()
		}
		return sum
	}
	until, most := total()+int64(random.IntN(70*mib))+10*mib, 20*time.Second
	if random.IntN(3) == 0 { // most likely before anything goes on
		most = time.Duration(random.IntN(3000)) * time.Millisecond
	}
	for end := time.Now().Add(most); total() < until && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
	var at []string
	for _, k := range all {
		task := b.task(k.task)
		if !task.Finished() {
			k.kills++
		}
		at = append(at, fmt.Sprintf("%s at %s", k.name, task.Stage))
	}
	b.t.Logf("kill %d after %.1f MiB: %s", n+1, float64(total())/mib, strings.Join(at, ", "))
}

// settled waits until all imports have succeeded, checks their images, and returns the
// stored digests.
func (b *bucketServer) settled(all []*killedImport, content string) (hashes []string) {
	b.t.Helper()
	for _, k := range all {
		b.finished(k.task)
	}
	for _, k := range all {
		hashes = append(hashes, b.succeeded(k.task, content).HashValue)
	}
	return hashes
}
