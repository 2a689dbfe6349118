package apidiff

import (
	"slices"
	"strings"
)

// Who makes the requests about images.
var (
	admin   = Caller{Project: "acme", User: "ann", Roles: "admin,member,reader"}
	member  = Caller{Project: "acme", User: "bob", Roles: "member,reader"}
	foreign = Caller{Project: "other", User: "eve", Roles: "member,reader"}
	lister  = Caller{Project: "lists", User: "lis", Roles: "member,reader"}
)

// Both disk and short are the bytes of raw images.
var (
	disk  = strings.Repeat("0123456789abcdef", 4096)
	short = strings.Repeat("x", 1000)
)

// ImageRequests are requests about images, their bytes, members, tags and tasks, and
// about the service itself. They are made at two services that have nothing yet, and
// expect the stores "local", which is the default one, and "second", a cache, and:
//
//	${origin}  URL of a server that has the bytes of ${raw} at /disk.raw
//	${qcow2}   bytes of a qcow2 image
//	${backed}  bytes of a qcow2 image with a backing file
func ImageRequests() []Request {
	s := &script{}
	s.discovery()
	s.listFixture()
	s.lists()
	s.badLists()
	s.creates()
	s.refusedCreates()
	s.shows()
	s.patches21()
	s.patches20()
	s.refusedPatches()
	s.tags()
	s.members()
	s.uploads()
	s.downloads()
	s.actions()
	s.stages()
	s.imports()
	s.refusedImports()
	s.tasks()
	s.stores()
	s.cache()
	s.locations()
	s.deletes()
	return slices.Clip(s.out)
}

func (s *script) discovery() {
	s.as(member, nil, "GET //", "GET //versions", "GET ", "GET /", "GET //v1/", "GET //v3/images", "GET //v9", "POST //versions", "GET /nothing", "GET //nothing",
		"GET /info/import", "POST /info/import {}", "GET /info/stores", "GET /info/stores/detail", "GET /info/usage", "GET /images/", "PUT /images {}", "DELETE /images")
	s.as(admin, nil, "GET /info/stores/detail")
	s.ask(member, "GET", "/images?limit=0", "Accept", "application/vnd.openstack.images-v2.1")
	s.ask(member, "GET", "/images?limit=0", "Accept", "text/html")
}

func (s *script) creates() {
	s.as(member, nil,
		`POST /images {}`, `POST /images {"name":"plain","disk_format":"raw","container_format":"bare"} >> plain`,
		`POST /images {"name":"ünïcode ☃","visibility":"community"}`, `POST /images {"name":null,"disk_format":null,"container_format":null}`,
		`POST /images {"name":""}`, `POST /images {"disk_format":"iso","container_format":"ovf","min_disk":5,"min_ram":512,"protected":true,"os_hidden":true,"visibility":"private","tags":["b","a","b"],"os_distro":"debian","empty":"","architecture":"x86_64"} >> full`,
		`POST /images {"id":"11111111-2222-4333-8444-555555555555","name":"own id"}`, `POST /images {"id":"11111111-2222-4333-8444-555555555555","name":"own id"}`,
		`POST /images {"owner":"acme"}`, `POST /images {"tags":[]}`, `POST /images {"disk_format":"ploop","container_format":"docker"}`,
		`POST /images {"disk_format":"ami","container_format":"ami","kernel_id":"11111111-2222-4333-8444-555555555555"}`,
		`POST /images {"instance_uuid":"x","description":"d","os_version":"12"}`)
	s.as(admin, nil, `POST /images {"name":"everybody's","visibility":"public","disk_format":"raw","container_format":"bare"} >> public`, `POST /images {"owner":"other"}`, `POST /images {"owner":null}`)
}

