package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/errcode"
)

func TestCheckOfMembers(t *testing.T) {
	many := func(n int, url string) []MemberSpec {
		out := make([]MemberSpec, n)
		for i := range out {
			out[i] = MemberSpec{URL: url}
		}
		return out
	}
	long := "https://h/" + strings.Repeat("u", MaxURLBytes-10)
	for _, c := range []struct {
		name    string
		members []MemberSpec
		field   string
	}{
		{"as many as may be", many(MaxMembers, "https://h/a.vmdk"), ""},
		{"one more", many(MaxMembers+1, "https://h/a.vmdk"), "source.members"},
		{"named", []MemberSpec{{URL: "https://h/?id=7", Name: "a-s001.vmdk"}}, ""},
		{"no url", []MemberSpec{{URL: "/a"}, {Name: "a"}}, "source.members[1].url"},
		{"url too long", []MemberSpec{{URL: long + "u", Name: "a"}}, "source.members[0].url"},
		{"urls of the longest sum", many(MaxMemberURLBytes/MaxURLBytes, long[:MaxURLBytes-2]+"/u"), ""},
		{"urls too long together", many(MaxMemberURLBytes/MaxURLBytes+1, long[:MaxURLBytes-2]+"/u"), "source.members"},
		{"no name", []MemberSpec{{URL: "https://h/?id=7"}}, "source.members[0].name"},
		{"a folder", []MemberSpec{{URL: "/srv/.."}}, "source.members[0].name"},
		{"name with a folder", []MemberSpec{{URL: "/a", Name: "../a"}}, "source.members[0].name"},
		{"name with a line break", []MemberSpec{{URL: "/a", Name: "a\nb"}}, "source.members[0].name"},
		{"name too long", []MemberSpec{{URL: "/a", Name: strings.Repeat("n", 256)}}, "source.members[0].name"},
		{"not escaped", []MemberSpec{{URL: "https://h/%zz"}}, "source.members[0].name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ImportRequest{Source: SourceSpec{URL: "/disk.vmdk", Members: c.members}}.Check()
			if c.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e, is := errcode.As(err)
			if !is || e.Code != errcode.BadRequest || e.Evidence == nil || e.Evidence.Field != c.field {
				t.Errorf("Check = %v, want BAD_REQUEST on %s", err, c.field)
			}
		})
	}
}

func TestFileNameOfAMember(t *testing.T) {
	for _, c := range []struct {
		m    MemberSpec
		want string
	}{
		{MemberSpec{URL: "https://h/x/y%20z.vhd?sig=a/b#c"}, "y z.vhd"},
		{MemberSpec{URL: "/srv/a?b.vmdk"}, "a?b.vmdk"},
		{MemberSpec{URL: "file:///srv/a.vmdk"}, "a.vmdk"},
		{MemberSpec{URL: "https://h/a.vmdk", Name: "b.vmdk"}, "b.vmdk"},
		{MemberSpec{URL: "https://h"}, ""},
		{MemberSpec{URL: "https://h/"}, ""},
	} {
		if got := c.m.FileName(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.m, got, c.want)
		}
	}
}

// The upload of an image of several files is found again only if all of them
// are what they were.
func TestPinOfMembers(t *testing.T) {
	file := func(v string) Fetched { return Fetched{Size: 7, Validator: v} }
	with := func(members ...FetchedMember) Fetched {
		f := file("e1")
		f.Members = members
		return f
	}
	if got := file("e1").Pin(); got != "7/e1" {
		t.Errorf("pin of one file: %q", got)
	}
	seen := map[string]int{}
	for i, f := range []Fetched{
		with(),
		with(FetchedMember{"a", file("e1")}),
		with(FetchedMember{"a", file("e2")}),
		with(FetchedMember{"b", file("e1")}),
		with(FetchedMember{"a", Fetched{SourceDigest: "sha256:00"}}),
		with(FetchedMember{"a", file("e1")}, FetchedMember{"b", file("e1")}),
		with(FetchedMember{"b", file("e1")}, FetchedMember{"a", file("e1")}),
	} {
		if other, twice := seen[f.Pin()]; twice || f.Pin() == "" {
			t.Errorf("pin %q of %d is that of %d", f.Pin(), i, other)
		}
		seen[f.Pin()] = i
		raw, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var back Fetched
		if err := json.Unmarshal(raw, &back); err != nil || !back.Same(f) {
			t.Errorf("%s became %+v, %v", raw, back, err)
		}
	}
	if got := with(FetchedMember{"a", Fetched{Size: 7}}).Pin(); got != "" {
		t.Errorf("pin of a member without a version: %q", got)
	}
	if with(FetchedMember{"a", file("e1")}).Same(with(FetchedMember{"a", file("e2")})) {
		t.Error("another version of a member is the same")
	}
}

func TestVerifyPolicy(t *testing.T) {
	for _, c := range []struct {
		policy   VerifyPolicy
		asked    string
		want     string
		code     errcode.Code
		resolved string // AtLeast of what was asked
	}{
		{VerifyPolicy{}, "", "full", "", "full"},
		{VerifyPolicy{}, "stored", "", errcode.Forbidden, "full"},
		{VerifyPolicy{Default: "stored"}, "", "stored", "", "stored"},
		{VerifyPolicy{Default: "stored"}, "full", "full", "", "full"},
		{VerifyPolicy{Default: "stored"}, "none", "", errcode.Forbidden, "stored"},
		{VerifyPolicy{Default: "full", Least: "none"}, "", "full", "", "full"},
		{VerifyPolicy{Default: "full", Least: "none"}, "none", "none", "", "none"},
		{VerifyPolicy{Default: "full", Least: "stored"}, "none", "", errcode.Forbidden, "stored"},
		{VerifyPolicy{Least: "none"}, "some", "", errcode.BadRequest, "full"},
	} {
		t.Run(fmt.Sprint(c.policy, c.asked), func(t *testing.T) {
			got, err := c.policy.Resolve(c.asked)
			if got != c.want || errcode.Of(err) != c.code {
				t.Errorf("resolved to %q, %v", got, err)
			}
			if e, ok := errcode.As(err); ok && (e.Evidence == nil || e.Evidence.Field != "verify") {
				t.Errorf("the field is not named: %+v", e)
			}
			if got := c.policy.AtLeast(c.asked); got != c.resolved {
				t.Errorf("at least %q, want %q", got, c.resolved)
			}
		})
	}
	if (VerifyPolicy{Default: "none", Least: "stored"}).Sound() || !(VerifyPolicy{Default: "stored", Least: "stored"}).Sound() {
		t.Error("a default below the least level is sound, or one at it is not")
	}
	if diff := cmp.Diff([]string{"full", "stored", "none"}, VerifyLevels()); diff != "" {
		t.Error(diff)
	}
}
