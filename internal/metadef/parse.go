package metadef

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"ingest/internal/errcode"
	"ingest/internal/schemas"
	"ingest/metadata"
)

// ParseNamespace reads a namespace with everything in it. A member that only the server
// sets is errcode.Forbidden, any other fault errcode.BadRequest.
func ParseNamespace(raw []byte) (metadata.WholeNamespace, error) {
	var in Namespace
	if err := parse(raw, schemas.Strict(schemas.Namespace()), &in, "self", "schema", "created_at", "updated_at"); err != nil {
		return metadata.WholeNamespace{}, err
	}
	return in.whole()
}

// ParseAssociation reads an association.
func ParseAssociation(raw []byte) (metadata.Association, error) {
	var in Association
	err := parse(raw, schemas.Association(), &in, "created_at", "updated_at")
	if err == nil {
		err = CheckName("name", in.Name)
	}
	return metadata.Association{ResourceType: in.Name, Prefix: in.Prefix, PropertiesTarget: in.PropertiesTarget}, err
}

// ParseProperty reads a property with its name.
func ParseProperty(raw []byte) (metadata.Definition, error) {
	var in Property
	err := parse(raw, schemas.Strict(schemas.Property()), &in, "created_at", "updated_at")
	if err == nil {
		err = CheckName("name", *in.Name)
	}
	if err != nil {
		return metadata.Definition{}, err
	}
	document, err := encode(in)
	return metadata.Definition{Kind: metadata.PropertyDefinition, Name: *in.Name, Document: document}, err
}

// ParseObject reads an object.
func ParseObject(raw []byte) (metadata.Definition, error) {
	var in Object
	if err := parse(raw, schemas.Strict(schemas.Definition()), &in, "self", "schema", "created_at", "updated_at"); err != nil {
		return metadata.Definition{}, err
	}
	return in.definition("")
}

// ParseTag reads a tag.
func ParseTag(raw []byte) (metadata.Definition, error) {
	var in Tag
	err := parse(raw, schemas.Tag(), &in, "created_at", "updated_at")
	if err == nil {
		err = CheckName("name", in.Name)
	}
	return metadata.Definition{Kind: metadata.TagDefinition, Name: in.Name}, err
}

// ParseTags reads a list of tags.
func ParseTags(raw []byte) ([]metadata.Definition, error) {
	var in struct {
		Tags []Tag `json:"tags"`
	}
	if err := parse(raw, schemas.Tags(), &in, "created_at", "updated_at"); err != nil {
		return nil, err
	}
	return tagDefinitions(in.Tags)
}

func tagDefinitions(tags []Tag) ([]metadata.Definition, error) {
	out := make([]metadata.Definition, 0, len(tags))
	for _, t := range tags {
		if err := CheckName("tags.name", t.Name); err != nil {
			return nil, err
		}
		out = append(out, metadata.Definition{Kind: metadata.TagDefinition, Name: t.Name})
	}
	return out, nil
}

// parse reads one JSON object that fits a schema.
func parse(raw []byte, schema schemas.Object, into any, readOnly ...string) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return malformed(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return wrong("body", "", "there is something behind the JSON value")
	}
	if members, ok := v.(map[string]any); ok {
		for _, name := range readOnly {
			if _, has := members[name]; has {
				return errcode.New(errcode.Forbidden, "%s: only the server sets this", name).With(errcode.Evidence{Structure: "request", Field: name})
			}
		}
	}
	if err := schemas.Check(schema, v); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return malformed(err)
	}
	return nil
}

func malformed(err error) error {
	e := errcode.Wrap(err, errcode.BadRequest, "the body is no JSON: %v", err)
	ev := errcode.Evidence{Structure: "request", Field: "body"}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		ev.Offset = errcode.At(syntax.Offset)
	}
	return e.With(ev)
}

func wrong(field, value, format string, args ...any) error {
	return errcode.New(errcode.BadRequest, field+": "+format, args...).With(errcode.Evidence{Structure: "request", Field: field, Value: value})
}

// CheckName refuses names that no path could name: "", "." and "..", and those with
// control characters, which would stand in the Location of an answer.
func CheckName(field, name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return wrong(field, name, "a name is at least one character, and neither . nor ..")
	case len(name) > 4*maxName || len([]rune(name)) > maxName:
		return wrong(field, name[:maxName]+"…", "a name has at most %d characters", maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return wrong(field, "", "a name has no control characters")
	}
	return nil
}

// maxName is how long names are, in characters, as in the schemas.
const maxName = 80

// whole is the namespace for the catalogue. Properties are a JSON object, which has no
// order: they are kept by name.
func (in Namespace) whole() (metadata.WholeNamespace, error) {
	out := metadata.WholeNamespace{Namespace: metadata.Namespace{
		Name: in.Namespace, DisplayName: in.DisplayName, Description: in.Description, Visibility: in.Visibility,
		Protected: in.Protected != nil && *in.Protected,
	}}
	if in.Owner != nil {
		out.Owner = *in.Owner
	}
	if err := CheckName("namespace", in.Namespace); err != nil {
		return out, err
	}
	for _, a := range in.Associations {
		if err := CheckName("resource_type_associations.name", a.Name); err != nil {
			return out, err
		}
		out.Associations = append(out.Associations, metadata.Association{ResourceType: a.Name, Prefix: a.Prefix, PropertiesTarget: a.PropertiesTarget})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Properties)) {
		if err := CheckName("properties", name); err != nil {
			return out, err
		}
		document, err := encode(in.Properties[name])
		if err != nil {
			return out, err
		}
		out.Definitions = append(out.Definitions, metadata.Definition{Kind: metadata.PropertyDefinition, Name: name, Document: document})
	}
	for _, o := range in.Objects {
		d, err := o.definition("objects.")
		if err != nil {
			return out, err
		}
		out.Definitions = append(out.Definitions, d)
	}
	tags, err := tagDefinitions(in.Tags)
	out.Definitions = append(out.Definitions, tags...)
	return out, err
}

// definition is the object for the catalogue. at is where it stands.
func (in Object) definition(at string) (metadata.Definition, error) {
	d := metadata.Definition{Kind: metadata.ObjectDefinition, Name: in.Name}
	if err := CheckName(at+"name", in.Name); err != nil {
		return d, err
	}
	for name := range in.Properties {
		if err := CheckName(at+"properties", name); err != nil {
			return d, err
		}
	}
	in.Name = ""
	document, err := encode(in)
	d.Document = document
	return d, err
}
