package apidiff

import "strings"

// patches21 are those that are taken, in the newer dialect.
func (s *script) patches21() {
	s.patch(member, patch21, "plain",
		`[]`, `[{"op":"replace","path":"/name","value":"new name"}]`, `[{"op":"add","path":"/name","value":"added"}]`, `[{"op":"replace","path":"/name","value":null}]`,
		`[{"op":"add","path":"/colour","value":"red"}]`, `[{"op":"add","path":"/colour","value":"blue"}]`, `[{"op":"replace","path":"/colour","value":"green"}]`, `[{"op":"remove","path":"/colour"}]`,
		`[{"op":"add","path":"/a~1b","value":"slash"},{"op":"add","path":"/c~0d","value":"tilde"}]`, `[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/c~0d"}]`,
		`[{"op":"add","path":"/x","value":"1"},{"op":"replace","path":"/x","value":"2"},{"op":"remove","path":"/x"},{"op":"add","path":"/y","value":"3"}]`, `[{"op":"remove","path":"/y"}]`,
		`[{"op":"replace","path":"/tags","value":["q","r","q"]}]`, `[{"op":"add","path":"/tags","value":[]}]`, `[{"op":"replace","path":"/visibility","value":"community"}]`, `[{"op":"replace","path":"/visibility","value":"shared"}]`,
		`[{"op":"replace","path":"/protected","value":true},{"op":"replace","path":"/os_hidden","value":true},{"op":"replace","path":"/min_disk","value":3},{"op":"replace","path":"/min_ram","value":4}]`,
		`[{"op":"replace","path":"/protected","value":false},{"op":"replace","path":"/os_hidden","value":false}]`, `[{"op":"replace","path":"/disk_format","value":"qcow2"}]`, `[{"op":"replace","path":"/disk_format","value":"raw"}]`,
		`[{"op":"add","path":"/disk_format","value":"raw"}]`, `[{"op":"replace","path":"/container_format","value":"ovf"}]`, `[{"op":"replace","path":"/container_format","value":"bare"}]`,
		`[{"op":"add","path":"/os_distro","value":"debian"}]`, `[{"op":"add","path":"/empty","value":""}]`, `[{"op":"replace","path":"/owner","value":"acme"}]`)
	s.as(member, nil, "GET /images/${plain}")
}

func (s *script) patches20() {
	s.patch(member, patch20, "plain",
		`[]`, `[{"replace":"/name","value":"older"}]`, `[{"add":"/shape","value":"round"}]`, `[{"add":"/shape","value":"square"}]`, `[{"replace":"/shape","value":"square"}]`, `[{"remove":"/shape"}]`, `[{"remove":"/shape"}]`,
		`[{"replace":"/shape","value":"square"}]`, `[{"replace":"/tags","value":["t"]}]`, `[{"op":"replace","path":"/name","value":"x"}]`, `[{"replace":"/name","add":"/b","value":"x"}]`, `[{"move":"/name","value":"x"}]`, `[{"replace":"/name"}]`,
		`[{"remove":"/name"}]`, `[{"replace":"/status","value":"active"}]`, `[{"add":"/a~1b","value":"x"}]`, `[{"remove":"/a~1b"}]`)
}

