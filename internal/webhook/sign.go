package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"ingest/internal/errcode"
)

// SignatureHeader carries the signature of a notice.
const SignatureHeader = "Ingest-Signature"

// Tolerance is how old a notice may be, or how much clocks may differ, in what Verify
// usually is told.
const Tolerance = 5 * time.Minute

// Sign returns the signature of a body that is sent at the given time.
func Sign(secret string, at time.Time, body []byte) string {
	stamp := strconv.FormatInt(at.Unix(), 10)
	return "t=" + stamp + ",v1=" + hex.EncodeToString(sum(secret, stamp, body))
}

func sum(secret, stamp string, body []byte) []byte {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(stamp + "."))
	m.Write(body)
	return m.Sum(nil)
}

// Verify returns nil if the header is a signature of the body with the secret, made within
// the tolerance of now; a tolerance of 0 takes any time. errcode.BadRequest says
// what is wrong. A header may hold several signatures, of which one must be right.
func Verify(secret, header string, body []byte, now time.Time, tolerance time.Duration) error {
	var stamp string
	var given [][]byte
	for part := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			stamp = value
		case "v1":
			if raw, err := hex.DecodeString(value); err == nil {
				given = append(given, raw)
			}
		}
	}
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(given) == 0 {
		return refused("the header is not of the form t=UNIX,v1=HEX")
	}
	want, right := sum(secret, stamp, body), false
	for _, g := range given {
		right = hmac.Equal(g, want) || right
	}
	if !right {
		return refused("the signature is not that of this body with this secret")
	}
	if away := now.Sub(time.Unix(at, 0)).Abs(); tolerance > 0 && away > tolerance {
		return refused("the notice was signed " + away.Round(time.Second).String() + " away from now")
	}
	return nil
}

func refused(why string) error {
	return errcode.New(errcode.BadRequest, "%s", why).
		With(errcode.Evidence{Structure: "webhook", Field: SignatureHeader})
}
