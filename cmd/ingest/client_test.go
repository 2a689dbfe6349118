package main

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"ingest/api"
	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	"ingest/pipeline"
)

// machine is a server without workflows: it runs an import as its script says,
// on a real catalogue behind the real API.
type machine struct {
	t     *testing.T
	cat   *metadata.Catalogue
	url   string
	data  []byte                                     // of every image
	hash  string                                     // claimed of every image, "" for the right one
	cut   int                                        // bytes after which each read of an image breaks off
	run   func(m *machine, r contract.ImportRequest) // what an import does
	poll  func()                                     // called when somebody asks how far an import is
	wg    sync.WaitGroup
	mu    sync.Mutex
	asked []contract.ImportRequest

	forecast contract.Forecast // what a dry run is answered with
}

func newMachine(t *testing.T, run func(*machine, contract.ImportRequest), adjust ...func(*api.Deps)) *machine {
	t.Helper()
	repo, err := sqlite.Open(sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, cat: metadata.New(repo), run: run, data: []byte(strings.Repeat("image ", 100_000))}
	deps := api.Deps{Catalogue: m.cat, Imports: m, Blobs: m, Planner: m, Stores: []string{"local"}, Version: "test", Log: zerolog.Nop(),
		Defaults: api.Defaults{Resolve: pipeline.CheckTarget, SignedURLs: true}}
	for _, f := range adjust {
		f(&deps)
	}
	srv := httptest.NewServer(api.New(deps))
	m.url = srv.URL
	t.Cleanup(func() { srv.Close(); m.wg.Wait(); repo.Close() })
	return m
}

func (m *machine) Start(_ context.Context, r contract.ImportRequest, _ string) error {
	m.mu.Lock()
	m.asked = append(m.asked, r)
	m.mu.Unlock()
	m.wg.Go(func() { m.run(m, r) })
	return nil
}

func (m *machine) Steer(context.Context, string, contract.Control) error { return nil }

func (m *machine) Cancel(context.Context, string) error {
	return errcode.New(errcode.NotFound, "no workflow runs")
}

func (m *machine) Progress(context.Context, metadata.Task) (contract.Progress, error) {
	if m.poll != nil {
		m.poll()
	}
	return contract.Progress{Stage: contract.StageConvert, Bytes: 1 << 20, Total: 4 << 20, Rate: 1 << 20, ETA: 3, Attempt: 1}, nil
}

func (m *machine) OpenRange(_ context.Context, _, _ string, off, n int64) (io.ReadCloser, error) {
	part := m.data[off : off+n]
	if m.cut > 0 && len(part) > m.cut {
		return io.NopCloser(io.MultiReader(bytes.NewReader(part[:m.cut]), broken{})), nil
	}
	return io.NopCloser(bytes.NewReader(part)), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

func (m *machine) Delete(context.Context, string, string) error { return nil }

// succeed ends an import well.
func succeed(m *machine, r contract.ImportRequest) {
	sum := sha512.Sum512(m.data)
	hash := hex.EncodeToString(sum[:])
	if m.hash != "" {
		hash = m.hash
	}
	res, err := json.Marshal(contract.ImportResult{TaskID: r.TaskID, Images: []contract.ImageResult{{ImageID: r.ImageID, Size: int64(len(m.data))}}})
	if err == nil {
		err = m.cat.Start(context.Background(), r.TaskID)
	}
	if err == nil {
		err = m.cat.Activate(context.Background(), metadata.Activation{TaskID: r.TaskID, Result: res, Images: []metadata.ImageActivation{{
			ImageID: r.ImageID, DiskFormat: "qcow2", Size: int64(len(m.data)), VirtualSize: 1 << 30,
			HashAlgo: "sha512", HashValue: hash, ContentDigest: "c0ffee", Store: "local", Key: r.ImageID + "/u",
		}}})
	}
	if err != nil {
		m.t.Error(err)
	}
}

// fail ends an import as one of a file that the server may not read.
func fail(m *machine, r contract.ImportRequest) {
	err := m.cat.Start(context.Background(), r.TaskID)
	for _, e := range []metadata.Event{{Stage: "fetch"}, {Stage: "fetch", Duration: 1500 * time.Millisecond, Bytes: 2048, Attempt: 2}} {
		if err == nil {
			err = m.cat.SetStage(context.Background(), r.TaskID, e)
		}
	}
	if err == nil {
		d := errcode.Lookup(errcode.SourceOutsideRoots)
		err = m.cat.Fail(context.Background(), r.TaskID, metadata.TaskError{Code: d.Code, Message: "the path does not lie below a file root",
			Stage: "fetch", Evidence: &errcode.Evidence{Field: "source.url", Value: r.Source.URL}, Remedy: d.Remedy})
	}
	if err != nil {
		m.t.Error(err)
	}
}

// idle leaves an import where it is.
func idle(*machine, contract.ImportRequest) {}

type outcome struct {
	code     int
	out, err string
}

// ingest runs a command line against the machine.
func (m *machine) ingest(args ...string) outcome { return m.ingestUntil(context.Background(), args...) }

func (m *machine) ingestUntil(ctx context.Context, args ...string) outcome {
	m.t.Helper()
	var out, errOut bytes.Buffer
	g := &globals{}
	code := execute(ctx, g, clientCommands(g), append([]string{"--server", m.url}, args...), &out, &errOut)
	return outcome{code, out.String(), errOut.String()}
}

// want checks the exit code and that the output matches.
func (o outcome) want(t *testing.T, code int, out, errOut string) outcome {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", o.code, code, o.out, o.err)
	}
	for _, c := range []struct{ name, pattern, text string }{{"output", out, o.out}, {"errors", errOut, o.err}} {
		if !regexp.MustCompile(`(?s)\A` + c.pattern + `\z`).MatchString(c.text) {
			t.Errorf("the %s do not match %q:\n%s", c.name, c.pattern, c.text)
		}
	}
	return o
}

