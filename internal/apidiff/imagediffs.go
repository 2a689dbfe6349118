package apidiff

import "slices"

// ImageDifferences are those that are meant among the answers to ImageRequests.
func ImageDifferences() []Intended {
	return slices.Concat(discoveryDifferences(), listDifferences(), recordDifferences(), dataDifferences(), importDifferences(), taskDifferences(), storeDifferences())
}

// each means one thing of several requests.
func each(what, reason string, requests ...string) []Intended {
	var out []Intended
	for _, r := range requests {
		out = append(out, Intended{Request: r, What: what, Reason: reason})
	}
	return out
}

func discoveryDifferences() []Intended {
	return slices.Concat(
		each("header X-Openstack-Request-Id", "every answer has the id of its request", "GET //", "GET //versions", "GET //v3/images", "GET //v9"),
		each("status", "versions are told at /v2, too", "GET", "GET /"),
		each("$.versions*", "version 2.17 is announced, for its calls about locations; Glance 25.1 ends with 2.16", "GET //", "GET //versions", "GET //v3/images", "GET //v9"),
		each("status", "Glance 25.1 does not have this call of version 2.17 yet", "GET /images/${raw}/locations", "POST /images/${raw}/locations *"),
		each("status", "/v1 is ingest's own API", "GET //v1/"),
		each("status", "a path that is none is not found, and no list of versions", "GET //nothing"),
		each("status", "what is only shown takes no POST", "POST //versions"),
		each("status", "Glance looks for /v2/v2 if path and Accept both name the version", "GET /images?limit=0 Accept: *"),
		each("$.usage*", "what is used is told without a limit in Keystone, too", "GET /info/usage"),
		each("$.stores*", "stores are described by what they are made of here", "GET /info/stores/detail*"),
	)
}

func listDifferences() []Intended {
	return slices.Concat(
		each("$.first", "the link has the whole query; Glance forgets a parameter that comes twice",
			"GET /images?tag=x&tag=y&*", "GET /images?sort_key=disk_format&sort_key=name*", "GET /images?sort_key=status&sort_key=name*", "GET /images?size_min=1&size_min=2", "GET /images?limit=1&limit=2*"),
		each("$.next", "there is a next page only if something is on it", "GET /images?sort=name:desc&limit=2&marker=${lc}"),
		each("*", "of a parameter that comes twice the first counts", "GET /images?limit=1&limit=2*"),
		each("*", "an empty visibility is none", "GET /images?visibility="),
		each("status", "an empty marker is none", "GET /images?marker="),
		each("status", "what is no number is no size", "GET /images?size=x", "GET /images?min_ram=x"),
		each("status", "a number that no image can have is refused", "GET /images?size_min=-1", "GET /images?limit=99999999999999999999"),
		each("status", "a name or an id with a colon is one, if no operator is before the colon", "GET /images?name=like:a", "GET /images?id=like:x"),
	)
}

func recordDifferences() []Intended {
	return slices.Concat(
		each("header Openstack-Image-Store-Ids", "Glance lists stores that images cannot be put into", "POST /images *"),
		each("status", "digests are the server's to say; Glance takes them and drops them", "POST /images {\"os_hash_algo\"*", "POST /images {\"os_hash_value\"*"),
		each("status", "Glance fails over this request", "POST /images []", "PATCH /images/${plain} [{\"op\":\"replace\",\"path\":5,*"),
		each("status", "control characters in names are refused: databases, terminals and logs differ over them", "POST /images {\"name\":\"a\\u0000b\"}"),
		each("$.name", "an empty name is none", "POST /images {\"name\":\"\"}"),
		each("status", "HEAD is answered wherever GET is", "HEAD *"),
		each("status", "a path that names no member is malformed", "PATCH /images/${plain} [{\"op\":\"replace\",\"path\":\"/\",*", "PATCH /images/${odd} [{\"op\":\"replace\",\"path\":\"//name\"*"),
		each("status", "names have at most 255 characters, whatever the database", "PATCH /images/${odd} [{\"op\":\"add\",\"path\":\"/xxx*", "POST /images/${odd}/members {\"member\":\"xxx*"),
		each("$.owner", "every image belongs to a project", "POST /images {\"owner\":null}"),
		each("status", "every image belongs to a project", "PATCH /images/${plain} [{\"op\":\"replace\",\"path\":\"/owner\",\"value\":null}]"),
		each("status", "a project is named by a text", "POST /images/${odd}/members {\"member\":5}"),
	)
}

