//go:build !noembed && unix

package embedded

import (
	"os"
	"testing"

	"go.temporal.io/server/common/dynamicconfig"
)

// TestDeployedKnobs asks the server whether it knows the settings that are
// deployed with a service of its own: it would only warn of an unknown one.
func TestDeployedKnobs(t *testing.T) {
	text, err := os.ReadFile("../../deploy/temporal/dynamicconfig/ingest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := dynamicconfig.LoadYamlFile(text)
	if err := got.Err(); err != nil {
		t.Error(err)
	}
	for _, w := range got.Warnings {
		t.Error(w)
	}
	if len(got.Map) == 0 {
		t.Error("no setting was read")
	}
}