const uuidPattern = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`

func TestImport(t *testing.T) {
	m := newMachine(t, succeed)
	o := m.ingest("import", "https://example.org/dir/disk.vmdk?token=x", "--from", "vmdk", "--to", "qcow2", "--compression", "zstd",
		"--checksum", "sha256:"+strings.Repeat("ab", 32), "--property", "os_distro=debian", "--property", "empty=", "--tag", "a", "--tag", "b",
		"--visibility", "private", "--project", "red", "--idempotency-key", "k")
	o.want(t, 0, `id +`+uuidPattern+`\nname +disk.vmdk\nstatus +active\nformat +qcow2\n.*size +586 KiB \(600000 bytes\)\nvirtual size +1.00 GiB \(1073741824 bytes\)\n`+
		`stored digest +sha512:[0-9a-f]{128}\ncontent digest +c0ffee\n.*property +empty=\nproperty +os_distro=debian\n`, `task .*, image .*\n`)
	got := m.asked[0]
	want := contract.ImportRequest{
		TaskID: got.TaskID, ImageID: got.ImageID, RequestID: got.RequestID, TaskType: "api_image_import", Owner: "red", IdempotencyKey: "k",
		Source: contract.SourceSpec{URL: "https://example.org/dir/disk.vmdk?token=x", Format: "vmdk", Checksum: "sha256:" + strings.Repeat("ab", 32)},
		Target: contract.TargetSpec{Format: "qcow2", Compression: "zstd"},
		Image:  contract.ImageSpec{Name: "disk.vmdk", Visibility: "private", Tags: []string{"a", "b"}, Properties: map[string]string{"os_distro": "debian", "empty": ""}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	m.ingest("import", "https://example.org/dir/disk.vmdk?token=x", "--idempotency-key", "k", "--project", "red").
		want(t, 1, "", `error: IDEMPOTENCY_KEY_REUSED .*what to do: .*`)
	var img wire.Image
	o = m.ingest("import", "http://h/i", "--name", "n", "--json", "-q").want(t, 0, `.*`, ``)
	if err := json.Unmarshal([]byte(o.out), &img); err != nil || img.Status != "active" || img.Name != "n" {
		t.Errorf("%v in %s", err, o.out)
	}
}

func TestImportOfSeveralFiles(t *testing.T) {
	m := newMachine(t, succeed)
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	m.ingest("import", "https://example.org/disk.vmdk", "--member", "https://example.org/disk-s001.vmdk?sig=secret", "--member", "sub/disk-s002.vmdk",
		"--verify", "full", "--no-wait", "-q").want(t, 0, `task .*`, ``)
	got := m.asked[0]
	want := []contract.MemberSpec{{URL: "https://example.org/disk-s001.vmdk?sig=secret"}, {URL: filepath.Join(dir, "sub/disk-s002.vmdk")}}
	if diff := cmp.Diff(want, got.Source.Members); diff != "" || got.Verify != "full" {
		t.Errorf("verify %q, members (-want +got):\n%s", got.Verify, diff)
	}
	o := m.ingest("task", "show", got.TaskID)
	o.want(t, 0, `.*members +https://example.org/disk-s001.vmdk, /.*/sub/disk-s002.vmdk\n.*`, "")
	if strings.Contains(o.out, "secret") {
		t.Errorf("a signature is shown:\n%s", o.out)
	}
	m.ingest("import", "https://example.org/d.vmdk", "--member", "https://example.org/?id=7").want(t, 2, "", `.*--member "https://example.org/\?id=7" has no file name.*`)
	m.ingest("import", "https://example.org/d.vmdk", "--member", "").want(t, 2, "", `.*--member is empty.*`)
	m.ingest("import", "https://example.org/d.vmdk", "--verify", "stored").want(t, 1, "", `error: FORBIDDEN .*at least.*`)
}