func dataDifferences() []Intended {
	const safe = "an image that is not what it says, or refers to other files, is not taken"
	return slices.Concat(
		each("status", safe, "PUT /images/${backedimage}/file", "PUT /images/${lie}/file", "PUT /images/${otherlie}/file"),
		each("*", safe, "GET /images/${backedimage}", "GET /images/${lie}", "GET /images/${otherlie}"),
		each("header Accept-Ranges", "downloads say that ranges can be asked for", "GET /images/*/file*"),
		each("header Etag", "downloads have a name for their bytes, so that they can go on after a break", "GET /images/*/file*"),
		each("header Content-Length", "the length is told where Glance's cache sends it in chunks", "GET /images/*/file*"),
		each("$.virtual_size", "the disk in an image of no bytes has none", "GET /images/${empty}"),
		each("$.code", "the status has the words of the standard", "GET /images/${raw}/file *"),
		each("$.title", "the status has the words of the standard", "GET /images/${raw}/file *"),
		each("header Content-Range", "a range that is outside is told how long the image is", "GET /images/${raw}/file *"),
		each("status", "the last 0 bytes are no range", "GET /images/${raw}/file Range: bytes=-0"),
		each("status", "Glance fails over this request", "GET /images/${raw}/file Content-Range: bytes */65536"),
		each("$.size", "the size is that of the image's bytes; what is staged is none yet", "GET /images/${staged}", "GET /images/${stagedformless}"),
	)
}

func importDifferences() []Intended {
	return slices.Concat(
		each("$.*content_digest", "what has bytes has a digest of the guest's bytes", "*"),
		each("$.min_disk", "an import finds out how large a disk the image needs", "GET /images/*"),
		each("$.os_glance_import_task", "the task is found in /images/{id}/tasks", "GET /images/*"),
		each("$.os_glance_failed_import", "stores are told of if there are several", "GET /images/*"),
		each("$.os_glance_importing_to_stores", "stores are told of if there are several", "GET /images/*"),
		each("status", "Glance fails over this request", "POST /images/${lost}/import []", "POST /images/${lost}/import {\"method\":5}"),
		each("status", "who may not copy is told so, whatever the image is", "POST /images/${raw}/import {\"method\":{\"name\":\"copy-image\"}*", "POST /images/${lost}/import {\"method\":{\"name\":\"copy-image\"},*"),
		each("status", "what is wrong with the request itself is told before what is wrong with the image", "POST /images/${lost}/import {\"method\":{\"name\":\"copy-image\"}}"),
		each("status", "the same call while its import runs, or behind its success, means that import", "POST /images/${fetched}/import *#2"),
		each("status", "a URL with a password is refused: requests are kept", "POST /images/${lost}/import *user:secret@*"),
		each("status", "all stores and a list of some contradict each other", "POST /images/${lost}/import *\"all_stores\":true,\"stores\":[\"local\"]}"),
		each("status", "a list of stores that is none is malformed", "POST /images/${lost}/import *\"stores\":\"local\"}", "POST /images/${lost}/import *\"stores\":[1]}"),
	)
}

func taskDifferences() []Intended {
	return slices.Concat(
		each("$.*input*", "the input is the request's; Glance adds what it has made of it", "GET /images/*/tasks*"),
		each("$.*result*", "the result tells of the images in full", "GET /images/*/tasks*", "GET /tasks*"),
		each("$.*message", "the message is a sentence", "GET /images/*/tasks*", "GET /tasks*"),
		each("$.*image_id", "a task tells its image, its request and its user", "POST /tasks *", "GET /tasks*"),
		each("$.*request_id", "a task tells its image, its request and its user", "GET /tasks?*"),
		each("$.*user_id", "a task tells its image, its request and its user", "GET /tasks?*"),
		each("$.input.image_properties.disk_format", "what says the same twice is kept once", "POST /tasks *", "GET /tasks/*"),
		each("header Allow", "tasks cannot be deleted", "PUT /tasks/*"),
		each("$.next", "there is a next page only if something is on it", "GET /tasks?*"),
		each("status", "a path that takes another method says so", "POST /images/${plain}/tasks {}"),
		each("status", "a project sees and makes tasks of its own", "GET /tasks", "GET /tasks/${task} #2", "POST /tasks *"),
	)
}

func storeDifferences() []Intended {
	return slices.Concat(
		each("$.cached_images*", "what lies in a folder of the server is not copied into the cache", "GET /cache"),
		each("header Allow", "the cache can be pruned and cleaned", "GET /cache/${raw}"),
		each("status", "what is not in a store is not found there", "DELETE /stores/nowhere/${two}", "DELETE /stores/second/${two} #2"),
		each("status", "copying to a store that has the image copies nothing, and succeeds", "POST /images/${two}/import {\"method\":{\"name\":\"copy-image\"},\"stores\":[\"second\"]} #2"),
	)
}
