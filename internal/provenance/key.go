package provenance

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"ingest/internal/errcode"
	"ingest/internal/fsutil"
)

// maxKeyBytes bounds a key file: an Ed25519 key takes 119 bytes of PEM.
const maxKeyBytes = 16 << 10

// Types of PEM blocks (RFC 7468 sections 10, 11 and 13).
const (
	privateBlock   = "PRIVATE KEY"
	encryptedBlock = "ENCRYPTED PRIVATE KEY"
	publicBlock    = "PUBLIC KEY"
)

// A Key signs records. It shows nothing of itself when it is printed.
type Key struct{ private ed25519.PrivateKey }

// String hides the key.
func (k *Key) String() string { return "key " + k.ID() }

// GoString hides the key.
func (k *Key) GoString() string { return k.String() }

// ID names the key's public half.
func (k *Key) ID() string { return KeyID(k.Public()) }

// Public returns the key's public half.
func (k *Key) Public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// KeyID is the SHA-256 of a public key as it stands in a PEM file, in hex: what
// `openssl pkey -pubin -outform DER | sha256sum` prints.
func KeyID(public ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "" // never of an Ed25519 key
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// LoadKey reads an Ed25519 private key in PKCS #8 PEM. A file that anybody but its
// owner may read or write is refused: errcode.ProvenanceKey.
func LoadKey(path string) (*Key, error) {
	block, err := readPEM(path, func(st os.FileInfo) error {
		if mode := st.Mode().Perm(); mode&0o077 != 0 {
			return keyError(path, "is open to others than its owner: make it `chmod 600`", mode.String(), "-rw-------")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch block.Type {
	case privateBlock:
	case encryptedBlock:
		return nil, keyError(path, "is encrypted, and the server cannot ask for a passphrase", block.Type, privateBlock)
	default:
		return nil, keyError(path, "is no private key in PKCS #8 PEM", block.Type, privateBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, keyError(path, "is no private key in PKCS #8 PEM", "", privateBlock) // err may quote the key
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, keyError(path, "is a key of another algorithm", "", "Ed25519")
	}
	return &Key{private}, nil
}

// LoadPublic reads an Ed25519 public key in PEM (SubjectPublicKeyInfo).
func LoadPublic(path string) (ed25519.PublicKey, error) {
	block, err := readPEM(path, func(os.FileInfo) error { return nil })
	if err != nil {
		return nil, err
	}
	if block.Type == privateBlock {
		return nil, keyError(path, "is a private key, and the public one is asked for", block.Type, publicBlock)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if block.Type != publicBlock || err != nil {
		return nil, keyError(path, "is no public key in PEM", block.Type, publicBlock)
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, keyError(path, "is a key of another algorithm", "", "Ed25519")
	}
	return public, nil
}

// NewKey makes a pair: the private key in path, for its owner alone, the public one
// in path with ".pub" behind it. Neither file may exist.
func NewKey(path string) (*Key, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	if err := writePEM(path+".pub", 0o644, pem.Block{Type: publicBlock, Bytes: open}); err != nil {
		return nil, err
	}
	if err := writePEM(path, 0o600, pem.Block{Type: privateBlock, Bytes: secret}); err != nil {
		os.Remove(path + ".pub")
		return nil, err
	}
	return &Key{private}, fsutil.SyncDir(filepath.Dir(path))
}

// readPEM returns the one block of a small file that check admits.
func readPEM(path string, check func(os.FileInfo) error) (*pem.Block, error) {
	// Opening must not wait for a pipe's writer; what is no file is refused below.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.ProvenanceKey, "the key file %s cannot be opened", path).
			With(errcode.Evidence{Structure: "key file", Value: path})
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, keyError(path, "is no regular file", st.Mode().String(), "")
	}
	if err := check(st); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyBytes+1))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if len(text) > maxKeyBytes || block == nil {
		return nil, keyError(path, "is no PEM", "", "")
	}
	return block, nil
}

func writePEM(path string, mode os.FileMode, b pem.Block) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return errcode.New(errcode.DestinationExist, "%s exists already: a key is never replaced", path)
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(mode), pem.Encode(f, &b), f.Sync(), f.Close())
}

func keyError(path, what, value, limit string) error {
	return errcode.New(errcode.ProvenanceKey, "the key file %s %s", path, what).
		With(errcode.Evidence{Structure: "key file", Field: path, Value: value, Limit: limit})
}
