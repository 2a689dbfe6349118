package api

import (
	"fmt"
	"strings"
	"testing"

	"ingest/api/wire"
	"ingest/internal/errcode"
)

// of is who asks: a project's member, or with roles somebody else of it.
func of(project string, roles ...string) []string {
	out := []string{"X-Project-Id", project}
	if len(roles) > 0 {
		out = append(out, "X-Roles", strings.Join(roles, ","))
	}
	return out
}

// names lists what a query shows, by name.
func (b *bench) names(query string, header ...string) string {
	b.t.Helper()
	var list wire.ImageList
	b.do("GET", "/v2/images?"+query, "", header...).want(b.t, 200, "").into(b.t, &list)
	var out []string
	for _, m := range list.Images {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

func TestMembers(t *testing.T) {
	b := newBench(t)
	var img wire.Image
	b.do("POST", "/v2/images", `{"name":"shared"}`, of("red")...).want(t, 201, "").into(t, &img)
	image, members := "/v2/images/"+img.ID, "/v2/images/"+img.ID+"/members"
	b.do("GET", image, "", of("blue")...).want(t, 404, errcode.NotFound)

	for _, body := range []string{``, `[]`, `{}`, `{"member":""}`, `{"member":null}`, `{"member":["blue"]}`, `{"member":"a\u0000b"}`, `{"member":"` + strings.Repeat("x", 256) + `"}`} {
		b.do("POST", members, body, of("red")...).want(t, 400, errcode.BadRequest)
	}
	var m wire.Member
	b.do("POST", members, `{"member":"blue","other":1}`, of("red")...).want(t, 200, "").into(t, &m)
	if m.Project != "blue" || m.ImageID != img.ID || m.Status != "pending" || m.Schema != "/v2/schemas/member" || m.CreatedAt == "" || m.UpdatedAt != m.CreatedAt {
		t.Errorf("member %+v", m)
	}
	b.do("POST", members, `{"member":"blue"}`, of("red")...).want(t, 409, errcode.Conflict)
	b.do("POST", members, `{"member":"green"}`, of("red")...).want(t, 200, "")
	b.do("POST", members, `{"member":"green"}`, of("blue")...).want(t, 403, errcode.Forbidden)
	b.do("POST", members, `{"member":"green"}`, of("grey")...).want(t, 404, errcode.NotFound)

	for _, c := range []struct {
		project, want string
		status        int
	}{{"red", "blue green", 200}, {"blue", "blue", 200}, {"green", "green", 200}, {"grey", "", 404}} {
		a := b.do("GET", members, "", of(c.project)...)
		if a.StatusCode != c.status {
			t.Errorf("members for %s: %d", c.project, a.StatusCode)
			continue
		}
		var list wire.MemberList
		a.into(t, &list)
		var got []string
		for _, m := range list.Members {
			got = append(got, m.Project)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("members for %s: %v", c.project, got)
		}
	}
	b.do("GET", members+"/blue", "", of("red")...).want(t, 200, "")
	b.do("GET", members+"/blue", "", of("blue")...).want(t, 200, "")
	b.do("GET", members+"/green", "", of("blue")...).want(t, 404, errcode.NotFound)
	b.do("GET", members+"/nobody", "", of("red")...).want(t, 404, errcode.NotFound)

	// Whoever is invited sees the image by its id, and lists it once it has accepted.
	b.do("GET", image, "", of("blue")...).want(t, 200, "")
	for _, c := range []struct{ query, want string }{
		{"", ""}, {"visibility=shared", ""}, {"member_status=pending", "shared"}, {"member_status=all", "shared"}, {"visibility=shared&member_status=pending", "shared"}, {"member_status=pending&visibility=private", ""},
	} {
		if got := b.names(c.query, of("blue")...); got != c.want {
			t.Errorf("blue lists %q for %q, want %q", got, c.query, c.want)
		}
	}
	accept := `{"status":"accepted"}`
	b.do("PUT", members+"/blue", accept, of("red")...).want(t, 403, errcode.Forbidden)
	b.do("PUT", members+"/blue", accept, of("green")...).want(t, 404, errcode.NotFound)
	b.do("PUT", members+"/blue", accept, of("grey")...).want(t, 404, errcode.NotFound)
	for _, body := range []string{``, `{}`, `{"status":"maybe"}`, `{"status":""}`, `{"status":true}`, `"accepted"`} {
		b.do("PUT", members+"/blue", body, of("blue")...).want(t, 400, errcode.BadRequest)
	}
	b.do("PUT", members+"/blue", accept, of("blue")...).want(t, 200, "").into(t, &m)
	if m.Status != "accepted" || m.UpdatedAt == m.CreatedAt {
		t.Errorf("member %+v", m)
	}
	if got := b.names("", of("blue")...); got != "shared" {
		t.Errorf("blue lists %q after it has accepted", got)
	}
	if got := b.names("", of("green")...); got != "" {
		t.Errorf("green lists %q", got)
	}
	b.do("PUT", members+"/blue", `{"status":"rejected"}`, of("blue")...).want(t, 200, "")
	if got := b.names("", of("blue")...) + b.names("member_status=rejected", of("blue")...); got != "shared" {
		t.Errorf("blue lists %q after it has rejected", got)
	}

	b.do("DELETE", members+"/blue", "", of("blue")...).want(t, 403, errcode.Forbidden)
	b.do("DELETE", members+"/blue", "", of("red")...).want(t, 204, "")
	b.do("DELETE", members+"/blue", "", of("red")...).want(t, 404, errcode.NotFound)
	b.do("GET", image, "", of("blue")...).want(t, 404, errcode.NotFound)

	b.do("DELETE", image, "", of("red")...).want(t, 204, "")
	b.do("GET", members, "", of("green")...).want(t, 404, errcode.NotFound)
	if got := b.names("member_status=all", of("green")...); got != "" {
		t.Errorf("green lists %q after the image has gone", got)
	}
}

func TestOnlySharedImagesHaveMembers(t *testing.T) {
	b := newBench(t)
	for _, visibility := range []string{"private", "community"} {
		var img wire.Image
		b.do("POST", "/v2/images", `{"visibility":"`+visibility+`"}`, of("red", "admin")...).want(t, 201, "").into(t, &img)
		members := "/v2/images/" + img.ID + "/members"
		b.do("GET", members, "", of("red")...).want(t, 403, errcode.Forbidden)
		b.do("POST", members, `{"member":"blue"}`, of("red")...).want(t, 403, errcode.Forbidden)
		b.do("GET", members+"/blue", "", of("red")...).want(t, 404, errcode.NotFound)
		b.do("DELETE", members+"/blue", "", of("red")...).want(t, 403, errcode.Forbidden)
	}
}

func TestMemberQuota(t *testing.T) {
	b := newBench(t)
	members := b.newImage(`{"name":"n"}`) + "/members"
	for i := range maxMembers {
		b.do("POST", members, fmt.Sprintf(`{"member":"p%d"}`, i)).want(t, 200, "")
	}
	b.do("POST", members, `{"member":"one-more"}`).want(t, 413, errcode.QuotaExceeded)
	b.do("POST", members, `{"member":"p5"}`).want(t, 409, errcode.Conflict)
}

func TestTags(t *testing.T) {
	b := newBench(t)
	image := b.newImage(`{"name":"n","tags":["first"]}`)
	tags := func() string {
		var img wire.Image
		b.do("GET", image, "").want(t, 200, "").into(t, &img)
		return strings.Join(img.Tags, ",")
	}
	for _, c := range []struct {
		method, tag string
		status      int
		code        errcode.Code
		want        string
	}{
		{"PUT", "lts", 204, "", "first,lts"},
		{"PUT", "lts", 204, "", "first,lts"},
		{"PUT", "a%2Fb%20%C3%A9", 204, "", "first,lts,a/b é"},
		{"PUT", strings.Repeat("x", 256), 400, errcode.BadRequest, "first,lts,a/b é"},
		{"PUT", "a%00b", 400, errcode.BadRequest, "first,lts,a/b é"},
		{"DELETE", "LTS", 404, errcode.NotFound, "first,lts,a/b é"},
		{"DELETE", "first", 204, "", "lts,a/b é"},
		{"DELETE", "first", 404, errcode.NotFound, "lts,a/b é"},
		{"DELETE", "a%2Fb%20%C3%A9", 204, "", "lts"},
	} {
		b.do(c.method, image+"/tags/"+c.tag, "").want(t, c.status, c.code)
		if got := tags(); got != c.want {
			t.Errorf("%s %s: tags are %s, want %s", c.method, c.tag, got, c.want)
		}
	}
	if got := b.names("tag=lts") + b.names("tag=first"); got != "n" {
		t.Errorf("found %q by its tags", got)
	}
	b.do("PUT", image+"/tags/x", "", of("blue")...).want(t, 404, errcode.NotFound)
	b.do("PUT", "/v2/images/nothing/tags/x", "").want(t, 404, errcode.NotFound)
	b.do("GET", image+"/tags/lts", "").want(t, 405, errcode.MethodNotAllowed)
	for i := range maxTags - 1 {
		b.do("PUT", fmt.Sprintf("%s/tags/t%d", image, i), "").want(t, 204, "")
	}
	b.do("PUT", image+"/tags/more", "").want(t, 413, errcode.QuotaExceeded)
	b.do("PUT", image+"/tags/t5", "").want(t, 204, "")
}

// The bytes of an image have bounds of their own, and what a member is set to is none,
// whatever the member is called.
func TestWhatIsSaidOfAMemberIsBounded(t *testing.T) {
	b := newBench(t)
	id := b.imageID(`{"visibility":"shared"}`)
	long := `{"status":"accepted","more":"` + strings.Repeat("x", MaxBody) + `"}`
	for _, member := range []string{"blue", "file", "stage"} {
		b.do("POST", "/v2/images/"+id+"/members", `{"member":"`+member+`"}`).want(t, 200, "")
		b.do("PUT", "/v2/images/"+id+"/members/"+member, long, "X-Project-Id", member).want(t, 413, errcode.BadRequest)
		b.do("PUT", "/v2/images/"+id+"/members/"+member, `{"status":"accepted"}`, "X-Project-Id", member).want(t, 200, "")
	}
}
