package e2e

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/imgtest"
	"ingest/internal/provenance"
	"ingest/internal/verify/verifytest"
)

// demanding demands a signature of what is below /signed, and digests of SHA-512 of
// what is below /listed.
const demanding = `version: 1
defaults:
  source_formats: [raw, qcow2]
  require:
    - {host: "127.0.0.1:*", path: /signed, need: [signature], keyrings: [pub]}
    - {host: "127.0.0.1:*", path: /listed, need: [checksum_file], algorithms: [sha512]}
  properties:
    audited: {value: "yes", override: true}
projects:
  strict:
    source_formats: [vhdx]
`

// A demandingServer has a policy, two keyrings and a key for records, and a mirror
// beside it whose images are signed by a key of the keyring pub.
type demandingServer struct {
	*server
	mirror, content  string
	policy           string // file
	public, stranger string // keys for records: the server's, and another
	signer           string // fingerprint
}

func startDemanding(t *testing.T) demandingServer {
	t.Helper()
	g := verifytest.New(t)
	key, other := g.Key("Publisher <p@example.org>", "ed25519", "never"), g.Key("Another <a@example.org>", "ed25519", "never")
	dir, www := t.TempDir(), t.TempDir()
	put := func(p []byte, elem ...string) string {
		path := filepath.Join(elem...)
		if err := os.WriteFile(path, p, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw := disk(t, 61, 8*mib)
	image, err := os.ReadFile(imgtest.Convert(t, raw, "raw", "qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"signed", "listed"} {
		if err := os.Mkdir(filepath.Join(www, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		put(image, www, folder, "disk.qcow2")
		cmd := exec.Command("sha256sum", "disk.qcow2")
		cmd.Dir = filepath.Join(www, folder)
		sums, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		put(sums, www, folder, "SHA256SUMS")
		put(g.Detach(key, sums), www, folder, "SHA256SUMS.gpg")
		put(g.Detach(other, sums), www, folder, "OTHER.gpg")
	}
	for _, name := range []string{"key.pem", "other.pem"} {
		if _, err := provenance.NewKey(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	mirror := httptest.NewServer(http.FileServer(http.Dir(www)))
	t.Cleanup(mirror.Close)
	d := demandingServer{mirror: mirror.URL, content: contentOf(t, raw), policy: put([]byte(demanding), dir, "policy.yaml"), signer: key,
		public: filepath.Join(dir, "key.pem.pub"), stranger: filepath.Join(dir, "other.pem.pub")}
	d.server = start(t, append([]string{"--policy", d.policy, "--provenance-key", filepath.Join(dir, "key.pem"),
		"--keyring", "pub=" + put(g.Export(key), dir, "pub.gpg"), "--keyring", "more=" + put(g.Export(other), dir, "more.gpg")}, loopback...))
	return d
}

// What a policy demands is what verification proves, and both stand in the record that
// the server signs. What does not meet the demand is refused where that becomes known,
// by the rule with its line.
func TestPolicy(t *testing.T) {
	t.Parallel()
	d := startDemanding(t)
	t.Run("unsigned", func(t *testing.T) { unsigned(t, d) })
	t.Run("by hand", func(t *testing.T) { unsignedByHand(t, d) })
	t.Run("signed", func(t *testing.T) { signed(t, d) })
	t.Run("other key", func(t *testing.T) { signedByAnother(t, d) })
	t.Run("weak list", func(t *testing.T) { listedByTooLittle(t, d) })
	t.Run("dry run", func(t *testing.T) { foretoldByPolicy(t, d) })
}

// A request that asks for no proof is refused before anything is recorded or read.
func unsigned(t *testing.T, d demandingServer) {
	s := d.in(t)
	source := d.mirror + "/signed/disk.qcow2"
	const says, at = "IMG_POLICY_UNVERIFIED", "policy.yaml:5"
	for _, args := range [][]string{{"import", source}, {"import", source, "--dry-run"}} {
		got := ingest(t, append(args, "--server", s.url)...)
		if got.code != 1 || !strings.Contains(got.stderr, says) || !strings.Contains(got.stderr, at) || !strings.Contains(got.stderr, "what to do") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	refused := s.object(http.StatusForbidden, "POST", "/v1/imports?dry_run=true", contract.ImportRequest{Source: contract.SourceSpec{URL: source}})
	if e, _ := refused["error"].(map[string]any); e["code"] != says {
		t.Errorf("the API answers %v", refused)
	}
	s.nothing()
	// The same without a server.
	got := ingest(t, "policy", "test", "--policy", d.policy, "--source", source)
	if got.code != 1 || !strings.Contains(got.stdout, says) || !strings.Contains(got.stdout, at) {
		t.Errorf("policy test: %+v", got)
	}
	if got := ingest(t, "policy", "test", "--policy", d.policy, "--source", source, "--checksum-file", "auto", "--keyring", "pub"); got.code != 0 {
		t.Errorf("policy test of a signed one: %+v", got)
	}
}

// explained asks which rule decided. point is the last one that was asked at.
func (s *server) explained(taskID, point, rule, at string) {
	s.t.Helper()
	var why wire.TaskPolicy
	got := ingest(s.t, "policy", "explain", taskID, "--server", s.url, "--json")
	decode(s.t, got, &why)
	if len(why.Reports) == 0 || why.Reports[len(why.Reports)-1].Point != point {
		s.t.Fatalf("asked last at another point than %s: %s", point, got.stdout)
	}
	if by := why.DeniedBy; rule == "" && by != nil || rule != "" && (by == nil || by.Rule != rule || by.At != at || by.Remedy == "") {
		s.t.Errorf("denied by %+v, want %s at %s", by, rule, at)
	}
	got = ingest(s.t, "policy", "explain", taskID, "--server", s.url)
	if got.code != 0 || rule != "" && (!strings.Contains(got.stdout, at) || !strings.Contains(got.stdout, rule)) {
		s.t.Errorf("explain: %+v", got)
	}
}

// Whoever starts the workflow directly meets the policy in its first stage.
func unsignedByHand(t *testing.T, d demandingServer) {
	s := d.in(t)
	run, err := dial(t, s).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "unsigned by hand", TaskQueue: "ingest"}, "ImportImage",
		map[string]any{"source": map[string]any{"url": d.mirror + "/signed/disk.qcow2"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Get(t.Context(), nil); err == nil {
		t.Error("the workflow has succeeded")
	}
	id := contract.DerivedTaskID("unsigned by hand")
	s.failed(id, "IMG_POLICY_UNVERIFIED")
	s.explained(id, contract.PolicySubmission, "defaults.require[1]", "policy.yaml:5")
}

func signed(t *testing.T, d demandingServer) {
	s := d.in(t)
	got := ingest(t, "import", d.mirror+"/signed/disk.qcow2", "--checksum-file", "auto", "--signature", "auto", "--keyring", "pub", "--server", s.url, "--json", "--no-wait")
	var sub wire.Submitted
	decode(t, got, &sub)
	img := s.succeeded(sub.TaskID, d.content)
	if img.Properties["audited"] != "yes" {
		t.Errorf("the policy's property is not there: %v", img.Properties)
	}
	s.explained(sub.TaskID, contract.PolicyActivation, "", "")

	_, sum := s.download(img)
	p := s.recorded(img, sum).Statement.Predicate
	signatures := 0
	for _, proof := range p.Verification.Proofs {
		if proof.Kind == contract.VerifiedSignature && proof.Fingerprint == d.signer && proof.Keyring == "pub" && proof.SignatureURL == d.mirror+"/signed/SHA256SUMS.gpg" {
			signatures++
		}
	}
	if signatures != 1 {
		t.Errorf("the record's proofs are %+v", p.Verification.Proofs)
	}
	var points []string
	for _, raw := range p.Policy {
		var rep contract.PolicyReport
		b, err := json.Marshal(raw)
		if err == nil {
			err = json.Unmarshal(b, &rep)
		}
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, rep.Point)
		if !slices.ContainsFunc(rep.Verdicts, func(v contract.PolicyVerdict) bool {
			return v.Rule == "defaults.require[1]" && v.At == "policy.yaml:5" && v.Outcome == contract.PolicyAllow
		}) {
			t.Errorf("at %s the record does not say which rule let the image in: %+v", rep.Point, rep.Verdicts)
		}
	}
	if !slices.Equal(points, []string{contract.PolicySubmission, contract.PolicyValidation, contract.PolicyActivation}) {
		t.Errorf("the record holds the points %q", points)
	}
	verified := ingest(t, "image", "provenance", img.ID, "--verify", "--key", d.public, "--data", "--server", s.url)
	if verified.code != 0 || strings.Count(verified.stdout, "ok") < 3 || !strings.Contains(verified.stdout, d.signer) {
		t.Errorf("verified: %+v", verified)
	}
	if other := ingest(t, "image", "provenance", img.ID, "--verify", "--key", d.stranger, "--server", s.url); other.code != 1 || !strings.Contains(other.stderr, "PROVENANCE_SIGNATURE_INVALID") {
		t.Errorf("verified by another key: %+v", other)
	}
	opensslAgrees(t, s, img.ID, d.public)
}

// opensslAgrees verifies a record's signature as the documentation says, without us.
func opensslAgrees(t *testing.T, s *server, imageID, public string) {
	t.Helper()
	doc, err := s.api.Provenance(t.Context(), imageID)
	var e struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	}
	if err == nil {
		err = json.Unmarshal(doc, &e)
	}
	if err != nil || len(e.Signatures) != 1 {
		t.Fatalf("%v: %s", err, doc)
	}
	dir := t.TempDir()
	message, sig := filepath.Join(dir, "message"), filepath.Join(dir, "sig")
	text := append([]byte("DSSEv1 28 application/vnd.in-toto+json "+strconv.Itoa(len(e.Payload))+" "), e.Payload...)
	for path, b := range map[string][]byte{message: text, sig: e.Signatures[0].Sig} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-sigfile", sig, "-in", message).CombinedOutput()
	if err != nil {
		t.Errorf("openssl: %v: %s (signature %s)", err, out, hex.EncodeToString(e.Signatures[0].Sig))
	}
}

// A good signature by a key that the rule does not name is found out once it has been
// verified: the task is refused at its validation.
func signedByAnother(t *testing.T, d demandingServer) {
	s := d.in(t)
	req := of(d.mirror+"/signed/disk.qcow2", contract.TargetSpec{})
	req.Source.ChecksumFile, req.Source.Signature = d.mirror+"/signed/SHA256SUMS", d.mirror+"/signed/OTHER.gpg"
	id := s.submit(req).TaskID
	if task := s.failed(id, "IMG_POLICY_UNVERIFIED"); task.Error.Stage != string(contract.StageValidate) {
		t.Errorf("refused at %s", task.Error.Stage)
	}
	s.explained(id, contract.PolicyValidation, "defaults.require[1]", "policy.yaml:5")
}

// Which digests a list holds is known once it has been read.
func listedByTooLittle(t *testing.T, d demandingServer) {
	s := d.in(t)
	req := of(d.mirror+"/listed/disk.qcow2", contract.TargetSpec{})
	req.Source.ChecksumFile = "auto"
	id := s.submit(req).TaskID
	s.failed(id, "IMG_POLICY_UNVERIFIED")
	s.explained(id, contract.PolicyValidation, "defaults.require[2]", "policy.yaml:6")
}

// A dry run says what the policy holds of what was found.
func foretoldByPolicy(t *testing.T, d demandingServer) {
	s := d.in(t)
	args := []string{"import", d.mirror + "/signed/disk.qcow2", "--checksum-file", "auto", "--keyring", "pub", "--dry-run", "--server", s.url}
	got := ingest(t, args...)
	if got.code != 0 || !strings.Contains(got.stdout, "would be accepted") || !strings.Contains(got.stdout, "allow: a signature of keyring pub is asked for (defaults.require[1], policy.yaml:5)") {
		t.Errorf("signed: %+v", got)
	}
	var f contract.Forecast
	got = ingest(t, append(args, "--project", "strict", "--json")...)
	decode(t, got, &f)
	if got.code != 1 || f.Verdict != contract.VerdictRefused || f.Error == nil || string(f.Error.Code) != "IMG_POLICY_FORMAT" || f.Stage != contract.StageValidate || !strings.Contains(got.stderr, "policy.yaml:11") {
		t.Errorf("of a project that takes no qcow2: %d, %s, %+v\n%s", got.code, f.Verdict, f.Error, got.stderr)
	}
}
