package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/guest"
	"ingest/guest/child"
	"ingest/internal/cli"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/fsutil"
	"ingest/internal/progress"
	"ingest/pipeline"
)

// runPlan asks the server what an import would do.
func runPlan(cmd *cobra.Command, g *globals, req contract.ImportRequest) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	d := g.display(cmd)
	defer d.Close()
	d.Stage("dry run")
	f, err := c.Plan(ctx, req)
	if err != nil {
		return err
	}
	d.Done("")
	return printForecast(cmd, g, f)
}

// planLocal says what a conversion without a server would do.
func planLocal(cmd *cobra.Command, g *globals, p *pipeline.Pipeline, c pipeline.ConvertRequest, dst string) error {
	if len(c.URLs) > 1 || c.Disk > 1 {
		return cli.Usage(cmd, "--dry-run looks at one source, and at all its disks")
	}
	req := contract.ImportRequest{Source: contract.SourceSpec{URL: c.URLs[0], Format: c.Format, Checksum: c.Proofs.Checksum,
		ChecksumFile: c.Proofs.ChecksumFile, Signature: c.Proofs.Signature, Keyring: c.Proofs.Keyring}, Target: c.Target}
	for _, m := range c.Members {
		req.Source.Members = append(req.Source.Members, contract.MemberSpec{URL: m.URL, Name: m.Name})
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	p.Guest = &pipeline.GuestOptions{Lister: lister(child.DefaultLimits())}
	p.Verify, p.VerifyMinimum = contract.VerifyNone, contract.VerifyNone // --verify is not the server's
	f, err := p.Forecast(ctx, req)
	if err != nil {
		return err
	}
	if n, err := fsutil.Free(filepath.Dir(dst)); err == nil {
		f.Store.Name, f.Store.Free, f.Store.Basis = dst, n, "the size of the file, and the room in its folder"
		if _, least := f.Stored(); f.Store.Needed >= 0 && (f.Store.Needed <= n || least > n) {
			enough := f.Store.Needed <= n
			f.Store.Enough = &enough
		}
	}
	for i := range f.Disks {
		f.Disks[i].Verify = ""
	}
	f.Staging.Basis = "what is compressed is unwrapped into $TMPDIR"
	return printForecast(cmd, g, f)
}

// printForecast prints a dry run. One whose import would be refused ends as that
// import does.
func printForecast(cmd *cobra.Command, g *globals, f contract.Forecast) error {
	w := cmd.OutOrStdout()
	var err error
	if g.json {
		err = cli.PrintJSON(w, f)
	} else {
		err = writeForecast(w, f)
	}
	if err != nil || f.Error == nil {
		return err
	}
	d := wire.ErrorDetail{Code: f.Error.Code, Message: f.Error.Message, Evidence: f.Error.Evidence, Remedy: f.Error.Remedy, Stage: string(f.Stage)}
	if d.Remedy == "" {
		d.Remedy = errcode.Lookup(d.Code).Remedy
	}
	cli.PrintDetail(cmd.ErrOrStderr(), d, g.json)
	return cli.ErrReported
}

// writeForecast writes the page for people.
func writeForecast(w io.Writer, f contract.Forecast) error {
	verdict := map[string]string{
		contract.VerdictAccepted: "would be accepted",
		contract.VerdictRefused:  "would be refused, at the stage " + string(f.Stage),
		contract.VerdictUnknown:  "not known: too little could be read",
	}[f.Verdict]
	if f.Verdict == contract.VerdictAccepted && len(f.Unknowns) > 0 {
		verdict += ", as far as was looked"
	}
	fmt.Fprintf(w, "%s\n", verdict)
	for _, s := range f.Sources {
		if err := section(w, "source", sourceFields(s)); err != nil {
			return err
		}
	}
	if f.About != nil {
		if err := section(w, "said by its cloud", aboutFields(*f.About)); err != nil {
			return err
		}
	}
	for i, d := range f.Disks {
		title := "disk"
		if len(f.Disks) > 1 {
			title = fmt.Sprintf("disk %d of %d", i+1, len(f.Disks))
		}
		if err := section(w, title, diskFields(d)); err != nil {
			return err
		}
	}
	if err := section(w, "import", costFields(f)); err != nil {
		return err
	}
	if len(f.Unknowns) > 0 {
		fmt.Fprintln(w, "\nnot looked at")
		for _, u := range f.Unknowns {
			fmt.Fprintf(w, "  %s\n", cli.Clean(u))
		}
	}
	return nil
}

// section writes fields below a title.
func section(w io.Writer, title string, fields []string) error {
	fmt.Fprintf(w, "\n%s\n", title)
	for i := 0; i < len(fields); i += 2 {
		fields[i] = "  " + fields[i]
	}
	return cli.Fields(w, fields...)
}

func sourceFields(s contract.ForecastSource) []string {
	resolved := ""
	if s.Redirects > 0 {
		resolved = fmt.Sprintf("%s, after %d redirects", s.Resolved, s.Redirects)
	}
	validator := s.Validator
	if validator != "" && !s.Strong {
		validator += " (weak)"
	}
	how := "in place: "
	if s.Staged {
		how = "staged: "
	}
	return []string{"name", s.Name, "from", s.Origin, "leads to", resolved, "size", orUnknown(s.Size), "version", validator,
		"ranges", yesNo(s.Ranges), "compression", s.Layer, "read", how + s.Reason}
}

// aboutFields says what the source's own catalogue says of the image.
func aboutFields(a contract.About) []string {
	number := func(n int64, unit string) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("%d %s", n, unit)
	}
	hidden := ""
	if a.Hidden {
		hidden = "yes"
	}
	return []string{"name", a.Name, "disk format", a.DiskFormat, "min_disk", number(a.MinDisk, "GiB"), "min_ram", number(a.MinRAM, "MiB"),
		"tags", strings.Join(a.Tags, ", "), "properties", optionsText(a.Properties), "hidden", hidden}
}

