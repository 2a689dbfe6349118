package api

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"unicode/utf8"

	"ingest/internal/schemas"
	"ingest/metadata"
)

// setMember gives an image one member as a client writes it. It returns false for a name
// that is no member of every image: it is a free property's.
func setMember(img *metadata.Image, name string, raw json.RawMessage) (bool, error) {
	switch name {
	case "name":
		return true, setText(&img.Name, name, raw, func(s string) error { return checkText(name, s, maxName) })
	case "owner":
		return true, setText(&img.Owner, name, raw, checkOwner)
	case "disk_format":
		return true, setText(&img.DiskFormat, name, raw, oneOf(name, diskFormats))
	case "container_format":
		return true, setText(&img.ContainerFormat, name, raw, oneOf(name, containerFormats))
	case "visibility":
		if isNull(raw) {
			return true, badField(name, "null", "expected one of %s", strings.Join(visibilities, ", "))
		}
		return true, setText(&img.Visibility, name, raw, named(name, visibilities))
	case "protected":
		return true, setBool(&img.Protected, name, raw)
	case "os_hidden":
		return true, setBool(&img.Hidden, name, raw)
	case "min_disk":
		return true, setMinimum(&img.MinDisk, name, raw)
	case "min_ram":
		return true, setMinimum(&img.MinRAM, name, raw)
	case "tags":
		return true, setTags(&img.Tags, raw)
	}
	return false, nil
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

// setText takes a string, and null for none.
func setText(dst *string, name string, raw json.RawMessage, check func(string) error) error {
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil {
		return badField(name, string(raw), "expected a string or null")
	}
	if s == nil {
		*dst = ""
		return nil
	}
	if err := check(*s); err != nil {
		return err
	}
	*dst = *s
	return nil
}

// oneOf admits the empty text too, which some clients send for null.
func oneOf(name string, known []string) func(string) error {
	return func(s string) error { return checkOneOf(name, s, known) }
}

func named(name string, known []string) func(string) error {
	return func(s string) error {
		if s == "" {
			return badField(name, s, "expected one of %s", strings.Join(known, ", "))
		}
		return checkOneOf(name, s, known)
	}
}

func checkOwner(s string) error {
	if len(s) > maxOwner || strings.Trim(s, idAlphabet) != "" {
		return badField("owner", s, "a project is 1 to %d letters, digits, '-', '_' and '.'", maxOwner)
	}
	return nil
}

func setBool(dst *bool, name string, raw json.RawMessage) error {
	if isNull(raw) || json.Unmarshal(raw, dst) != nil {
		return badField(name, string(raw), "expected true or false")
	}
	return nil
}

// setMinimum takes a whole number; 4.0 and 4e0 are some, as in JSON Schema.
func setMinimum(dst *int64, name string, raw json.RawMessage) error {
	var f float64
	if isNull(raw) || json.Unmarshal(raw, &f) != nil || f != math.Trunc(f) || f < 0 || f > maxMinimum {
		return badField(name, string(raw), "expected a whole number, 0 to %d", maxMinimum)
	}
	*dst = int64(f)
	return nil
}

// setTags takes the whole list, in which a tag counts once.
func setTags(dst *[]string, raw json.RawMessage) error {
	var tags []*string
	if isNull(raw) || json.Unmarshal(raw, &tags) != nil {
		return badField("tags", string(raw), "expected a list of strings")
	}
	list := make([]string, 0, len(tags))
	for _, tag := range tags {
		if tag == nil {
			return badField("tags", "null", "expected a list of strings")
		}
		if err := checkText("tags", *tag, maxName); err != nil {
			return err
		}
		list = append(list, *tag)
	}
	list = unique(list)
	if len(list) > maxTags {
		return withStatus(413, badField("tags", "", "an image has at most %d tags", maxTags))
	}
	*dst = list
	return nil
}

// freeProperty reads a free property's value and holds it against the schema of images.
// nil is null, where that takes it: the property is one that the image does not have.
func (a *api) freeProperty(name string, raw json.RawMessage) (*string, error) {
	if isNull(raw) && schemas.TakesNull(a.ImageProperties[name]) {
		return nil, nil
	}
	value, err := propertyValue(name, raw)
	if err == nil {
		err = a.checkFree(name, value)
	}
	return &value, err
}

// checkFree holds a free property against the schema of images.
func (a *api) checkFree(name, value string) error {
	if why := schemas.CheckText(a.ImageProperties[name], value); why != "" {
		return badField(name, value, "%s", why)
	}
	return nil
}

// propertyValue reads a free property's value, which is text.
func propertyValue(name string, raw json.RawMessage) (string, error) {
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return "", badField(name, string(raw), "a property's value is a string")
	}
	if len(*value) > maxValue {
		return "", badField(name, *value, "a property's value has at most %d bytes", maxValue)
	}
	if strings.ContainsRune(*value, 0) || !utf8.ValidString(*value) {
		return "", badField(name, "", "a property's value is text")
	}
	return *value, nil
}
