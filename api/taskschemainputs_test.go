package api

import (
	"fmt"
	"strings"

	"ingest/internal/contract"
)

// schemaInputs are inputs of a type of task that are taken, or that are refused.
func schemaInputs(kind string, taken bool) []string {
	return map[string]map[bool][]string{
		typeImport:          {true: importsTaken(), false: importsRefused()},
		contract.TypeExport: {true: exportsTaken(), false: exportsRefused()},
		contract.TypeClone:  {true: clonesTaken(), false: clonesRefused()},
	}[kind][taken]
}

// importing is an input of an import.
func importing(from, format, image string) string {
	return fmt.Sprintf(`{"import_from":%q,"import_from_format":%q,"image_properties":{%s}}`, from, format, image)
}

func importsTaken() []string {
	out := []string{importing("http://h/i", "raw", `"name":"n","disk_format":"qcow2","container_format":"bare","tags":["t","t"],"min_ram":64,"min_disk":4.0,"protected":true,"os_hidden":false,"visibility":"public","os_distro":"debian","x":"y","id":"`+cloneID+`"`)}
	for _, from := range []string{"http://h", "https://h/", "HTTPS://h:1/i", "http://h:/i", "http://[::1]:80/i", "http://[::1]?x", "http://h/i?a=b&c=d", "http://h/a@b:c", "http://h/i;x"} {
		out = append(out, importing(from, "vmdk", ""))
	}
	for _, format := range []string{"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ploop", "ami", "aki", "ari"} {
		out = append(out, importing("http://h/i", format, ""), importing("http://h/i", format, `"disk_format":"`+format+`"`), importing("http://h/i", format, `"disk_format":"raw"`))
	}
	for _, image := range []string{
		`"name":null`, `"name":""`, `"name":"` + strings.Repeat("é", 255) + `"`, `"owner":null`, `"owner":""`, `"owner":"red"`, `"disk_format":null`, `"disk_format":""`,
		`"container_format":null`, `"container_format":"docker"`, `"tags":[]`, `"tags":[""]`, `"min_ram":2147483647`, `"kernel_id":null`, `"kernel_id":"` + strings.ToUpper(cloneID) + `"`,
		`"x":""`, `"x":"a\nb"`, `"` + strings.Repeat("n", 255) + `":"y"`, `"cinder_encryption_key_deletion_policy":"do_not_delete"`,
	} {
		out = append(out, importing("http://h/i", "raw", image))
	}
	return out
}

func importsRefused() []string {
	out := []string{
		`{}`, `{"import_from":"http://h/i","image_properties":{}}`, `{"import_from":"http://h/i","import_from_format":"raw"}`, `{"import_from_format":"raw","image_properties":{}}`,
		`{"import_from":"http://h/i","import_from_format":"raw","image_properties":{},"more":1}`, `{"Import_From":"http://h/i","import_from_format":"raw","image_properties":{}}`,
		importing("http://h/i", "floppy", ""), importing("http://h/i", "RAW", ""), importing("http://h/i", "", ""), importing("http://h/i", "raw", `"disk_format":"ploop"`),
	}
	for _, from := range []string{"", "h/i", "/srv/x", "file:///srv/x", "swift://h/i", "http:h", "http:///i", "http://:80/i", "http://h:x/i", "http://u:p@h/i", "http://u@h", "http://h/i#x", "http://h/i?x#", "http://h/\u0007", "http://h/" + strings.Repeat("u", 4096)} {
		out = append(out, strings.Replace(importing("FROM", "raw", ""), "FROM", strings.Trim(string(mustJSON(from)), `"`), 1))
	}
	for _, image := range []string{
		`"id":"x"`, `"id":""`, `"status":"active"`, `"locations":[]`, `"location":"x"`, `"deleted":false`, `"content_digest":"x"`, `"stores":"far"`, `"os_glance_x":"y"`, `"OS_GLANCE":"y"`,
		`"os_hidden":true`, `"os_hidden":null`, `"protected":null`, `"visibility":null`, `"visibility":""`, `"visibility":"secret"`, `"disk_format":"floppy"`, `"disk_format":"RAW"`, `"container_format":"box"`,
		`"name":"` + strings.Repeat("n", 256) + `"`, `"name":"a\tb"`, `"owner":"a b"`, `"owner":"` + strings.Repeat("o", 65) + `"`, `"tags":null`, `"tags":[null]`, `"tags":["a\u0085"]`, `"tags":["` + strings.Repeat("t", 256) + `"]`,
		`"min_ram":-1`, `"min_ram":1.5`, `"min_ram":2147483648`, `"min_disk":null`, `"x":null`, `"x":1`, `"x":"a\u0000"`, `"x":"` + strings.Repeat("v", maxValue+1) + `"`, `"":"y"`, `"a\tb":"y"`,
		`"` + strings.Repeat("n", 256) + `":"y"`, `"kernel_id":"x"`, `"kernel_id":""`, `"cinder_encryption_key_deletion_policy":"never"`,
	} {
		out = append(out, importing("http://h/i", "raw", image))
	}
	return out
}

