package provenance

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/contract"
)

var update = flag.Bool("update", false, "write the golden files")

// canary is what a URL may hold that must not get anywhere.
const canary = "canary-4711"

// secretURL has it wherever a URL can have one.
func secretURL(path string) string {
	return "https://user:" + canary + "@mirror.example.org" + path + "?X-Amz-Signature=" + canary + "#" + canary
}

// wholeImport has everything set: a gzip around an OVA of two disks, of which this is
// the second.
func wholeImport() Import {
	at := time.Date(2031, 5, 6, 12, 0, 0, 123456000, time.UTC)
	hex := strings.Repeat("ab", 32)
	report := func(stage string, v any) Report {
		p, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return Report{stage, p}
	}
	finding := map[string]any{"code": "IMG_CONTENTS", "severity": "info", "message": "seen at " + secretURL("/x"), "remedy": "none",
		"evidence": map[string]any{"format": "vmdk", "field": "magic", "offset": 9007199254740993, "value": "<&>"}}
	return Import{
		Request: contract.ImportRequest{TaskID: "t", ImageID: "i", Owner: "acme", Verify: "full",
			Source: contract.SourceSpec{URL: secretURL("/a.ova.gz"), Checksum: "sha256:" + hex, Credential: "mirror", ChecksumFile: secretURL("/SHA256SUMS"),
				Signature: secretURL("/SHA256SUMS.gpg"), Keyring: "debian", Mirrors: []string{secretURL("/mirror")}, Members: []contract.MemberSpec{{URL: secretURL("/b.vmdk")}}},
			Target: contract.TargetSpec{Format: "qcow2", Options: map[string]string{"compression": "zstd"}}},
		Fetched: contract.Fetched{URL: secretURL("/a.ova.gz"), Driver: "http", Size: 4096, SourceSize: 1024, Layer: "gzip", Validator: `"v1"`, Strong: true,
			Random: true, Staged: true, SourceDigest: "sha256:" + hex,
			Origin: &contract.Origin{URL: secretURL("/real/a.ova.gz"), Redirects: []string{secretURL("/real/a.ova.gz")}, Address: "192.0.2.7:443",
				ETag: `"v1"`, LastModified: "Tue, 14 Nov 2023 22:13:20 GMT", Version: "7", Others: []string{secretURL("/mirror")}},
			Members:       []contract.FetchedMember{{Name: "b.vmdk", Fetched: contract.Fetched{URL: secretURL("/b.vmdk"), Driver: "http", Size: 5}}},
			Verifications: []contract.Verification{{Kind: contract.VerifiedSignature, Algo: "sha256", Digest: hex, URL: secretURL("/SHA256SUMS"), Keyring: "debian", Fingerprint: "F00D", SignedAt: at, VerifiedAt: at}}},
		Detected: contract.Detected{Format: "vmdk", Container: "ova", Disks: []contract.DetectedDisk{{Name: "d1.vmdk", Format: "vmdk"}, {Name: "d2.vmdk", Format: "vmdk", Subformat: "streamOptimized"}}},
		Done: contract.DiskDone{Disk: 2, ImageID: "i2", Target: contract.TargetSpec{Format: "qcow2", Options: map[string]string{"compression": "zstd"}, Store: "local"},
			Converted:   contract.Converted{Size: 7, VirtualSize: 1 << 40, SourceSize: 1 << 40, ContentDigest: "ingest1:cc", Codec: "plan/2/qcow2"},
			Checksummed: contract.Checksummed{HashAlgo: "sha256", HashValue: hex, Checksum: strings.Repeat("cd", 16), Verify: "full"}},
		Reports: []Report{
			report("detect", map[string]any{"compression": "stale"}),
			report("detect", map[string]any{"disks": []any{map[string]any{"compression": "none"},
				map[string]any{"compression": "deflate", "creator": "a <tool>", "findings": []any{finding}, "checks": []any{map[string]any{"name": "layers", "result": "pass", "detail": "long"}}}}}),
			report("validate", map[string]any{"disk": 1, "findings": []any{finding, finding}}),
			report("validate", map[string]any{"disk": 2, "findings": []any{}, "guest": map[string]any{"summary": "Debian 13", "partitions": []any{1, 2}}}),
			report("policy", contract.PolicyReport{Point: contract.PolicySubmission, Digest: "old"}),
			report("policy", contract.PolicyReport{Point: contract.PolicySubmission, Digest: "sha256:aa", Verdicts: []contract.PolicyVerdict{{Rule: "sources[0]", At: "policy.yaml:3", Outcome: contract.PolicyAllow}}}),
			report("policy", contract.PolicyReport{Point: contract.PolicyValidation, Disk: 1, Digest: "not mine"}),
			{"detect", json.RawMessage(`"no report"`)}, {"validate", json.RawMessage(`{`)},
		},
		WorkflowID: "import/acme/t", RunID: "r", Started: at.Add(-time.Minute), Finished: at,
	}
}

