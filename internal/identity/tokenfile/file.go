package tokenfile

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/identity"
	"ingest/internal/livefile"
)

// Prefix begins every token, so that those who search files for lost secrets find it.
const Prefix = "ingest_"

// MaxTokens is how many a file may hold: 10,000 take 3 MiB.
const MaxTokens = 10000

// A Token is one line of the file: for whom a token stands, and never the token.
type Token struct {
	Name    string     `json:"name"`
	Project string     `json:"project"`
	User    string     `json:"user"`
	Roles   []string   `json:"roles"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"` // nil is never
	Last4   string     `json:"last4"`             // of the token, to recognise it by
	SHA256  string     `json:"sha256"`            // of the token, hexadecimal
}

// file is the file's text.
type file struct {
	Version int     `json:"version"`
	Tokens  []Token `json:"tokens"`
}

// Create adds a token to a file, which need not be there, and returns it: nobody can
// tell it later. Of t it takes name, project, user, roles and expiry. A name that is
// taken is errcode.Conflict.
func Create(path string, t Token, now time.Time) (secret string, made Token, err error) {
	if err := t.check(); err != nil {
		e, _ := errcode.As(err)
		return "", Token{}, errcode.New(errcode.BadRequest, "%s", e.Message).With(*e.Evidence)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it never fails
	secret = Prefix + base64.RawURLEncoding.EncodeToString(raw)
	t.Created, t.Last4, t.SHA256 = now.UTC().Truncate(time.Second), secret[len(secret)-4:], digest(secret)
	err = change(path, func(f *file) error {
		if slices.ContainsFunc(f.Tokens, func(o Token) bool { return o.Name == t.Name }) {
			return errcode.New(errcode.Conflict, "there is a token %q already", t.Name).
				With(errcode.Evidence{Structure: "token", Field: "name", Value: t.Name})
		}
		if len(f.Tokens) >= MaxTokens {
			return errcode.New(errcode.Conflict, "the file holds %d tokens, which are all that it can: revoke some", MaxTokens)
		}
		f.Tokens = append(f.Tokens, t)
		return nil
	})
	return secret, t, err
}

// Revoke removes a token. errcode.NotFound says that there is none of that name.
func Revoke(path, name string) error {
	return change(path, func(f *file) error {
		i := slices.IndexFunc(f.Tokens, func(o Token) bool { return o.Name == name })
		if i < 0 {
			return errcode.New(errcode.NotFound, "there is no token %q", errcode.Shown(name))
		}
		f.Tokens = slices.Delete(f.Tokens, i, i+1)
		return nil
	})
}

// List returns the tokens of a file, in the order of their creation; a file that is
// not there has none.
func List(path string) ([]Token, error) {
	f, err := read(path)
	return f.Tokens, err
}

// change rewrites a file. Those who do so at the same time wait for each other.
func change(path string, do func(*file) error) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return unwritable(err, name)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return unwritable(err, name)
	}
	f, err := read(path)
	if err != nil {
		return err
	}
	if err := do(&f); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := fsutil.WriteDurable(dir, name, append(raw, '\n')); err != nil {
		return unwritable(err, name)
	}
	return nil
}

func unwritable(err error, name string) error {
	text := err.Error()
	var why *fs.PathError
	if errors.As(err, &why) {
		text = why.Err.Error()
	}
	return errcode.Wrap(err, errcode.IdentityFile, "write %s: %s", name, text).With(errcode.Evidence{Structure: name})
}

func read(path string) (file, error) {
	raw, err := livefile.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return parse(nil)
	}
	if err != nil {
		return file{}, err
	}
	return parse(raw)
}

// parse reads a file's text; no text is no tokens.
func parse(raw []byte) (file, error) {
	f := file{Version: 1}
	if len(bytes.TrimSpace(raw)) == 0 {
		return f, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return file{}, wrong("", "it is no file of tokens: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return file{}, wrong("", "something stands behind its end")
	}
	if f.Version != 1 {
		return file{}, wrong("version", "it has version %d, and this program knows version 1", f.Version)
	}
	if len(f.Tokens) > MaxTokens {
		return file{}, wrong("tokens", "it holds more than %d tokens", MaxTokens)
	}
	names := map[string]bool{}
	for _, t := range f.Tokens {
		if err := t.check(); err != nil {
			return file{}, err
		}
		if raw, err := hex.DecodeString(t.SHA256); err != nil || len(raw) != sha256.Size {
			return file{}, wrong(t.Name, "token %q has no SHA-256", t.Name)
		}
		if names[t.Name] {
			return file{}, wrong(t.Name, "token %q stands there twice", t.Name)
		}
		names[t.Name] = true
	}
	return f, nil
}

func (t Token) check() error {
	for _, f := range []struct{ field, value string }{{"name", t.Name}, {"project", t.Project}, {"user", t.User}} {
		if !identity.Named(f.value) {
			return wrong(f.field, "%s %q is not 1 to 64 letters, digits, '-', '_' and '.'", f.field, errcode.Shown(f.value))
		}
	}
	if len(t.Roles) == 0 || len(t.Roles) > 32 {
		return wrong("roles", "token %q has no role, or more than 32", t.Name)
	}
	for _, role := range t.Roles {
		if !identity.Named(role) {
			return wrong("roles", "role %q is not 1 to 64 letters, digits, '-', '_' and '.'", errcode.Shown(role))
		}
	}
	return nil
}

func wrong(field, format string, args ...any) error {
	return errcode.New(errcode.IdentityFile, format, args...).With(errcode.Evidence{Structure: "file of tokens", Field: field})
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