// exportingTo is an input of an export.
func exportingTo(to, rest string) string {
	return fmt.Sprintf(`{"image_id":"IMAGE","export_to":%q%s}`, to, rest)
}

func exportsTaken() []string {
	var out []string
	for _, to := range []string{"/srv/x", "/srv/a#b@c", "file:///srv/x", "FILE:///srv/a@b", "http://h/x", "HTTPS://h:1/x?a=b", "https://h", "/" + strings.Repeat("p", 8191)} {
		out = append(out, exportingTo(to, ""))
	}
	for _, rest := range []string{
		`,"export_to_format":"qcow2","export_options":{"compression":"zstd"},"credential":"c","overwrite":true`, `,"export_to_format":null,"export_options":null,"credential":null,"overwrite":null`,
		`,"export_to_format":"","export_options":{}`, `,"export_to_format":"raw"`, `,"export_to_format":"vmdk","export_options":{"subformat":"streamOptimized"}`, `,"export_to_format":"openstack"`,
		`,"export_to_format":"iso"`, `,"credential":""`,
	} {
		out = append(out, exportingTo("/srv/x", rest))
	}
	return out
}

func exportsRefused() []string {
	out := []string{`{}`, `{"image_id":"IMAGE"}`, `{"export_to":"/srv/x"}`, `{"image_id":"x","export_to":"/srv/x"}`, `{"image_id":"","export_to":"/srv/x"}`, `{"image_id":null,"export_to":"/srv/x"}`,
		`{"image_id":"IMAGE","export_to":null}`, `{"image_id":"` + strings.ToUpper(cloneID) + `","export_to":"/srv/x"}`}
	for _, to := range []string{"", "x", "srv/x", "s3://bucket/key", "swift://h/x", "https://user:pw@h/x", "https:///x", "https:x", "https://h/x#y", "file:///x#y", "/" + strings.Repeat("p", 8192)} {
		out = append(out, exportingTo(to, ""))
	}
	for _, rest := range []string{
		`,"more":1`, `,"export_to_format":"floppy"`, `,"export_to_format":5`, `,"export_options":{"compression":"zstd"}`, `,"export_to_format":"","export_options":{"compression":"zstd"}`,
		`,"export_to_format":"raw","export_options":{"compression":"zstd"}`, `,"export_to_format":"qcow2","export_options":{"Compression":"zstd"}`, `,"export_to_format":"openstack","export_options":{"x":"y"}`,
		`,"export_to_format":"qcow2","export_options":{"compression":1}`, `,"export_to_format":"qcow2","export_options":[]`, `,"overwrite":"yes"`, `,"overwrite":1`, `,"credential":1`, `,"priority":3`,
	} {
		out = append(out, exportingTo("/srv/x", rest))
	}
	return out
}

// cloning is an input of a clone.
func cloning(source, rest string) string {
	return `{"source":{"image_id":"` + cloneID + `",` + source + `}` + rest + `}`
}

const otherID = "8f3c6f0a-5f38-4a8e-9d5b-0b9f0f4f7a11"

func clonesTaken() []string {
	var out []string
	for _, source := range []string{
		fromEast, fromEast + `,"credential":"c"`, fromEast + `,"region":"","credential":null`, `"region":"north"`, `"region":"north","url":null,"credential":""`, `"credential":"c"`, `"credential":"c","url":"","region":null`,
		`"url":"HTTP://h"`, `"url":"https://h?"`, `"url":"https://h/v?"`, `"url":"https://[::1]:9292/a@b:c/"`, `"url":"https://h:"`,
	} {
		out = append(out, cloning(source, ""))
	}
	for _, rest := range []string{
		`,"same_id":true`, `,"same_id":false,"image_id":"` + otherID + `"`, `,"same_id":true,"image_id":"` + cloneID + `"`, `,"image_id":""`, `,"image_id":null`, `,"image_properties":null`,
		`,"image_properties":{"name":"n","x":"y","visibility":"public","protected":true,"tags":["t"],"min_disk":1}`, `,"stores":["far"]`, `,"stores":["far","local"],"all_stores_must_succeed":false`, `,"stores":[],"all_stores":true`,
		`,"stores":null,"all_stores":true`, `,"stores":["far"],"all_stores":false`, `,"stores":["far"],"all_stores":null`, `,"all_stores_must_succeed":null`, `,"priority":0`, `,"priority":9`, `,"priority":null`,
	} {
		out = append(out, cloning(fromEast, rest))
	}
	return out
}

