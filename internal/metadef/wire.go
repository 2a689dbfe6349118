package metadef

import (
	"encoding/json"

	"ingest/internal/errcode"
)

// TimeFormat is how Glance writes a time.
const TimeFormat = "2006-01-02T15:04:05Z"

// A Namespace is one as it travels. Members that are not set are left out.
type Namespace struct {
	Namespace    string              `json:"namespace"`
	DisplayName  *string             `json:"display_name,omitempty"`
	Description  *string             `json:"description,omitempty"`
	Visibility   string              `json:"visibility,omitempty"`
	Protected    *bool               `json:"protected,omitempty"`
	Owner        *string             `json:"owner,omitempty"`
	CreatedAt    string              `json:"created_at,omitempty"`
	UpdatedAt    string              `json:"updated_at,omitempty"`
	Associations []Association       `json:"resource_type_associations,omitempty"`
	Properties   map[string]Property `json:"properties,omitempty"`
	Objects      []Object            `json:"objects,omitempty"`
	Tags         []Tag               `json:"tags,omitempty"`
	Self         string              `json:"self,omitempty"`
	Schema       string              `json:"schema,omitempty"`
}

// An Association ties a namespace to a type of resources.
type Association struct {
	Name             string  `json:"name"`
	Prefix           *string `json:"prefix,omitempty"`
	PropertiesTarget *string `json:"properties_target,omitempty"`
	CreatedAt        string  `json:"created_at,omitempty"`
	UpdatedAt        string  `json:"updated_at,omitempty"`
}

// A Property defines one. Its Name may be left out where it stands under it.
type Property struct {
	Name            *string      `json:"name,omitempty"`
	Type            string       `json:"type"`
	Title           string       `json:"title"`
	Description     *string      `json:"description,omitempty"`
	Operators       []string     `json:"operators,omitzero"`
	Default         *Default     `json:"default,omitempty"`
	ReadOnly        *bool        `json:"readonly,omitempty"`
	Minimum         *json.Number `json:"minimum,omitempty"`
	Maximum         *json.Number `json:"maximum,omitempty"`
	Enum            []string     `json:"enum,omitzero"`
	Pattern         *string      `json:"pattern,omitempty"`
	MinLength       *json.Number `json:"minLength,omitempty"`
	MaxLength       *json.Number `json:"maxLength,omitempty"`
	Items           *Items       `json:"items,omitempty"`
	UniqueItems     *bool        `json:"uniqueItems,omitempty"`
	MinItems        *json.Number `json:"minItems,omitempty"`
	MaxItems        *json.Number `json:"maxItems,omitempty"`
	AdditionalItems *bool        `json:"additionalItems,omitempty"`
}

// Items are what an array holds.
type Items struct {
	Type string   `json:"type"`
	Enum []string `json:"enum,omitzero"`
}

// An Object is a group of properties. What is not set is left out; what is empty is not.
type Object struct {
	Name        string              `json:"name"`
	Required    []string            `json:"required,omitzero"`
	Description *string             `json:"description,omitempty"`
	Properties  map[string]Property `json:"properties,omitzero"`
	CreatedAt   string              `json:"created_at,omitempty"`
	UpdatedAt   string              `json:"updated_at,omitempty"`
	Self        string              `json:"self,omitempty"`
	Schema      string              `json:"schema,omitempty"`
}

// A Tag is a word.
type Tag struct {
	Name      string `json:"name"`
	CreatedAt string `json:"created_at,omitempty"`
	UpdatedAt string `json:"updated_at,omitempty"`
}

// A Default is the value that a property has if nobody sets it. A single value is a text,
// whatever the property's type: clients expect that of Glance.
type Default struct{ raw json.RawMessage }

// UnmarshalJSON reads any value.
func (d *Default) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"', '{', '[':
		d.raw = append(json.RawMessage(nil), b...)
		return nil
	case 't':
		b = []byte("True") // as Python writes it
	case 'f':
		b = []byte("False")
	}
	text, err := json.Marshal(string(b))
	d.raw = text
	return err
}

// MarshalJSON writes what UnmarshalJSON has made of it.
func (d Default) MarshalJSON() ([]byte, error) { return d.raw, nil }

// encode writes a document for the catalogue.
func encode(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, errcode.Wrap(err, errcode.BadRequest, "write a definition")
	}
	return raw, nil
}

// decode reads a document of the catalogue.
func decode(what, name string, raw json.RawMessage, v any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return errcode.Wrap(err, errcode.Internal, "read the definition of %s %q", what, name)
	}
	return nil
}
