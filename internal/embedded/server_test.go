//go:build !noembed && unix

package embedded

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/temporalclient"
)

// TestServer starts one server and looks at it from all sides; a server for
// each look would take long.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	s, lines := start(t, Options{Dir: dir, UI: true})
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := dial(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	started := make(chan struct{})
	w := newWorker(c, started)
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Run("listens on loopback only", func(t *testing.T) { checkListeners(t, s) })
	t.Run("namespace", func(t *testing.T) { checkNamespace(ctx, t, c) })
	t.Run("search attributes", func(t *testing.T) { checkAttributes(ctx, t, c) })
	t.Run("cancel reaches a silent activity", func(t *testing.T) { checkCancel(ctx, t, c, started) })
	t.Run("set-up of another namespace", func(t *testing.T) { checkSetup(ctx, t, c) })
	t.Run("web interface", func(t *testing.T) { checkUI(ctx, t, s) })
	t.Run("second start is refused", func(t *testing.T) {
		_, err := Start(ctx, Options{Dir: dir, Logger: zerolog.Nop()})
		if errcode.Of(err) != errcode.Conflict || !strings.Contains(err.Error(), "pid ") {
			t.Errorf("Start on a used folder = %v, want %s with the pid", err, errcode.Conflict)
		}
	})
	w.Stop()
	c.Close()
	if err := s.Stop(); err != nil {
		t.Errorf("Stop: %v", err)
	}
	// A busy machine may well earn a warning, but not an error.
	if got := lines.String(); strings.Contains(got, `"level":"error"`) || strings.Contains(got, "canceled") {
		t.Errorf("a healthy run and its shutdown log errors:\n%s", got)
	}
	if st, err := os.Stat(filepath.Join(dir, dbName+"-wal")); err == nil && st.Size() != 0 {
		t.Errorf("after Stop the log still has %d bytes", st.Size())
	}
	if _, err := net.Dial("tcp", s.HostPort()); err == nil {
		t.Error("the frontend still listens after Stop")
	}
}

func checkNamespace(ctx context.Context, t *testing.T, c client.Client) {
	got, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if d := got.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); d != 7*24*time.Hour {
		t.Errorf("retention = %v, want a week", d)
	}
}

func checkAttributes(ctx context.Context, t *testing.T, c client.Client) {
	var values []temporal.SearchAttributeUpdate
	for _, name := range contract.SearchAttributes() {
		values = append(values, temporal.NewSearchAttributeKeyKeyword(name).ValueSet("v-"+name))
	}
	_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "tagged", TaskQueue: "nobody", TypedSearchAttributes: temporal.NewSearchAttributes(values...),
	}, "countTo")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range contract.SearchAttributes() {
		for got := int64(0); got == 0; {
			// What was started becomes visible shortly after.
			answer, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: name + " = 'v-" + name + "'"})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = answer.GetCount()
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := c.TerminateWorkflow(ctx, "tagged", "", "test"); err != nil {
		t.Error(err)
	}
}

// checkCancel fails by the context's deadline if a cancel needs a heartbeat to
// reach the worker.
func checkCancel(ctx context.Context, t *testing.T, c client.Client, started <-chan struct{}) {
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "sit", TaskQueue: queue}, "waitForCancel")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-started:
	case <-ctx.Done():
		t.Fatal("the activity was not started")
	}
	if err := c.CancelWorkflow(ctx, run.GetID(), ""); err != nil {
		t.Fatal(err)
	}
	if err := run.Get(ctx, nil); !temporal.IsCanceledError(err) {
		t.Errorf("workflow ended with %v, want cancelled", err)
	}
}

func checkSetup(ctx context.Context, t *testing.T, c client.Client) {
	// A namespace as an older ingest left it: another retention, one attribute.
	_, err := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace: "older", WorkflowExecutionRetentionPeriod: durationpb.New(48 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range []string{"older", "newer", "newer"} {
		if err := temporalclient.Setup(ctx, c, ns, 72*time.Hour); err != nil {
			t.Fatalf("%s: %v", ns, err)
		}
		got, err := c.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]enumspb.IndexedValueType{}
		for _, name := range contract.SearchAttributes() {
			want[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}
		have := map[string]enumspb.IndexedValueType{}
		for name, kind := range got.GetCustomAttributes() {
			if _, ours := want[name]; ours {
				have[name] = kind
			}
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", ns, diff)
		}
		d, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(); got != 72*time.Hour {
			t.Errorf("%s: retention = %v, want 72h", ns, got)
		}
	}
	err = temporalclient.Setup(ctx, c, "bad", time.Minute)
	if errcode.Of(err) != errcode.BadRequest {
		t.Errorf("retention of a minute: %v, want %s", err, errcode.BadRequest)
	}
}

func checkUI(ctx context.Context, t *testing.T, s *Server) {
	for path, want := range map[string]string{"/": "<html", "/api/v1/namespaces": `"default"`} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.UIAddr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("GET %s = %s, %v, %.200s; want %s in it", path, resp.Status, err, body, want)
		}
	}
}

func TestAnotherVersionIsMovedAside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "50% of a #1? dir")
	var got []Recreated
	o := Options{Dir: dir, OnRecreated: func(r Recreated) { got = append(got, r) }}
	s, _ := start(t, o)
	if len(got) != 0 {
		t.Errorf("first start: %+v", got)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	old := thisServer()
	old.Server = "1.29.1"
	if err := writeStamp(dir, old); err != nil {
		t.Fatal(err)
	}
	s, lines := start(t, o)
	if len(got) != 1 || got[0].MovedTo != filepath.Join(dir, "temporal.db.1.29.1.bak") || !strings.Contains(got[0].Reason, "1.29.1") {
		t.Errorf("OnRecreated = %+v", got)
	}
	if !strings.Contains(lines.String(), "made again") {
		t.Errorf("log does not say it:\n%s", lines)
	}
	if _, err := os.Stat(got[0].MovedTo); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if readStamp(dir) != thisServer() {
		t.Errorf("stamp = %v, want %v", readStamp(dir), thisServer())
	}
}
