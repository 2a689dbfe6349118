package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ingest/api/wire"
	"ingest/internal/webhook"
)

func TestWebhookCommands(t *testing.T) {
	m := newMachine(t, succeed)
	m.ingest("webhook", "list").want(t, 0, `WEBHOOK  STATE .*\n`, "")
	o := m.ingest("webhook", "add", "https://example.org/h", "--event", "task.failure", "--description", "page somebody", "--json").want(t, 0, `.*`, "")
	var made wire.Webhook
	if err := json.Unmarshal([]byte(o.out), &made); err != nil || !strings.HasPrefix(made.Secret, "whsec_") {
		t.Fatalf("%v in %s", err, o.out)
	}
	m.ingest("webhook", "list").want(t, 0, `WEBHOOK .*\n`+made.ID+`  enabled  task.failure  https://example.org/h  page somebody\n`, "")
	o = m.ingest("webhook", "show", made.ID).want(t, 0, `id +`+made.ID+`\n.*state +enabled\n.*`, "")
	if strings.Contains(o.out, made.Secret) {
		t.Error("the secret is shown again")
	}
	m.ingest("webhook", "add", "https://example.org/h", "--event", "task.odd").want(t, 1, "", `error: BAD_REQUEST .*`)
	m.ingest("webhook", "add", "ftp://example.org/h").want(t, 1, "", `error: BAD_REQUEST .*`)
	m.ingest("webhook", "enable", made.ID).want(t, 0, "", `webhook .* is enabled.*`)
	m.ingest("webhook", "remove", made.ID).want(t, 0, "", `webhook .* is removed\n`)
	m.ingest("webhook", "remove", made.ID).want(t, 1, "", `error: NOT_FOUND .*`)
}

func TestWebhookVerify(t *testing.T) {
	m := newMachine(t, succeed)
	dir := t.TempDir()
	body, secret := filepath.Join(dir, "body"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{body: `{"a":1}`, secret: "whsec_test\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	right, old := webhook.Sign("whsec_test", time.Now(), []byte(`{"a":1}`)), webhook.Sign("whsec_test", time.Unix(1700000000, 0), []byte(`{"a":1}`))
	m.ingest("webhook", "verify", body, "--secret-file", secret, "--signature", right).want(t, 0, "", `the signature is right\n`)
	m.ingest("webhook", "verify", body, "--secret-file", secret, "--signature", old).want(t, 1, "", `error: BAD_REQUEST .*`)
	m.ingest("webhook", "verify", body, "--secret-file", secret, "--signature", old, "--tolerance", "0").want(t, 0, "", `the signature is right\n`)
	m.ingest("webhook", "verify", secret, "--secret-file", secret, "--signature", right).want(t, 1, "", `error: BAD_REQUEST .*`)
}

func TestSteerCommands(t *testing.T) {
	m := newMachine(t, idle)
	m.ingest("import", "http://h/i", "--no-wait").want(t, 0, `.*`, "")
	id := m.asked[0].TaskID
	m.ingest("task", "pause", id).want(t, 0, "", `task `+id+` is paused .*\n`)
	m.ingest("task", "show", id).want(t, 0, `.*paused +yes\n.*`, "")
	m.ingest("task", "resume", id).want(t, 0, "", `task `+id+` goes on .*\n`)
	m.ingest("task", "priority", id, "9").want(t, 0, "", `task `+id+` has priority 9\n`)
	m.ingest("task", "priority", id, "10").want(t, 2, "", `.*`)
	m.ingest("task", "retry", id).want(t, 1, "", `error: CONFLICT .*`)
}