func TestImportOfAPath(t *testing.T) {
	m := newMachine(t, fail)
	t.Chdir(t.TempDir())
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	o := m.ingest("import", "./disk.vhd")
	o.want(t, 1, "", `task .*error: IMG_SOURCE_OUTSIDE_ROOTS the path .*\n  stage: fetch\n  evidence: field source.url, value `+regexp.QuoteMeta(dir)+
		`/disk.vhd\n  what to do: .*file roots.*--file-roots.*\n`)
	if got := m.asked[0].Source.URL; got != filepath.Join(dir, "disk.vhd") {
		t.Errorf("asked for %s", got)
	}
	o = m.ingest("import", "disk.vhd", "--json", "-q").want(t, 1, "", `.*`)
	var e struct{ Error wire.ErrorDetail }
	if err := json.Unmarshal([]byte(o.err), &e); err != nil || e.Error.Code != errcode.SourceOutsideRoots || e.Error.Remedy == "" {
		t.Errorf("%v in %s", err, o.err)
	}
}

func TestImportWithoutWaiting(t *testing.T) {
	m := newMachine(t, idle)
	o := m.ingest("import", "http://h/i", "--no-wait", "--json", "--idempotency-key", "k").want(t, 0, `.*`, "")
	var s wire.Submitted
	if err := json.Unmarshal([]byte(o.out), &s); err != nil || s.Status != "pending" || s.WorkflowID != "import/default/key-k" {
		t.Errorf("%v in %s", err, o.out)
	}
	m.ingest("import", "http://h/i", "--no-wait", "--idempotency-key", "k").
		want(t, 0, `task +`+s.TaskID+`\nimage +`+s.ImageID+`\nstatus +pending\n`, `task .* accepted before\n`)
}

func TestImportIsRefused(t *testing.T) {
	m := newMachine(t, idle)
	m.ingest("import", "ftp://h/i").want(t, 1, "", `error: IMG_SOURCE_SCHEME .*evidence: .*field source.url.*what to do: .*`)
	m.ingest("import", "http://h/i", "--to", "zip").want(t, 1, "", `error: IMG_TARGET_FORMAT .*`)
	m.ingest("import", "http://h/i", "--checksum", "md5:0").want(t, 1, "", `error: IMG_CHECKSUM_INVALID .*`)
}

func TestInterrupt(t *testing.T) {
	m := newMachine(t, idle)
	ctx, stop := context.WithCancel(context.Background())
	m.poll = stop
	m.ingestUntil(ctx, "import", "http://h/i").
		want(t, 130, "", `task [^\n]*\n(convert [^\n]*\n)?Stopped watching; the import goes on.\n  watch:  ingest task watch `+uuidPattern+`\n  cancel: ingest task cancel `+uuidPattern+`\n`)
}

func TestUsage(t *testing.T) {
	m := newMachine(t, idle)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"import"}, "accepts 1 arg"},
		{[]string{"import", "a", "b"}, "accepts 1 arg"},
		{[]string{"import", ""}, "SOURCE is empty"},
		{[]string{"import", "x", "--nothing"}, "unknown flag: --nothing"},
		{[]string{"import", "x", "--property", "novalue"}, "not of the form KEY=VALUE"},
		{[]string{"imprt"}, "did you mean import"},
		{[]string{"task", "shwo"}, `unknown command "shwo" of ingest task`},
		{[]string{"task", "show"}, "accepts 1 arg"},
		{[]string{"image", "delete"}, "requires at least 1 arg"},
		{[]string{"task", "list", "--limit", "many"}, "invalid argument"},
		{[]string{"task", "list", "--limit", "-1"}, "--limit -1"},
		{[]string{"image", "list", "--limit", "-1"}, "--limit -1"},
		{[]string{"import", "x", "--nothing", "--json"}, `"message": "unknown flag: --nothing"`},
	} {
		o := m.ingest(c.args...)
		if o.code != 2 || !strings.Contains(o.err, c.want) || !strings.Contains(o.err, "--help`") || o.out != "" {
			t.Errorf("%v: exit code %d\n%s%s", c.args, o.code, o.out, o.err)
		}
	}
	for _, args := range [][]string{{}, {"task"}, {"image"}, {"import", "--help"}} {
		if o := m.ingest(args...); o.code != 0 || !strings.Contains(o.out, "Usage:") {
			t.Errorf("%v: exit code %d\n%s%s", args, o.code, o.out, o.err)
		}
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s has no example or no description", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	g := &globals{}
	walk(newRootCommand(g, clientCommands(g)))
}

