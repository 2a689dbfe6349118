package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ingest/internal/access"
	"ingest/internal/cli"
	"ingest/internal/errcode"
	"ingest/internal/identity"
)

func newAccessCommand(g *globals) *cobra.Command {
	return group("access", "Show and try the rules of what callers may do",
		"  ingest access list --rules policy.yaml\n  ingest access check publicize_image --role member --caller-project acme --owner acme",
		newAccessListCommand(g), newAccessCheckCommand(g))
}

// ruleFile is where the commands take rules from.
type ruleFile struct {
	path string
	auth string
}

func (f *ruleFile) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "rules", os.Getenv("INGEST_ACCESS_RULES"), "`FILE` of rules over the built-in ones (INGEST_ACCESS_RULES)")
	cmd.Flags().Lookup("rules").DefValue = ""
	cmd.Flags().StringVar(&f.auth, "auth", "token", "mode of the server whose built-in rules these are: none, token, keystone")
}

// base are the built-in rules.
func (f *ruleFile) base(cmd *cobra.Command) (*access.Rules, error) {
	switch f.auth {
	case "none":
		return access.Open(), nil
	case "token", "keystone":
		return access.Standard(), nil
	}
	return nil, cli.Usage(cmd, "--auth %q is not one of none, token and keystone", f.auth)
}

// read returns the rules, or what is wrong with the file.
func (f *ruleFile) read(cmd *cobra.Command) (*access.Rules, []access.Problem, error) {
	base, err := f.base(cmd)
	if err != nil || f.path == "" {
		return base, nil, err
	}
	return access.ReadRules(f.path, base)
}

// An accessList is what `ingest access list --json` prints.
type accessList struct {
	OK       bool             `json:"ok"`
	Digest   string           `json:"digest,omitempty"`
	Problems []access.Problem `json:"problems,omitempty"`
	Unused   []access.Problem `json:"unused,omitempty"`
	Rules    []access.Rule    `json:"rules,omitempty"`
}

func newAccessListCommand(g *globals) *cobra.Command {
	var f ruleFile
	var changed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the rules that are in force, and where each comes from",
		Long: `Print the rules that are in force, and where each comes from.

Without --rules, these are the built-in ones. Everything that is wrong with the file is
listed with its line, and the exit code is then 1. No server is asked.`,
		Example: `  ingest access list
  ingest access list --rules policy.yaml --changed
  ingest access list --auth none --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, problems, err := f.read(cmd)
			if err != nil {
				return err
			}
			out := accessList{OK: len(problems) == 0, Problems: problems}
			if r != nil {
				out.Digest, out.Unused, out.Rules = r.Digest(), r.Unused(), r.List()
			}
			if changed {
				out.Rules = slices.DeleteFunc(out.Rules, func(r access.Rule) bool { return r.Source == "default" })
			}
			if g.json {
				err = cli.PrintJSON(cmd.OutOrStdout(), out)
			} else {
				err = out.print(cmd.OutOrStdout(), filepath.Base(f.path))
			}
			if err == nil && !out.OK {
				err = cli.ErrReported
			}
			return err
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&changed, "changed", false, "only those that the file says")
	return cmd
}

func (l accessList) print(out io.Writer, file string) error {
	for _, p := range slices.Concat(l.Problems, l.Unused) {
		where := file
		if p.Line > 0 {
			where += fmt.Sprintf(":%d", p.Line)
		}
		fmt.Fprintf(out, "%s: %s\n", where, cli.Clean(p.Message))
	}
	if !l.OK {
		return nil
	}
	rows := make([][]string, 0, len(l.Rules))
	for _, r := range l.Rules {
		check := r.Check
		if check == "" {
			check = "@"
		}
		rows = append(rows, []string{r.Name, r.Source, check})
	}
	return cli.Table(out, []string{"RULE", "SOURCE", "SAYS"}, rows)
}

// An asked is who would ask for what.
type asked struct {
	project, user, owner, visibility string
	roles, target                    []string
	member                           bool
}

// A judgement is what `ingest access check --json` prints.
type judgement struct {
	Rule    access.Rule `json:"rule"`
	Allowed bool        `json:"allowed"`
	Admin   bool        `json:"admin"` // sees what belongs to others
}

func newAccessCheckCommand(g *globals) *cobra.Command {
	var f ruleFile
	var a asked
	cmd := &cobra.Command{
		Use:   "check RULE",
		Short: "Say whether a rule would allow a caller something",
		Long: `Say whether a rule would allow a caller something.

The caller is described by --role, --caller-project and --user, what is asked for by
--owner (by default the caller's own project), --visibility, --member and --target. The
exit code is 1 if it is not allowed. No server is asked.`,
		Example: `  ingest access check modify_image --role member --caller-project acme --owner other
  ingest access check get_image --role reader --caller-project acme --owner other --visibility shared --member
  ingest access check publicize_image --rules policy.yaml --role image_maker --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			base, err := f.base(cmd)
			if err == nil && f.path != "" {
				base, err = access.LoadRules(f.path, base)
			}
			if err != nil {
				return err
			}
			j, err := a.judge(cmd, base, args[0])
			if err != nil {
				return err
			}
			if g.json {
				err = cli.PrintJSON(cmd.OutOrStdout(), j)
			} else {
				err = j.print(cmd.OutOrStdout())
			}
			if err == nil && !j.Allowed {
				err = cli.ErrReported
			}
			return err
		},
	}
	f.flags(cmd)
	fl := cmd.Flags()
	fl.StringArrayVar(&a.roles, "role", nil, "role of the caller; may be repeated")
	fl.StringVar(&a.project, "caller-project", "default", "project of the caller")
	fl.StringVar(&a.user, "user", "", "user who asks")
	fl.StringVar(&a.owner, "owner", "", "project that owns what is asked for (default: the caller's)")
	fl.StringVar(&a.visibility, "visibility", "private", "its visibility: private, shared, community, public")
	fl.BoolVar(&a.member, "member", false, "it is shared with the caller's project")
	fl.StringArrayVar(&a.target, "target", nil, "a further value of what is asked for, NAME=VALUE; may be repeated")
	return cmd
}

func (a *asked) judge(cmd *cobra.Command, rules *access.Rules, name string) (judgement, error) {
	rule, ok := rules.Rule(name)
	if !ok {
		return judgement{}, errcode.New(errcode.NotFound, "there is no rule %q", name).
			With(errcode.Evidence{Structure: "access rules", Field: name})
	}
	owner := a.owner
	if owner == "" {
		owner = a.project
	}
	t := access.NewTarget(owner)
	t.Set("visibility", a.visibility)
	t.Set("member_id", "")
	if a.member {
		t.Set("member_id", a.project)
	}
	for _, pair := range a.target {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return judgement{}, cli.Usage(cmd, "--target %q is not of the form NAME=VALUE", pair)
		}
		t.Set(key, value)
	}
	who := identity.Caller{Project: a.project, User: a.user, Roles: a.roles}
	return judgement{Rule: rule, Allowed: rules.Allows(name, who, t), Admin: rules.Administers(who)}, nil
}

func (j judgement) print(out io.Writer) error {
	verdict := "not allowed"
	if j.Allowed {
		verdict = "allowed"
	}
	_, err := fmt.Fprintf(out, "%s: %s (%s) says: %s\n", verdict, j.Rule.Name, j.Rule.Source, cli.Clean(j.Rule.Check))
	return err
}