func clonesRefused() []string {
	out := []string{`{}`, `{"source":null}`, `{"source":{}}`, `{"source":[]}`, `{"source":{` + fromEast + `}}`, `{"source":{"image_id":"` + cloneID + `"}}`, `{"source":{"image_id":"` + strings.ToUpper(cloneID) + `",` + fromEast + `}}`,
		`{"source":{"image_id":null,` + fromEast + `}}`, `{"source":{"IMAGE_ID":"` + cloneID + `",` + fromEast + `}}`}
	for _, source := range []string{
		`"x":1`, fromEast + `,"x":1`, fromEast + `,"region":"north"`, fromEast + `,"interface":"public"`, `"region":"north","credential":"c"`, `"url":"","region":"","credential":""`, `"url":null`, `"url":5`, `"region":true,` + fromEast,
		`"url":"h"`, `"url":"file:///etc/passwd"`, `"url":"glance://h"`, `"url":"https://u:p@h"`, `"url":"https://h/?x=y"`, `"url":"https://h/#x"`, `"url":"https://h#"`, `"url":"https:///x"`, `"url":"https://:80/x"`, `"url":"http://h:x"`, `"url":"https://h/\u0007"`,
		`"credential":"` + strings.Repeat("c", 256) + `"`, `"credential":"a\tb"`,
	} {
		out = append(out, cloning(source, ""))
	}
	for _, rest := range []string{
		`,"other":1`, `,"same_id":"yes"`, `,"same_id":1`, `,"image_id":"x"`, `,"image_id":"` + strings.ToUpper(cloneID) + `"`, `,"image_properties":[]`, `,"image_properties":{"id":null}`, `,"image_properties":{"disk_format":"raw"}`,
		`,"image_properties":{"container_format":"bare"}`, `,"image_properties":{"status":"active"}`, `,"image_properties":{"os_hidden":true}`, `,"stores":"far"`, `,"stores":["none"]`, `,"stores":["shelf"]`, `,"stores":[""]`, `,"stores":[null]`,
		`,"stores":["far","far"]`, `,"stores":["far"],"all_stores":true`, `,"stores":["far","local"],"all_stores":true`, `,"all_stores":"true"`, `,"all_stores_must_succeed":0`, `,"priority":10`, `,"priority":-1`, `,"priority":1.5`, `,"priority":"3"`,
	} {
		out = append(out, cloning(fromEast, rest))
	}
	return out
}

// untold are inputs on which the server and the schema differ: it knows more than a schema
// can say, or takes spellings that a schema does not name.
func untold() map[string][]string {
	tags := make([]string, maxTags+1)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"%d"`, i)
	}
	return map[string][]string{
		typeImport: {
			importing("http://h/i?X-Amz-Signature=s", "raw", ""), importing("http://h/%zz", "raw", ""),
			importing("http://h/i", "raw", `"owner":"blue"`), importing("http://h/i", "raw", `"tags":[`+strings.Join(tags, ",")+`]`),
		},
		contract.TypeExport: {
			`{"image_id":"` + otherID + `","export_to":"/srv/x"}`, exportingTo("file://u@h/x", ""), exportingTo("http://h/x?token=s", ""),
			exportingTo("/srv/x", `,"export_to_format":"QCOW2"`), exportingTo("/srv/x", `,"export_to_format":"qcow2","export_options":{"compression":"best"}`),
		},
		contract.TypeClone: {
			cloning(`"region":"west"`, ""), cloning(`"url":"http://h/%zz"`, ""), cloning(fromEast, `,"same_id":true,"image_id":"`+otherID+`"`), cloning(fromEast, `,"priority":3.0`),
			cloning(fromEast, `,"image_properties":{"owner":"blue"}`),
		},
	}
}
