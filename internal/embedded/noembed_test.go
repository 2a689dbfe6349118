//go:build noembed || !unix

package embedded

import (
	"context"
	"strings"
	"testing"

	"ingest/internal/errcode"
)

func TestStartSaysWhatToDo(t *testing.T) {
	s, err := Start(context.Background(), Options{Dir: t.TempDir()})
	if s != nil || errcode.Of(err) != errcode.WorkflowService || !strings.Contains(err.Error(), "--temporal") {
		t.Errorf("Start = %v, %v", s, err)
	}
}
