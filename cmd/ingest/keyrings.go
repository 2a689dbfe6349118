package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/internal/config"
	"ingest/internal/errcode"
	"ingest/internal/verify"
)

// openKeyrings reads the operator's keyrings and logs whose keys are in them.
func (s *services) openKeyrings() (verify.Keyrings, error) {
	var out verify.Keyrings
	files, err := keyringFiles(s.c.Trust.Keyrings)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if slices.Contains(out.Names(), f.Name) {
			return nil, badKeyring(f, nil, "has the name of another one")
		}
		p, err := os.ReadFile(f.Path)
		if err != nil {
			return nil, badKeyring(f, err, "cannot be read")
		}
		k, err := verify.OpenKeyring(f.Name, p)
		if err != nil {
			return nil, badKeyring(f, err, "cannot be used: "+err.Error())
		}
		for _, key := range k.Keys(time.Now()) {
			e := s.log.Info().Str("keyring", f.Name).Str("fingerprint", key.Fingerprint).Str("user_id", key.UserID).Bool("revoked", key.Revoked)
			if !key.Expires.IsZero() {
				e = e.Time("expires_at", key.Expires)
			}
			e.Msg("publisher's key")
		}
		out = append(out, k)
	}
	return out, nil
}

// keyringFiles replaces each folder by the keyrings in it, named as their files are
// without the ending.
func keyringFiles(given []config.KeyringFile) ([]config.KeyringFile, error) {
	var out []config.KeyringFile
	for _, f := range given {
		if f.Name != "" {
			out = append(out, f)
			continue
		}
		entries, err := os.ReadDir(f.Path)
		if err != nil {
			return nil, badKeyring(f, err, "is no folder of keyrings; a file is given as NAME=FILE")
		}
		for _, e := range entries {
			ending := filepath.Ext(e.Name())
			if slices.Contains([]string{".gpg", ".asc", ".pgp"}, ending) && !strings.HasPrefix(e.Name(), ".") {
				out = append(out, config.KeyringFile{Name: strings.TrimSuffix(e.Name(), ending), Path: filepath.Join(f.Path, e.Name())})
			}
		}
	}
	return out, nil
}

func badKeyring(f config.KeyringFile, err error, why string) error {
	return errcode.Wrap(err, errcode.BadRequest, "--keyring %s %s", f.Path, why).
		With(errcode.Evidence{Structure: "configuration", Field: "--keyring", Value: f.Path})
}

// completionTime is how long the shell waits for a server's answer.
const completionTime = 2 * time.Second

// completeKeyring completes the name of one of the server's keyrings.
func (g *globals) completeKeyring(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c, err := g.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, stop := context.WithTimeout(cmd.Context(), completionTime)
	defer stop()
	info, err := c.ServerInfo(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return info.Keyrings, cobra.ShellCompDirectiveNoFileComp
}
