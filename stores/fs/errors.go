package fs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ingest/internal/errcode"
)

// storeError gives an error of the operating system its code. The message names
// no path: it is shown to the owner of the task.
func storeError(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if _, ok := errcode.As(err); ok {
		return err
	}
	doing := fmt.Sprintf(format, args...)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return errcode.Wrap(err, errcode.NoSpace, "%s: no space is left", doing)
	}
	return errcode.Wrap(err, errcode.StoreUnavailable, "%s: the file system refuses", doing)
}
