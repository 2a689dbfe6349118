package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ingest/api/wire"
	"ingest/internal/cli"
	"ingest/internal/client"
	"ingest/internal/webhook"
	httpsource "ingest/sources/http"
)

// tellWebhooks sends what waits in the catalogue's outbox, until the context ends. The
// addresses that may be reached are those of sources.
func (s *services) tellWebhooks(ctx context.Context) {
	sender := webhook.NewSender(s.catalogue, webhook.Options{
		Dial: httpsource.Dialer(httpOptions(s.c, nil)), HTTPSOnly: s.c.Fetch.HTTPSOnly, Version: version, Patience: webhook.Patience(), Log: s.log,
	})
	go sender.Run(ctx)
}

func newWebhookCommand(g *globals) *cobra.Command {
	return group("webhook", "Have an address told of the ends of tasks", "  ingest webhook add https://ci.example.org/hook\n  ingest webhook list",
		newWebhookAddCommand(g), newWebhookListCommand(g), newWebhookShowCommand(g), newWebhookRemoveCommand(g),
		newWebhookTestCommand(g), newWebhookEnableCommand(g), newWebhookVerifyCommand(g))
}

func newWebhookAddCommand(g *globals) *cobra.Command {
	var body wire.NewWebhook
	var secretFile string
	cmd := &cobra.Command{
		Use:   "add URL",
		Short: "Add a webhook, and show its secret once",
		Long: `Add a webhook, and show the secret by which its notices are signed. It is never shown
again. The address must be one that the server may reach: not a private one, unless
--allow-net of ingest serve admits it.`,
		Example: `  ingest webhook add https://ci.example.org/hook
  ingest webhook add https://ci.example.org/hook --event task.failure --description "page somebody"`,
		Args: cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			body.URL = args[0]
			if secretFile != "" {
				secret, err := readSecret(secretFile)
				if err != nil {
					return cli.Usage(cmd, "--secret-file: %v", err)
				}
				body.Secret = secret
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			w, err := c.AddWebhook(cmd.Context(), body)
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), w)
			}
			return cli.Fields(cmd.OutOrStdout(), "id", w.ID, "url", w.URL, "events", strings.Join(w.Events, " "), "secret", w.Secret)
		},
	}
	cmd.Flags().StringArrayVar(&body.Events, "event", nil, "what it is told of: task.success, task.failure, task.paused, task.resumed (repeatable; the first two if none is named)")
	cmd.Flags().StringVar(&body.Description, "description", "", "what it is for")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the secret, - for standard input; otherwise the server makes one")
	return cmd
}

// readSecret reads a secret from a file, which keeps it out of lists of processes.
func readSecret(path string) (string, error) {
	var raw []byte
	var err error
	if path == "-" {
		raw, err = io.ReadAll(io.LimitReader(os.Stdin, 4096))
	} else {
		raw, err = os.ReadFile(path)
	}
	return strings.TrimSpace(string(raw)), err
}

func newWebhookListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the project's webhooks",
		Example: `  ingest webhook list --json`,
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			all, err := c.Webhooks(cmd.Context())
			if err != nil {
				return err
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), wire.WebhookList{Webhooks: orEmpty(all)})
			}
			var rows [][]string
			for _, w := range all {
				rows = append(rows, []string{w.ID, stateOf(w), strings.Join(w.Events, " "), w.URL, w.Description})
			}
			return cli.Table(cmd.OutOrStdout(), []string{"WEBHOOK", "STATE", "EVENTS", "URL", "DESCRIPTION"}, rows)
		},
	}
}

// stateOf is how a webhook does, in a word.
func stateOf(w wire.Webhook) string {
	switch {
	case !w.Enabled:
		return "disabled"
	case w.FailingSince != nil:
		return "failing"
	}
	return "enabled"
}

func newWebhookShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show WEBHOOK",
		Short:   "Show a webhook with its last deliveries",
		Example: `  ingest webhook show 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: answered(g, func(ctx context.Context, c *client.Client, args []string) (wire.Webhook, error) {
			return c.Webhook(ctx, args[0])
		},
			func(cmd *cobra.Command, w wire.Webhook) error { return printWebhook(cmd.OutOrStdout(), w) }),
	}
}

func printWebhook(out io.Writer, w wire.Webhook) error {
	failing := ""
	if w.FailingSince != nil {
		failing = cli.Time(*w.FailingSince)
	}
	err := cli.Fields(out, "id", w.ID, "url", w.URL, "events", strings.Join(w.Events, " "), "description", w.Description, "state", stateOf(w),
		"failing since", failing, "disabled because", w.DisabledReason, "created", cli.Time(w.CreatedAt))
	if err != nil || len(w.Deliveries) == 0 {
		return err
	}
	var rows [][]string
	for _, d := range w.Deliveries {
		answer := ""
		if d.HTTPStatus > 0 {
			answer = strconv.Itoa(d.HTTPStatus)
		}
		rows = append(rows, []string{cli.Time(d.CreatedAt), d.Event, d.TaskID, d.Status, strconv.Itoa(d.Attempts), answer, d.Error})
	}
	fmt.Fprintln(out)
	return cli.Table(out, []string{"AT", "EVENT", "TASK", "STATUS", ">ATTEMPTS", ">ANSWER", "ERROR"}, rows)
}

func newWebhookRemoveCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "remove WEBHOOK",
		Short:   "Remove a webhook, and what has not been sent to it yet",
		Example: `  ingest webhook remove 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			if err := c.RemoveWebhook(cmd.Context(), args[0]); err != nil {
				return err
			}
			g.notice(cmd, "webhook %s is removed", args[0])
			return nil
		},
	}
}

func newWebhookEnableCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "enable WEBHOOK",
		Short:   "Tell a webhook again that was disabled because it took nothing",
		Example: `  ingest webhook enable 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: answered(g, func(ctx context.Context, c *client.Client, args []string) (wire.Webhook, error) {
			return c.EnableWebhook(ctx, args[0])
		},
			func(cmd *cobra.Command, w wire.Webhook) error {
				g.notice(cmd, "webhook %s is enabled (ingest webhook test %s tries it)", w.ID, w.ID)
				return nil
			}),
	}
}

// testPatience is how long the outcome of a test notice is waited for.
const testPatience = 15 * time.Second

func newWebhookTestCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "test WEBHOOK",
		Short:   "Send a test notice, and say what came of it",
		Example: `  ingest webhook test 4f6f2f5c-8d0e-4d0a-9a53-0e6a6f5f3f60`,
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			d, err := c.TestWebhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for end := time.Now().Add(testPatience); d.Attempts == 0 || d.Status == "pending" && d.Error == ""; {
				if time.Now().After(end) {
					break
				}
				time.Sleep(200 * time.Millisecond)
				w, err := c.Webhook(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				for _, one := range w.Deliveries {
					if one.ID == d.ID {
						d = one
					}
				}
			}
			if g.json {
				return cli.PrintJSON(cmd.OutOrStdout(), d)
			}
			if d.Status == "delivered" {
				g.notice(cmd, "delivered: the webhook answered %d", d.HTTPStatus)
				return nil
			}
			g.notice(cmd, "not delivered yet: %s (ingest webhook show %s tells more)", d.Error, args[0])
			return cli.ErrReported
		},
	}
}

func newWebhookVerifyCommand(g *globals) *cobra.Command {
	var secretFile, signature string
	var tolerance time.Duration
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check the signature of a notice, as a receiver does",
		Long: `Check the signature of a notice, as a receiver does: FILE is the body as it came, byte
by byte, - standard input. Nothing is asked of a server.`,
		Example: `  ingest webhook verify body.json --secret-file secret --signature t=1700000000,v1=0123 --tolerance 0`,
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if secretFile == "" || signature == "" {
				return cli.Usage(cmd, "--secret-file and --signature are needed")
			}
			secret, err := readSecret(secretFile)
			if err != nil {
				return cli.Usage(cmd, "--secret-file: %v", err)
			}
			in := io.Reader(os.Stdin)
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return cli.Usage(cmd, "%v", err)
				}
				defer f.Close()
				in = f
			}
			body, err := io.ReadAll(io.LimitReader(in, 1<<20))
			if err != nil {
				return err
			}
			if err := webhook.Verify(secret, signature, body, time.Now(), tolerance); err != nil {
				return reported(cmd, g, err)
			}
			g.notice(cmd, "the signature is right")
			return nil
		},
	}
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the webhook's secret, - for standard input")
	cmd.Flags().StringVar(&signature, "signature", "", "the Ingest-Signature header of the notice")
	cmd.Flags().DurationVar(&tolerance, "tolerance", webhook.Tolerance, "how long ago the notice may have been signed, 0 for any time")
	return cmd
}
