package apidiff

import "slices"

// LocationRequests change where the bytes of images lie, at services that show it
// (show_multiple_locations). They expect that objects of a web server are locations:
//
//	${origin}  URL of a server with raw images of 1 MiB at /external/a.raw and /external/b.raw,
//	           which are equal, and another one at /external/c.raw
func LocationRequests() []Request {
	s := &script{}
	create := func(name string) string {
		return `POST /images {"name":"` + name + `","disk_format":"raw","container_format":"bare"} >> ` + name
	}
	at := func(file string) string {
		return `{"url":"${origin}/external/` + file + `","metadata":{"store":"web"}}`
	}
	s.as(member, nil, create("placed"), create("listed"), create("refused"), `POST /images {"name":"formless"} >> formless`, "GET /images/${placed}")
	s.patch(member, patch21, "refused",
		`[{"op":"add","path":"/locations/-","value":{"url":"file:///etc/passwd","metadata":{}}}]`, `[{"op":"add","path":"/locations/-","value":{"url":"nothing://x/y","metadata":{}}}]`,
		`[{"op":"add","path":"/locations/-","value":{"url":"","metadata":{}}}]`, `[{"op":"add","path":"/locations/-","value":{"metadata":{}}}]`, `[{"op":"add","path":"/locations/-","value":5}]`,
		`[{"op":"add","path":"/locations/-","value":[]}]`, `[{"op":"add","path":"/locations/x","value":`+at("a.raw")+`}]`, `[{"op":"add","path":"/locations","value":`+at("a.raw")+`}]`,
		`[{"op":"replace","path":"/locations","value":5}]`, `[{"op":"replace","path":"/locations","value":[5]}]`, `[{"op":"replace","path":"/locations/0","value":`+at("a.raw")+`}]`,
		`[{"op":"remove","path":"/locations/0"}]`, `[{"op":"remove","path":"/locations"}]`, `[{"op":"replace","path":"/locations","value":[]}]`,
		`[{"op":"add","path":"/locations/-","value":{"url":"${origin}/external/a.raw","metadata":{},"validation_data":{"os_hash_algo":"sha512"}}}]`)
	s.as(member, nil, "GET /images/${refused}")
	s.patch(foreign, patch21, "refused", `[{"op":"add","path":"/locations/-","value":`+at("a.raw")+`}]`)
	s.patch(admin, patch21, "placed", `[{"op":"add","path":"/locations/-","value":`+at("a.raw")+`}]`)
	s.as(admin, nil, "GET /images/${placed} ~~ status=active", "GET /images/${placed}")
	s.patch(admin, patch21, "listed", `[{"op":"replace","path":"/locations","value":[`+at("c.raw")+`]}]`)
	s.as(admin, nil, "GET /images/${listed} ~~ status=active")
	s.patch(admin, patch21, "placed", `[{"op":"add","path":"/locations/-","value":`+at("a.raw")+`}]`, `[{"op":"remove","path":"/locations/5"}]`, `[{"op":"remove","path":"/locations/x"}]`,
		`[{"op":"replace","path":"/locations","value":[]}]`, `[{"op":"remove","path":"/locations/0"}]`)
	s.patch(admin, patch21, "formless", `[{"op":"add","path":"/locations/-","value":`+at("a.raw")+`}]`)
	s.as(admin, nil, "GET /images/${placed}")
	s.patch(admin, patch21, "placed", `[{"op":"add","path":"/locations/-","value":`+at("b.raw")+`}]`)
	s.as(admin, nil, "DELETE /images/${placed}", "DELETE /images/${listed}", "GET /images/${placed}")
	return slices.Clip(s.out)
}

// LocationDifferences are those that are meant among the answers to LocationRequests.
func LocationDifferences() []Intended {
	const add, list = `PATCH /images/${placed} [{"op":"add","path":"/locations/-"*`, `PATCH /images/${listed} [{"op":"replace","path":"/locations"*`
	var out []Intended
	for _, what := range []string{"$.locations*", "$.size", "$.status", "$.stores"} {
		out = append(out, each(what, "an object is looked at before its image is active; Glance believes that it is one", add, list)...)
	}
	for _, what := range []string{"$.os_hash_algo", "$.os_hash_value", "$.virtual_size"} {
		out = append(out, each(what, "an object is hashed, and its disk read", "GET /images/${placed} #*", "GET /images/${listed}*")...)
	}
	return append(out, each("status", "an image has one object in a store", `PATCH /images/${placed} [{"op":"add","path":"/locations/-","value":{"url":"${origin}/external/b.raw"*`)...)
}
