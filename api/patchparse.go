package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// The two dialects of patches. The older one writes {"replace": "/name", "value": …},
// the other one {"op": "replace", "path": "/name", "value": …}.
const (
	patchOld = "application/openstack-images-v2.0-json-patch"
	patchNew = "application/openstack-images-v2.1-json-patch"
)

// Operations of a patch.
const (
	opAdd     = "add"
	opRemove  = "remove"
	opReplace = "replace"
)

var patchOps = []string{opAdd, opRemove, opReplace}

// membLocations is the one member whose elements a patch can name.
const membLocations = "locations"

// A change is one operation of a patch.
type change struct {
	op   string
	name string
	// pos is the place in a list: digits, or "-" for its end; only of locations.
	pos   string
	value json.RawMessage
	// fresh says that an add must not find what it adds, as in the older dialect.
	fresh bool
}

// parsePatch reads the body of a patch. What no image could be given is refused here.
func parsePatch(w http.ResponseWriter, r *http.Request) ([]change, error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != patchOld && kind != patchNew {
		w.Header().Set("Accept-Patch", patchOld+", "+patchNew)
		return nil, fieldError(errcode.MediaType, "Content-Type", r.Header.Get("Content-Type"), "expected %s or %s", patchNew, patchOld)
	}
	var body json.RawMessage
	dec := json.NewDecoder(r.Body)
	if err := dec.Decode(&body); err != nil {
		return nil, bodyError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, badField("body", "", "there is something behind the JSON list")
	}
	var ops []map[string]json.RawMessage
	if err := json.Unmarshal(body, &ops); err != nil || ops == nil {
		return nil, badField("body", string(body), "expected a list of operations, which are objects")
	}
	out := make([]change, 0, len(ops))
	for _, op := range ops {
		c, err := parseChange(op, kind == patchOld)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func parseChange(members map[string]json.RawMessage, old bool) (change, error) {
	c := change{fresh: old}
	path, err := c.target(members, old)
	if err != nil {
		return c, err
	}
	var parts []string
	if parts, err = pointer(path); err != nil {
		return c, err
	}
	depth := 1
	if parts[0] == membLocations && c.op != opReplace {
		depth = 2
	}
	if len(parts) != depth {
		return c, badField("path", path, "this names nothing of an image")
	}
	c.name = parts[0]
	if depth == 2 {
		c.pos = parts[1]
	}
	if c.op != opRemove {
		var there bool
		if c.value, there = members["value"]; !there {
			return c, badField("value", "", "the operation %q needs a member of that name", c.op)
		}
	}
	return c, c.check()
}

// target reads the operation and the path that it is about.
func (c *change) target(members map[string]json.RawMessage, old bool) (string, error) {
	var raw json.RawMessage
	if old {
		for _, op := range patchOps {
			value, there := members[op]
			if there && c.op != "" {
				return "", badField("op", op, "an operation has one member of add, remove and replace")
			}
			if there {
				c.op, raw = op, value
			}
		}
		if c.op == "" {
			return "", badField("op", "", "an operation has one member of add, remove and replace")
		}
	} else {
		if err := json.Unmarshal(members["op"], &c.op); err != nil || !slices.Contains(patchOps, c.op) {
			return "", badField("op", string(members["op"]), "expected add, remove or replace")
		}
		raw = members["path"]
	}
	var path *string
	if json.Unmarshal(raw, &path) != nil || path == nil {
		return "", badField("path", string(raw), "expected a JSON pointer, such as \"/name\"")
	}
	return *path, nil
}

// badEscape is a tilde that begins neither ~0 nor ~1.
var badEscape = regexp.MustCompile(`~([^01]|$)`)

// pointer takes a JSON pointer apart. White space around a part does not count.
func pointer(path string) ([]string, error) {
	tokens, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, badField("path", path, "a JSON pointer begins with /")
	}
	if badEscape.MatchString(path) {
		return nil, badField("path", path, "in a JSON pointer ~ stands only in ~0 and ~1")
	}
	parts := strings.Split(tokens, "/")
	for i, part := range parts {
		part = strings.TrimSpace(strings.NewReplacer("~1", "/", "~0", "~").Replace(part))
		if part == "" {
			return nil, badField("path", path, "a part of the JSON pointer is empty")
		}
		parts[i] = part
	}
	return parts, nil
}

// check refuses what holds for no image, whatever it looks like.
func (c change) check() error {
	if c.name == membLocations {
		return nil
	}
	if c.name == "id" { // which is for a client to choose once, when the image is made
		return fieldError(errcode.Forbidden, c.name, "", "attribute %q is read-only", c.name)
	}
	if err := checkSettable(c.name); err != nil {
		return err
	}
	if err := checkText("property name", c.name, maxName); err != nil {
		return err
	}
	if c.op == opRemove {
		return nil
	}
	if core, err := setMember(&metadata.Image{}, c.name, c.value); core {
		return err
	}
	if isNull(c.value) { // which some properties take
		return nil
	}
	_, err := propertyValue(c.name, c.value)
	return err
}

// checkChanges refuses values of free properties that no image has.
func (a *api) checkChanges(changes []change) error {
	for _, c := range changes {
		if c.op == opRemove || c.name == membLocations || wire.IsCore(c.name) {
			continue
		}
		if _, err := a.freeProperty(c.name, c.value); err != nil {
			return err
		}
	}
	return nil
}
