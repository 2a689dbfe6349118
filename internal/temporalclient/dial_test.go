package temporalclient

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"ingest/internal/contract"
	"ingest/internal/errcode"
)

// env is an environment that holds just these variables.
type env map[string]string

func (e env) Environ() (out []string) {
	for k, v := range e {
		out = append(out, k+"="+v)
	}
	return out
}

func (e env) LookupEnv(key string) (string, bool) { v, ok := e[key]; return v, ok }

func TestResolve(t *testing.T) {
	profiles := filepath.Join(t.TempDir(), "temporal.toml")
	text := "[profile.default]\naddress = \"file:1\"\nnamespace = \"fromfile\"\n[profile.prod]\naddress = \"prod:2\"\n[profile.prod.tls]\n"
	if err := os.WriteFile(profiles, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none.toml")
	type result struct {
		HostPort, Namespace string
		TLS, Key            bool
	}
	tests := []struct {
		name string
		in   Options
		want result
	}{
		{"nothing", Options{Lookup: env{"TEMPORAL_CONFIG_FILE": none}}, result{HostPort: "localhost:7233", Namespace: "default"}},
		{"variables", Options{Lookup: env{"TEMPORAL_CONFIG_FILE": none, "TEMPORAL_ADDRESS": "t:7", "TEMPORAL_NAMESPACE": "n"}}, result{HostPort: "t:7", Namespace: "n"}},
		{"profile", Options{Lookup: env{"TEMPORAL_CONFIG_FILE": profiles}}, result{HostPort: "file:1", Namespace: "fromfile"}},
		{"named profile with TLS", Options{Lookup: env{"TEMPORAL_CONFIG_FILE": profiles, "TEMPORAL_PROFILE": "prod"}}, result{HostPort: "prod:2", Namespace: "default", TLS: true}},
		{"namespace given", Options{Namespace: "mine", Lookup: env{"TEMPORAL_CONFIG_FILE": profiles}}, result{HostPort: "file:1", Namespace: "mine"}},
		{"key", Options{Lookup: env{"TEMPORAL_CONFIG_FILE": none, "TEMPORAL_API_KEY": "k"}}, result{HostPort: "localhost:7233", Namespace: "default", TLS: true, Key: true}},
		{"address given", Options{HostPort: "h:9", Lookup: env{"TEMPORAL_CONFIG_FILE": profiles, "TEMPORAL_API_KEY": "k"}}, result{HostPort: "h:9", Namespace: "default"}},
		{"address given, rest from environment", Options{HostPort: "h:9", Env: true, Lookup: env{"TEMPORAL_CONFIG_FILE": profiles, "TEMPORAL_API_KEY": "k"}}, result{HostPort: "h:9", Namespace: "fromfile", TLS: true, Key: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := tt.in.resolve()
			if err != nil {
				t.Fatal(err)
			}
			got := result{opts.HostPort, opts.Namespace, opts.ConnectionOptions.TLS != nil, opts.Credentials != nil}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResolveRefusesABrokenProfile(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "temporal.toml")
	if err := os.WriteFile(broken, []byte("[profile"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range []env{{"TEMPORAL_CONFIG_FILE": broken}, {"TEMPORAL_CONFIG_FILE": broken + "x", "TEMPORAL_PROFILE": "prod"}} {
		if _, _, err := (Options{Lookup: e}).Address(); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("environment %v: %v, want %s", e, err, errcode.BadRequest)
		}
	}
}

func TestDialReportsAnUnreachableService(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close() // nobody listens there
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := Dial(ctx, Options{HostPort: addr, Wait: time.Minute, Logger: zerolog.Nop()})
	if err == nil {
		c.Close()
	}
	if errcode.Of(err) != errcode.WorkflowService {
		t.Errorf("Dial = %v, want %s", err, errcode.WorkflowService)
	}
}

func TestMissingAttributes(t *testing.T) {
	all := map[string]enumspb.IndexedValueType{"Foreign": enumspb.INDEXED_VALUE_TYPE_INT}
	for _, name := range contract.SearchAttributes() {
		all[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	if got, err := missingAttributes(all); err != nil || len(got) != 0 {
		t.Errorf("complete namespace: %v, %v", got, err)
	}
	delete(all, contract.AttrStage)
	if got, err := missingAttributes(all); err != nil || !cmp.Equal(got, []string{contract.AttrStage}) {
		t.Errorf("without %s: %v, %v", contract.AttrStage, got, err)
	}
	all[contract.AttrStage] = enumspb.INDEXED_VALUE_TYPE_TEXT
	if _, err := missingAttributes(all); errcode.Of(err) != errcode.Conflict {
		t.Errorf("with %s as text: %v, want %s", contract.AttrStage, err, errcode.Conflict)
	}
}

func TestErrorClasses(t *testing.T) {
	tests := []struct {
		name      string
		err       error
		transient bool
		code      errcode.Code
	}{
		{"unavailable", serviceerror.NewUnavailable("starting"), true, errcode.WorkflowService},
		{"busy", serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "slow down"), true, errcode.WorkflowService},
		{"namespace not there yet", serviceerror.NewNamespaceNotFound("default"), true, errcode.WorkflowService},
		{"attribute not there yet", notYetError{serviceerror.NewInvalidArgument("no such attribute")}, true, errcode.BadRequest},
		{"denied", serviceerror.NewPermissionDenied("no", ""), false, errcode.Forbidden},
		{"invalid", serviceerror.NewInvalidArgument("retention"), false, errcode.BadRequest},
		{"unknown", errors.New("?"), false, errcode.WorkflowService},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := transient(tt.err); got != tt.transient {
				t.Errorf("transient = %v, want %v", got, tt.transient)
			}
			if got := refusal(tt.err); got != tt.code {
				t.Errorf("refusal = %v, want %v", got, tt.code)
			}
		})
	}
}

// What stays on the machine is not compressed.
func TestResolveCompresses(t *testing.T) {
	for address, plain := range map[string]bool{"127.0.0.1:7233": true, "[::1]:7233": true, "localhost:7233": true, "t.example.org:7233": false, "10.0.0.1:7233": false, "odd": false} {
		opts, err := Options{HostPort: address, Lookup: env{}}.resolve()
		if err != nil {
			t.Fatal(err)
		}
		if _, none := opts.ConnectionOptions.GrpcCompression.(*client.GrpcCompressionNone); none != plain {
			t.Errorf("%s: not compressed %v, want %v", address, none, plain)
		}
	}
}
