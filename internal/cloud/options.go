package cloud

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"ingest/internal/errcode"
	"ingest/internal/identity/login"
)

// options is what the settings log in with.
func options(s Settings, how string) (*tokens.AuthOptions, error) {
	o := &tokens.AuthOptions{}
	switch how {
	case "token":
		o.TokenID = s["token"]
	case "application credential":
		return applicationCredential(s)
	default:
		o.Password = s["password"]
		if o.UserID, o.Username = s["user_id"], s["username"]; o.UserID != "" {
			o.Username = ""
		} else {
			o.DomainID, o.DomainName = domain(s, "user")
		}
		switch {
		case o.UserID == "" && o.Username == "":
			return nil, invalid("username", "who logs in is not known: set OS_USERNAME, or username in clouds.yaml")
		case o.Password == "":
			return nil, invalid("password", "no password is given: set OS_PASSWORD, or password in secure.yaml")
		}
	}
	if o.Scope.ProjectID = s["project_id"]; o.Scope.ProjectID == "" && s["project_name"] != "" {
		o.Scope.ProjectName = s["project_name"]
		o.Scope.DomainID, o.Scope.DomainName = domain(s, "project")
	}
	return o, nil
}

func applicationCredential(s Settings) (*tokens.AuthOptions, error) {
	o := &tokens.AuthOptions{ApplicationCredentialID: s["application_credential_id"], ApplicationCredentialSecret: s["application_credential_secret"]}
	if o.ApplicationCredentialID == "" {
		o.ApplicationCredentialName = s["application_credential_name"]
		if o.UserID, o.Username = s["user_id"], s["username"]; o.UserID == "" {
			o.DomainID, o.DomainName = domain(s, "user")
		}
	}
	switch {
	case o.ApplicationCredentialSecret == "":
		return nil, invalid("application_credential_secret", "the secret of the application credential is not given: set OS_APPLICATION_CREDENTIAL_SECRET")
	case o.ApplicationCredentialID == "" && (o.ApplicationCredentialName == "" || o.UserID == "" && o.Username == ""):
		return nil, invalid("application_credential_id", "which application credential is meant is not known: set OS_APPLICATION_CREDENTIAL_ID")
	}
	return o, nil
}

// domain is that of the user or of the project: Default if nothing is said.
func domain(s Settings, of string) (id, name string) {
	switch {
	case s[of+"_domain_id"] != "":
		return s[of+"_domain_id"], ""
	case s[of+"_domain_name"] != "":
		return "", s[of+"_domain_name"]
	case s["default_domain"] != "":
		return s["default_domain"], ""
	}
	return "default", ""
}

// place is where the image service is: as it was given, or in the catalog.
func (c *Session) place() (string, error) {
	if at := c.s[Endpoint]; at != "" {
		return at, nil
	}
	if c.how == "none" {
		return "", invalid(Endpoint, "where the image service is, is not known: without a login set OS_ENDPOINT_OVERRIDE")
	}
	region, face := c.s[Region], strings.TrimSuffix(strings.ToLower(c.s[Interface]), "url")
	if face == "" {
		face = "public"
	}
	at := login.Images(c.now.Catalog, region, face)
	switch {
	case len(at) == 0:
		return "", errcode.New(errcode.CloudConfig, "the cloud's catalog has no image service with interface %s%s: it has %s", errcode.Shown(face), inRegion(region), c.offers()).
			With(errcode.Evidence{Structure: "catalog", Field: Region + " and " + Interface, Value: errcode.Shown(region + " " + face)})
	case len(at) > 1 && region == "":
		return "", errcode.New(errcode.CloudConfig, "the cloud has image services in several regions: name one with --os-region-name or OS_REGION_NAME; it has %s", c.offers()).
			With(errcode.Evidence{Structure: "catalog", Field: Region})
	}
	return at[0].String(), nil
}

func inRegion(region string) string {
	if region == "" {
		return ""
	}
	return " in region " + errcode.Shown(region)
}

// offers lists the image services of the catalog.
func (c *Session) offers() string {
	var out []string
	for _, face := range []string{"public", "internal", "admin"} {
		for _, s := range c.now.Catalog {
			if s.Type != "image" {
				continue
			}
			for _, e := range s.Endpoints {
				if e.Interface == face {
					out = append(out, e.RegionID+" "+face)
				}
			}
		}
	}
	if len(out) == 0 {
		return "none at all (a token without a project has none)"
	}
	return errcode.Shown(strings.Join(slices.Compact(out), ", "))
}

// TLS is what certificates are held against, nil for the system's authorities.
func TLS(s Settings) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if path := s[CACert]; path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, errcode.Wrap(err, errcode.CloudConfig, "read the authorities of certificates: %v", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(raw) {
			return nil, invalid(CACert, "%s holds no certificate in PEM", path)
		}
	}
	if s[Cert] != "" {
		key := s[Key]
		if key == "" {
			key = s[Cert]
		}
		pair, err := tls.LoadX509KeyPair(s[Cert], key)
		if err != nil {
			return nil, errcode.New(errcode.CloudConfig, "the client's certificate %s and its key cannot be used", s[Cert])
		}
		out.Certificates = []tls.Certificate{pair}
	}
	out.InsecureSkipVerify = strings.EqualFold(s[Verify], "false") // the user asked for it
	return out, nil
}
