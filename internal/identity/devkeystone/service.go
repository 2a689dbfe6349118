package devkeystone

import (
	"crypto/subtle"
	"fmt"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"ingest/internal/identity"
	"ingest/internal/livefile"
)

// Prefix is the path below which the service answers.
const Prefix = "/identity"

// Options say what the service knows.
type Options struct {
	Users    string // YAML file
	Dir      string // of the key and of what was revoked
	Endpoint string // URL of the whole server, "" for that of each request
	Log      zerolog.Logger
}

// A Service is the identity service. It is an http.Handler of the paths below Prefix,
// and knows the callers of its tokens.
type Service struct {
	users    *livefile.File[*directory]
	signer   *signer
	guard    *guard
	endpoint string
	log      zerolog.Logger
	mux      *http.ServeMux
}

var (
	_ http.Handler           = (*Service)(nil)
	_ identity.Authenticator = (*Service)(nil)
)

// Open reads the users and the key. The error is errcode.IdentityFile, or that of the
// folder.
func Open(o Options) (*Service, error) {
	if _, err := livefile.Read(o.Users); err != nil {
		return nil, err // unlike tokens, users must be there
	}
	users, err := livefile.Open(o.Users, parse, o.Log)
	if err != nil {
		return nil, err
	}
	signer, err := openSigner(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the identity service's key: %w", err)
	}
	s := &Service{users: users, signer: signer, guard: newGuard(), endpoint: o.Endpoint, log: o.Log}
	s.mux = s.routes()
	return s, nil
}

// Authenticate implements identity.Authenticator.
func (s *Service) Authenticate(r *http.Request) (identity.Caller, error) {
	token, err := identity.Token(r)
	if err != nil {
		return identity.Caller{}, err
	}
	g, ok := s.grant(token)
	if !ok {
		return identity.Caller{}, identity.Unknown()
	}
	if g.project == nil {
		return identity.Caller{}, identity.Unscoped()
	}
	c := identity.Caller{Project: g.project.ID, ProjectName: g.project.Name, Domain: domainID, User: g.user.ID, UserName: g.user.Name, Roles: g.roles()}
	return c, identity.InProject(r, c)
}

// Challenge implements identity.Authenticator.
func (s *Service) Challenge() string {
	if s.endpoint == "" {
		return ""
	}
	return fmt.Sprintf("Keystone uri=%q", s.endpoint+Prefix+"/v3")
}

// A grant is what a good token gives, by the file as it stands.
type grant struct {
	ticket  ticket
	user    *user
	project *project // nil if the token is unscoped
}

// roles are the user's in the token's project.
func (g grant) roles() []string {
	if g.project == nil {
		return nil
	}
	return g.user.Roles[g.project.Name]
}

func (g grant) admin() bool { return identity.Caller{Roles: g.roles()}.Has(identity.Admin) }

func (g grant) expires() time.Time { return time.UnixMicro(g.ticket.Expires) }

// grant returns what a token gives. A user or a role that is gone from the file takes
// the token along.
func (s *Service) grant(token string) (grant, bool) {
	t, ok := s.signer.verify(token)
	if !ok {
		return grant{}, false
	}
	d := s.users.Get()
	g := grant{ticket: t, user: d.userByID(t.User)}
	if g.user == nil || subtle.ConstantTimeCompare([]byte(fingerprint(g.user.Password)), []byte(t.Password)) != 1 {
		return grant{}, false
	}
	if t.Project == "" {
		return g, true
	}
	g.project = d.projectByID(t.Project)
	return g, g.project != nil && len(g.roles()) > 0
}

// issue makes a token for a user who has proved to be one.
func (s *Service) issue(u *user, p *project, methods []string, until time.Time) (string, grant, error) {
	now := s.signer.now()
	if end := now.Add(life); until.IsZero() || until.After(end) {
		until = end
	}
	t := ticket{ID: newID(), User: u.ID, Methods: methods, Issued: now.UnixMicro(), Expires: until.UnixMicro(), Password: fingerprint(u.Password)}
	if p != nil {
		t.Project = p.ID
	}
	token, err := s.signer.sign(t)
	return token, grant{t, u, p}, err
}
