package apidiff

func (s *script) uploads() {
	s.as(member, nil, `POST /images {"name":"raw","disk_format":"raw","container_format":"bare"} >> raw`, `POST /images {"name":"short","disk_format":"raw","container_format":"bare"} >> short`,
		`POST /images {"name":"no formats"} >> formless`, `POST /images {"name":"qcow2","disk_format":"qcow2","container_format":"bare"} >> qcow2image`,
		`POST /images {"name":"backed","disk_format":"qcow2","container_format":"bare"} >> backedimage`, `POST /images {"name":"lie","disk_format":"raw","container_format":"bare"} >> lie`,
		`POST /images {"name":"other lie","disk_format":"qcow2","container_format":"bare"} >> otherlie`, `POST /images {"name":"in second","disk_format":"raw","container_format":"bare"} >> insecond`,
		`POST /images {"name":"chunked","disk_format":"raw","container_format":"bare"} >> chunked`, `POST /images {"name":"none","disk_format":"raw","container_format":"bare"} >> empty`, "GET /images/${raw}/file")
	s.send(member, "${raw}/file", disk, "Content-Type", "text/plain")
	s.send(member, "${raw}/file", disk, "Content-Type", "")
	s.send(member, "${raw}/file", disk)
	s.as(member, nil, "GET /images/${raw}")
	s.send(member, "${raw}/file", disk)
	s.send(member, "${short}/file", short)
	s.send(member, "${formless}/file", short)
	s.send(member, "${qcow2image}/file", "${qcow2}")
	s.send(member, "${backedimage}/file", "${backed}")
	s.send(member, "${lie}/file", "${qcow2}")
	s.send(member, "${otherlie}/file", disk)
	s.send(member, "${insecond}/file", short, "X-Image-Meta-Store", "nowhere")
	s.send(member, "${insecond}/file", short, "X-Image-Meta-Store", "second")
	s.send(member, "none/file", short)
	s.send(foreign, "${public}/file", short)
	s.add(Request{As: member, Method: "PUT", Path: "/v2/images/${chunked}/file", Body: disk, Chunked: true, Header: map[string]string{"Content-Type": bytesType}}, "PUT /images/${chunked}/file chunked")
	s.as(member, nil, "GET /images/${short}", "GET /images/${formless}", "GET /images/${qcow2image}", "GET /images/${backedimage}", "GET /images/${lie}", "GET /images/${otherlie}", "GET /images/${insecond}", "GET /images/${chunked}",
		"POST /images/${raw}/file {}", "DELETE /images/${raw}/file")
	s.send(member, "${empty}/file", "")
	s.as(member, nil, "GET /images/${empty}", "GET /images/${empty}/file")
}

func (s *script) downloads() {
	s.as(member, nil, "GET /images/${raw}/file", "GET /images/${short}/file", "GET /images/${insecond}/file", "GET /images/${chunked}/file", "GET /images/none/file", "GET /images/${plain}/file", "HEAD /images/${raw}/file")
	for _, v := range []string{
		"bytes=0-0", "bytes=0-99", "bytes=100-199", "bytes=65535-65535", "bytes=65500-", "bytes=-10", "bytes=0-", "bytes=0-65535", "bytes=0-65536", "bytes=0-999999", "bytes=-65536", "bytes=-99999", "bytes=65536-", "bytes=65536-70000",
		"bytes=-0", "bytes=10-5", "bytes=0-1,5-6", "bytes=a-b", "bytes=", "bytes", "lines=0-5", "bytes=99999999999999999999-", "bytes 0-9/65536",
	} {
		s.ask(member, "GET", "/images/${raw}/file", "Range", v)
	}
	for _, v := range []string{"bytes 0-9/65536", "bytes 10-19/*", "bytes 65536-65540/*", "bytes */65536", "x"} {
		s.ask(member, "GET", "/images/${raw}/file", "Content-Range", v)
	}
	s.ask(foreign, "GET", "/images/${raw}/file", "Range", "bytes=0-9")
	s.as(foreign, nil, "GET /images/${raw}/file")
}

func (s *script) stages() {
	s.as(member, nil, `POST /images {"name":"staged","disk_format":"raw","container_format":"bare"} >> staged`, `POST /images {"name":"staged without formats"} >> stagedformless`)
	s.send(member, "${staged}/stage", disk, "Content-Type", "text/plain")
	s.send(member, "${raw}/stage", disk)
	s.send(member, "none/stage", disk)
	s.send(foreign, "${public}/stage", disk)
	s.as(member, nil, `POST /images/${staged}/import {"method":{"name":"glance-direct"}}`)
	s.send(member, "${staged}/stage", disk)
	s.as(member, nil, "GET /images/${staged}", "GET /images/${staged}/file", "GET /images/${staged}/stage", "POST /images/${staged}/stage {}")
	s.send(member, "${staged}/stage", disk)
	s.send(member, "${staged}/file", disk)
	s.as(member, nil, `POST /images/${staged}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"}}`, `POST /images/${staged}/import {"method":{"name":"glance-direct"}}`,
		"GET /images/${staged}/tasks ~~ status=success", "GET /images/${staged}", "GET /images/${staged}/file", `POST /images/${staged}/import {"method":{"name":"glance-direct"}}`)
	s.send(member, "${stagedformless}/stage", short)
	s.as(member, nil, "GET /images/${stagedformless}", `POST /images/${stagedformless}/import {"method":{"name":"glance-direct"}}`)
	s.patch(member, patch21, "stagedformless", `[{"op":"replace","path":"/disk_format","value":"raw"},{"op":"replace","path":"/container_format","value":"bare"}]`)
	s.as(member, nil, "DELETE /images/${stagedformless}", "GET /images/${stagedformless}")
}

func (s *script) stores() {
	s.as(admin, nil, `POST /images {"name":"for two","disk_format":"raw","container_format":"bare"} >> two`, `POST /images/${two}/import {"method":{"name":"web-download","uri":"${origin}/disk.raw"},"stores":["local","second"]}`,
		"GET /images/${two}/tasks ~~ status=success", "GET /images/${two}", "DELETE /stores/nowhere/${two}", "DELETE /stores/second/none", "DELETE /stores/second/${plain}", "GET /stores/second/${two}",
		"DELETE /stores/second/${two}", "DELETE /stores/second/${two}", "DELETE /stores/local/${two}", "GET /images/${two}", "GET /images/${two}/file",
		`POST /images/${two}/import {"method":{"name":"copy-image"},"stores":["second"]}`, "GET /images/${two} ~~ stores=local,second", `POST /images/${two}/import {"method":{"name":"copy-image"},"stores":["nowhere"]}`,
		`POST /images/${two}/import {"method":{"name":"copy-image"},"stores":["second"]}`, `POST /images/${plain}/import {"method":{"name":"copy-image"},"stores":["second"]}`)
	s.as(member, nil, "DELETE /stores/second/${two}")
	s.as(foreign, nil, "DELETE /stores/second/${two}")
}

func (s *script) cache() {
	s.as(admin, nil, "GET /cache", "DELETE /cache/${raw}", "PUT /cache/none", "DELETE /cache/none", "PUT /cache/${plain}", "POST /cache {}", "GET /cache/${raw}", "DELETE /cache")
	s.ask(admin, "DELETE", "/cache", "X-Image-Cache-Clear-Target", "queue")
	s.ask(admin, "DELETE", "/cache", "X-Image-Cache-Clear-Target", "nope")
	s.as(member, nil, "GET /cache", "PUT /cache/${raw}", "DELETE /cache", "DELETE /cache/${raw}")
}
