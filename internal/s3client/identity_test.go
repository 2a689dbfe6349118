package s3client_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"ingest/internal/credentials"
	"ingest/internal/errcode"
	"ingest/internal/s3client"
	"ingest/internal/s3test"
)

// b64 is how a web token spells bytes.
func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// An issuer signs web identities.
type issuer struct {
	url string
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":%q,"token_endpoint":%q,"response_types_supported":["id_token"],"scopes_supported":["openid"]}`,
			i.url, i.url+"/keys", i.url+"/auth", i.url+"/token")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"1","n":%q,"e":%q}]}`, b64(key.N.Bytes()), b64(big.NewInt(int64(key.E)).Bytes()))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.url = srv.URL
	return i
}

// token returns a web identity that a policy of MinIO's is given to.
func (i *issuer) token(t *testing.T, policy string) string {
	t.Helper()
	claims, _ := json.Marshal(map[string]any{"iss": i.url, "sub": "worker", "aud": "ingest", "azp": "ingest", "exp": time.Now().Add(time.Hour).Unix(), "policy": policy})
	text := b64([]byte(`{"alg":"RS256","typ":"JWT","kid":"1"}`)) + "." + b64(claims)
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(sig)
}

// metadata is a machine's service that gives the server's keys, to those who have
// asked for a token first.
func metadata(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const role = "/latest/meta-data/iam/security-credentials/"
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "600")
			fmt.Fprint(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == role:
			fmt.Fprint(w, "worker")
		case r.URL.Path == role+"worker":
			fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":%q,"SecretAccessKey":%q,"Token":"","Expiration":%q}`,
				s3test.AccessKey, s3test.SecretKey, time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// options returns those of the one credential of a text, as source and store make
// them.
func options(t *testing.T, text string) s3client.Options {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte("it:\n  type: s3\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := credentials.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := v.Get("it", credentials.Use{Types: []string{credentials.S3}})
	if err != nil {
		t.Fatal(err)
	}
	o := s3client.From(c, s3client.Options{})
	o.KeysNow = func() (s3client.Keys, error) {
		c, err := v.Get("it", credentials.Use{})
		if err != nil {
			return s3client.Keys{}, err
		}
		return s3client.From(c, s3client.Options{}).Keys, nil
	}
	return o
}

// read reads the object, and returns the status, 0 without an answer of the service.
func read(ctx context.Context, o s3client.Options, bucket string) (string, error) {
	o.Attempts = 1
	c, err := s3client.New(ctx, o)
	if err != nil {
		return "", err
	}
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("x")})
	if err != nil {
		return "", err
	}
	defer out.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(out.Body)
	return b.String(), err
}

