// Package webhook sends the notices that the catalogue keeps for webhooks, and signs them.
//
// The catalogue writes a notice down in the transaction in which a task ends: its outbox.
// A Sender claims what is due, sends it, and says what came of it. A claim that nobody
// settles, because the sender has died, is due again: each notice is sent at least once,
// and its id tells who gets it twice.
//
// A notice is signed with the webhook's secret, over the time and the body:
//
//	Ingest-Signature: t=UNIX,v1=HEX
//
// where HEX is HMAC-SHA256 of "UNIX.BODY". Verify is what a receiver does.
package webhook
