package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ingest/internal/cli"
	"ingest/internal/config"
	"ingest/internal/verify"
	"ingest/pipeline"
)

// proofFlags say what a source must be held against, without a server.
type proofFlags struct {
	checksum, checksumFile, signature, keyring string
}

func (f *proofFlags) declare(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.checksum, "checksum", "", "digest of SRC's bytes, sha256:HEX or sha512:HEX")
	fl.StringVar(&f.checksumFile, "checksum-file", "", "`SOURCE` of a list of digests that SRC must stand in, such as SHA256SUMS, or auto for one beside SRC")
	fl.StringVar(&f.signature, "signature", "", "`SOURCE` of a detached OpenPGP signature, or auto for one beside what it signs: the checksum file if there is one, else SRC")
	fl.StringVar(&f.keyring, "keyring", "", "`FILE` of the public keys that may have signed, as gpg --export writes it")
}

// proofs returns what is demanded, and gives the pipeline the keys.
func (f *proofFlags) proofs(cmd *cobra.Command, p *pipeline.Pipeline) (pipeline.Proofs, error) {
	out := pipeline.Proofs{Checksum: f.checksum, ChecksumFile: f.checksumFile, Signature: f.signature}
	if f.signature != "" && f.keyring == "" {
		return out, cli.Usage(cmd, "--signature needs --keyring FILE, the keys that may have signed")
	}
	for _, beside := range []*string{&out.ChecksumFile, &out.Signature} {
		if *beside == "" || *beside == "auto" {
			continue
		}
		var err error
		if *beside, err = sourceURL(*beside); err != nil {
			return out, err
		}
	}
	if f.keyring == "" {
		return out, nil
	}
	at := config.KeyringFile{Path: f.keyring}
	text, err := os.ReadFile(f.keyring)
	if err != nil {
		return out, badKeyring(at, err, "cannot be read")
	}
	out.Keyring = strings.TrimSuffix(filepath.Base(f.keyring), filepath.Ext(f.keyring))
	k, err := verify.OpenKeyring(out.Keyring, text)
	if err != nil {
		return out, badKeyring(at, err, "cannot be used: "+err.Error())
	}
	p.Keyrings = verify.Keyrings{k}
	return out, nil
}
