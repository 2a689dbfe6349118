package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/policy"
	"ingest/pipeline"
)

// policyEvery is how soon a changed policy file is in force.
const policyEvery = 2 * time.Second

// watchPolicy reads the policy again when its file changes, and at once on SIGHUP.
// Without a policy SIGHUP does what it always does.
func (s *services) watchPolicy(ctx context.Context) {
	if s.policy == nil {
		return
	}
	now := make(chan os.Signal, 1)
	signal.Notify(now, syscall.SIGHUP)
	go func() {
		defer signal.Stop(now)
		s.policy.Run(ctx, policyEvery, now)
	}()
}

func newPolicyCommand(g *globals) *cobra.Command {
	return group("policy", "Check, try and explain what projects may import",
		"  ingest policy check policy.yaml\n  ingest policy explain 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60",
		newPolicyCheckCommand(g), newPolicyTestCommand(g), newPolicyExplainCommand(g))
}

// A checked is what `ingest policy check --json` prints.
type checked struct {
	File     string                   `json:"file"`
	OK       bool                     `json:"ok"`
	Digest   string                   `json:"digest,omitempty"`
	Problems []policy.Problem         `json:"problems,omitempty"`
	Defaults []policy.Rule            `json:"defaults,omitempty"`
	Projects map[string][]policy.Rule `json:"projects,omitempty"`
}

func newPolicyCheckCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy file, and print the rules that are in force for each project",
		Long: `Check a policy file, and print the rules that are in force for each project.

Everything that is wrong is listed with its line, and the exit code is then 1. With
--project, only the rules of that project are printed.`,
		Example: `  ingest policy check policy.yaml
  ingest policy check policy.yaml --project acme --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, problems, err := policy.Read(args[0])
			if err != nil {
				return err
			}
			out := checked{File: filepath.Base(args[0]), OK: len(problems) == 0, Problems: problems}
			if p != nil {
				out.describe(p, projectFlag(cmd))
			}
			if g.json {
				if err := cli.PrintJSON(cmd.OutOrStdout(), out); err != nil {
					return err
				}
			} else if err := out.print(cmd.OutOrStdout()); err != nil {
				return err
			}
			if !out.OK {
				return cli.ErrReported
			}
			return nil
		},
	}
}

// projectFlag is --project, or INGEST_PROJECT; "" if neither names one.
func projectFlag(cmd *cobra.Command) string {
	f := cmd.Flags().Lookup("project")
	if f == nil {
		return ""
	}
	return f.Value.String()
}

func (c *checked) describe(p *policy.Policy, project string) {
	c.Digest = p.Digest()
	projects := p.Projects()
	if project != "" {
		projects = []string{project}
	} else {
		c.Defaults = p.Rules("")
	}
	c.Projects = map[string][]policy.Rule{}
	for _, name := range projects {
		c.Projects[name] = p.Rules(name)
	}
}

func (c *checked) print(out io.Writer) error {
	if !c.OK {
		for _, p := range c.Problems {
			where := c.File
			if p.Line > 0 {
				where += fmt.Sprintf(":%d", p.Line)
			}
			fmt.Fprintf(out, "%s: %s\n", where, p.Message)
		}
		return nil
	}
	fmt.Fprintf(out, "%s is right, %s\n", c.File, c.Digest)
	if c.Defaults != nil {
		if err := printRules(out, "every project", c.Defaults); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Projects)) {
		if err := printRules(out, "project "+name, c.Projects[name]); err != nil {
			return err
		}
	}
	return nil
}

func printRules(out io.Writer, of string, rules []policy.Rule) error {
	fmt.Fprintf(out, "\n%s\n", of)
	rows := make([][]string, 0, len(rules))
	for _, r := range rules {
		rows = append(rows, []string{fmt.Sprint(r.Line), r.ID, r.Says})
	}
	return cli.Table(out, []string{">LINE", "RULE", "SAYS"}, rows)
}

func newPolicyExplainCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "explain TASK",
		Short: "Say which rules were asked about a task, and which one decided",
		Long: `Say which rules were asked about a task, and which one decided.

Each line names the rule with file and line, what was judged and what came of it. A
request that is refused at its submission has no task; the answer names the rule.`,
		Example: `  ingest policy explain 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60
  ingest policy explain 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60 --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			got, err := c.TaskPolicy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), got)
			}
			return printTaskPolicy(cmd.OutOrStdout(), got)
		},
	}
}

func printTaskPolicy(out io.Writer, t wire.TaskPolicy) error {
	if len(t.Reports) == 0 {
		fmt.Fprintln(out, "no policy was asked about this task")
		return nil
	}
	for i, rep := range t.Reports {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := printPolicyReport(out, rep); err != nil {
			return err
		}
	}
	return printDecision(out, t.DeniedBy)
}

func printPolicyReport(out io.Writer, rep contract.PolicyReport) error {
	of := ""
	if rep.Disk > 0 {
		of = fmt.Sprintf(", disk %d", rep.Disk)
	}
	fmt.Fprintf(out, "%s%s: project %s, policy %s %s\n", rep.Point, of, rep.Project, rep.Policy, rep.Digest)
	if len(rep.Verdicts) == 0 {
		fmt.Fprintln(out, "  no rule has anything to say")
		return nil
	}
	rows := make([][]string, 0, len(rep.Verdicts))
	for _, v := range rep.Verdicts {
		rows = append(rows, []string{v.Outcome, v.At, v.Rule, v.Message})
	}
	return cli.Table(out, []string{"OUTCOME", "AT", "RULE", "BECAUSE"}, rows)
}

