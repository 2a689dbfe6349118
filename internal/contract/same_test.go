package contract

import (
	"reflect"
	"testing"
)

// TestSameLooksAtEveryField changes the fields one by one.
func TestSameLooksAtEveryField(t *testing.T) {
	whole := Fetched{URL: "u", Members: []FetchedMember{{Name: "m", Fetched: Fetched{URL: "v"}}}}
	if !whole.Same(whole) || !(Fetched{}).Same(Fetched{}) {
		t.Fatal("what is the same is not")
	}
	for i := range reflect.TypeFor[Fetched]().NumField() {
		other := whole
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Int64:
			f.SetInt(7)
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
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
