package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/metadata"
)

// Bounds of sending.
const (
	// timeout is how long one attempt may take, all in all.
	timeout = 10 * time.Second
	// lease is how long a claim holds: longer than an attempt, with what the catalogue
	// takes.
	lease = time.Minute
	// atOnce is how many attempts run side by side, each for another webhook.
	atOnce = 8
	// lookEvery is the time between two looks into the outbox.
	lookEvery = time.Second
	// maxAnswer is how much of an answer is read, so that the connection can be used
	// again. Nothing in it matters but the status.
	maxAnswer = 4 << 10
	// kept is how long deliveries that have ended are shown.
	kept = 7 * 24 * time.Hour
)

// Patience returns how long deliveries and webhooks are tried: a delivery for a day, and
// a webhook for five days in which it takes nothing of what it is sent.
func Patience() metadata.Patience {
	return metadata.Patience{First: 10 * time.Second, Longest: 4 * time.Hour, GiveUp: 24 * time.Hour, Disable: 5 * 24 * time.Hour}
}

// An Outbox keeps notices until they are taken. The catalogue is one.
type Outbox interface {
	ClaimDeliveries(ctx context.Context, limit int, lease time.Duration, busy ...string) ([]metadata.Claim, error)
	Settle(ctx context.Context, id string, o metadata.Outcome, p metadata.Patience) error
	DropDeliveries(ctx context.Context, before time.Time) error
}

// Options say how notices are sent.
type Options struct {
	// Dial connects; it must refuse addresses at which nobody else may make this host
	// knock.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is the client's configuration, nil for the system's.
	TLS *tls.Config
	// HTTPSOnly refuses webhooks without TLS.
	HTTPSOnly bool
	Version   string // of this program
	Patience  metadata.Patience
	Log       zerolog.Logger
}

// A Sender empties an outbox.
type Sender struct {
	outbox Outbox
	o      Options
	http   *http.Client

	mu   sync.Mutex
	busy map[string]bool // webhooks that are being told something
	jobs sync.WaitGroup
}

// NewSender returns a sender of what waits in the outbox.
func NewSender(outbox Outbox, o Options) *Sender {
	tr := &http.Transport{
		DialContext: o.Dial, TLSClientConfig: o.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout,
		MaxResponseHeaderBytes: 64 << 10, MaxIdleConns: 2 * atOnce, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
	}
	return &Sender{outbox: outbox, o: o, busy: map[string]bool{}, http: &http.Client{
		Transport: tr, Timeout: timeout,
		// A redirect could lead anywhere, and would turn the POST into a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Run sends what is due until the context ends, and waits for what is on its way.
func (s *Sender) Run(ctx context.Context) {
	defer s.http.CloseIdleConnections()
	defer s.jobs.Wait()
	look, tidy := time.NewTicker(lookEvery), time.NewTicker(time.Hour)
	defer look.Stop()
	defer tidy.Stop()
	for {
		if err := s.Once(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Warn().Err(err).Msg("look for notices to webhooks")
		}
		select {
		case <-look.C:
		case now := <-tidy.C:
			if err := s.outbox.DropDeliveries(ctx, now.Add(-kept)); err != nil && ctx.Err() == nil {
				s.o.Log.Warn().Err(err).Msg("remove old deliveries to webhooks")
			}
		case <-ctx.Done():
			return
		}
	}
}

// Once begins to send what is due, as far as there is room, and does not wait for it.
func (s *Sender) Once(ctx context.Context) error {
	s.mu.Lock()
	busy := slices.Collect(maps.Keys(s.busy))
	s.mu.Unlock()
	if len(busy) >= atOnce {
		return nil
	}
	claims, err := s.outbox.ClaimDeliveries(ctx, atOnce-len(busy), lease, busy...)
	for _, c := range claims {
		s.mu.Lock()
		s.busy[c.Webhook.ID] = true
		s.mu.Unlock()
		s.jobs.Go(func() {
			defer func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.busy, c.Webhook.ID)
			}()
			s.deliver(ctx, c)
		})
	}
	return err
}

// deliver makes one attempt and records what came of it. An attempt that a shutdown has
// cut off is nobody's failure: its claim runs out.
func (s *Sender) deliver(ctx context.Context, c metadata.Claim) {
	out := s.send(ctx, c)
	if ctx.Err() != nil && out.Error != "" {
		return
	}
	keep, stop := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer stop()
	if err := s.outbox.Settle(keep, c.Delivery.ID, out, s.o.Patience); err != nil {
		s.o.Log.Warn().Err(err).Str("webhook", c.Webhook.ID).Str("delivery", c.Delivery.ID).Msg("what came of a notice is not recorded, it is sent again")
		return
	}
	s.o.Log.Debug().Str("webhook", c.Webhook.ID).Str("delivery", c.Delivery.ID).Str("event", c.Delivery.Event).
		Int("status", out.HTTPStatus).Str("error", out.Error).Int("attempt", c.Delivery.Attempts).Msg("notice sent")
}

func (s *Sender) send(ctx context.Context, c metadata.Claim) metadata.Outcome {
	u, err := url.Parse(c.Webhook.URL)
	if err != nil || s.o.HTTPSOnly && u.Scheme != "https" {
		return metadata.Outcome{Error: "the operator sends notices by https only"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Webhook.URL, bytes.NewReader(c.Delivery.Body))
	if err != nil {
		return metadata.Outcome{Error: "the URL cannot be used"}
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "ingest/" + s.o.Version, "Ingest-Event": c.Delivery.Event,
		"Ingest-Delivery": c.Delivery.ID, SignatureHeader: Sign(c.Webhook.Secret, time.Now(), c.Delivery.Body),
	} {
		req.Header.Set(name, value)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return metadata.Outcome{Error: explain(err)}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	out := metadata.Outcome{HTTPStatus: resp.StatusCode}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		out.Error = fmt.Sprintf("answered %d, and redirects are not followed", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		out.Error = fmt.Sprintf("answered %d", resp.StatusCode)
	}
	return out
}

// explain says why there was no answer. Those who own a webhook read it, so it tells
// nothing of what stands at addresses inside: no address, and no text of the network.
func explain(err error) string {
	var coded *errcode.Error
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	var timed interface{ Timeout() bool }
	switch {
	case errors.As(err, &coded):
		return "the webhook's host has an address or a port that the operator does not allow"
	case errors.As(err, &cert):
		return "the host's certificate is not trusted"
	case errors.As(err, &dns):
		return "the host's name is not known"
	case errors.As(err, &timed) && timed.Timeout():
		return "no answer within " + timeout.String()
	}
	return "no connection"
}
