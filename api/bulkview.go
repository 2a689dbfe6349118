package api

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ingest/api/wire"
	"ingest/internal/bulk"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
	"ingest/metadata"
)

// bulkOf is a bulk as lists show it.
func bulkOf(b metadata.Bulk) wire.Bulk {
	return wire.Bulk{
		ID: b.ID, Name: b.Name, Status: string(b.Status), Message: b.Message, Owner: b.Owner, UserID: b.UserID, WorkflowID: b.WorkflowID,
		Digest: b.Digest, Settings: b.Settings, Total: b.Total, CreatedAt: b.CreatedAt.UTC(), UpdatedAt: b.UpdatedAt.UTC(), EndedAt: b.EndedAt,
	}
}

// wholeBulk adds how far a bulk is.
func (a *api) wholeBulk(ctx context.Context, b metadata.Bulk) (wire.Bulk, error) {
	counts, err := a.Catalogue.BulkCounts(ctx, b.ID)
	if err != nil {
		return wire.Bulk{}, err
	}
	out := bulkOf(b)
	out.Items = map[string]int{}
	done, left := 0, 0
	for _, n := range counts {
		out.Items[string(n.State)] = n.Items
		switch n.State {
		case metadata.ItemActive:
			out.Bytes += n.Bytes
			done += n.Items
		case metadata.ItemFailed, metadata.ItemCancelled:
			done += n.Items
		case metadata.ItemPending, metadata.ItemWaiting, metadata.ItemRunning:
			left += n.Items
		}
	}
	end := time.Now()
	if b.EndedAt != nil {
		end = *b.EndedAt
	}
	out.ETA = -1
	if took := end.Sub(b.CreatedAt).Seconds(); took > 0 && done > 0 {
		out.ItemsPerSecond, out.BytesPerSecond = float64(done)/took, float64(out.Bytes)/took
		out.ETA = float64(left) / out.ItemsPerSecond
	}
	for _, host := range slices.Sorted(maps.Keys(b.Gates)) {
		g := b.Gates[host]
		h := wire.BulkHost{Host: host, Failures: g.Failures, Code: g.Code, GivenUp: g.Given}
		if !g.Opened.IsZero() {
			h.Since, h.Until = &g.Opened, &g.Until
		}
		out.Hosts = append(out.Hosts, h)
	}
	return out, nil
}

// itemOf is an item as it is shown: its request may hold what is secret.
func itemOf(it metadata.BulkItem, stages map[string]string) wire.BulkItem {
	out := wire.BulkItem{
		N: it.N, Key: it.Key, State: string(it.State), Host: it.Host, Store: it.Store, Priority: contract.MaxPriority - it.Urgency, SameAs: it.SameAs,
		TaskID: it.TaskID, ImageID: it.ImageID, Attempt: it.Attempt, Code: it.Code, Message: it.Message, Bytes: it.Bytes,
		StartedAt: it.StartedAt, EndedAt: it.EndedAt,
	}
	var req contract.ImportRequest
	if json.Unmarshal(it.Request, &req) == nil {
		out.Source, out.Name = req.Source.URL, req.Image.Name
		if strings.Contains(out.Source, "://") {
			out.Source = logging.URL(out.Source)
		}
	}
	if it.State == metadata.ItemRunning {
		out.Stage = stages[it.TaskID]
	}
	return out
}

// stagesOf are the stages of the tasks of items that run.
func (a *api) stagesOf(ctx context.Context, items []metadata.BulkItem) map[string]string {
	out := map[string]string{}
	for _, it := range items {
		if it.State != metadata.ItemRunning || len(out) > metadata.MaxConcurrency {
			continue
		}
		if t, err := a.Catalogue.Task(ctx, it.TaskID); err == nil {
			out[it.TaskID] = t.Stage
		}
	}
	return out
}

