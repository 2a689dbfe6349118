// Package verifytest makes keys and signatures with the real gpg, for tests.
package verifytest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A GPG is a folder of gpg with its keys. It is removed, and its agent ended, when
// the test ends.
type GPG struct {
	t    testing.TB
	home string
}

// New returns an empty one. It fails the test if there is no gpg: scripts/setup
// installs it.
func New(t testing.TB) *GPG {
	t.Helper()
	for _, name := range []string{"gpg", "gpgconf"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%s is not installed; run scripts/setup", name)
		}
	}
	home, err := os.MkdirTemp("", "gpg") // short: sockets have at most 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	g := &GPG{t: t, home: home}
	t.Cleanup(func() {
		g.command("gpgconf", nil, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	return g
}

func (g *GPG) command(name string, stdin []byte, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+g.home, "LC_ALL=C")
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd
}

// Run runs gpg and returns what it prints.
func (g *GPG) Run(stdin []byte, args ...string) []byte {
	g.t.Helper()
	args = append([]string{"--batch", "--yes", "--no-tty", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--trust-model", "always"}, args...)
	cmd := g.command("gpg", stdin, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// Key makes a key for signing and returns its fingerprint. algo is "rsa2048",
// "ed25519" and so on, expire "never", "1y"; more is put before the command, such as
// At's.
func (g *GPG) Key(uid, algo, expire string, more ...string) string {
	g.t.Helper()
	g.Run(nil, append(more, "--quick-gen-key", uid, algo, "sign", expire)...)
	return g.Fingerprints(uid)[0]
}

// Subkey adds a key for signing to a key and returns its fingerprint.
func (g *GPG) Subkey(fpr, algo, expire string, more ...string) string {
	g.t.Helper()
	g.Run(nil, append(more, "--quick-add-key", fpr, algo, "sign", expire)...)
	all := g.Fingerprints(fpr)
	return all[len(all)-1]
}

// Fingerprints lists a key's own and those of its subkeys.
func (g *GPG) Fingerprints(key string) []string {
	g.t.Helper()
	var out []string
	for _, line := range strings.Split(string(g.Run(nil, "--with-colons", "--list-keys", key)), "\n") {
		if f := strings.Split(line, ":"); f[0] == "fpr" {
			out = append(out, f[9])
		}
	}
	return out
}

// At are the options by which gpg takes it for another time, "20200102T030405".
func At(when string) []string { return []string{"--faked-system-time", when + "!"} }

// Export returns the public keys, all if none is named, in binary form.
func (g *GPG) Export(keys ...string) []byte {
	g.t.Helper()
	return g.Run(nil, append([]string{"--export"}, keys...)...)
}

// Detach returns a detached signature over p, in binary form unless more holds
// --armor.
func (g *GPG) Detach(key string, p []byte, more ...string) []byte {
	g.t.Helper()
	return g.Run(p, append(more, "--local-user", key, "--output", "-", "--detach-sign")...)
}

// Clearsign returns p with its signature.
func (g *GPG) Clearsign(key string, p []byte, more ...string) []byte {
	g.t.Helper()
	return g.Run(p, append(more, "--local-user", key, "--output", "-", "--clear-sign")...)
}

// Revoke revokes a key by the certificate that gpg made with it.
func (g *GPG) Revoke(fpr string) {
	g.t.Helper()
	p, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", fpr+".rev"))
	if err != nil {
		g.t.Fatal(err)
	}
	// A colon before the armor keeps it from being imported by mistake.
	g.Run(bytes.Replace(p, []byte("\n:-----BEGIN"), []byte("\n-----BEGIN"), 1), "--import")
}

// RevokeSubkey revokes the n-th subkey of a key, from 1.
func (g *GPG) RevokeSubkey(fpr, n string) {
	g.t.Helper()
	g.Run([]byte("key "+n+"\nrevkey\ny\n0\n\ny\nsave\n"), "--command-fd", "0", "--edit-key", fpr)
}

// Verify is what gpg itself says of a detached signature.
func (g *GPG) Verify(p, sig []byte) error {
	g.t.Helper()
	dir := g.t.TempDir()
	file, sigFile := filepath.Join(dir, "file"), filepath.Join(dir, "file.sig")
	for path, b := range map[string][]byte{file: p, sigFile: sig} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	return g.command("gpg", nil, "--batch", "--verify", sigFile, file).Run()
}
