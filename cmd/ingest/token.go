package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"ingest/internal/cli"
	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/internal/identity/devkeystone"
	"ingest/internal/identity/tokenfile"
)

func newTokenCommand(g *globals) *cobra.Command {
	return group("token", "Make, list and revoke tokens of a server that runs with --auth token",
		`  ingest token create ci --project acme --user robot --role member --expires-in 2160h
  ingest token list
  ingest token revoke ci`,
		newTokenCreateCommand(g), newTokenListCommand(g), newTokenRevokeCommand(g), newTokenHashCommand(g))
}

// tokensFlag declares the flags that say where the file is: as the server's.
func tokensFlag(cmd *cobra.Command) func() string {
	file := cmd.Flags().String("tokens", os.Getenv("INGEST_TOKENS"), "`FILE` of tokens (INGEST_TOKENS; default: tokens.json in the data folder)")
	dir := cmd.Flags().String("data-dir", os.Getenv("INGEST_DATA_DIR"), "the server's data folder (INGEST_DATA_DIR; default ./ingest-data)")
	cmd.Flags().Lookup("tokens").DefValue, cmd.Flags().Lookup("data-dir").DefValue = "", ""
	return func() string {
		switch {
		case *file != "":
			return *file
		case *dir != "":
			return filepath.Join(*dir, "tokens.json")
		}
		return filepath.Join("ingest-data", "tokens.json")
	}
}

func newTokenCreateCommand(g *globals) *cobra.Command {
	var t tokenfile.Token
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token and print it, once",
		Long: `Make a token and print it. It is told this once: the file holds a digest of it.

A server that runs takes it at once. Give it to the command line as INGEST_TOKEN, to
others as the header X-Auth-Token, or as "Authorization: Bearer".`,
		Example: `  ingest token create ci --project acme --user robot --role member --expires-in 2160h
  INGEST_TOKEN=$(ingest token create me --role admin --quiet) ingest image list
  ingest token create me --role admin --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
	}
	path := tokensFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&t.User, "user", "", "id of the user whom it stands for (default: NAME)")
	f.StringArrayVar(&t.Roles, "role", []string{identity.Member}, "role of the user in the project: admin, member, reader, service; may be repeated")
	f.DurationVar(&life, "expires-in", 0, "how long it is good (0: until it is revoked)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if t.Name = args[0]; t.User == "" {
			t.User = t.Name
		}
		if t.Project = g.project; t.Project == "" {
			t.Project = identity.DefaultProject
		}
		if life < 0 {
			return cli.Usage(cmd, "--expires-in %s is less than 0s", life)
		}
		if life > 0 {
			end := time.Now().UTC().Add(life).Truncate(time.Second)
			t.Expires = &end
		}
		file := path()
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return errcode.Wrap(err, errcode.IdentityFile, "make the folder of the tokens: %v", err)
		}
		secret, made, err := tokenfile.Create(file, t, time.Now())
		if err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), struct {
				Token string `json:"token"`
				shownToken
			}{secret, listedToken(made)})
		}
		g.notice(cmd, "token %s of user %s in project %s (%s), %s; it is not shown again:", made.Name, made.User, made.Project, strings.Join(made.Roles, ", "), until(made))
		_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
		return err
	}
	return cmd
}

// shownToken is what is told of a token: never its digest.
type shownToken struct {
	Name    string     `json:"name"`
	Project string     `json:"project"`
	User    string     `json:"user"`
	Roles   []string   `json:"roles"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires"`
	Last4   string     `json:"last4"`
}

func listedToken(t tokenfile.Token) shownToken {
	return shownToken{t.Name, t.Project, t.User, t.Roles, t.Created, t.Expires, t.Last4}
}

func until(t tokenfile.Token) string {
	if t.Expires == nil {
		return "until it is revoked"
	}
	return "until " + t.Expires.Format(time.RFC3339)
}

func newTokenListCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tokens by name, never the tokens themselves",
		Example: `  ingest token list
  ingest token list --tokens /etc/ingest/tokens.json --json`,
		Args: cli.Args(cobra.NoArgs),
	}
	path := tokensFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := tokenfile.List(path())
		if err != nil {
			return err
		}
		all, rows := []shownToken{}, [][]string{}
		for _, t := range list {
			expires := "never"
			if t.Expires != nil {
				expires = t.Expires.Format(time.RFC3339)
			}
			if t.Expires != nil && !time.Now().Before(*t.Expires) {
				expires += " (ended)"
			}
			all = append(all, listedToken(t))
			rows = append(rows, []string{t.Name, t.Project, t.User, strings.Join(t.Roles, ","), t.Created.Format(time.RFC3339), expires, "…" + t.Last4})
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"tokens": all})
		}
		return cli.Table(cmd.OutOrStdout(), []string{"NAME", "PROJECT", "USER", "ROLES", "CREATED", "EXPIRES", "TOKEN"}, rows)
	}
	return cmd
}

func newTokenRevokeCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "End a token; a server that runs refuses it at once",
		Example: `  ingest token revoke ci
  ingest token revoke ci --tokens /etc/ingest/tokens.json --json`,
		Args: cli.Args(cobra.ExactArgs(1)),
	}
	path := tokensFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		file := path()
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			return errcode.New(errcode.NotFound, "there is no token %q: there is no file %s", errcode.Shown(args[0]), file)
		}
		if err := tokenfile.Revoke(file, args[0]); err != nil {
			return err
		}
		if g.json {
			return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"revoked": args[0]})
		}
		g.notice(cmd, "token %s is revoked", args[0])
		return nil
	}
	return cmd
}

func newTokenHashCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "hash-password",
		Short: "Hash a password for the file of --identity-users",
		Long: `Hash a password, which is read from the terminal or from standard input, for the file
that ingest serve --identity-users reads.`,
		Example: `  ingest token hash-password
  echo secret | ingest token hash-password --json`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd)
			if err != nil {
				return err
			}
			hash, err := devkeystone.HashPassword(password)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), map[string]any{"password": hash})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), hash)
			return err
		},
	}
}

// readPassword reads a line, which a terminal does not show.
func readPassword(cmd *cobra.Command) (string, error) {
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "password: ")
		raw, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(raw), err
	}
	line, err := bufio.NewReader(io.LimitReader(cmd.InOrStdin(), 1<<10)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