func (s *script) refusedPatches() {
	long := strings.Repeat("x", 256)
	s.patch(member, patch21, "plain",
		`{}`, `"x"`, `[`, `[1]`, `[{}]`, `[{"op":"replace"}]`, `[{"op":"replace","path":"/name"}]`, `[{"op":"copy","path":"/name","from":"/x"}]`, `[{"op":"test","path":"/name","value":"x"}]`, `[{"path":"/name","value":"x"}]`,
		`[{"op":"replace","path":"name","value":"x"}]`, `[{"op":"replace","path":"/","value":"x"}]`, `[{"op":"replace","path":"","value":"x"}]`, `[{"op":"replace","path":"/name/","value":"x"}]`,
		`[{"op":"add","path":"/a/b","value":"x"}]`, `[{"op":"add","path":"/a~2","value":"x"}]`, `[{"op":"add","path":"/tags/0","value":"x"}]`, `[{"op":"replace","path":5,"value":"x"}]`,
		`[{"op":"replace","path":"/missing","value":"x"}]`, `[{"op":"remove","path":"/missing"}]`, `[{"op":"add","path":"/p","value":5}]`, `[{"op":"add","path":"/p","value":null}]`, `[{"op":"add","path":"/p","value":{}}]`,
		`[{"op":"replace","path":"/name","value":5}]`, `[{"op":"replace","path":"/name","value":"`+long+`"}]`, `[{"op":"replace","path":"/min_disk","value":-1}]`, `[{"op":"replace","path":"/min_disk","value":"1"}]`, `[{"op":"replace","path":"/min_ram","value":99999999999}]`,
		`[{"op":"replace","path":"/protected","value":"x"}]`, `[{"op":"replace","path":"/visibility","value":"x"}]`, `[{"op":"replace","path":"/visibility","value":"public"}]`, `[{"op":"replace","path":"/tags","value":"x"}]`, `[{"op":"replace","path":"/tags","value":[1]}]`,
		`[{"op":"replace","path":"/disk_format","value":"nope"}]`, `[{"op":"replace","path":"/container_format","value":"nope"}]`, `[{"op":"replace","path":"/owner","value":"other"}]`,
		`[{"op":"remove","path":"/name"}]`, `[{"op":"remove","path":"/tags"}]`, `[{"op":"remove","path":"/visibility"}]`, `[{"op":"remove","path":"/disk_format"}]`, `[{"op":"remove","path":"/owner"}]`,
		`[{"op":"add","path":"/name","value":"must not stay"},{"op":"remove","path":"/missing"}]`)
	s.as(member, nil, `POST /images {"name":"odd"} >> odd`)
	s.patch(member, patch21, "odd", `[{"op":"replace","path":"//name","value":"x"}]`, `[{"op":"add","path":"/`+long+`","value":"x"}]`)
	for _, name := range []string{"status", "checksum", "size", "virtual_size", "id", "created_at", "updated_at", "direct_url", "self", "file", "schema", "os_hash_algo", "os_hash_value", "location", "deleted", "deleted_at", "os_glance_x", "os_glance_import_task"} {
		s.patch(member, patch21, "plain", `[{"op":"replace","path":"/`+name+`","value":"x"}]`, `[{"op":"add","path":"/`+name+`","value":"x"}]`, `[{"op":"remove","path":"/`+name+`"}]`)
	}
	s.patch(member, "application/json", "plain", `[{"op":"replace","path":"/name","value":"x"} ]`)
	s.patch(member, "text/plain", "plain", `[{"op":"replace","path":"/name","value":"x"}  ]`)
	s.patch(member, "", "plain", `[{"op":"replace","path":"/name","value":"x"}   ]`)
	s.patch(foreign, patch21, "plain", `[{"op":"replace","path":"/name","value":"theirs"}]`)
	s.patch(foreign, patch21, "public", `[{"op":"replace","path":"/name","value":"theirs"}]`)
	s.patch(admin, patch21, "plain", `[{"op":"replace","path":"/owner","value":"other"}]`, `[{"op":"replace","path":"/owner","value":"acme"}]`, `[{"op":"replace","path":"/visibility","value":"public"}]`,
		`[{"op":"replace","path":"/visibility","value":"shared"}]`, `[{"op":"replace","path":"/owner","value":null}]`, `[{"op":"replace","path":"/owner","value":"acme"}]`)
	s.as(member, nil, "GET /images/${plain}")
}

func (s *script) locations() {
	s.patch(member, patch21, "raw", `[{"op":"add","path":"/locations/-","value":{"url":"file:///etc/passwd","metadata":{}}}]`, `[{"op":"replace","path":"/locations","value":[]}]`, `[{"op":"remove","path":"/locations/0"}]`,
		`[{"op":"replace","path":"/disk_format","value":"qcow2"}]`, `[{"op":"replace","path":"/container_format","value":"ovf"}]`, `[{"op":"replace","path":"/name","value":"of an active one"}]`)
	s.as(member, nil, "GET /images/${raw}/locations", `POST /images/${raw}/locations {"url":"file:///etc/passwd"}`)
}
