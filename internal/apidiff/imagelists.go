package apidiff

// listFixture makes images of a project whose lists are then asked for. The names say
// how they are sorted.
func (s *script) listFixture() {
	s.as(lister, nil,
		`POST /images {"name":"a","disk_format":"raw","container_format":"bare","tags":["x","y"],"os_distro":"debian","min_ram":64} >> la`,
		`POST /images {"name":"b","disk_format":"qcow2","container_format":"bare","tags":["x"],"os_distro":"ubuntu","os_version":"24.04"} >> lb`,
		`POST /images {"name":"c","disk_format":"vmdk","container_format":"ovf","visibility":"private","protected":true,"os_distro":"debian"} >> lc`,
		`POST /images {"name":"d, \"quoted\"","visibility":"community","min_disk":7} >> ld`, `POST /images {"name":"e","os_hidden":true} >> le`,
		`POST /images {"name":"f","disk_format":"raw","container_format":"bare"} >> lf`)
	s.send(lister, "${la}/file", disk)
	s.send(lister, "${lf}/file", short)
	s.as(foreign, nil, `POST /images {"name":"of others","visibility":"community"}`, `POST /images {"name":"for lists"} >> lforeign`, `POST /images/${lforeign}/members {"member":"lists"}`)
}

func (s *script) lists() {
	const sorted = "&sort=name:asc"
	for _, q := range []string{
		"", "name=a", "name=none", "name=in:a,b", `name=in:a,%22d, \%22quoted\%22%22`, "name=eq:a", "name=neq:a", "name=", "id=${la}", "id=in:${la},${lb}", "status=queued", "status=active", "status=in:active,queued", "status=nope",
		"disk_format=raw", "disk_format=in:raw,qcow2", "container_format=bare", "container_format=in:bare,ovf", "disk_format=none",
		"visibility=private", "visibility=shared", "visibility=community", "visibility=public", "visibility=all", "member_status=all", "member_status=pending", "member_status=accepted", "member_status=rejected",
		"tag=x", "tag=x&tag=y", "tag=none", "protected=true", "protected=false", "os_hidden=true", "os_hidden=false", "owner=lists", "owner=other", "os_distro=debian", "os_distro=debian&tag=x", "os_version=24.04", "nothing=x",
		"size_min=1000", "size_max=1000", "size_min=1001&size_max=70000", "min_ram=64", "min_disk=7", "min_disk_min=1", "min_ram_max=64", "size=1000",
		"created_at=gt:2001-01-01T00:00:00Z", "created_at=lt:2001-01-01T00:00:00Z", "updated_at=gte:2001-01-01T00:00:00", "updated_at=lte:2999-01-01", "created_at=2001-01-01T00:00:00Z", "created_at=neq:2001-01-01T00:00:00Z",
		"checksum=${none}x", "os_hash_value=x", "limit=2", "limit=2&marker=${lb}", "limit=1000", "limit=5000", "limit=0", "limit=1&name=in:a,b&tag=x", "marker=${lf}",
	} {
		s.as(lister, nil, "GET /images?"+q+sorted)
	}
	for _, q := range []string{
		"sort=name:desc&limit=3", "sort=disk_format:asc,name:desc", "sort=container_format,name:asc", "sort=status:asc,name:asc", "sort=size:asc,name:asc", "sort=name", "sort_key=name&sort_dir=asc", "sort_key=name",
		"sort_key=disk_format&sort_key=name&sort_dir=desc&sort_dir=asc", "sort_key=status&sort_key=name&sort_dir=asc", "sort=name:asc&limit=2&marker=${la}", "sort=name:desc&limit=2&marker=${lc}",
		"sort=disk_format:asc,name:asc&limit=2&marker=${ld}", "sort_dir=asc&limit=0", "sort=id:asc&name=a", "sort=created_at:desc&name=a", "sort=updated_at:asc&name=b",
	} {
		s.as(lister, nil, "GET /images?"+q)
	}
}

func (s *script) badLists() {
	for _, q := range []string{
		"limit=-1", "limit=x", "limit=1.5", "limit=", "limit=99999999999999999999", "marker=none", "marker=99999999-2222-4333-8444-555555555555", "marker=", "sort=nope:asc", "sort=name:up", "sort=name:asc:x", "sort=", "sort=name&sort_key=name",
		"sort=name&sort_dir=asc", "sort_key=nope", "sort_dir=nope", "sort_dir=asc&sort_dir=desc", "sort_key=name&sort_key=size&sort_dir=asc&sort_dir=asc&sort_dir=asc", "sort_key=", "visibility=nope", "visibility=", "member_status=nope",
		"protected=maybe", "protected=", "os_hidden=maybe", "os_hidden=", "created_at=nope", "created_at=gt:nope", "created_at=between:2001-01-01", "updated_at=", "size_min=x", "size_min=-1", "size_max=x", "size=x", "min_ram=x", "min_disk_min=x",
		"changes-since=2001-01-01", "name=like:a", "name=in:", "name=in:%22a", "id=like:x", "status=gt:active", "disk_format=gt:x", "container_format=neq:x", "deleted=true", "is_public=true", "tag=", "size_min=1&size_min=2", "limit=1&limit=2&sort=name:asc",
	} {
		s.as(lister, nil, "GET /images?"+q)
	}
}
