package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/config"
)

// certify writes a certificate of 127.0.0.1 with the given number, and its key.
func certify(t *testing.T, files config.TLS, number int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(number), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: cert}, files.Key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	certify(t, files, 1)
	var log bytes.Buffer
	c, err := openCertificate(files, zerolog.New(&log))
	if err != nil {
		t.Fatal(err)
	}
	number := func() int64 {
		t.Helper()
		c.looked = time.Time{}
		leaf, err := x509.ParseCertificate(c.current().Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.Int64()
	}
	if n := number(); n != 1 {
		t.Errorf("certificate %d at first", n)
	}
	if err := os.WriteFile(files.Key, []byte("half of a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := number(); n != 1 || !strings.Contains(log.String(), "the one in force stays") || strings.Contains(log.String(), "half of") {
		t.Errorf("certificate %d with a broken key:\n%s", n, log.String())
	}
	certify(t, files, 2)
	if n := number(); n != 2 {
		t.Errorf("certificate %d behind the change", n)
	}
}

func TestServeSaysWhatIsWrongWithItsIdentity(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	common := []string{"--data-dir", filepath.Join(dir, "data"), "--listen", "127.0.0.1:0", "--auth", "token"}
	for _, c := range []struct {
		name string
		args []string
		err  string
	}{
		{"tokens", []string{"--tokens", path("tokens", "x")}, "error: IDENTITY_FILE_INVALID the tokens cannot be used: .*\n  what to do: .*ingest token create.*\n"},
		{"users", []string{"--identity-users", path("users", "people: []")}, "error: IDENTITY_FILE_INVALID the users cannot be used: .*\n  what to do: .*chmod 600.*\n"},
		{"no users", []string{"--identity-users", filepath.Join(dir, "none")}, "error: IDENTITY_FILE_INVALID the users cannot be used: .*no such file.*\n.*"},
		{"certificate", []string{"--tls-cert", path("cert", "x"), "--tls-key", path("key", "x")}, "error: BAD_REQUEST the API cannot speak TLS: .*\n  what to do: .*--tls-cert.*\n"},
	} {
		t.Run(c.name, func(t *testing.T) { serveOutcome(t, append(common, c.args...)...).want(t, 1, "", c.err) })
	}
	serveOutcome(t, "--data-dir", filepath.Join(dir, "data"), "--listen", "0.0.0.0:0").want(t, 2, "", "error: --listen .*--auth token.*\n")
}
