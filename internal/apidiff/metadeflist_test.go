package apidiff_test

import (
	"fmt"
	"strings"

	"ingest/internal/apidiff"
)

const (
	namespaces = "/v2/metadefs/namespaces"
	full       = `{"namespace":"A","display_name":"x","description":"d",` +
		`"resource_type_associations":[{"name":"OS::Glance::Image","prefix":"hw_"},{"name":"T2"}],` +
		`"properties":{"p1":{"title":"P","type":"string","default":"5","enum":["a","b"],"operators":["<or>"],"readonly":true},` +
		`"p2":{"title":"i","type":"integer","minimum":1,"maximum":5,"default":3},"p3":{"title":"b","type":"boolean","default":true}},` +
		`"objects":[{"name":"o1","required":["q"],"properties":{"q":{"title":"Q","type":"array","items":{"type":"string","enum":["x"]},"minItems":1,"uniqueItems":true}}},{"name":"o2"}],` +
		`"tags":[{"name":"t1"},{"name":"t2"}]}`
)

// script makes requests of lines: method, path below the namespaces, body. Each gets a
// number, so that every one has a title of its own.
type script struct{ out []apidiff.Request }

func (s *script) as(c apidiff.Caller, base string, lines ...string) {
	for _, line := range lines {
		parts := append(strings.SplitN(strings.TrimSpace(line), " ", 3), "", "")
		r := apidiff.Request{As: c, Method: parts[0], Path: base + strings.TrimPrefix(parts[1], "."), Body: parts[2]}
		r.Name = fmt.Sprintf("%s %s %s", r.Method, strings.TrimPrefix(r.Path, "/v2"), parts[2])
		for _, before := range s.out {
			if before.Name == r.Name {
				r.Name += " again"
			}
		}
		s.out = append(s.out, r)
	}
}

func metadefRequests() []apidiff.Request {
	s := &script{}
	for _, name := range []string{"image", "images", "member", "members", "task", "tasks"} {
		s.as(member, "/v2/schemas/", "GET "+name)
	}
	for _, name := range []string{"namespace", "namespaces", "resource_type", "resource_types", "property", "properties", "object", "objects", "tag", "tags"} {
		s.as(member, "/v2/schemas/metadefs/", "GET "+name)
	}
	s.as(member, "/v2", "POST /schemas/image", "GET /schemas/nothing", "GET /schemas", "GET /metadefs", "GET /metadefs/resource_types")
	s.namespaces()
	s.refusedNamespaces()
	s.lists()
	s.resourceTypes()
	s.properties()
	s.objects()
	s.tags()
	s.protected()
	s.strangers()
	// Glance makes one that nobody can name.
	s.as(admin, namespaces, `POST . {"namespace":""}`)
	return s.out
}

func (s *script) namespaces() {
	s.as(admin, namespaces,
		`GET .`, `POST . `+full, `GET .`, `GET ./A`, `GET ./A?resource_type=OS::Glance::Image`, `GET ./A?resource_type=T2`, `GET ./A?resource_type=none`,
		`POST . {"namespace":"A"}`,
		`POST . {"namespace":"B","owner":"joe","visibility":"public","protected":true}`,
		`POST . {"namespace":"P","visibility":"public","description":"","display_name":""}`,
		`GET ./B`, `GET ./P`, `GET ./none`,
		`PUT ./A {"namespace":"A","description":"new"}`, `GET ./A`,
		`PUT ./A {"namespace":"B"}`, `PUT ./A {"description":"new"}`, `PUT ./A {"namespace":"A","self":"x"}`, `PUT ./none {"namespace":"none"}`,
		`PUT ./B {"namespace":"C","protected":true,"visibility":"public"}`, `GET ./B`, `GET ./C`,
		`DELETE ./C`, `DELETE ./none`, `POST ./A`, `PATCH .`, `PUT .`,
		`POST . {"namespace":"with space"}`, `GET ./with%20space`, `DELETE ./with%20space`, `GET ./with%20space`)
}

