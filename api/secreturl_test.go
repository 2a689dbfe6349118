package api

import (
	"strings"
	"testing"

	"ingest/internal/errcode"
)

func TestSecretURLs(t *testing.T) {
	const secret = "canary-77"
	a := &api{Deps: Deps{Defaults: Defaults{Schemes: []string{"https", "s3"}}}}
	for raw, want := range map[string]errcode.Code{
		"https://h/a.img?X-Amz-Algorithm=x&X-Amz-Signature=" + secret:     errcode.SourceURLSecret,
		"https://h/a.img?sv=1&SIG=" + secret:                              errcode.SourceURLSecret,
		"https://h/a.img?access_token=" + secret:                          errcode.SourceURLSecret,
		"https://h/a.img?temp_url_sig=" + secret:                          errcode.SourceURLSecret,
		"https://h/a.img?a=1;token=" + secret:                             errcode.SourceURLSecret,
		"https://h/a.img?token=%zz" + secret:                              errcode.SourceURLSecret,
		"https://h/a.img?%74oken=" + secret:                               errcode.SourceURLSecret,
		"https://h/a.img?x-oss-security-token=" + secret:                  errcode.SourceURLSecret,
		"https://h/a.img?q-sign-algorithm=sha1&q-signature=" + secret:     errcode.SourceURLSecret,
		"https://h/a.img?private_token=" + secret:                         errcode.SourceURLSecret,
		"https://h/a.img?Authorization=" + secret:                         errcode.SourceURLSecret,
		"https://h/get?url=https%3A%2F%2Fb%2Fa%3Fv%3D1%26sig%3D" + secret: errcode.SourceURLSecret,
		"s3://bucket/key?endpoint=https://h/?X-Amz-Signature=" + secret:   errcode.SourceURLSecret,
		"https:///a.img?token=" + secret:                                  errcode.SourceURLInvalid,
		"s3://bucket/key?endpoint=https://me:" + secret + "@h":            errcode.SourceURLInvalid,
		"https://h/a.img#token=" + secret:                                 errcode.SourceURLInvalid,
		"https://h/a.img?design=1&tokens=3&assignment=2":                  "",
		"https://h/a.img?version=2&arch=amd64":                            "",
		"s3://bucket/key?versionId=1":                                     "",
	} {
		err := a.checkSourceURL("source.url", raw)
		if errcode.Of(err) != want {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
	a.Defaults.SignedURLs = true
	if err := a.checkSourceURL("source.url", "https://h/a.img?sig="+secret); err != nil {
		t.Errorf("where they are allowed: %v", err)
	}
}