func diskFields(d contract.ForecastDisk) []string {
	what := strings.TrimSpace(d.Format + " " + d.Subformat)
	stored := orUnknown(d.Stored.Bytes)
	if d.Stored.Bytes >= 0 && !d.Stored.Exact {
		stored = "about " + stored
	}
	var facts guest.Facts
	if len(d.Guest) > 0 {
		_ = json.Unmarshal(d.Guest, &facts) // what cannot be read is not shown
	}
	minDisk := ""
	if d.MinDisk > 0 {
		minDisk = fmt.Sprintf("%d GiB", d.MinDisk)
	}
	return []string{"name", d.Name, "is", what, "virtual size", orUnknown(d.VirtualSize), "data in it", orUnknown(d.AllocatedSize),
		"inside", d.Summary, "boots by", string(facts.Boot.Mode), "min_disk", minDisk, "properties", optionsText(d.Properties),
		"becomes", d.Target.Format, "options", optionsText(d.Target.Options), "verified", d.Verify,
		"stored size", stored, "  by", d.Stored.Basis}
}

func costFields(f contract.Forecast) []string {
	out := []string{"staging", room(f.Staging), "store", room(f.Store), "quota", f.Quota}
	for _, c := range f.Checks {
		out = append(out, "proves", strings.TrimSpace(c.What+" "+c.Value))
	}
	for _, r := range f.Policies {
		for _, v := range r.Verdicts {
			out = append(out, "policy", fmt.Sprintf("%s: %s (%s, %s)", v.Outcome, v.Message, v.Rule, v.At))
		}
	}
	took := "unknown"
	if f.Time.Seconds >= 0 {
		took = fmt.Sprintf("about %v, by %s", time.Duration(math.Ceil(f.Time.Seconds))*time.Second, f.Time.Basis)
	}
	return append(out, "time", took,
		"dry run read", fmt.Sprintf("%s in %d requests, %.1f s", progress.Bytes(f.Read.Bytes), f.Read.Requests, f.Read.Seconds))
}

// room says whether there is enough.
func room(s contract.ForecastSpace) string {
	if s.Needed == 0 {
		return "nothing"
	}
	free := ""
	if s.Free >= 0 {
		free = ", free " + progress.Bytes(s.Free)
	}
	enough := "perhaps not enough"
	switch {
	case s.Enough == nil && s.Needed < 0, s.Free < 0:
		enough = "not known whether that is enough"
	case s.Enough == nil:
	case *s.Enough:
		enough = "enough"
	default:
		enough = "NOT ENOUGH"
	}
	return fmt.Sprintf("needs %s%s: %s", orUnknown(s.Needed), free, enough)
}

func orUnknown(n int64) string {
	if n < 0 {
		return "unknown"
	}
	return sizeField(&n)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
