package devkeystone

import (
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
