package verify_test

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/internal/verify/verifytest"
)

func hexOf(p []byte) string { return hex.EncodeToString(p) }

// FuzzSums holds the parser to what Lookup promises: a digest comes from a line
// that holds both it and the whole name.
func FuzzSums(f *testing.F) {
	for _, s := range []string{a64 + "  disk.img\n", "SHA256 (disk.img) = " + a64, `\` + a64 + ` *di\\sk.img`, c128 + "\tdisk.img\r\n", a64, "# x\n()=\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		sums, err := verify.ParseSums(p)
		if err != nil && errcode.Of(err) != errcode.ChecksumFileInvalid {
			t.Fatal(err)
		}
		lines := strings.Split(string(p), "\n")
		for _, e := range sums {
			line := lines[e.Line-1]
			if !strings.Contains(strings.ToLower(line), e.Hex) || !strings.HasPrefix(line, `\`) && !strings.Contains(line, e.Name) {
				t.Fatalf("%+v is not what stands in %q", e, line)
			}
			ds, err := sums.Lookup(true, e.Name)
			for _, d := range ds {
				if h := verify.NewHash(d.Algo); h == nil || len(d.Hex) != 2*h.Size() || !strings.Contains(strings.ToLower(string(p)), d.Hex) {
					t.Fatalf("%q has digest %s, %v", e.Name, d, err)
				}
			}
		}
	})
}

// FuzzSignature holds what reads signatures and clearsigned texts to ending in a
// verdict. Nothing that it makes up is ever good, unless it is the
// signature that was there.
func FuzzSignature(f *testing.F) {
	g := verifytest.New(f)
	key := g.Key("key", "ed25519", "never")
	g.Subkey(key, "rsa2048", "never")
	k, err := verify.OpenKeyring("ours", g.Export())
	if err != nil {
		f.Fatal(err)
	}
	keys := verify.Keyrings{k}
	for _, p := range [][]byte{g.Detach(key, text), g.Detach(key+"!", text, "--armor"), g.Clearsign(key, text), g.Export(), g.Run(nil, "--armor", "--export")} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if sigs, err := verify.ParseSignatures(p); err == nil {
			if _, err := keys.CheckFile(sigs, []byte("never signed"), time.Now()); err == nil {
				t.Fatal("a signature over what was never signed")
			}
		} else if errcode.Of(err) != errcode.SignatureInvalid {
			t.Fatal(err)
		}
		c, err := verify.ParseCleartext(p)
		if err != nil && errcode.Of(err) != errcode.SignatureInvalid {
			t.Fatal(err)
		}
		if c != nil {
			_, err := keys.CheckFile(c.Signatures, c.Signed, time.Now())
			if want := strings.ReplaceAll(strings.TrimSuffix(string(text), "\n"), "  \n", "\n"); err == nil && string(c.Text) != want {
				t.Fatalf("a signature over %q, which was never signed", c.Text)
			}
		}
	})
}
