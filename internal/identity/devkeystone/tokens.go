package devkeystone

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

// life is how long a token is good: Keystone's default.
const life = time.Hour

// maxRevoked bounds the tokens that were revoked and have not ended. Past that, all
// are: the key is made anew.
const maxRevoked = 10000

// The files in the data folder.
const (
	keyFile     = "identity-key"
	revokedFile = "identity-revoked.json"
)

// prefix begins each token. What follows is the ticket and its signature.
const prefix = "ingest-identity."

// A ticket is what a token says.
type ticket struct {
	ID      string   `json:"i"`
	User    string   `json:"u"`
	Project string   `json:"p,omitempty"` // id; "" is unscoped
	Methods []string `json:"m"`
	Issued  int64    `json:"a"` // microseconds
	Expires int64    `json:"e"` // microseconds
	// Password names the hash with which the user logged in: another one ends the token.
	Password string `json:"f"`
}

// A signer makes tokens and knows which of them are good.
type signer struct {
	dir string
	now func() time.Time

	mu      sync.Mutex
	key     []byte
	revoked map[string]int64 // until when, by id
}

// openSigner reads the key and what was revoked; it makes a key if there is none.
func openSigner(dir string) (*signer, error) {
	s := &signer{dir: dir, now: time.Now, revoked: map[string]int64{}}
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.renew(); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case len(key) != 32:
		return nil, errcode.New(errcode.IdentityFile, "%s is not 32 bytes: remove it, and all must log in again", keyFile)
	default:
		s.key = key
	}
	raw, err := os.ReadFile(filepath.Join(dir, revokedFile))
	if err == nil {
		err = json.Unmarshal(raw, &s.revoked)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// What was revoked is not known: nothing that was given out counts any more.
		s.revoked = map[string]int64{}
		return s, s.renew()
	}
	return s, nil
}

// renew makes a key, with which all tokens end.
func (s *signer) renew() error {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	if err := fsutil.WriteDurable(s.dir, keyFile, key); err != nil {
		return err
	}
	s.key = key
	return nil
}

// sign makes a token.
func (s *signer) sign(t ticket) (string, error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	body := prefix + base64.RawURLEncoding.EncodeToString(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	return body + "." + base64.RawURLEncoding.EncodeToString(s.mac(body)), nil
}

func (s *signer) mac(body string) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write([]byte(body))
	return m.Sum(nil)
}

// verify returns what a good token says.
func (s *signer) verify(token string) (ticket, bool) {
	i := strings.LastIndexByte(token, '.')
	if !strings.HasPrefix(token, prefix) || i < len(prefix) {
		return ticket{}, false
	}
	sum, err := base64.RawURLEncoding.DecodeString(token[i+1:])
	if err != nil {
		return ticket{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !hmac.Equal(sum, s.mac(token[:i])) {
		return ticket{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(token[len(prefix):i])
	var t ticket
	if err != nil || json.Unmarshal(raw, &t) != nil {
		return ticket{}, false
	}
	_, revoked := s.revoked[t.ID]
	return t, !revoked && s.now().UnixMicro() < t.Expires
}

// revoke ends a token, durably.
func (s *signer) revoke(t ticket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().UnixMicro()
	next := map[string]int64{t.ID: t.Expires}
	for id, until := range s.revoked {
		if until > now {
			next[id] = until
		}
	}
	if len(next) > maxRevoked {
		if err := s.renew(); err != nil {
			return err
		}
		next = map[string]int64{}
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := fsutil.WriteDurable(s.dir, revokedFile, raw); err != nil {
		return err
	}
	s.revoked = next
	return nil
}

// fingerprint names a password's hash.
func fingerprint(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func newID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return base64.RawURLEncoding.EncodeToString(id)
}