// Who asks for help finds each command where it belongs.
func TestHelpIsGrouped(t *testing.T) {
	var out bytes.Buffer
	g := &globals{}
	code := execute(t.Context(), g, commands(g), []string{"--help"}, &out, io.Discard)
	outcome{code, out.String(), ""}.want(t, 0, `.*\nAsk a server:\n  [^\n]*\n.*  image .*\n  task [^\n]*\n.*\n\nWork on files of this machine:\n  compare .*\n  map [^\n]*\n\n`+
		`Run a server:\n  .*\n  token [^\n]*\n\nAdditional Commands:\n.*\n  version .*`, ``)
}

func TestNoServer(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	m := &machine{t: t, url: srv.URL}
	m.ingest("image", "list").want(t, 1, "", `error: SERVER_UNREACHABLE .*`+regexp.QuoteMeta(srv.URL)+`.*what to do: .*ingest serve.*\n`)
	m.url = "ftp://x"
	m.ingest("image", "list").want(t, 1, "", `error: BAD_REQUEST .*`)
}

func TestTasks(t *testing.T) {
	m := newMachine(t, fail)
	m.ingest("task", "list").want(t, 0, `TASK  STATUS .*\n`, "")
	m.ingest("import", "http://h/i?token=secret", "-q").want(t, 1, "", `.*`)
	id := m.asked[0].TaskID
	m.ingest("task", "list", "--status", "failure").want(t, 0, `TASK .*\n`+id+`  failure  fetch .*IMG_SOURCE_OUTSIDE_ROOTS\n`, "")
	m.ingest("task", "list", "--status", "success", "--json").want(t, 0, `\{\n  "tasks": \[\]\n\}\n`, "")
	m.ingest("task", "list", "--status", "odd").want(t, 1, "", `error: BAD_REQUEST .*`)
	m.ingest("task", "show", id).want(t, 0, `id +`+id+`\nstatus +failure\n.*\nsource +http://h/i\n.*AT +KIND.*status +pending\n.*stage +fetch +begins\n.*stage +fetch +2.00 KiB +1.5s +attempt 2  ends\n.*error +fetch.*\n\nerror: IMG_SOURCE_OUTSIDE_ROOTS .*evidence: .*what to do: .*`, "")
	o := m.ingest("task", "show", id, "--json").want(t, 0, `.*`, "")
	var task wire.Task
	if err := json.Unmarshal([]byte(o.out), &task); err != nil || len(task.Events) == 0 || task.Error == nil {
		t.Errorf("%v in %s", err, o.out)
	}
	m.ingest("task", "watch", id).want(t, 1, "", `register +done in .*fetch +2.00 KiB  done in 1.5s.*error: IMG_SOURCE_OUTSIDE_ROOTS .*`)
	m.ingest("task", "cancel", id).want(t, 1, "", `error: CONFLICT .*`)
	m.ingest("task", "show", "nothing").want(t, 1, "", `error: NOT_FOUND .*`)
	m.ingest("task", "watch", "nothing").want(t, 1, "", `error: NOT_FOUND .*`)

	m.run = idle
	m.ingest("import", "http://h/i", "--no-wait").want(t, 0, `.*`, "")
	id = m.asked[1].TaskID
	m.ingest("task", "cancel", id).want(t, 0, "", `task `+id+` is asked to stop.*\n`)
	m.ingest("task", "watch", id).want(t, 1, "", `error: TASK_CANCELLED .*`)
}

func TestWatchShowsStages(t *testing.T) {
	watched := make(chan struct{})
	m := newMachine(t, func(m *machine, r contract.ImportRequest) { <-watched; succeed(m, r) })
	m.poll = sync.OnceFunc(func() { close(watched) })
	m.ingest("import", "http://h/i").want(t, 0, `id .*status +active.*`, `task .*\nconvert +1.00 MiB  done in .*\n`)
}

