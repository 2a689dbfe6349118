package provenance

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ingest/internal/errcode"
)

func wantCode(t *testing.T, what string, err error, want errcode.Code) {
	t.Helper()
	if got := errcode.Of(err); got != want {
		t.Errorf("%s: %v has code %q, want %q", what, err, got, want)
	}
}

// tool runs a program of the machine.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatalf("%s is not installed: scripts/setup installs it", name)
	}
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func newKey(t *testing.T) (*Key, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	k, err := NewKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return k, path
}

// TestPAE has the example of the specification (DSSE protocol.md).
func TestPAE(t *testing.T) {
	got := string(pae("http://example.com/HelloWorld", []byte("hello world")))
	if want := "DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := string(pae("", nil)); got != "DSSEv1 0  0 " {
		t.Errorf("of nothing: %q", got)
	}
}

// TestSealed opens a signed record, and then one in which each byte in turn is
// another: none of them passes for what was signed.
func TestSealed(t *testing.T) {
	k, _ := newKey(t)
	doc, err := Recorder{Key: k}.Record(wholeImport())
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(doc)
	if err != nil || d.Verify(k.Public()) != nil || d.Media() != EnvelopeMedia {
		t.Fatalf("a fresh record: %v, %v", err, d.Verify(k.Public()))
	}
	if string(d.Payload) != strings.Replace(string(record(t, wholeImport())), `"version":{"go":"go1.26","ingest":"1.2.3"}`, `"version":null`, 1) {
		t.Error("the payload is not what is stored without a key")
	}
	if strings.Contains(string(doc), canary) || strings.Contains(string(d.Payload), canary) {
		t.Error("a secret stands in the record")
	}
	other, _ := newKey(t)
	wantCode(t, "another key", d.Verify(other.Public()), errcode.ProvenanceSignature)
	for i := range doc {
		bad := append([]byte(nil), doc...)
		bad[i] ^= 1
		b, err := Open(bad)
		if err == nil && b.Verify(k.Public()) == nil && string(b.Payload) != string(d.Payload) {
			t.Fatalf("byte %d (%q) may be changed", i, doc[i])
		}
	}
	unsigned, err := Open(record(t, wholeImport()))
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "unsigned", unsigned.Verify(k.Public()), errcode.ProvenanceSignature)
}

// TestSecondSignature verifies an envelope that somebody else has signed too.
func TestSecondSignature(t *testing.T) {
	a, _ := newKey(t)
	b, _ := newKey(t)
	doc, err := Recorder{Key: a}.Record(wholeImport())
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(doc)
	if err != nil {
		t.Fatal(err)
	}
	e := *d.Envelope
	sig := ed25519.Sign(b.private, pae(PayloadType, d.Payload))
	e.Signatures = append(e.Signatures, Signature{Sig: base64.URLEncoding.EncodeToString(sig)})
	both, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	d, err = Open(both)
	if err != nil || d.Verify(a.Public()) != nil || d.Verify(b.Public()) != nil {
		t.Errorf("two signatures: %v, %v, %v", err, d.Verify(a.Public()), d.Verify(b.Public()))
	}
}