func (s *script) refusedNamespaces() {
	s.as(admin, namespaces,
		`POST . {}`, `POST . {"namespace":"N1","x":1}`, `POST . {"namespace":"N1","self":"x"}`, `POST . {"namespace":"N1","created_at":"x"}`,
		`POST . {"namespace":"N1","visibility":"shared"}`, `POST . {"namespace":"N1","protected":"yes"}`, `POST . {"namespace":7}`,
		`POST . {"namespace":"N1","description":null}`, `POST . {"namespace":"N1","display_name":"`+strings.Repeat("x", 81)+`"}`,
		`POST . {"namespace":"N1","description":"`+strings.Repeat("x", 501)+`"}`, `POST . {"namespace":"`+strings.Repeat("x", 81)+`"}`,
		`POST . {"namespace":"N1","properties":{"a":{"title":"x"}}}`, `POST . {"namespace":"N1","properties":{"a":{"type":"string"}}}`,
		`POST . {"namespace":"N1","properties":{"a":{"title":"x","type":"strung"}}}`, `POST . {"namespace":"N1","properties":{"a":{"title":"x","type":null}}}`,
		`POST . {"namespace":"N1","properties":{"a":{"title":"x","type":"string","maxLength":-1}}}`,
		`POST . {"namespace":"N1","properties":{"a":{"title":"x","type":"string","operators":"<or>"}}}`,
		`POST . {"namespace":"N1","properties":[]}`, `POST . {"namespace":"N1","tags":{}}`, `POST . {"namespace":"N1","objects":"x"}`,
		`POST . {"namespace":"N1","objects":[{"name":"x","required":["a","a"]}]}`,
		`POST . {"namespace":"N1","objects":[{"name":"x"},{"name":"x"}]}`, `POST . {"namespace":"N1","tags":[{"name":"x"},{"name":"x"}]}`,
		`POST . {"namespace":"N1","resource_type_associations":[{"name":"T2"},{"name":"T2"}]}`, `GET ./N1`,
		`POST . nope`, `POST .`, `PUT ./A`,
		// Glance fails over these.
		`POST . [1]`, `POST . {"namespace":"N2","properties":{"a":{"title":"x","type":"string","foo":1}}}`,
		`POST . {"namespace":"N3","properties":{"a":{"title":"x","type":"string","enum":[1,2]}}}`, `POST . {"namespace":"N4","objects":[{"description":"x"}]}`,
		`POST . {"namespace":"N5","tags":[{}]}`, `POST . {"namespace":"N6","resource_type_associations":[{"prefix":"a"}]}`,
		`POST . {"namespace":"F","properties":{"f":{"title":"x","type":"number","minimum":1.5}}}`, `DELETE ./F`)
}

func (s *script) lists() {
	s.as(admin, namespaces,
		`GET .?limit=0`, `GET .?limit=-1`, `GET .?limit=x`, `GET .?marker=none`, `GET .?sort_key=foo`, `GET .?sort_dir=foo`, `GET .?visibility=foo`,
		`GET .?visibility=public&sort_key=namespace&sort_dir=asc`, `GET .?visibility=private`,
		`GET .?sort_key=namespace&sort_dir=asc&limit=1`, `GET .?sort_key=namespace&sort_dir=asc&limit=1&marker=A`,
		`GET .?sort_key=namespace&sort_dir=desc&limit=2&visibility=public&marker=P`,
		`GET .?resource_types=T2,OS::Glance::Image`, `GET .?resource_types=none`, `GET .?resource_types=T2&visibility=public`, `GET .?foo=bar&limit=1&sort_key=namespace`)
}

func (s *script) resourceTypes() {
	s.as(admin, namespaces+"/A/resource_types",
		`POST . {"name":"R1","prefix":"r_","properties_target":"image"}`, `POST . {"name":"R1"}`, `POST . {"name":"R2","created_at":"x"}`, `POST . {}`,
		`POST . {"name":"R2","foo":1}`, `POST . {"name":"`+strings.Repeat("x", 81)+`"}`, `GET .`, `DELETE ./none`, `PUT ./R1 {}`, `GET ./R1`, `PATCH .`)
	s.as(admin, "/v2/metadefs", `GET /namespaces/none/resource_types`, `POST /namespaces/none/resource_types {"name":"R1"}`, `GET /resource_types`, `POST /resource_types {}`)
}

func (s *script) properties() {
	s.as(admin, namespaces+"/A/properties",
		`POST . {"name":"p","title":"t","type":"integer","default":7,"minimum":1}`, `POST . {"name":"p","title":"t","type":"integer"}`,
		`POST . {"title":"t","type":"integer"}`, `POST . {"name":"q","type":"integer"}`, `POST . {"name":"q","title":"t","type":"integer","created_at":"x"}`,
		`POST . {"name":"q","title":"t","type":"integer","foo":"x"}`, `POST . {"name":"q","title":"t","type":"boolean","confidential":true}`,
		`POST . {"name":"q","title":"t","type":"integer","required":["p"]}`,
		`POST . {"name":"s","title":"t","type":"string","enum":["a"],"maxLength":5,"minLength":0,"pattern":"^a","description":"","operators":[]}`,
		`POST . {"name":"arr","title":"t","type":"array","items":{"type":"string"},"additionalItems":false,"maxItems":3}`,
		`POST . {"name":"list","title":"t","type":"array","items":{"type":"string"},"default":["a"]}`, `DELETE ./list`,
		`GET .`, `GET ./p`, `GET ./r_p?resource_type=R1`, `GET ./p?resource_type=R1`, `GET ./p?resource_type=R9`, `GET ./none`,
		`PUT ./p {"name":"pp","title":"t2","type":"string"}`, `GET ./p`, `GET ./pp`, `PUT ./pp {"name":"s","title":"t2","type":"string"}`,
		`PUT ./pp {"title":"t2","type":"string"}`, `PUT ./none {"name":"q","title":"t2","type":"string"}`, `DELETE ./pp`, `DELETE ./pp`, `PATCH .`, `PATCH ./s`, `POST ./s`)
	s.as(admin, namespaces, `GET ./none/properties`, `POST ./none/properties {"name":"p","title":"t","type":"integer"}`)
}