func TestImages(t *testing.T) {
	m := newMachine(t, succeed)
	m.ingest("import", "http://h/i", "--name", "evil\u202ename", "--tag", "x", "-q").want(t, 0, `.*`, "")
	id := m.asked[0].ImageID
	m.ingest("image", "list").want(t, 0, `IMAGE +NAME +STATUS +FORMAT +SIZE +VIRTUAL +CREATED\n`+id+`  evil\?name  active  qcow2   586 KiB  1.00 GiB  .*\n`, "")
	m.ingest("image", "list", "--name", "other", "--json").want(t, 0, `\{\n  "images": \[\]\n\}\n`, "")
	m.ingest("image", "list", "--tag", "x", "--limit", "0").want(t, 0, `.*`+id+`.*`, "")
	m.ingest("image", "show", id).want(t, 0, `id +`+id+`\n.*tags +x\n.*`, "")
	m.ingest("image", "show", "nothing").want(t, 1, "", `error: NOT_FOUND .*`)
	m.ingest("image", "delete", id).want(t, 0, "", `image `+id+` is deleted\n`)
	m.ingest("image", "delete", id).want(t, 1, "", `error: NOT_FOUND .*`)
}

func TestSave(t *testing.T) {
	m := newMachine(t, succeed)
	m.ingest("import", "http://h/i", "-q").want(t, 0, `.*`, "")
	id, dir := m.asked[0].ImageID, t.TempDir()
	path := filepath.Join(dir, "disk.qcow2")
	saved := func(path string) {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, m.data) {
			t.Errorf("%s is not the image: %d bytes, %v", path, len(got), err)
		}
	}
	m.ingest("image", "save", id, path).want(t, 0, "", `save .*586 KiB  done in .*\n.*600000 bytes, digest checked\n`)
	saved(path)
	m.ingest("image", "save", id, path).want(t, 1, "", `.*error: DESTINATION_EXISTS .*--force.*`)
	m.ingest("image", "save", id, path, "--force", "--json", "-q").want(t, 0, `.*"size": 600000\n\}\n`, "")
	saved(path)

	m.cut = 200_000 // taken up where it broke off
	again := filepath.Join(dir, "again")
	m.ingest("image", "save", id, again, "-q").want(t, 0, "", "")
	saved(again)
	m.cut = 0

	m.hash = strings.Repeat("0", 128)
	m.ingest("import", "http://h/i", "-q").want(t, 0, `.*`, "")
	bad := m.asked[1].ImageID
	m.ingest("image", "save", bad, filepath.Join(dir, "bad"), "-q").want(t, 1, "", `error: IMG_VERIFY_MISMATCH .*`)
	m.ingest("image", "save", id, filepath.Join(dir, "no", "folder"), "-q").want(t, 1, "", `error: .*no such file.*`)
	m.run = idle
	m.ingest("import", "http://h/i", "--no-wait", "-q").want(t, 0, `.*`, "")
	m.ingest("image", "save", m.asked[2].ImageID, filepath.Join(dir, "none"), "-q").want(t, 1, "", `error: CONFLICT .*queued.*`)

	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !cmp.Equal(names, []string{"again", "disk.qcow2"}) {
		t.Errorf("the folder holds %v", names)
	}
}

func TestNameOf(t *testing.T) {
	for url, want := range map[string]string{
		"https://h/a/disk.vmdk?x=/y#z": "disk.vmdk", "https://h": "", "https://h/": "", "/srv/disk.raw": "disk.raw", "file:///srv/a b": "a b",
	} {
		if got := nameOf(url); got != want {
			t.Errorf("%s: got %q, want %q", url, got, want)
		}
	}
}

func TestImagesAreFoundByName(t *testing.T) {
	m := newMachine(t, succeed)
	m.ingest("import", "http://h/i", "--name", "one", "-q").want(t, 0, `.*`, `.*`)
	m.ingest("image", "show", "one").want(t, 0, `id +`+uuidPattern+`\nname +one\n.*`, "")
	m.ingest("image", "show", "two").want(t, 1, "", `error: NOT_FOUND .*two.*`)
	m.ingest("import", "http://h/i", "--name", "one", "-q").want(t, 0, `.*`, `.*`)
	m.ingest("image", "show", "one").want(t, 1, "", `error: BAD_REQUEST 2 images are named "one".*`+uuidPattern+`, `+uuidPattern+`.*`)
}
