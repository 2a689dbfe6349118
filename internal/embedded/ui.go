//go:build !noembed && unix

package embedded

import (
	"context"
	"fmt"
	"net"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

// ui is the web interface on a loopback port of its own.
type ui struct {
	addr   string
	server *uiserver.Server
	done   chan struct{} // closed once the server has ended
}

// startUI returns once the interface answers. The UI server ends the process
// if it cannot listen, so the port is tried first.
func startUI(ctx context.Context, frontend, namespace string, port int) (*ui, error) {
	ln, err := listen(port)
	if err != nil {
		return nil, fmt.Errorf("listen for the Temporal web interface: %w", err)
	}
	addr := ln.Addr().(*net.TCPAddr)
	if err := ln.Close(); err != nil {
		return nil, fmt.Errorf("listen for the Temporal web interface: %w", err)
	}
	cfg := &uiconfig.Config{
		Host:                addr.IP.String(),
		Port:                addr.Port,
		TemporalGRPCAddress: frontend,
		DefaultNamespace:    namespace,
		EnableUI:            true,
		HideLogs:            true,
		DisableNewsFetch:    true, // nothing here calls home
		// Plain HTTP on loopback: a Secure cookie would not come back.
		CORS: uiconfig.CORS{CookieInsecure: true, AllowOrigins: []string{"http://" + addr.String()}},
	}
	u := &ui{addr: addr.String(), server: uiserver.NewServer(uioptions.WithConfigProvider(cfg)), done: make(chan struct{})}
	go func() {
		defer close(u.done)
		_ = u.server.Start() // always nil: other errors end the process
	}()
	if err := u.await(ctx); err != nil {
		u.stop()
		return nil, err
	}
	return u, nil
}

func (u *ui) await(ctx context.Context) error {
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "tcp", u.addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the Temporal web interface: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (u *ui) stop() {
	u.server.Stop()
	<-u.done
}
