package api

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"ingest/api/wire"
	"ingest/internal/access"
	"ingest/metadata"
)

// Bounds of what is said of a webhook.
const (
	maxWebhookURL  = 1000
	maxWebhookText = 200
	minSecret      = 16
	maxSecret      = 128
	// shownDeliveries is how many of the last deliveries are shown with a webhook.
	shownDeliveries = 20
)

// secretPrefix tells people, and those who search for leaked secrets, what it is.
const secretPrefix = "whsec_"

func (a *api) webhookRoutes() []route {
	return []route{
		{"GET", "/v1/webhooks", a.listWebhooks},
		{"POST", "/v1/webhooks", a.addWebhook},
		{"GET", "/v1/webhooks/{id}", a.showWebhook},
		{"DELETE", "/v1/webhooks/{id}", a.removeWebhook},
		{"POST", "/v1/webhooks/{id}/test", a.testWebhook},
		{"POST", "/v1/webhooks/{id}/enable", a.enableWebhook},
	}
}

func (a *api) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "ingest:webhooks"); err != nil {
		return err
	}
	all, err := a.Catalogue.Webhooks(r.Context(), caller(r).Project)
	if err != nil {
		return err
	}
	out := wire.WebhookList{Webhooks: make([]wire.Webhook, 0, len(all))}
	for _, one := range all {
		out.Webhooks = append(out.Webhooks, webhookOf(one))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (a *api) addWebhook(w http.ResponseWriter, r *http.Request) error {
	if err := a.mayAct(r, "ingest:webhooks"); err != nil {
		return err
	}
	var body wire.NewWebhook
	if err := decode(r, &body); err != nil {
		return err
	}
	if len(body.Events) == 0 {
		body.Events = []string{metadata.TaskSucceeded, metadata.TaskFailed}
	}
	if err := checkWebhook(body); err != nil {
		return err
	}
	if body.Secret == "" {
		body.Secret = newSecret()
	}
	made, err := a.Catalogue.AddWebhook(r.Context(), metadata.Webhook{
		Owner: caller(r).Project, URL: body.URL, Events: unique(body.Events), Secret: body.Secret, Description: body.Description,
	})
	if err != nil {
		return err
	}
	out := webhookOf(made)
	out.Secret = made.Secret
	w.Header().Set("Location", "/v1/webhooks/"+made.ID)
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, http.StatusCreated, out)
	return nil
}

func (a *api) showWebhook(w http.ResponseWriter, r *http.Request) error {
	one, err := a.webhookFor(r)
	if err != nil {
		return err
	}
	last, err := a.Catalogue.Deliveries(r.Context(), one.ID, shownDeliveries)
	if err != nil {
		return err
	}
	out := webhookOf(one)
	for _, d := range last {
		out.Deliveries = append(out.Deliveries, deliveryOf(d))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

func (a *api) removeWebhook(w http.ResponseWriter, r *http.Request) error {
	one, err := a.webhookFor(r)
	if err == nil {
		err = a.Catalogue.RemoveWebhook(r.Context(), one.ID)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// testWebhook sends a notice that says nothing but that notices come. What came of it
// stands among the webhook's deliveries.
func (a *api) testWebhook(w http.ResponseWriter, r *http.Request) error {
	one, err := a.webhookFor(r)
	if err != nil {
		return err
	}
	d, err := a.Catalogue.TestWebhook(r.Context(), one.ID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusAccepted, deliveryOf(d))
	return nil
}

// enableWebhook tells a webhook again of what happens, that was disabled because it took
// nothing for too long.
func (a *api) enableWebhook(w http.ResponseWriter, r *http.Request) error {
	one, err := a.webhookFor(r)
	if err == nil {
		one, err = a.Catalogue.EnableWebhook(r.Context(), one.ID)
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, webhookOf(one))
	return nil
}

// webhookFor returns the webhook that a path names. One of another project is answered
// like one that does not exist.
func (a *api) webhookFor(r *http.Request) (metadata.Webhook, error) {
	id := r.PathValue("id")
	one, err := a.Catalogue.Webhook(r.Context(), id)
	if err != nil {
		return metadata.Webhook{}, unseen(err, "webhook", id)
	}
	if one.Owner != caller(r).Project && !a.administers(r) {
		return metadata.Webhook{}, notFound("webhook", id)
	}
	return one, a.judge(r, "ingest:webhooks", access.NewTarget(one.Owner))
}

// checkWebhook checks what the server is told to tell, and where. Whether the address may
// be reached is found out at each delivery: names change what they mean.
func checkWebhook(b wire.NewWebhook) error {
	u, err := url.Parse(b.URL)
	switch {
	case b.URL == "":
		return badField("url", "", "the URL is missing")
	case len(b.URL) > maxWebhookURL || !utf8.ValidString(b.URL):
		return badField("url", "", "the URL is longer than %d bytes, or no UTF-8", maxWebhookURL)
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return badField("url", "", "expected https://HOST/PATH")
	case u.User != nil:
		return badField("url", "", "the URL holds a user: who sends is proved by the signature")
	case u.Fragment != "":
		return badField("url", "", "the URL has a fragment, which is never sent")
	case b.Secret != "" && (len(b.Secret) < minSecret || len(b.Secret) > maxSecret || strings.Trim(b.Secret, idAlphabet+"+/=") != ""):
		return badField("secret", "", "a secret has %d to %d letters, digits, and -_.+/=", minSecret, maxSecret)
	case utf8.RuneCountInString(b.Description) > maxWebhookText || !utf8.ValidString(b.Description) || strings.ContainsRune(b.Description, 0):
		return badField("description", "", "the description is longer than %d characters", maxWebhookText)
	}
	for _, event := range b.Events {
		if !slices.Contains(metadata.WebhookEvents(), event) {
			return badField("events", event, "expected some of %s", strings.Join(metadata.WebhookEvents(), ", "))
		}
	}
	return nil
}

// newSecret returns 256 random bits.
func newSecret() string {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func webhookOf(w metadata.Webhook) wire.Webhook {
	return wire.Webhook{
		ID: w.ID, URL: w.URL, Events: w.Events, Description: w.Description, Enabled: w.DisabledAt == nil,
		FailingSince: w.FailingSince, DisabledAt: w.DisabledAt, DisabledReason: w.DisabledReason,
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt,
	}
}

func deliveryOf(d metadata.Delivery) wire.Delivery {
	out := wire.Delivery{
		ID: d.ID, Event: d.Event, TaskID: d.TaskID, Status: d.Status, Attempts: d.Attempts, HTTPStatus: d.HTTPStatus,
		Error: d.Error, CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt,
	}
	if d.Status == metadata.DeliveryPending {
		out.NextAt = &d.NextAt
	}
	return out
}
