package devkeystone

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Guesses become slow, for one user from one address and for one address as a whole;
// neither keeps out who knows the password and comes from elsewhere.
func TestGuessingIsSlowedDown(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := newGuard()
	g.now = func() time.Time { return now }
	ann := &user{Password: hash(t, "secret")}
	try := func(u *user, name, address, password string) (bool, time.Duration) {
		t.Helper()
		ok, wait, err := g.compare(t.Context(), u, name, address, password)
		if err != nil {
			t.Fatal(err)
		}
		return ok, wait
	}
	looked, waited := 0, time.Duration(0)
	for looked < 12 {
		ok, wait := try(ann, "ann", "here", "guess")
		if ok {
			t.Fatal("a guess is right")
		}
		if wait == 0 {
			looked++
			continue
		}
		waited += wait
		now = now.Add(wait)
	}
	if waited != time.Duration(1+2+4+8+16+32+60)*time.Second {
		t.Errorf("12 guesses take %s", waited)
	}
	if ok, wait := try(ann, "ann", "here", "secret"); ok || wait == 0 {
		t.Errorf("the password from there: %t, %s", ok, wait)
	}
	if ok, _ := try(ann, "ann", "elsewhere", "secret"); !ok {
		t.Error("the password from elsewhere is refused")
	}
	now = now.Add(time.Minute)
	if ok, _ := try(ann, "ann", "here", "secret"); !ok {
		t.Error("the password is refused behind the time to wait")
	}
	for i := range 5 {
		if _, wait := try(ann, "ann", "here", "guess"); wait != 0 {
			t.Errorf("mistake %d behind a login waits %s", i, wait)
		}
	}
}

func TestManyNamesFromOneAddress(t *testing.T) {
	g := newGuard()
	g.now = func() time.Time { return time.Unix(1e9, 0) }
	g.stranger = func() []byte { return []byte(hash(t, "x")) }
	looked := 0
	for i := range 200 {
		if _, wait, _ := g.compare(t.Context(), nil, "user"+string(rune('a'+i)), "here", "guess"); wait == 0 {
			looked++
		}
	}
	if looked != freeAddress {
		t.Errorf("%d names were tried at once, want %d", looked, freeAddress)
	}
}

// Whatever a guess calls the user, and from wherever in one network it comes, it is a
// guess at the same user from the same place.
func TestGuessesAreCountedHoweverTheyAreSpelled(t *testing.T) {
	for name, guess := range map[string]func(i int) (user, address string){
		"a name beside the id": func(i int) (string, string) { return fmt.Sprintf(`"id":"u-ann","name":"x%d"`, i), "192.0.2.1:1" },
		"a domain beside the id": func(i int) (string, string) {
			return fmt.Sprintf(`"id":"u-ann","domain":{"id":"d%d"}`, i), "192.0.2.1:1"
		},
		"by name and by id":        func(i int) (string, string) { return []string{`"name":"ann"`, `"id":"u-ann"`}[i%2], "192.0.2.1:1" },
		"from one IPv6 network":    func(i int) (string, string) { return `"name":"ann"`, fmt.Sprintf("[2001:db8::%x]:1", i+1) },
		"from a port of its own":   func(i int) (string, string) { return `"name":"ann"`, fmt.Sprintf("192.0.2.1:%d", i+1) },
		"a user that there is not": func(i int) (string, string) { return fmt.Sprintf(`"id":"bob","name":"x%d"`, i), "192.0.2.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.guard.now = func() time.Time { return time.Unix(1e9, 0) }
			d.guard.stranger = func() []byte { return []byte(hash(t, "x")) }
			looked := 0
			for i := range 2 * freeUser {
				user, address := guess(i)
				r := httptest.NewRequest("POST", "/identity/v3/auth/tokens", strings.NewReader(
					`{"auth":{"identity":{"methods":["password"],"password":{"user":{`+user+`,"password":"guess"}}}}}`))
				r.RemoteAddr = address
				w := httptest.NewRecorder()
				d.ServeHTTP(w, r)
				if w.Code == 401 {
					looked++
				}
			}
			if looked != freeUser {
				t.Errorf("%d guesses were looked at, want %d", looked, freeUser)
			}
		})
	}
}
