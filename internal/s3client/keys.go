package s3client

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"ingest/internal/errcode"
)

// Keys say as whom. The zero value asks anonymously.
type Keys struct {
	AccessKey, SecretKey, SessionToken string
	// Profile names a profile of the operator's AWS configuration files.
	Profile string
	// Role is assumed with the keys above, or by WebIdentityFile alone.
	Role, ExternalID string
	WebIdentityFile  string
	// STS is where roles are assumed; "" means the endpoint, or Amazon's for the
	// region.
	STS string
	// Instance takes what the machine's metadata service gives.
	Instance bool
}

// Anonymous reports whether requests are not signed.
func (k Keys) Anonymous() bool { return k == Keys{} }

// provider returns the credentials of the options and of nothing else.
func provider(ctx context.Context, o Options, hc *http.Client) (aws.CredentialsProvider, error) {
	if o.Keys.Anonymous() {
		return aws.AnonymousCredentials{}, nil
	}
	base, err := o.base(ctx)
	if err != nil || o.Keys.Role == "" {
		return base, err
	}
	client := sts.New(sts.Options{Region: o.Region, Credentials: base, HTTPClient: hc, Retryer: retryer(o.Attempts), BaseEndpoint: o.sts()})
	if o.Keys.WebIdentityFile != "" {
		return aws.NewCredentialsCache(stscreds.NewWebIdentityRoleProvider(client, o.Keys.Role, token(o.Keys.WebIdentityFile),
			func(ro *stscreds.WebIdentityRoleOptions) { ro.RoleSessionName = sessionName })), nil
	}
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, o.Keys.Role, func(ro *stscreds.AssumeRoleOptions) {
		ro.RoleSessionName = sessionName
		if o.Keys.ExternalID != "" {
			ro.ExternalID = aws.String(o.Keys.ExternalID)
		}
	})), nil
}

// sessionName stands in the service's logs.
const sessionName = "ingest"

// base returns what requests are signed by, or a role is assumed with.
func (o Options) base(ctx context.Context) (aws.CredentialsProvider, error) {
	k := o.Keys
	switch {
	case k.Profile != "":
		c, err := config.LoadDefaultConfig(ctx, config.WithRegion(o.Region), config.WithSharedConfigProfile(k.Profile), config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
		if err != nil {
			return nil, errcode.Wrap(err, errcode.CredentialInvalid, "the AWS configuration of the credential cannot be read")
		}
		return c.Credentials, nil
	case k.Instance:
		client := imds.New(imds.Options{Endpoint: o.Metadata, ClientEnableState: imds.ClientEnabled})
		return aws.NewCredentialsCache(ec2rolecreds.New(func(ro *ec2rolecreds.Options) { ro.Client = client })), nil
	case k.AccessKey != "" && o.KeysNow != nil:
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			k, err := o.KeysNow()
			return aws.Credentials{AccessKeyID: k.AccessKey, SecretAccessKey: k.SecretKey, SessionToken: k.SessionToken, Source: "credentials file"}, err
		}), nil
	case k.AccessKey != "":
		return credentials.NewStaticCredentialsProvider(k.AccessKey, k.SecretKey, k.SessionToken), nil
	}
	return aws.AnonymousCredentials{}, nil // a web identity is proof enough
}

// sts returns where roles are assumed, nil for Amazon's service. Others have it where
// their buckets are.
func (o Options) sts() *string {
	at := o.Keys.STS
	if at == "" {
		at = o.Endpoint
		if u, err := url.Parse(at); err != nil || strings.HasSuffix("."+strings.ToLower(u.Hostname()), ".amazonaws.com") {
			at = ""
		}
	}
	if at == "" {
		return nil
	}
	return aws.String(strings.TrimRight(at, "/"))
}

// token is the file of a web identity, which is read for each session.
type token string

func (f token) GetIdentityToken() ([]byte, error) {
	b, err := os.ReadFile(string(f))
	if err != nil {
		return nil, errcode.Wrap(err, errcode.CredentialInvalid, "the web_identity_file of the credential cannot be read")
	}
	return b, nil
}