func (s *script) objects() {
	s.as(admin, namespaces+"/A/objects",
		`POST . {"name":"o","description":"d","required":["a"],"properties":{"a":{"title":"A","type":"integer"}}}`, `POST . {"name":"o"}`, `POST . {"name":"o3"}`,
		`POST . {"name":"x","self":"x"}`, `POST . {"name":"x","foo":"x"}`, `POST . {"name":"x","properties":{"a":{"title":"A","type":"integer","foo":1}}}`,
		`POST . {"name":"x","properties":{"a":{"title":"A"}}}`, `POST . {}`, `GET .`, `GET .?limit=1`, `GET .?limit=0`, `GET .?sort_dir=x`, `GET .?visibility=x`,
		`GET ./o`, `GET ./none`, `PUT ./o {"name":"oo","description":"new"}`, `GET ./oo`, `GET ./o`, `PUT ./oo {"name":"o3"}`, `PUT ./none {"name":"o3"}`,
		`DELETE ./o3`, `DELETE ./o3`, `PATCH .`, `PATCH ./oo`)
	s.as(admin, namespaces, `GET ./none/objects`, `POST ./none/objects {"name":"x"}`)
}

func (s *script) tags() {
	s.as(admin, namespaces+"/A/tags",
		`POST ./t3`, `POST ./t3`, `POST ./`+strings.Repeat("x", 81), `POST . {"tags":[{"name":"a"},{"name":"b"}]}`, `GET .?sort_key=name`)
	for _, name := range []string{"append", "append again"} {
		s.out = append(s.out, apidiff.Request{Name: name, As: admin, Method: "POST", Path: namespaces + "/A/tags", Body: `{"tags":[{"name":"c"}]}`,
			Header: map[string]string{"X-OpenStack-Append": "True"}})
	}
	s.as(admin, namespaces+"/A/tags",
		`POST . {"tags":[{"name":"d"},{"name":"d"}]}`, `POST . {"tags":[{"name":"d","x":1}]}`, `POST . {"tags":[{}]}`, `POST . {"x":[]}`, `POST . {"tags":[]}`, `POST . {}`,
		`GET .?limit=2&sort_key=name&sort_dir=asc`, `GET .?limit=2&marker=b&sort_key=name&sort_dir=asc`, `GET .?marker=none`, `GET .?limit=-1`, `GET .?limit=0`, `GET .?sort_key=x`,
		`GET ./a`, `GET ./none`, `PUT ./a {"name":"z"}`, `PUT ./z {"name":"b"}`, `PUT ./z {}`, `DELETE ./z`, `DELETE ./z`, `PATCH .`, `PATCH ./a`)
	s.as(admin, namespaces, `GET ./none/tags`, `POST ./none/tags/x`, `DELETE ./A/tags`, `GET ./A/tags`, `DELETE ./A/objects`, `GET ./A/objects`, `DELETE ./A/properties`, `GET ./A/properties`,
		`DELETE ./A/resource_types/R1`, `GET ./A`)
}

func (s *script) protected() {
	s.as(admin, namespaces, `POST . {"namespace":"safe","protected":true}`, `POST ./safe/tags/t`, `POST ./safe/objects {"name":"o"}`,
		`POST ./safe/properties {"name":"p","title":"t","type":"integer"}`, `POST ./safe/resource_types {"name":"R1"}`,
		`DELETE ./safe/tags/t`, `DELETE ./safe/tags`, `DELETE ./safe/objects/o`, `DELETE ./safe/objects`, `DELETE ./safe/properties/p`, `DELETE ./safe/properties`,
		`DELETE ./safe/resource_types/R1`, `DELETE ./safe`, `GET ./safe`)
}

func (s *script) strangers() {
	for _, c := range []apidiff.Caller{member, foreign} {
		before := len(s.out)
		s.as(c, namespaces, `GET ./safe`, `GET .?sort_key=namespace`, `GET ./C`, `PUT ./safe {"namespace":"safe"}`, `PUT ./C {"namespace":"C"}`, `DELETE ./safe/tags`, `DELETE ./C`,
			`POST ./C/tags/x`, `POST ./C/tags {"tags":[{"name":"x"}]}`, `POST ./C/objects {"name":"x"}`, `POST ./C/properties {"name":"x","title":"t","type":"integer"}`,
			`POST ./C/resource_types {"name":"x"}`, `GET ./safe/tags`, `GET ./safe/objects`, `GET ./safe/properties`, `GET ./safe/resource_types`, `GET ./C/tags`,
			`GET ./C/objects`, `POST . {"namespace":"mine"}`, `GET .?marker=safe`)
		for i := range s.out[before:] {
			s.out[before+i].Name += " by " + c.User
		}
	}
}
