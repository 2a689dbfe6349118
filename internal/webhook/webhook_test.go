package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/errcode"
	"ingest/metadata"
	"ingest/metadata/sqlite"
	httpsource "ingest/sources/http"
)

// TestSignature holds Sign against a value that openssl has made:
//
//	printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac whsec_test
func TestSignature(t *testing.T) {
	at, body := time.Unix(1700000000, 0), []byte(`{"a":1}`)
	const want = "t=1700000000,v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789"
	got := Sign("whsec_test", at, body)
	if got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	for _, c := range []struct {
		name, secret, header, body string
		now                        time.Time
		ok                         bool
	}{
		{"right", "whsec_test", got, `{"a":1}`, at, true},
		{"an old secret beside it", "whsec_test", got + ",v1=00ff", `{"a":1}`, at.Add(Tolerance), true},
		{"another secret", "whsec_other", got, `{"a":1}`, at, false},
		{"another body", "whsec_test", got, `{"a":2}`, at, false},
		{"another time", "whsec_test", strings.Replace(got, "1700000000", "1700000001", 1), `{"a":1}`, at, false},
		{"too old", "whsec_test", got, `{"a":1}`, at.Add(Tolerance + time.Second), false},
		{"from the future", "whsec_test", got, `{"a":1}`, at.Add(-Tolerance - time.Second), false},
		{"no header", "whsec_test", "", `{"a":1}`, at, false},
		{"no signature", "whsec_test", "t=1700000000", `{"a":1}`, at, false},
		{"no hex", "whsec_test", "t=1700000000,v1=zz", `{"a":1}`, at, false},
	} {
		err := Verify(c.secret, c.header, []byte(c.body), c.now, Tolerance)
		if (err == nil) != c.ok || err != nil && errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A receiver remembers what it was sent, and answers as it is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []metadata.Notice
	secret string
	t      *testing.T
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = Verify(r.secret, req.Header.Get(SignatureHeader), body, time.Now(), Tolerance)
	}
	var n metadata.Notice
	if err == nil {
		err = json.Unmarshal(body, &n)
	}
	if err != nil || req.Method != "POST" || req.Header.Get("Ingest-Delivery") != n.ID || req.Header.Get("Ingest-Event") != n.Event {
		r.t.Errorf("%s %v %s: %v", req.Method, req.Header, body, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, n)
	if r.status/100 == 3 {
		w.Header().Set("Location", "http://127.0.0.1:1/")
	}
	w.WriteHeader(r.status)
}

func (r *receiver) answer(status int) { r.mu.Lock(); r.status = status; r.mu.Unlock() }

// bench is a catalogue with a webhook that the receiver answers.
func bench(t *testing.T, o Options) (*metadata.Catalogue, *receiver, metadata.Webhook, *Sender) {
	t.Helper()
	repo, err := sqlite.Open(filepath.Join(t.TempDir(), "catalogue.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	cat := metadata.New(repo)
	r := &receiver{status: 204, secret: "whsec_sixteen-and-more", t: t}
	r.Server = httptest.NewTLSServer(r)
	t.Cleanup(r.Close)
	w, err := cat.AddWebhook(t.Context(), metadata.Webhook{Owner: "p", URL: r.URL + "/hook", Secret: r.secret, Events: metadata.WebhookEvents()})
	if err != nil {
		t.Fatal(err)
	}
	if o.Dial == nil {
		o.Dial = httpsource.Dialer(httpsource.Options{AllowNets: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	}
	if o.TLS == nil {
		roots := x509.NewCertPool()
		roots.AddCert(r.Certificate())
		o.TLS = &tls.Config{RootCAs: roots}
	}
	o.Log, o.Patience = zerolog.Nop(), metadata.Patience{First: time.Millisecond, Longest: 10 * time.Millisecond, GiveUp: time.Hour, Disable: time.Hour}
	return cat, r, w, NewSender(cat, o)
}

// sendTest sends a test notice once and returns what came of it.
func sendTest(t *testing.T, cat *metadata.Catalogue, w metadata.Webhook, s *Sender) metadata.Delivery {
	t.Helper()
	if _, err := cat.TestWebhook(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.jobs.Wait()
	ds, err := cat.Deliveries(t.Context(), w.ID, 1)
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	return ds[0]
}

func TestANoticeIsTakenOnce(t *testing.T) {
	cat, r, w, s := bench(t, Options{})
	if d := sendTest(t, cat, w, s); d.Status != metadata.DeliveryDelivered || d.HTTPStatus != 204 || d.Attempts != 1 || d.Error != "" {
		t.Errorf("delivery %+v", d)
	}
	for range 3 {
		if err := s.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.jobs.Wait()
	if len(r.got) != 1 {
		t.Errorf("it was sent %d times", len(r.got))
	}
}

func TestANoticeIsTriedUntilItIsTaken(t *testing.T) {
	for _, c := range []struct {
		status int
		says   string
	}{{500, "answered 500"}, {302, "redirects are not followed"}, {404, "answered 404"}} {
		cat, r, w, s := bench(t, Options{})
		r.answer(c.status)
		if d := sendTest(t, cat, w, s); d.Status != metadata.DeliveryPending || d.HTTPStatus != c.status || !strings.Contains(d.Error, c.says) {
			t.Errorf("%d: delivery %+v", c.status, d)
		}
		r.answer(200)
		delivered(t, cat, w, s)
	}
}

// delivered runs the sender until all is taken.
func delivered(t *testing.T, cat *metadata.Catalogue, w metadata.Webhook, s *Sender) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ds, err := cat.Deliveries(t.Context(), w.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, d := range ds {
			if d.Status != metadata.DeliveryDelivered {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d notices are not taken", left, len(ds))
		}
	}
}

func TestWhatIsSaidOfNoAnswer(t *testing.T) {
	guarded := httpsource.Dialer(httpsource.Options{})
	for _, c := range []struct {
		name string
		o    Options
		url  string
		says string
	}{
		{"an address inside", Options{Dial: guarded}, "", "does not allow"},
		{"a metadata service", Options{Dial: guarded}, "http://169.254.169.254/latest", "does not allow"},
		{"nobody listens", Options{}, "http://127.0.0.1:1/", "no connection"},
		{"an unknown certificate", Options{TLS: &tls.Config{}}, "", "certificate"},
		{"no name", Options{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "secret.internal", IsNotFound: true}
		}}, "", "name is not known"},
		{"no TLS", Options{HTTPSOnly: true}, "http://127.0.0.1:1/", "https only"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cat, r, w, s := bench(t, c.o)
			if c.url != "" {
				var err error
				if w, err = cat.AddWebhook(t.Context(), metadata.Webhook{Owner: "p", URL: c.url, Secret: "x"}); err != nil {
					t.Fatal(err)
				}
			}
			d := sendTest(t, cat, w, s)
			if !strings.Contains(d.Error, c.says) || d.HTTPStatus != 0 || d.Status != metadata.DeliveryPending {
				t.Errorf("delivery %+v, want %q", d, c.says)
			}
			if strings.Contains(d.Error, "127.0.0.1") || strings.Contains(d.Error, "internal") || len(r.got) > 0 {
				t.Errorf("it tells too much: %q, sent %v", d.Error, r.got)
			}
		})
	}
}

// A webhook that hangs keeps its own notices waiting, and nobody else's.
func TestAWebhookThatHangsHoldsUpNobody(t *testing.T) {
	cat, r, w, s := bench(t, Options{})
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	hung, err := cat.AddWebhook(t.Context(), metadata.Webhook{Owner: "p", URL: slow.URL, Secret: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := cat.TestWebhook(t.Context(), hung.ID); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		if _, err := cat.TestWebhook(t.Context(), w.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.http.Timeout = time.Minute // the one that hangs is not given up while the others are told
	ctx, stop := context.WithCancel(t.Context())
	defer func() { stop(); s.jobs.Wait() }()
	sent := func() int { r.mu.Lock(); defer r.mu.Unlock(); return len(r.got) }
	for end := time.Now().Add(30 * time.Second); sent() < 20 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err := s.Once(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if sent() != 20 {
		t.Errorf("%d of 20 notices came through beside a webhook that hangs", sent())
	}
}
