package verify_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/internal/verify/verifytest"
)

var text = []byte("e3b0c442  disk.img\nwith blanks at the end  \n- and a dash\n")

// ring is a keyring of one file.
func ring(t *testing.T, name string, keys []byte) verify.Keyrings {
	t.Helper()
	k, err := verify.OpenKeyring(name, keys)
	if err != nil {
		t.Fatal(err)
	}
	return verify.Keyrings{k}
}

// check checks a detached signature.
func check(ks verify.Keyrings, p, sig []byte) (verify.Signed, error) {
	sigs, err := verify.ParseSignatures(sig)
	if err != nil {
		return verify.Signed{}, err
	}
	return ks.CheckFile(sigs, p, time.Now())
}

func TestGoodSignaturesOfGPG(t *testing.T) {
	g := verifytest.New(t)
	rsa := g.Key("Rita <rita@example.org>", "rsa2048", "never")
	ed := g.Key("Edda <edda@example.org>", "ed25519", "1y")
	nist := g.Key("Nina <nina@example.org>", "nistp256", "never")
	sub := g.Subkey(ed, "rsa3072", "1y")
	all := ring(t, "all", g.Export())
	for _, c := range []struct {
		name, key, sub string
		more           []string
	}{
		{"rsa", rsa, "", nil},
		{"rsa sha512", rsa, "", []string{"--digest-algo", "SHA512"}},
		{"rsa armored", rsa, "", []string{"--armor"}},
		{"ed25519", ed + "!", "", nil},
		{"subkey", ed, sub, nil},
		{"nistp256", nist, "", nil},
		{"over text", rsa, "", []string{"--textmode"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sig := g.Detach(c.key, text, c.more...)
			if err := g.Verify(text, sig); err != nil {
				t.Fatalf("gpg itself says %v", err)
			}
			got, err := check(all, text, sig)
			if err != nil {
				t.Fatal(err)
			}
			if got.Fingerprint != strings.TrimSuffix(c.key, "!") || got.SigningKey != c.sub || got.Keyring != "all" || got.UserID == "" || time.Since(got.At) > time.Hour {
				t.Errorf("signed by %+v", got)
			}
			for i := range text {
				other := slices.Clone(text)
				other[i] ^= 1
				if _, err := check(all, other, sig); errcode.Of(err) != errcode.SignatureInvalid {
					t.Fatalf("with byte %d changed: %v", i, err)
				}
			}
		})
	}
	t.Run("clearsigned", func(t *testing.T) {
		c, err := verify.ParseCleartext(g.Clearsign(ed, text))
		if err != nil {
			t.Fatal(err)
		}
		if want := "e3b0c442  disk.img\nwith blanks at the end\n- and a dash"; string(c.Text) != want {
			t.Errorf("the text is %q", c.Text)
		}
		got, err := all.CheckFile(c.Signatures, c.Signed, time.Now())
		if err != nil || got.SigningKey != sub {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestBadSignaturesOfGPG(t *testing.T) {
	g := verifytest.New(t)
	good := g.Key("good", "ed25519", "never")
	old := g.Key("old", "ed25519", "1y", verifytest.At("20200101T000000")...)
	revoked := g.Key("revoked", "ed25519", "never")
	subs := g.Key("subs", "ed25519", "never")
	g.Subkey(subs, "ed25519", "never")
	stranger := g.Key("stranger", "ed25519", "never")
	short := g.Key("short", "rsa1024", "never")
	unsub := g.Key("unsub", "ed25519", "never", verifytest.At("20200101T000000")...)
	g.Subkey(unsub, "ed25519", "1y", verifytest.At("20200101T000000")...)

	sign := func(key string, more ...string) []byte { return g.Detach(key, text, more...) }
	sigs := map[string][]byte{
		"good": sign(good), "old": sign(old, verifytest.At("20200601T000000")...), "revoked": sign(revoked), "subkey revoked": sign(subs),
		"stranger": sign(stranger), "sha1": sign(good, "--digest-algo", "SHA1", "--allow-weak-digest-algos"), "short": sign(short),
		"expired":        sign(old, append(verifytest.At("20200601T000000"), "--default-sig-expire", "1d")...),
		"signature old":  g.Detach(unsub+"!", text, append(verifytest.At("20200601T000000"), "--default-sig-expire", "1d")...),
		"subkey expired": sign(unsub, verifytest.At("20200601T000000")...),
		"future":         sign(good, verifytest.At("20990101T000000")...),
		"other file":     g.Detach(good, []byte("another file")),
		"revoked broken": g.Detach(revoked, []byte("another file")),
	}
	g.Revoke(revoked)
	g.RevokeSubkey(subs, "1")
	keys := ring(t, "ours", g.Export(good, old, revoked, subs, short, unsub))

	for _, c := range []struct {
		name string
		sig  []byte
		want errcode.Code
	}{
		{"good", sigs["good"], ""},
		{"key expired", sigs["old"], errcode.SignatureKeyExpired},
		{"key and signature expired", sigs["expired"], errcode.SignatureKeyExpired},
		{"signature expired", sigs["signature old"], errcode.SignatureExpired},
		{"subkey expired", sigs["subkey expired"], errcode.SignatureKeyExpired},
		{"key revoked", sigs["revoked"], errcode.SignatureKeyRevoked},
		{"subkey revoked", sigs["subkey revoked"], errcode.SignatureKeyRevoked},
		{"key unknown", sigs["stranger"], errcode.SignatureKeyUnknown},
		{"weak hash", sigs["sha1"], errcode.SignatureWeak},
		{"weak key", sigs["short"], errcode.SignatureWeak},
		{"future", sigs["future"], errcode.SignatureFuture},
		{"other file", sigs["other file"], errcode.SignatureInvalid},
		{"forged of a revoked key", sigs["revoked broken"], errcode.SignatureInvalid},
		{"one of several is good", slices.Concat(sigs["stranger"], sigs["sha1"], sigs["revoked"], sigs["good"]), ""},
		{"none of several is good", slices.Concat(sigs["stranger"], sigs["sha1"], sigs["old"]), errcode.SignatureKeyExpired},
		{"a key", g.Export(good), errcode.SignatureInvalid},
		{"cut short", sigs["good"][:40], errcode.SignatureInvalid},
		{"empty", nil, errcode.SignatureInvalid},
		{"no signature", []byte("<html>not found</html>"), errcode.SignatureInvalid},
		{"too many", bytes.Repeat(sigs["stranger"], verify.MaxSignatures+1), errcode.SignatureInvalid},
		{"as many as may be", append(bytes.Repeat(sigs["stranger"], verify.MaxSignatures-1), sigs["good"]...), ""},
		{"too large", make([]byte, verify.MaxSignatureBytes+1), errcode.SignatureInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := check(keys, text, c.sig)
			if errcode.Of(err) != c.want {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if e, ok := errcode.As(err); ok && (e.Evidence == nil || e.Remedy() == "") {
				t.Errorf("%v has no evidence or no remedy", e)
			}
			if c.want == "" && got.Fingerprint != good {
				t.Errorf("signed by %+v", got)
			}
		})
	}
}

// Only signatures that may be good are worth a hash.
func TestHopeful(t *testing.T) {
	g := verifytest.New(t)
	good, stranger := g.Key("good", "ed25519", "never"), g.Key("stranger", "ed25519", "never")
	sigs, err := verify.ParseSignatures(slices.Concat(g.Detach(stranger, text), g.Detach(good, text), g.Detach(stranger, text, "--digest-algo", "SHA384")))
	if err != nil || len(sigs) != 3 {
		t.Fatalf("%d signatures, %v", len(sigs), err)
	}
	ks := ring(t, "x", g.Export(good))
	hopeful := ks.Hopeful(sigs, time.Now())
	if err := ks.Hopeless(sigs, time.Now()); err != nil || len(hopeful) != 1 || hopeful[0] != sigs[1] {
		t.Fatalf("%d signatures are left, %v", len(hopeful), err)
	}
	if _, err := ks.CheckFile(hopeful, text, time.Now()); err != nil {
		t.Error(err)
	}
	if left := ks.Hopeful(sigs[:1], time.Now()); len(left) != 0 || errcode.Of(ks.Hopeless(sigs[:1], time.Now())) != errcode.SignatureKeyUnknown {
		t.Errorf("of a stranger's alone %d are left", len(left))
	}
}

func TestCleartextHoldsNothingElse(t *testing.T) {
	g := verifytest.New(t)
	key := g.Key("key", "ed25519", "never")
	keys := ring(t, "ours", g.Export())
	signed := g.Clearsign(key, text)
	for _, c := range []struct {
		name string
		p    []byte
		want errcode.Code
	}{
		{"as it is", signed, ""},
		{"with CRLF", bytes.ReplaceAll(signed, []byte("\n"), []byte("\r\n")), ""},
		{"text before", append([]byte("0000  disk.img\n"), signed...), errcode.SignatureInvalid},
		{"text behind", append(slices.Clone(signed), "0000  disk.img\n"...), errcode.SignatureInvalid},
		{"twice", append(slices.Clone(signed), signed...), errcode.SignatureInvalid},
		{"cut short", signed[:len(signed)/2], errcode.SignatureInvalid},
		{"other text", bytes.Replace(signed, []byte("e3b0"), []byte("f3b0"), 1), errcode.SignatureInvalid},
		{"another header", bytes.Replace(signed, []byte("Hash:"), []byte("Text: 0000  disk.img\nHash:"), 1), errcode.SignatureInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			clear, err := verify.ParseCleartext(c.p)
			if err == nil && clear == nil {
				t.Fatal("it is taken for plain text")
			}
			if err == nil {
				_, err = keys.CheckFile(clear.Signatures, clear.Signed, time.Now())
			}
			if errcode.Of(err) != c.want {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if c, err := verify.ParseCleartext(text); c != nil || err != nil {
		t.Errorf("plain text: %v, %v", c, err)
	}
}

func TestKeyrings(t *testing.T) {
	g := verifytest.New(t)
	one := g.Key("one", "ed25519", "1y")
	two := g.Key("two", "rsa2048", "never")
	g.Revoke(two)
	armored := g.Run(nil, "--armor", "--export", one)
	binary := g.Export()
	for _, c := range []struct {
		name string
		p    []byte
		want int // keys, 0 if it is refused
	}{
		{"binary", binary, 2},
		{"armored", armored, 1},
		{"two blocks", append(slices.Clone(armored), g.Run(nil, "--armor", "--export", two)...), 2},
		{"empty", nil, 0},
		{"not a keyring", []byte("<html>"), 0},
		{"a signature", g.Detach(one, text), 0},
		{"secret key", g.Run(nil, "--export-secret-keys", one), 0},
		{"secret key, armored", g.Run(nil, "--armor", "--export-secret-keys", one), 0},
		{"keybox", append([]byte("\x00\x00\x00\x20\x01\x01\x00\x02KBXf"), binary...), 0},
		{"cut short", armored[:len(armored)/2], 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := verify.OpenKeyring("ours", c.p)
			if (err == nil) != (c.want > 0) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			keys := k.Keys(time.Now())
			if len(keys) != c.want {
				t.Fatalf("keys %+v", keys)
			}
			if keys[0].Fingerprint != one || keys[0].Expires.IsZero() || keys[0].Revoked || keys[0].UserID != "one" {
				t.Errorf("first key %+v", keys[0])
			}
			if len(keys) > 1 && (keys[1].Fingerprint != two || !keys[1].Expires.IsZero() || !keys[1].Revoked) {
				t.Errorf("second key %+v", keys[1])
			}
		})
	}
	ks := append(ring(t, "a", armored), ring(t, "b", binary)...)
	if got, err := ks.Named("b"); err != nil || len(got) != 1 || got[0].Name != "b" {
		t.Errorf("b: %v, %v", got.Names(), err)
	}
	if got, err := ks.Named(""); err != nil || len(got) != 2 {
		t.Errorf("all: %v, %v", got.Names(), err)
	}
	for _, ks := range []verify.Keyrings{ks, nil} {
		if _, err := ks.Named("c"); !errors.Is(err, errcode.Sentinel(errcode.KeyringUnknown)) {
			t.Errorf("c: %v", err)
		}
	}
}
