package s3client

import (
	"net/url"
	"strings"

	"ingest/internal/credentials"
)

// From fills options in from a credential of type s3. What the options name
// already stays.
func From(c *credentials.Credential, o Options) Options {
	if o.Endpoint == "" {
		o.Endpoint = c.Field("endpoint")
	}
	if o.Region == "" {
		o.Region = c.Field("region")
	}
	if o.Style == "" {
		o.Style = c.Field("style")
	}
	o.Keys = Keys{
		AccessKey: c.Field("access_key"), SecretKey: c.Field("secret_key"), SessionToken: c.Field("session_token"),
		Profile: c.Field("profile"), Role: c.Field("role"), ExternalID: c.Field("external_id"),
		WebIdentityFile: c.Field("web_identity_file"), STS: c.Field("sts_endpoint"), Instance: c.Field("instance") != "",
	}
	return o
}

// URL returns scheme and host that requests for a bucket go to, for a credential
// that is bound to hosts.
func URL(o Options, bucket string) *url.URL {
	u := &url.URL{Scheme: "https", Host: "s3." + o.region() + ".amazonaws.com"}
	if o.Endpoint != "" {
		if e, err := url.Parse(o.Endpoint); err == nil {
			u.Scheme, u.Host = e.Scheme, e.Host
		}
	}
	if !o.path() && !strings.Contains(bucket, ".") {
		// The binding of an endpoint is to the service; its buckets are names
		// below it.
		if o.Endpoint == "" {
			u.Host = bucket + "." + u.Host
		}
	}
	return u
}

func (o Options) region() string {
	if o.Region == "" {
		return DefaultRegion
	}
	return o.Region
}

// path reports whether buckets stand in the path of URLs.
func (o Options) path() bool { return o.Style == "path" || (o.Style == "" && o.Endpoint != "") }
