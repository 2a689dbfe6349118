package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"ingest/internal/access"
	"ingest/internal/config"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/identity"
)

func TestServerReadsItsAccessFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open := func(a config.Access, auth string) (*services, error) {
		s := &services{c: &config.Server{Access: a, Auth: config.Auth{Mode: auth}}, log: zerolog.Nop()}
		return s, s.openAccess()
	}
	member := identity.Caller{Project: "red", Roles: []string{"member"}}
	write("rules.yaml", "get_images: '!'\nmaker: role:maker\n")
	write("protections.conf", "[^x_]\ncreate = maker\nread = @\nupdate = maker\ndelete = maker\n[.*]\ncreate = @\nread = @\nupdate = @\ndelete = @\n")

	for auth, gc := range map[string]bool{config.AuthNone: true, config.AuthToken: false, config.AuthKeystone: false} {
		s, err := open(config.Access{}, auth)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.access.rules().Allows("ingest:gc", member, access.NewTarget("red")); got != gc || s.access.protections != nil {
			t.Errorf("--auth %s: a member may collect is %v", auth, got)
		}
	}
	s, err := open(config.Access{Rules: "rules.yaml", Protections: "protections.conf", Form: "policies"}, config.AuthToken)
	if err != nil {
		t.Fatal(err)
	}
	if s.access.rules().Allows("get_images", member, access.NewTarget("red")) || len(s.access.watch) != 2 ||
		s.access.protections().Allow(access.Create, "x_a", member, s.access.rules()) || !s.access.protections().Allow(access.Create, "a", member, s.access.rules()) {
		t.Error("the files are not in force")
	}
	may := s.access.mayCreate()
	maker, other := contract.ImportRequest{Owner: "red", Roles: []string{"maker"}}, contract.ImportRequest{Owner: "red", Roles: []string{"member"}}
	if !may(maker, "x_a") || may(other, "x_a") || !may(other, "a") || may(contract.ImportRequest{Owner: "red"}, "x_a") {
		t.Error("what sources say is not held against the protections")
	}
	for _, c := range []struct {
		name string
		in   config.Access
		says string
	}{
		{"no rules", config.Access{Rules: "absent.yaml"}, "absent.yaml"},
		{"no protections", config.Access{Protections: "absent.conf", Form: "roles"}, "absent.conf"},
		{"no rule of that name", config.Access{Protections: "protections.conf", Form: "policies"}, `there is no rule "maker"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(c.in, config.AuthToken)
			var failed *startError
			if !errors.As(err, &failed) || failed.detail.Code != errcode.AccessRulesInvalid || !strings.Contains(failed.detail.Message, c.says) || failed.detail.Remedy == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}