// bulkItems lists the items of a bulk, by number.
func (a *api) bulkItems(w http.ResponseWriter, r *http.Request) error {
	b, err := a.bulkFor(r, "ingest:bulk_read")
	if err != nil {
		return err
	}
	q := r.URL.Query()
	limit, err := pageSize(q, 100)
	if err != nil {
		return err
	}
	f := metadata.ItemFilter{Limit: limit + 1, Host: q.Get("host")}
	if marker := q.Get("marker"); marker != "" {
		if f.After, err = strconv.Atoi(marker); err != nil || f.After < 0 {
			return badField("marker", marker, "the marker is no number of an item")
		}
	}
	for _, state := range q["state"] {
		if !slices.Contains(metadata.ItemStates(), metadata.ItemState(state)) {
			return badField("state", state, "there is no such state of an item")
		}
		f.States = append(f.States, metadata.ItemState(state))
	}
	items, err := a.Catalogue.BulkItems(r.Context(), b.ID, f)
	if err != nil {
		return err
	}
	out := wire.BulkItemList{Items: []wire.BulkItem{}}
	if len(items) > limit {
		items = items[:limit]
		out.Next = nextURL(r, strconv.Itoa(items[limit-1].N))
	}
	stages := a.stagesOf(r.Context(), items)
	for _, it := range items {
		out.Items = append(out.Items, itemOf(it, stages))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// reportKinds are the media types of reports.
var reportKinds = map[string]string{"json": "application/json", "csv": "text/csv; charset=utf-8", "html": "text/html; charset=utf-8"}

// bulkReport answers with everything that is known of a bulk, as JSON, CSV or a page.
func (a *api) bulkReport(w http.ResponseWriter, r *http.Request) error {
	b, err := a.bulkFor(r, "ingest:bulk_read")
	if err != nil {
		return err
	}
	format := r.URL.Query().Get("format")
	if format == "" {
		format = "json"
	}
	kind, known := reportKinds[format]
	if !known {
		return badField("format", format, "expected json, csv or html")
	}
	whole, err := a.wholeBulk(r.Context(), b)
	if err != nil {
		return err
	}
	items, err := a.Catalogue.BulkItems(r.Context(), b.ID, metadata.ItemFilter{})
	if err != nil {
		return err
	}
	rep := wire.BulkReport{Bulk: whole, Items: make([]wire.BulkItem, 0, len(items))}
	for _, it := range items {
		rep.Items = append(rep.Items, itemOf(it, nil))
	}
	if format == "json" {
		writeJSON(w, http.StatusOK, rep)
		return nil
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="bulk-`+b.ID+"."+format+`"`)
	// A report is a document of its own, and may run nothing wherever it is opened.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	write := bulk.WriteCSV
	if format == "html" {
		write = bulk.WriteHTML
	}
	if err := write(w, reportOf(rep)); err != nil {
		a.Log.Debug().Err(err).Str("bulk", b.ID).Msg("a report was not read to its end")
	}
	return nil
}

// reportOf is a report as package bulk writes it.
func reportOf(r wire.BulkReport) bulk.Report {
	out := bulk.Report{ID: r.Bulk.ID, Name: r.Bulk.Name, Status: r.Bulk.Status, Message: r.Bulk.Message, Owner: r.Bulk.Owner,
		Created: r.Bulk.CreatedAt, Ended: r.Bulk.EndedAt, Bytes: r.Bulk.Bytes, Limits: r.Bulk.Settings.Limits.Words(), States: r.Bulk.Items}
	for _, it := range r.Items {
		out.Items = append(out.Items, bulk.ReportItem{N: it.N, Key: it.Key, State: it.State, Source: it.Source, Name: it.Name, Host: it.Host,
			TaskID: it.TaskID, ImageID: it.ImageID, Attempt: it.Attempt, Code: it.Code, Message: it.Message, Bytes: it.Bytes, Started: it.StartedAt, Ended: it.EndedAt})
	}
	return out
}

// bulkSchema answers with the JSON Schema of manifests.
func (a *api) bulkSchema(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/schema+json")
	_, err := w.Write(bulk.Schema())
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write the schema")
	}
	return nil
}