// TestIdentities reads a private object of MinIO as everybody that a credential can
// name, while the environment has keys that are not the service's.
func TestIdentities(t *testing.T) {
	i := newIssuer(t)
	server := s3test.Start(t, s3test.Minio(t).With("MINIO_IDENTITY_OPENID_CONFIG_URL="+i.url+"/.well-known/openid-configuration", "MINIO_IDENTITY_OPENID_CLIENT_ID=ingest"))
	proxy := s3test.NewProxy(t, server)
	bucket, open := server.Bucket(t), server.Bucket(t)
	for _, b := range []string{bucket, open} {
		if _, err := server.Client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b, Key: aws.String("x"), Body: strings.NewReader("secret")}); err != nil {
			t.Fatal(err)
		}
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::` + open + `/*"]}]}`
	if _, err := server.Client.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &open, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys := "access_key: " + s3test.AccessKey + "\n  secret_key: " + s3test.SecretKey
	shared := "aws_access_key_id = " + s3test.AccessKey + "\naws_secret_access_key = " + s3test.SecretKey + "\n"
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file("shared", "[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n[work]\n"+shared))
	t.Setenv("AWS_CONFIG_FILE", file("config", ""))
	t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "nothing")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	token := "web_identity_file: " + file("token", i.token(t, "readwrite"))

	for _, tt := range []struct {
		name, text string
		bucket     string
		session    bool   // requests are signed with a session of the STS
		wrong      string // in the text of the error; "" if it can read
	}{
		{name: "keys", text: keys, bucket: bucket},
		{name: "wrong keys", text: "access_key: nobody\n  secret_key: nothing", bucket: bucket, wrong: "StatusCode: 403"},
		{name: "profile", text: "profile: work", bucket: bucket},
		{name: "a profile with other keys", text: "profile: default", bucket: bucket, wrong: "StatusCode: 403"},
		{name: "no profile", text: "profile: none", bucket: bucket, wrong: string(errcode.CredentialInvalid)},
		{name: "instance", text: "instance: yes", bucket: bucket},
		{name: "role", text: keys + "\n  role: arn:aws:iam::1:role/reader\n  external_id: e", bucket: bucket, session: true},
		{name: "role of a profile", text: "profile: work\n  role: arn:aws:iam::1:role/reader", bucket: bucket, session: true},
		{name: "role of the instance", text: "instance: yes\n  role: arn:aws:iam::1:role/reader", bucket: bucket, session: true},
		{name: "role with wrong keys", text: "access_key: nobody\n  secret_key: nothing\n  role: arn:aws:iam::1:role/reader", bucket: bucket, wrong: "StatusCode: 403"},
		{name: "web identity", text: "role: arn:aws:iam::1:role/reader\n  " + token, bucket: bucket, session: true},
		{name: "web identity at an STS of its own", text: "role: arn:aws:iam::1:role/reader\n  sts_endpoint: " + server.Endpoint + "\n  " + token, bucket: bucket, session: true},
		{name: "web identity that may only write", text: "role: arn:aws:iam::1:role/reader\n  web_identity_file: " + file("writer", i.token(t, "writeonly")), bucket: bucket, session: true, wrong: "StatusCode: 403"},
		{name: "web identity of nobody", text: "role: arn:aws:iam::1:role/reader\n  web_identity_file: " + file("bad", i.token(t, "readwrite")+"AA"), bucket: bucket, wrong: "StatusCode: 400"},
		{name: "no web identity", text: "role: arn:aws:iam::1:role/reader\n  web_identity_file: " + filepath.Join(dir, "nothing"), bucket: bucket, wrong: string(errcode.CredentialInvalid)},
		{name: "anonymous", text: "anonymous: yes", bucket: open},
		{name: "anonymous in a private bucket", text: "anonymous: yes", bucket: bucket, wrong: "StatusCode: 403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sessions, signed atomic.Int32
			proxy.Before(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && r.Header.Get("X-Amz-Security-Token") != "" {
					sessions.Add(1)
				}
				if r.Header.Get("Authorization") != "" {
					signed.Add(1)
				}
				return true
			})
			o := options(t, "  endpoint: "+proxy.Endpoint+"\n  "+tt.text+"\n")
			o.Metadata = metadata(t)
			got, err := read(t.Context(), o, tt.bucket)
			if tt.wrong == "" && (err != nil || got != "secret") || tt.wrong != "" && (err == nil || !strings.Contains(err.Error()+string(errcode.Of(err)), tt.wrong)) {
				t.Errorf("read %q, %v; want %q", got, err, tt.wrong)
			}
			if (sessions.Load() > 0) != tt.session {
				t.Errorf("%d requests have a session, want one: %v", sessions.Load(), tt.session)
			}
			if strings.HasPrefix(tt.name, "anonymous") && signed.Load() > 0 {
				t.Errorf("%d anonymous requests are signed", signed.Load())
			}
			if err != nil && (strings.Contains(err.Error(), s3test.SecretKey) || strings.Contains(err.Error(), i.token(t, "readwrite"))) {
				t.Errorf("the error tells a secret: %v", err)
			}
		})
	}
}

// TestChangedKeysAreUsed changes the keys in the file behind a client's back.
func TestChangedKeysAreUsed(t *testing.T) {
	server := s3test.Start(t, s3test.Minio(t))
	bucket := server.Bucket(t)
	for _, role := range []string{"", "arn:aws:iam::1:role/reader"} {
		now := s3client.Keys{AccessKey: "nobody", SecretKey: "nothing", Role: role}
		c, err := s3client.New(t.Context(), s3client.Options{Endpoint: server.Endpoint, Keys: now, Attempts: 1, KeysNow: func() (s3client.Keys, error) { return now, nil }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket}); err == nil {
			t.Errorf("role %q: nobody lists the bucket", role)
		}
		now.AccessKey, now.SecretKey = s3test.AccessKey, s3test.SecretKey
		if _, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket}); err != nil {
			t.Errorf("role %q: with the new keys: %v", role, err)
		}
	}
}
