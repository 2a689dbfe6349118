package apidiff_test

import (
	"fmt"
	"strings"
	"testing"

	"ingest/internal/apidiff"
	"ingest/internal/glancetest"
)

// propertyRequests set the properties that Glance's schema has an opinion about, and those
// that look as if they were members.
func propertyRequests() []apidiff.Request {
	var out []apidiff.Request
	add := func(method, path, body, kind, save string) {
		r := apidiff.Request{As: member, Method: method, Path: "/v2" + path, Body: body, Save: save, Name: strings.TrimSpace(fmt.Sprintf("%s %s %.120s", method, path, body))}
		if kind != "" {
			r.Header = map[string]string{"Content-Type": kind}
		}
		out = append(out, r)
	}
	const id = `"11111111-2222-4333-8444-555555555555"`
	add("POST", "/images", `{"name":"p","a":"1"}`, "", "p")
	for _, name := range []string{"kernel_id", "ramdisk_id"} {
		for _, value := range []string{`"x"`, `""`, `null`, id, `"11111111-2222-4333-8444-55555555555G"`, `"11111111222243338444555555555555"`, `"11111111-2222-4333-8444-555555555555 "`,
			`"AAAAAAAA-2222-4333-8444-555555555555"`, `" 11111111-2222-4333-8444-555555555555"`, `"11111111-2222-4333-8444-555555555555\n"`, `5`} {
			add("POST", "/images", `{"`+name+`":`+value+`}`, "", "")
			add("PATCH", "/images/${p}", `[{"op":"add","path":"/`+name+`","value":`+value+`}]`, newerPatch, "")
			add("PATCH", "/images/${p}", `[{"op":"replace","path":"/`+name+`","value":`+value+`}]`, newerPatch, "")
		}
		add("PATCH", "/images/${p}", `[{"op":"remove","path":"/`+name+`"}]`, newerPatch, "")
		add("GET", "/images/${p}", "", "", "")
	}
	for _, body := range []string{
		`"cinder_encryption_key_deletion_policy":"never"`, `"cinder_encryption_key_deletion_policy":"do_not_delete"`, `"cinder_encryption_key_deletion_policy":null`, `"os_distro":null`, `"description":null`,
		`"cinder_encryption_key_id":"x"`, `"instance_uuid":null`, `"architecture":""`,
		`"extra_properties":{"b":"2"}`, `"extra_properties":{}`, `"extra_properties":null`, `"extra_properties":"x"`, `"extra_properties":["b"]`,
		`"properties":{"b":"2"}`, `"properties":"x"`, `"image":"x"`, `"is_public":"true"`, `"copy_from":"x"`, `"image_id":"x"`, `"member":"x"`,
	} {
		add("POST", "/images", "{"+body+"}", "", "")
		name, value, _ := strings.Cut(body, ":")
		add("PATCH", "/images/${p}", `[{"op":"add","path":"/`+strings.Trim(name, `"`)+`","value":`+value+`}]`, newerPatch, "")
		add("PATCH", "/images/${p}", `[{"op":"replace","path":"/`+strings.Trim(name, `"`)+`","value":`+value+`}]`, newerPatch, "")
		add("PATCH", "/images/${p}", `[{"op":"remove","path":"/`+strings.Trim(name, `"`)+`"}]`, newerPatch, "")
	}
	add("GET", "/images/${p}", "", "", "")
	add("GET", "/images?kernel_id=x", "", "", "")
	add("GET", "/images?extra_properties=x&limit=5", "", "", "")
	return out
}

func TestProperties(t *testing.T) {
	glance := glancetest.StartTrusting(t)
	left := &apidiff.Service{Name: "Glance", URL: glance.Endpoint}
	rep, err := apidiff.Replay(left, ours(t), propertyRequests(), propertyDifferences())
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Unexpected)+len(rep.Unseen) > 0 {
		t.Errorf("the answers differ: %v", rep)
	}
	t.Logf("%d requests, %d intended differences", rep.Requests, rep.Expected)
}

// propertyDifferences are those that are meant.
func propertyDifferences() []apidiff.Intended {
	return []apidiff.Intended{
		{Request: "POST /images {*", What: "header Openstack-Image-Import-Methods", Reason: "this server takes no uploads, which are another test's"},
		{Request: "POST /images {*", What: "header Openstack-Image-Store-Ids", Reason: "the two have other stores"},
		{Request: "POST /images {*_id\":null}", What: "$.*_id", Reason: "a property that is null is none, and is not shown"},
		{Request: "PATCH * [{\"op\":\"add\",*_id\",\"value\":null}]", What: "$.*_id", Reason: "a property that is null is none, and is not shown"},
		{Request: "PATCH * [{\"op\":\"replace\",*_id\",\"value\":null}]", What: "status", Reason: "a property that is null is none, and cannot be replaced"},
		{Request: "*\\n\"}*", What: "status", Reason: "a UUID with a line feed behind it is none"},
		{Request: "PATCH * [{\"op\":\"*\",\"path\":\"/extra_properties\",\"value\":\"x\"}]", What: "status", Reason: "Glance fails over this request"},
		{Request: "PATCH * [{\"op\":\"*\",\"path\":\"/image_id\"*", What: "status", Reason: "what Glance's own program calls something is a property like others"},
		{Request: "PATCH * [{\"op\":\"*\",\"path\":\"/member\"*", What: "*", Reason: "what Glance's own program calls something is a property like others"},
	}
}