func (s *script) refusedCreates() {
	long := strings.Repeat("x", 256)
	s.as(member, nil,
		`POST /images {"id":"x"}`, `POST /images {"id":"`+strings.Repeat("x", 40)+`"}`, `POST /images {"name":5}`, `POST /images {"name":"`+long+`"}`,
		`POST /images {"disk_format":"nope"}`, `POST /images {"container_format":"nope"}`, `POST /images {"disk_format":7}`, `POST /images {"visibility":"secret"}`, `POST /images {"visibility":null}`,
		`POST /images {"protected":"yes"}`, `POST /images {"os_hidden":1}`, `POST /images {"min_disk":-1}`, `POST /images {"min_ram":"5"}`, `POST /images {"min_ram":2147483648}`, `POST /images {"min_disk":1.5}`,
		`POST /images {"tags":"a"}`, `POST /images {"tags":[1]}`, `POST /images {"tags":["`+long+`"]}`, `POST /images {"tags":[""]}`,
		`POST /images {"p":5}`, `POST /images {"p":null}`, `POST /images {"p":{"a":1}}`, `POST /images {"p":["a"]}`, `POST /images {"p":true}`, `POST /images {"`+long+`":"v"}`,
		`POST /images {"status":"active"}`, `POST /images {"checksum":"x"}`, `POST /images {"size":5}`, `POST /images {"virtual_size":5}`, `POST /images {"created_at":"x"}`, `POST /images {"updated_at":"x"}`,
		`POST /images {"direct_url":"x"}`, `POST /images {"self":"x"}`, `POST /images {"file":"x"}`, `POST /images {"schema":"x"}`, `POST /images {"os_hash_algo":"sha256"}`, `POST /images {"os_hash_value":"x"}`,
		`POST /images {"os_glance_import_task":"x"}`, `POST /images {"os_glance_x":"x"}`, `POST /images {"deleted":"x"}`, `POST /images {"deleted_at":"x"}`, `POST /images {"location":"x"}`,
		`POST /images {"locations":[]}`, `POST /images {"locations":[{"url":"file:///etc/passwd","metadata":{}}]}`,
		`POST /images {"owner":"other"}`, `POST /images {"visibility":"public"}`, `POST /images {"kernel_id":"x"}`,
		`POST /images {`, `POST /images []`, `POST /images "x"`, `POST /images null`, `POST /images`, `PATCH /images {}`,
		`POST /images {"name":"a\u0000b"}`, `POST /images {"stores":"local"}`)
	s.as(member, map[string]string{"Content-Type": "text/plain"}, `POST /images {"name":"of another type"}`)
	s.as(member, map[string]string{"Content-Type": ""}, `POST /images {"name":"of no type"}`)
}

func (s *script) shows() {
	s.as(member, nil, "GET /images/${plain}", "GET /images/${full}", "GET /images/${public}", "GET /images/none", "GET /images/99999999-2222-4333-8444-555555555555",
		"POST /images/${plain} {}", "PUT /images/${plain} {}", "GET /images/${plain}/nothing", "HEAD /images/${plain}")
	s.as(foreign, nil, "GET /images/${plain}", "GET /images/${public}", "DELETE /images/${plain}", "DELETE /images/${public}", `POST /images/${public}/members {"member":"x"}`)
}

func (s *script) tags() {
	s.as(member, nil, "PUT /images/${plain}/tags/new", "PUT /images/${plain}/tags/new", "PUT /images/${plain}/tags/with%20space", "PUT /images/${odd}/tags/%C3%BC", "GET /images/${plain}",
		"PUT /images/${plain}/tags/"+strings.Repeat("x", 256), "PUT /images/none/tags/a", "DELETE /images/${plain}/tags/new", "DELETE /images/${plain}/tags/new", "DELETE /images/none/tags/a",
		"GET /images/${plain}/tags/new", "POST /images/${plain}/tags/new {}", "GET /images/${plain}/tags")
	s.as(foreign, nil, "PUT /images/${plain}/tags/x", "PUT /images/${public}/tags/x", "DELETE /images/${public}/tags/x")
}