// printDecision says which verdict ended it.
func printDecision(out io.Writer, v *contract.PolicyVerdict) error {
	if v == nil {
		_, err := fmt.Fprintln(out, "\nnothing is denied")
		return err
	}
	fmt.Fprintln(out)
	cli.PrintDetail(out, wire.ErrorDetail{Code: v.Code, Message: fmt.Sprintf("%s (policy rule %s, %s)", v.Message, v.Rule, v.At), Evidence: v.Evidence, Remedy: v.Remedy}, false)
	return nil
}

// A trial is what `ingest policy test` is told.
type trial struct {
	file, source, format, to, container, compression string
	checksum, checksumFile, signature, keyring       string
	virtualSize, sourceBytes                         int64
	roles, facts, findings                           []string
}

func newPolicyTestCommand(g *globals) *cobra.Command {
	var t trial
	cmd := &cobra.Command{
		Use:   "test --source SOURCE",
		Short: "Say what a policy would hold of an import, without a server",
		Long: `Say what a policy would hold of an import, without a server and without reading SOURCE.

What the request would say is judged as at its submission; --format and the other
things that are only found out later, as at its validation. The exit code is 1 if
something is denied.`,
		Example: `  ingest policy test --policy policy.yaml --project acme --source https://cloud.debian.org/a.qcow2 --format qcow2
  ingest policy test --policy policy.yaml --source /srv/a.vmdk --format vmdk/streamOptimized --virtual-size 10737418240 --fact os_distro=debian`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.source == "" {
				return cli.Usage(cmd, "--source is missing")
			}
			reports, err := t.run(cmd, g.project)
			if err != nil {
				return err
			}
			return t.print(cmd, g, reports)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.file, "policy", os.Getenv("INGEST_POLICY"), "policy `FILE` (INGEST_POLICY)")
	f.Lookup("policy").DefValue = ""
	f.StringVar(&t.source, "source", "", "URL or path of the image")
	f.StringVar(&t.format, "format", "", "format that the image has, FORMAT or FORMAT/SUBFORMAT")
	f.StringVar(&t.to, "to", "", "format or preset that is stored; without it, the server's default is not judged")
	f.StringVar(&t.container, "container", "", "archive around the disk: ova, tar, zip, gce")
	f.StringVar(&t.compression, "compression", "", "compression around the file: gzip, xz, zstd, bzip2, zip")
	f.StringVar(&t.checksum, "checksum", "", "digest that the request gives")
	f.StringVar(&t.checksumFile, "checksum-file", "", "checksum file that the request gives")
	f.StringVar(&t.signature, "signature", "", "signature that the request gives")
	f.StringVar(&t.keyring, "keyring", "", "keyring that the request names")
	f.Int64Var(&t.virtualSize, "virtual-size", 0, "virtual size of the disk, bytes")
	f.Int64Var(&t.sourceBytes, "source-bytes", 0, "size of the source, bytes")
	f.StringArrayVar(&t.roles, "role", nil, "role of who asks; may be repeated")
	f.StringArrayVar(&t.facts, "fact", nil, "what inspection found, NAME=VALUE; may be repeated")
	f.StringArrayVar(&t.findings, "finding", nil, "code of a finding; may be repeated")
	return cmd
}

// run asks the policy.
func (t *trial) run(cmd *cobra.Command, project string) ([]contract.PolicyReport, error) {
	if t.file == "" {
		return nil, cli.Usage(cmd, "--policy FILE is missing")
	}
	p, err := policy.Load(t.file)
	if err != nil {
		return nil, err
	}
	format, sub, _ := strings.Cut(t.format, "/")
	req := contract.ImportRequest{Owner: project, Roles: t.roles, Target: contract.TargetSpec{Format: strings.ToLower(t.to)}, Source: contract.SourceSpec{
		URL: t.source, Format: format, Checksum: t.checksum, ChecksumFile: t.checksumFile, Signature: t.signature, Keyring: t.keyring}}
	reports := []contract.PolicyReport{p.Submission(req)}
	if format == "" {
		return reports, nil
	}
	target := req.Target
	if t.to != "" { // a preset is judged as what it stores
		if target, err = pipeline.CheckTarget(target); err != nil {
			return nil, err
		}
	}
	v := policy.Validation{Request: req, Facts: map[string]string{}, Target: target,
		Fetched:  contract.Fetched{Size: t.sourceBytes, SourceSize: t.sourceBytes, Layer: t.compression},
		Detected: contract.Detected{Format: format, Subformat: sub, VirtualSize: t.virtualSize, Container: t.container}}
	for _, fact := range t.facts {
		name, value, ok := strings.Cut(fact, "=")
		if !ok || name == "" {
			return nil, cli.Usage(cmd, "--fact %q is not of the form NAME=VALUE", fact)
		}
		v.Facts[name] = value
	}
	for _, code := range t.findings {
		if !errcode.Known(errcode.Code(code)) {
			return nil, cli.Usage(cmd, "--finding %q is no code (docs/errors.md)", code)
		}
		v.Findings = append(v.Findings, policy.Finding{Code: errcode.Code(code), Message: errcode.Lookup(errcode.Code(code)).Meaning})
	}
	return append(reports, p.Validation(v)), nil
}

// print prints what the policy said, and fails if it denies.
func (t *trial) print(cmd *cobra.Command, g *globals, reports []contract.PolicyReport) error {
	out := wire.TaskPolicy{Reports: reports}
	for _, rep := range reports {
		if v, denied := rep.Denied(); denied && out.DeniedBy == nil {
			out.DeniedBy = &v
		}
	}
	var err error
	if g.json {
		err = cli.PrintJSON(cmd.OutOrStdout(), out)
	} else {
		err = printTaskPolicy(cmd.OutOrStdout(), out)
	}
	if err == nil && out.DeniedBy != nil {
		err = cli.ErrReported
	}
	return err
}