// TestOpenssl makes keys with openssl that sign here, and lets it verify.
func TestOpenssl(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "openssl", "genpkey", "-algorithm", "ed25519", "-out", file("theirs.pem"))
	if err := os.Chmod(file("theirs.pem"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := NewKey(file("ours.pem")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"theirs.pem", "ours.pem"} {
		tool(t, "openssl", "pkey", "-in", file(name), "-pubout", "-out", file("public.pem"))
		public, err := LoadPublic(file("public.pem"))
		if err != nil {
			t.Fatal(err)
		}
		k, err := LoadKey(file(name))
		if err != nil || !k.Public().Equal(public) {
			t.Fatalf("%s: %v", name, err)
		}
		tool(t, "openssl", "pkey", "-pubin", "-in", file("public.pem"), "-outform", "DER", "-out", file("public.der"))
		if sum := tool(t, "sha256sum", file("public.der")); !strings.HasPrefix(sum, k.ID()+" ") {
			t.Errorf("the key's id is %s, its digest %s", k.ID(), sum)
		}
		doc, err := Recorder{Key: k}.Record(wholeImport())
		if err != nil {
			t.Fatal(err)
		}
		d, err := Open(doc)
		if err != nil || d.Verify(public) != nil {
			t.Fatalf("%s: %v, %v", name, err, d.Verify(public))
		}
		sig, _ := unbase64(d.Envelope.Signatures[0].Sig)
		message := fmt.Sprintf("DSSEv1 28 application/vnd.in-toto+json %d %s", len(d.Payload), d.Payload)
		for name, p := range map[string][]byte{"sig": sig, "message": []byte(message)} {
			if err := os.WriteFile(file(name), p, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		tool(t, "openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", file("public.pem"), "-sigfile", file("sig"), "-in", file("message"))
	}
	same, err := LoadPublic(file("ours.pem.pub"))
	if last, _ := LoadPublic(file("public.pem")); err != nil || !same.Equal(last) {
		t.Errorf("the public key beside ours: %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	k, err := NewKey(file("good.pem"))
	if err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file("good.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"good.pem": 0o600, "good.pem.pub": 0o644} {
		if st, err := os.Stat(file(name)); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	if _, err := NewKey(file("good.pem")); errcode.Of(err) != errcode.DestinationExist {
		t.Errorf("a key is replaced: %v", err)
	}
	tool(t, "openssl", "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", file("rsa.pem"))
	tool(t, "openssl", "pkey", "-in", file("rsa.pem"), "-pubout", "-out", file("rsa.pub"))
	tool(t, "openssl", "pkcs8", "-topk8", "-in", file("good.pem"), "-passout", "pass:x", "-out", file("encrypted.pem"))
	if err := syscall.Mkfifo(file("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"text.pem": "no key", "large.pem": strings.Repeat("\n", maxKeyBytes) + string(good),
		"broken.pem": "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n"} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"rsa.pem", "encrypted.pem", "pipe", "text.pem", "large.pem", "broken.pem", "good.pem.pub", "none", "."} {
		os.Chmod(file(name), 0o600|os.FileMode(map[string]int{".": 0o100}[name])) // so that the mode is not what is refused
		_, err := LoadKey(file(name))
		wantCode(t, name, err, errcode.ProvenanceKey)
	}
	for _, name := range []string{"rsa.pub", "good.pem", "encrypted.pem", "pipe", "text.pem", "none"} {
		_, err := LoadPublic(file(name))
		wantCode(t, name+" as public key", err, errcode.ProvenanceKey)
	}
	for mode, want := range map[os.FileMode]errcode.Code{0o600: "", 0o400: "", 0o640: errcode.ProvenanceKey, 0o604: errcode.ProvenanceKey, 0o620: errcode.ProvenanceKey, 0o601: errcode.ProvenanceKey} {
		if err := os.Chmod(file("good.pem"), mode); err != nil {
			t.Fatal(err)
		}
		got, err := LoadKey(file("good.pem"))
		wantCode(t, mode.String(), err, want)
		if err == nil && got.ID() != k.ID() {
			t.Error("another key was read")
		}
	}
}

// TestSecretIsNotPrinted prints a key in every way that a log may.
func TestSecretIsNotPrinted(t *testing.T) {
	k, _ := newKey(t)
	seed := k.private.Seed()
	for _, text := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprintf("%+v", Recorder{Key: k})} {
		for _, secret := range []string{hex.EncodeToString(seed), fmt.Sprint(seed)[1:20], base64.StdEncoding.EncodeToString(seed)} {
			if strings.Contains(text, secret) {
				t.Errorf("printed: %s", text)
			}
		}
	}
}

// FuzzOpen holds the reader of records against any bytes: what it takes has one
// subject, and no signature that nobody made.
func FuzzOpen(f *testing.F) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := Recorder{}.Record(wholeImport())
	if err != nil {
		f.Fatal(err)
	}
	signed, err := Recorder{Key: &Key{private}}.Record(wholeImport())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{plain, signed, []byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30","signatures":null}`), []byte(`[]`), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		d, err := Open(doc)
		if err != nil {
			if errcode.Of(err) != errcode.ProvenanceInvalid {
				t.Errorf("error %v", err)
			}
			return
		}
		if len(d.Statement.Subject) != 1 || d.Verify(other) == nil {
			t.Error("taken for a record that it is not")
		}
		if d.Verify(public) == nil && string(d.Payload) != string(plain) {
			t.Error("a forged signature is taken")
		}
		d.Compare(Facts{ImageID: "i"})
	})
}