func record(t *testing.T, in Import) []byte {
	t.Helper()
	doc, err := Recorder{Versions: map[string]string{"ingest": "1.2.3", "go": "go1.26"}}.Record(in)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestGolden compares a whole record with the file of it, byte by byte. The file is
// one line, as it is stored.
func TestGolden(t *testing.T) {
	const path = "testdata/statement.json"
	got := record(t, wholeImport())
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the record differs from %s (go test -update writes it):\n%s", path, got)
	}
	for range 20 {
		if again := record(t, wholeImport()); !bytes.Equal(again, got) {
			t.Fatal("the same import makes another record")
		}
	}
	if bytes.Contains(got, []byte(canary)) {
		t.Errorf("a secret stands in the record:\n%s", got)
	}
	d, err := Open(got)
	if err != nil {
		t.Fatal(err)
	}
	p := d.Statement.Predicate
	if p.Image.VirtualSize != 1<<40 || *p.Detection.Findings[0].Evidence.Offset != 9007199254740993 {
		t.Error("a number is not what it was")
	}
	if len(p.Policy) != 1 || p.Guest == nil || len(p.Structure.Findings) != 0 {
		t.Errorf("policy %v, guest %v, structure %v", p.Policy, p.Guest, p.Structure)
	}
}

// TestNoAddress leaves out which address has answered, and nothing else.
func TestNoAddress(t *testing.T) {
	doc, err := Recorder{Versions: map[string]string{"ingest": "1.2.3", "go": "go1.26"}, NoAddress: true}.Record(wholeImport())
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(doc)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Open(record(t, wholeImport()))
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for i := range shown.Statement.Predicate.BuildDefinition.ResolvedDependencies {
		if a := &shown.Statement.Predicate.BuildDefinition.ResolvedDependencies[i].Annotations; a.Address != "" {
			a.Address, named = "", named+1
		}
	}
	if diff := cmp.Diff(shown.Statement, d.Statement); diff != "" || named == 0 {
		t.Errorf("%d addresses are named otherwise; the rest (-with +without):\n%s", named, diff)
	}
}

// TestSorted decodes the record token by token: names ascend in every object.
func TestSorted(t *testing.T) {
	dec := json.NewDecoder(bytes.NewReader(record(t, wholeImport())))
	var walk func() error
	walk = func() error {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		switch tok {
		case json.Delim('{'):
			last := ""
			for dec.More() {
				name, err := dec.Token()
				if err != nil {
					return err
				}
				if name.(string) <= last {
					t.Errorf("%q stands behind %q", name, last)
				}
				last = name.(string)
				if err := walk(); err != nil {
					return err
				}
			}
			_, err = dec.Token()
		case json.Delim('['):
			for dec.More() {
				if err := walk(); err != nil {
					return err
				}
			}
			_, err = dec.Token()
		}
		return err
	}
	if err := walk(); err != nil {
		t.Fatal(err)
	}
}

