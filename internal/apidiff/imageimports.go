package apidiff

import "fmt"

func (s *script) imports() {
	s.as(member, nil, `POST /images {"name":"fetched","disk_format":"raw","container_format":"bare"} >> fetched`,
		`POST /images/${fetched}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`, "GET /images/${fetched} ~~ status=active", "GET /images/${fetched}/file", "GET /images/${fetched}/tasks ~~ status=success",
		`POST /images/${fetched}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`,
		`POST /images {"name":"not there","disk_format":"raw","container_format":"bare"} >> lost`, `POST /images/${lost}/import {"method":{"name":"web-download","uri":"${origin}/missing"}}`, "GET /images/${lost}/tasks ~~ status=failure", "GET /images/${lost} ~~ status=queued",
		`POST /images {"name":"everywhere","disk_format":"raw","container_format":"bare"} >> everywhere`, `POST /images/${everywhere}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"},"all_stores":true}`,
		"GET /images/${everywhere}/tasks ~~ status=success", "GET /images/${everywhere}")
	s.as(foreign, nil, "GET /images/${fetched}/tasks")
}

func (s *script) refusedImports() {
	const to = "POST /images/${lost}/import "
	s.as(member, nil, to, to+`[]`, to+`{`, to+`{}`, to+`{"method":{}}`, to+`{"method":5}`, to+`{"method":{"name":5}}`, to+`{"method":{"name":"nope"}}`, to+`{"method":{"name":"web-download"}}`, to+`{"method":{"name":"glance-direct"}}`,
		to+`{"method":{"name":"copy-image"}}`, to+`{"method":{"name":"copy-image"},"stores":["second"]}`, to+`{"method":{"name":"glance-download"}}`)
	for _, uri := range []string{"", "nope", "file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "http:///x", "gopher://x/y", "http://user:secret@127.0.0.1/x"} {
		s.as(member, nil, to+fmt.Sprintf(`{"method":{"name":"web-download","uri":%q}}`, uri))
	}
	const fetch = to + `{"method":{"name":"web-download","uri":"${origin}/disk.raw"},`
	s.as(member, nil, fetch+`"stores":["nowhere"]}`, fetch+`"stores":"local"}`, fetch+`"stores":[1]}`, fetch+`"all_stores":"yes"}`, fetch+`"all_stores":true,"stores":["local"]}`, fetch+`"all_stores_must_succeed":"no"}`,
		"GET /images/${lost}/import", "PUT /images/${lost}/import {}", `POST /images/none/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`,
		`POST /images/${formless}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`, `POST /images/${raw}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`)
	s.as(foreign, nil, `POST /images/${public}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`, `POST /images/${lost}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`)
	s.as(member, nil, "GET /images/${lost} ~~ status=queued") // Glance has begun some, and gives them up
}

func (s *script) tasks() {
	s.as(admin, nil,
		`POST /tasks {}`, `POST /tasks {"type":"import"}`, `POST /tasks {"type":"nope","input":{}}`, `POST /tasks {"input":{}}`, `POST /tasks {"type":"import","input":{}}`, `POST /tasks {"type":"import","input":5}`, `POST /tasks []`, `POST /tasks {`, `POST /tasks`,
		`POST /tasks {"type":"import","input":{"import_from":"${origin}/disk.raw"}}`, `POST /tasks {"type":"import","input":{"import_from":"${origin}/disk.raw","import_from_format":"raw"}}`,
		`POST /tasks {"type":"import","input":{"import_from":"file:///etc/passwd","import_from_format":"raw","image_properties":{}}}`,
		`POST /tasks {"type":"import","input":{"import_from":"${origin}/disk.raw","import_from_format":"raw","image_properties":{"name":"by a task","disk_format":"raw","container_format":"bare"}}} >> task`,
		"GET /tasks/${task} ~~ status=success", "GET /tasks/none", "GET /tasks/99999999-2222-4333-8444-555555555555", "DELETE /tasks/${task}", "PUT /tasks/${task} {}", "PATCH /tasks {}", "DELETE /tasks", "GET /tasks?limit=1&sort_key=created_at&sort_dir=desc&type=import",
		"GET /tasks?limit=-1", "GET /tasks?limit=x", "GET /tasks?limit=0", "GET /tasks?marker=none", "GET /tasks?marker=99999999-2222-4333-8444-555555555555", "GET /tasks?sort_key=nope", "GET /tasks?sort_dir=nope", "GET /tasks?status=nope", "GET /tasks?status=success&type=import",
		"GET /tasks?status=pending", "GET /tasks?status=processing", "GET /tasks?type=nope")
	s.as(member, nil, "GET /tasks", "GET /tasks/${task}", `POST /tasks {"type":"import","input":{"import_from":"${origin}/disk.raw","import_from_format":"raw","image_properties":{}}}`, "GET /images/none/tasks", "GET /images/${plain}/tasks", "POST /images/${plain}/tasks {}")
}
