package contract

import (
	"reflect"
	"testing"
	"time"
)

// TestSameLooksAtEveryField changes the fields one by one; only the origin may differ.
func TestSameLooksAtEveryField(t *testing.T) {
	whole := Fetched{URL: "u", Members: []FetchedMember{{Name: "m", Fetched: Fetched{URL: "v"}}}}
	if !whole.Same(whole) || !(Fetched{}).Same(Fetched{}) {
		t.Fatal("what is the same is not")
	}
	for i := range reflect.TypeFor[Fetched]().NumField() {
		other := whole
		if reflect.TypeFor[Fetched]().Field(i).Name == "Origin" {
			other.Origin = &Origin{Address: "192.0.2.1:443"}
			if !whole.Same(other) {
				t.Error("the same from another server is taken for another")
			}
			continue
		}
		if reflect.TypeFor[Fetched]().Field(i).Name == "Notes" {
			other.Notes = []string{"a mirror is not used"}
			if !whole.Same(other) {
				t.Error("the same without a mirror is taken for another")
			}
			continue
		}
		if reflect.TypeFor[Fetched]().Field(i).Name == "About" {
			other.About = &About{Name: "renamed"}
			if !whole.Same(other) {
				t.Error("the same by another name is taken for another")
			}
			continue
		}
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Int64:
			f.SetInt(7)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			if name := reflect.TypeFor[Fetched]().Field(i).Name; name == "Verifications" {
				other.Verifications = []Verification{{Kind: VerifiedDigest, Algo: "sha256", Digest: "w"}}
				break
			}
			other.Members = []FetchedMember{{Name: "m", Fetched: Fetched{URL: "w"}}}
		default:
			t.Fatalf("a field of kind %v", f.Kind())
		}
		name := reflect.TypeFor[Fetched]().Field(i).Name
		if whole.Same(other) || other.Same(whole) {
			t.Errorf("another %s is taken for the same", name)
		}
	}
	renamed := whole
	renamed.Members = []FetchedMember{{Name: "n", Fetched: Fetched{URL: "v"}}}
	if whole.Same(renamed) || whole.Same(Fetched{URL: "u"}) {
		t.Error("other members are taken for the same")
	}
}

// TestSameVerification changes the fields one by one; only the time at which
// something was verified may differ.
func TestSameVerification(t *testing.T) {
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	v := Verification{Kind: VerifiedSignature, File: "f", SignedAt: at, VerifiedAt: at}
	whole := Fetched{Verifications: []Verification{v}}
	for i := range reflect.TypeFor[Verification]().NumField() {
		other := v
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Struct:
			f.Set(reflect.ValueOf(at.Add(time.Hour)))
		default:
			t.Fatalf("a field of kind %v", f.Kind())
		}
		name := reflect.TypeFor[Verification]().Field(i).Name
		if got, want := whole.Same(Fetched{Verifications: []Verification{other}}), name == "VerifiedAt"; got != want {
			t.Errorf("with another %s, Same is %v", name, got)
		}
	}
	local := v
	local.SignedAt = at.In(time.FixedZone("", 3600))
	if !whole.Same(Fetched{Verifications: []Verification{local}}) {
		t.Error("the same time in another zone is taken for another")
	}
}