// TestBounds has reports without end: the record fits, and says how much is missing.
func TestBounds(t *testing.T) {
	for _, n := range []int{99, 100, 101, 5000, 50_000} {
		in := wholeImport()
		var findings, verdicts, parts []any
		for i := range n {
			findings = append(findings, map[string]any{"code": "IMG_X", "message": fmt.Sprint(i, strings.Repeat("é", 60))})
			verdicts = append(verdicts, map[string]any{"rule": strings.Repeat("r", 60)})
			parts = append(parts, map[string]any{"name": strings.Repeat("p", 60)})
		}
		raw, err := json.Marshal(map[string]any{"disk": 2, "findings": findings, "guest": map[string]any{"partitions": parts}})
		if err != nil {
			t.Fatal(err)
		}
		policy, err := json.Marshal(map[string]any{"point": "validation", "verdicts": verdicts})
		if err != nil {
			t.Fatal(err)
		}
		in.Reports = []Report{{"validate", raw}, {"policy", policy}}
		doc := record(t, in)
		d, err := Open(doc)
		if err != nil || len(doc) > MaxStatementBytes {
			t.Fatalf("%d findings: %d bytes, %v", n, len(doc), err)
		}
		s := d.Statement.Predicate.Structure
		if s.Omitted+len(s.Findings) != n || (s.Omitted > 0) != (n > 100) {
			t.Errorf("%d findings: %d are there and %d are said to be missing", n, len(s.Findings), s.Omitted)
		}
		guest := d.Statement.Predicate.Guest.(map[string]any)["partitions"].([]any)
		if rest := n - 100; rest > 0 && guest[100].(map[string]any)["omitted"] != float64(rest) {
			t.Errorf("%d partitions: the last is %v", n, guest[len(guest)-1])
		}
	}
}

// TestLargestRequest has as many members as a request may, each with the longest
// names and URLs, and a history to match.
func TestLargestRequest(t *testing.T) {
	in := wholeImport()
	in.Request.Source.Members, in.Fetched.Members = nil, nil
	for i := range contract.MaxMembers {
		url := "https://example.org/" + strings.Repeat("u", 2000)
		in.Request.Source.Members = append(in.Request.Source.Members, contract.MemberSpec{URL: url, Name: fmt.Sprint(i, strings.Repeat("n", 250))})
		to := make([]string, 32)
		for i := range to {
			to[i] = url
		}
		in.Fetched.Members = append(in.Fetched.Members, contract.FetchedMember{Name: fmt.Sprint(i), Fetched: contract.Fetched{URL: url, Validator: strings.Repeat("v", 1000), Origin: &contract.Origin{URL: url, Redirects: to}}})
	}
	doc := record(t, in)
	d, err := Open(doc)
	if err != nil || len(doc) > MaxStatementBytes {
		t.Fatalf("%d bytes, %v", len(doc), err)
	}
	if got := len(d.Statement.Predicate.BuildDefinition.ResolvedDependencies); got != contract.MaxMembers+1 {
		t.Errorf("%d dependencies", got)
	}
	if d.Statement.Subject[0].Digest["sha256"] != in.Done.Checksummed.HashValue {
		t.Error("the digest was cut")
	}
}

// TestOlderWorkflow records what a workflow did that carried no fetched source.
func TestOlderWorkflow(t *testing.T) {
	in := wholeImport()
	in.Fetched, in.Reports = contract.Fetched{}, nil
	d, err := Open(record(t, in))
	if err != nil {
		t.Fatal(err)
	}
	if dep := d.Statement.Predicate.BuildDefinition.ResolvedDependencies; len(dep) != 1 || dep[0].URI != "https://mirror.example.org/a.ova.gz" {
		t.Errorf("dependencies %+v", dep)
	}
}

// TestSources shows what is kept of each kind of source.
func TestSources(t *testing.T) {
	for source, want := range map[string]string{
		"/srv/images/a#1?.qcow2":       "/srv/images/a#1?.qcow2",
		"file:///srv/a.qcow2":          "file:///srv/a.qcow2",
		secretURL("/a.img"):            "https://mirror.example.org/a.img",
		"s3://key:" + canary + "@b/k":  "s3://b/k",
		"https://h/%2e%2e/x?" + canary: "https://h/%2e%2e/x",
		"":                             "",
	} {
		in := wholeImport()
		in.Request.Source.URL, in.Fetched.URL = source, source
		doc := record(t, in)
		d, err := Open(doc)
		if err != nil {
			t.Fatal(err)
		}
		b := d.Statement.Predicate.BuildDefinition
		if b.ExternalParameters.Source.URL != want || b.ResolvedDependencies[0].URI != want || bytes.Contains(doc, []byte(canary)) {
			t.Errorf("of %q is kept %q", source, b.ResolvedDependencies[0].URI)
		}
	}
}
