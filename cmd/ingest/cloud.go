package main

import (
	"context"
	"os"
	"regexp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ingest/internal/client"
	"ingest/internal/cloud"
	"ingest/internal/errcode"
)

// cloudFlags say which OpenStack cloud's image service is asked.
type cloudFlags struct {
	name, region, face, ca string

	flags *pflag.FlagSet // those of all commands
}

func (f *cloudFlags) declare(root *cobra.Command) {
	fl := root.PersistentFlags()
	fl.StringVar(&f.name, "os-cloud", "", "cloud of clouds.yaml whose image service to ask (OS_CLOUD)")
	fl.StringVar(&f.region, "os-region-name", "", "region of that cloud (OS_REGION_NAME)")
	fl.StringVar(&f.face, "os-interface", "", "interface of that cloud: public, internal or admin (OS_INTERFACE; default public)")
	fl.StringVar(&f.ca, "os-cacert", "", "`FILE` of the authorities that servers' certificates are held against (OS_CACERT; default: the system's)")
	root.RegisterFlagCompletionFunc("os-cloud", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return cloud.Clouds(os.Getenv), cobra.ShellCompDirectiveNoFileComp
	})
	f.flags = fl
}

// given are the settings that stand in flags.
func (g *globals) given() cloud.Settings {
	s := cloud.Settings{cloud.Region: g.cloud.region, cloud.Interface: g.cloud.face, cloud.CACert: g.cloud.ca}
	if g.cloud.flags.Changed("server") {
		s[cloud.Endpoint] = g.server
	}
	if g.cloud.flags.Changed("token") {
		s["token"] = g.token
	}
	// Keystone's ids are 32 hexadecimal digits; what is none is a name.
	if key := "project_name"; g.project != "" {
		if projectID.MatchString(g.project) {
			key = "project_id"
		}
		s[key] = g.project
	}
	return s
}

var projectID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// client returns a client of the server that was named: by --server or INGEST_URL, or as
// the image service of a cloud, or the one on this machine.
func (g *globals) client() (*client.Client, error) {
	env := cloud.Environment(os.Getenv)
	if g.cloud.name == "" && (g.server != "" || g.token != "" || os.Getenv("OS_CLOUD") == "" && !env.Names()) {
		return g.direct(env)
	}
	name, layers := g.cloud.name, []cloud.Settings{g.given()}
	if name == "" {
		name = os.Getenv("OS_CLOUD")
	}
	if name != "" {
		s, err := cloud.Named(name, os.Getenv)
		if err != nil {
			return nil, err
		}
		layers = append(layers, s)
	}
	session, err := cloud.Open(context.Background(), cloud.Layered(append(layers, env)...))
	if err != nil {
		return nil, err
	}
	c, err := client.New(session.Endpoint(), "")
	if err != nil {
		return nil, errcode.Wrap(err, errcode.CloudConfig, "the address of the cloud's image service is not of the form https://HOST:PORT")
	}
	c.UseTLS(session.TLS())
	c.UseTokens(session)
	return c, nil
}

// direct returns a client of a server that is asked without a cloud around it.
func (g *globals) direct(env cloud.Settings) (*client.Client, error) {
	c, err := client.New(g.server, g.project)
	if err != nil {
		return nil, err
	}
	t, err := cloud.TLS(cloud.Layered(cloud.Settings{cloud.CACert: g.cloud.ca}, cloud.Settings{cloud.CACert: env[cloud.CACert]}))
	if err != nil {
		return nil, err
	}
	c.UseTLS(t)
	return c, c.UseToken(g.token)
}
