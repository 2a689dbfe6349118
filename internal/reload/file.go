package reload

import (
	"errors"
	"io"
	"os"
)

// Read returns at most limit+1 bytes of a file, so that a document that is too large is
// seen to be. The error names the trouble without the path, which is the operator's.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	return raw, cause(err)
}

func cause(err error) error {
	var why *os.PathError
	if errors.As(err, &why) {
		return why.Err
	}
	return err
}