func (s *script) members() {
	s.as(member, nil, `POST /images {"name":"to be shared"} >> shared`, `POST /images {"name":"mine","visibility":"private"} >> private`,
		`GET /images/${shared}/members`, `POST /images/${shared}/members {"member":"other"}`, `POST /images/${shared}/members {"member":"other"}`,
		`POST /images/${shared}/members {"member":"third"}`, `POST /images/${shared}/members {}`, `POST /images/${shared}/members {"member":""}`,
		`POST /images/${shared}/members []`, `POST /images/${odd}/members {"member":5}`, `POST /images/${odd}/members {"member":"`+strings.Repeat("x", 256)+`"}`, `POST /images/${private}/members {"member":"other"}`, `POST /images/none/members {"member":"other"}`,
		`GET /images/${shared}/members`, `GET /images/${shared}/members/other`, `GET /images/${shared}/members/none`, `GET /images/none/members`, `GET /images/${private}/members`,
		`PUT /images/${shared}/members/other {"status":"accepted"}`, `PATCH /images/${shared}/members {}`, `POST /images/${shared}/members/other {}`, `PUT /images/${shared}/members {}`)
	s.as(foreign, nil, "GET /images/${shared}", "GET /images/${shared}/members", "GET /images/${shared}/members/third", "GET /images/${private}/members", "GET /images?visibility=shared&sort=name:asc",
		"GET /images?member_status=all&sort=name:asc", "GET /images?member_status=pending&sort=name:asc",
		`PUT /images/${shared}/members/other {"status":"nope"}`, `PUT /images/${shared}/members/other {}`, `PUT /images/${shared}/members/other {"status":5}`, `PUT /images/${shared}/members/third {"status":"accepted"}`,
		`PUT /images/${shared}/members/other {"status":"accepted"}`, "GET /images?visibility=shared&sort=name:asc", `PUT /images/${shared}/members/other {"status":"rejected"}`, "GET /images?member_status=rejected&sort=name:asc",
		`PUT /images/${shared}/members/other {"status":"pending"}`, "DELETE /images/${shared}/members/other", "DELETE /images/${shared}", `POST /images/${shared}/members {"member":"fourth"}`, "PUT /images/${shared}/tags/x")
	s.as(member, nil, "DELETE /images/${shared}/members/third", "DELETE /images/${shared}/members/none", "GET /images/${shared}/members")
}

func (s *script) actions() {
	s.as(member, nil, "POST /images/${plain}/actions/deactivate", "POST /images/${plain}/actions/reactivate")
	s.as(admin, nil, "POST /images/${raw}/actions/deactivate", "POST /images/${raw}/actions/deactivate", "GET /images/${raw}", "POST /images/${raw}/actions/nothing", "GET /images/${raw}/actions/deactivate",
		"GET /images/${raw}/file")
	s.as(member, nil, "GET /images/${raw}/file", `POST /images/${raw}/import {"method":{"name":"copy-image"},"stores":["second"]}`, "POST /images/none/actions/deactivate")
	s.as(admin, nil, "POST /images/${raw}/actions/reactivate", "POST /images/${raw}/actions/reactivate", "GET /images/${raw}")
	s.as(foreign, nil, "POST /images/${public}/actions/deactivate", "POST /images/${raw}/actions/deactivate")
}

func (s *script) deletes() {
	s.as(member, nil, "DELETE /images/${full}")
	s.patch(member, patch21, "full", `[{"op":"replace","path":"/protected","value":false}]`)
	s.as(member, nil, "DELETE /images/${full}", "DELETE /images/${full}", "GET /images/${full}", "GET /images/${full}/file", "GET /images/${full}/tasks", "DELETE /images/none",
		"DELETE /images/${raw}", "GET /images/${raw}", "GET /images/${raw}/file", "PUT /images/${raw}/tags/x", "GET /images/${raw}/members", "POST /images/${raw}/actions/deactivate",
		`POST /images/${raw}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`, `POST /images {"id":"${raw}"}`)
	s.patch(member, patch21, "raw", `[{"op":"replace","path":"/name","value":"x"}]`)
	s.send(member, "${raw}/file", short)
}
