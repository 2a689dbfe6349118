package formattest

import (
	"archive/tar"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

const (
	// SeedsDir holds the archives, below the root of the module: that of
	// FuzzOpen in formats/vdi is formats/vdi/FuzzOpen.tar.zst.
	SeedsDir = "testdata/fuzz"
	// SeedsEnv names an archive that Seeds loads instead of the kept one: so the
	// tool that chooses what is worth keeping hands over its candidates.
	SeedsEnv = "INGEST_FUZZ_SEEDS"
	// MaxSeeds bounds one archive, so that a clone stays small, bytes.
	MaxSeeds = 300 << 10
	// seedHead is the first line of an input as the go command keeps it.
	seedHead = "go test fuzz v1"
)

// Seeds adds the kept inputs of the target to f, as f.Add does. An archive that
// is missing, empty or damaged fails the test. Called before any f.Add, it lets
// seed#N be the archive's Nth entry, counted from 0.
func Seeds(f *testing.F) {
	f.Helper()
	path := os.Getenv(SeedsEnv)
	if path == "" {
		var err error
		if path, err = archiveOf(f.Name()); err != nil {
			f.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		f.Fatalf("%v; make it with: scripts/fuzz --keep", err)
	}
	inputs, err := UnpackSeeds(b)
	if err != nil {
		f.Fatalf("%s: %v", path, err)
	}
	for i, in := range inputs {
		args, err := SeedArgs(in)
		if err != nil {
			f.Fatalf("%s: entry %d: %v", path, i, err)
		}
		f.Add(args...)
	}
}

// archiveOf returns the path of a target's archive. The working folder is that
// of the package under test.
func archiveOf(target string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			pkg, err := filepath.Rel(root, dir)
			return filepath.Join(root, SeedsDir, pkg, target+".tar.zst"), err
		}
		if root == filepath.Dir(root) {
			return "", fmt.Errorf("no go.mod at or above %s", dir)
		}
	}
}

// PackSeeds returns the archive of inputs, each in the go command's encoding of
// fuzz inputs. The shortest come first, equal ones once, and the same set gives
// the same bytes. Entries are named by their digest, as the go command does.
func PackSeeds(inputs [][]byte) ([]byte, error) {
	inputs = slices.Clone(inputs)
	SortSeeds(inputs)
	var out bytes.Buffer
	// One stream over all entries: they are mutations of each other.
	z, err := zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	for _, in := range slices.CompactFunc(inputs, bytes.Equal) {
		sum := sha256.Sum256(in)
		h := tar.Header{Name: hex.EncodeToString(sum[:8]), Mode: 0o644, Size: int64(len(in)), Format: tar.FormatUSTAR}
		if err := t.WriteHeader(&h); err != nil {
			return nil, err
		}
		if _, err := t.Write(in); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// SortSeeds puts the shortest input first, and equally long ones in order of
// their bytes.
func SortSeeds(inputs [][]byte) {
	slices.SortFunc(inputs, func(a, b []byte) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
	})
}

// UnpackSeeds returns the inputs of an archive, in its order. There is at least
// one.
func UnpackSeeds(archive []byte) ([][]byte, error) {
	z, err := zstd.NewReader(bytes.NewReader(archive), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var inputs [][]byte
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", len(inputs), err)
		}
		in, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("entry %s: %w", h.Name, err)
		}
		inputs = append(inputs, in)
	}
	if len(inputs) == 0 {
		return nil, errors.New("the archive holds no inputs")
	}
	return inputs, nil
}

// SeedArgs decodes an input into the arguments of its target, of the types that
// targets here take: []byte, string, byte, uint32 and uint64. Each line is a
// type and a Go literal in parentheses.
func SeedArgs(in []byte) ([]any, error) {
	lines := strings.Split(strings.TrimSuffix(string(in), "\n"), "\n")
	if lines[0] != seedHead || len(lines) < 2 {
		return nil, fmt.Errorf("not an input of %q with arguments", seedHead)
	}
	var args []any
	for _, line := range lines[1:] {
		kind, rest, _ := strings.Cut(line, "(")
		literal, ok := strings.CutSuffix(rest, ")")
		if !ok {
			return nil, fmt.Errorf("argument %d is not of the form type(literal)", len(args))
		}
		v, err := seedValue(kind, literal)
		if err != nil {
			return nil, fmt.Errorf("argument %d, %s: %w", len(args), kind, err)
		}
		args = append(args, v)
	}
	return args, nil
}

// seedValue decodes one literal.
func seedValue(kind, literal string) (any, error) {
	switch kind {
	case "[]byte":
		s, err := strconv.Unquote(literal)
		return []byte(s), err
	case "string":
		return strconv.Unquote(literal)
	case "byte":
		inner, ok := strings.CutPrefix(literal, "'")
		if !ok {
			return nil, strconv.ErrSyntax
		}
		r, _, tail, err := strconv.UnquoteChar(inner, '\'')
		if err != nil || tail != "'" || r > 0xff {
			return nil, strconv.ErrSyntax
		}
		return byte(r), nil
	case "uint32":
		n, err := strconv.ParseUint(literal, 10, 32)
		return uint32(n), err
	case "uint64":
		return strconv.ParseUint(literal, 10, 64)
	}
	return nil, errors.New("not a type that seeds have")
}
