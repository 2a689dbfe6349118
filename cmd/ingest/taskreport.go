package main

import (
	"encoding/json"
	"fmt"
	"io"

	"ingest/api/wire"
	"ingest/detect"
	"ingest/internal/contract"
)

// writeVerdict writes the last report of detection that a task has: what the source
// was found to be, and every check with its result. A task that has not come so far
// has none.
func writeVerdict(w io.Writer, events []wire.Event) error {
	for i := len(events) - 1; i >= 0; i-- {
		e := events[i]
		if e.Kind != "report" || e.Stage != string(contract.StageDetect) || len(e.Detail) == 0 {
			continue
		}
		var rep detect.Report
		if json.Unmarshal(e.Detail, &rep) != nil || len(rep.Checks) == 0 && len(rep.Findings) == 0 {
			return nil // a report of another version; --json has it
		}
		fmt.Fprintln(w, "\ndetection")
		return rep.WriteText(w)
	}
	return nil
}
