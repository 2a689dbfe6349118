package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestInspectReport holds both limits, at the limit and above.
func TestInspectReport(t *testing.T) {
	idle := cost{resident: 100 * mib}
	for _, c := range []struct {
		resident int64
		cpu      time.Duration
		bad      bool
	}{
		{100*mib + inspectLimit, inspectCPU, false},
		{100*mib + inspectLimit + 1, inspectCPU, true},
		{100 * mib, inspectCPU + 1, true},
	} {
		var out bytes.Buffer
		err := inspectReport(&out, idle, []cost{{what: "raw", resident: c.resident, cpu: c.cpu}})
		if (err != nil) != c.bad || !strings.Contains(out.String(), "raw") {
			t.Errorf("%+v: %v\n%s", c, err, out.String())
		}
	}
}
