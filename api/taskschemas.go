package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"ingest/internal/errcode"
)

// taskSchema answers with the JSON Schema of the input of tasks of a type. It says what
// everybody is told of the server, and nothing of projects, regions and credentials.
func (a *api) taskSchema(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("type")
	kind, ok := makeable(name)
	if !ok {
		return notFound("schema of the input of tasks of type", name)
	}
	var text bytes.Buffer
	out := json.NewEncoder(&text)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	if err := out.Encode(kind.schema(a)); err != nil {
		return errcode.Wrap(err, errcode.Internal, "write the schema")
	}
	w.Header().Set("Content-Type", "application/schema+json")
	_, err := w.Write(text.Bytes())
	if err != nil {
		return errcode.Wrap(err, errcode.Internal, "write the schema")
	}
	return nil
}

// schemaOfInput is the schema of a whole input.
func schemaOfInput(title, description string, properties object, required ...string) object {
	return object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, "description": description,
		"type": "object", "additionalProperties": false, "required": required, "properties": properties,
	}
}

// about adds a description.
func about(description string, schema object) object {
	schema["description"] = description
	return schema
}

// The readers of inputs take null for what is not said, and an empty text too.
func orNull(kind string) object { return object{"type": []string{"null", kind}} }

// unsaid is a text that is not there for all its name is.
func unsaid() object { return object{"enum": []any{nil, ""}} }

// said is a text that is there.
func said() object { return object{"type": "string", "minLength": 1} }

// saidOrNot is a text of the schema, or none.
func saidOrNot(schema object) object { return object{"anyOf": []object{unsaid(), schema}} }

// oneOfTexts is one of some texts; where there are none, nothing.
func oneOfTexts(names []string) object {
	if len(names) == 0 {
		return object{"not": object{}}
	}
	return object{"type": "string", "enum": names}
}

// Characters that a text cannot have. Both stand in ECMA-262's words, which those of Go
// and Python understand too.
const (
	controls = `[\u0000-\u001F\u007F-\u009F]`
	nul      = `\u0000`
)

// without is a text of so many characters, and none of some.
func without(characters string, most int) object {
	return object{"type": "string", "maxLength": most, "not": lacks(characters)}
}

// lacks is what `not` excludes. It names the type: a pattern alone holds for all that is
// no text, which would be excluded with it.
func lacks(characters string) object { return object{"type": "string", "pattern": characters} }

// lowerID is an id as the server writes it.
func lowerID() object {
	return object{"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}
}

// authority is the host of a URL, an IPv6 address perhaps, and its port. There is no user.
const authority = `(\[[^\]/?#@]+\]|[^:/?#@\[\]]+)(:[0-9]*)?`

// webURL is the pattern of http and https URLs with something behind the authority.
func webURL(behind string) string {
	return "^(" + anyCase("http") + "|" + anyCase("https") + ")://" + authority + behind + "$"
}

// anyCase is the pattern of a word in capitals, small letters or both: patterns of JSON
// Schema have no switch for it.
func anyCase(word string) string {
	var out strings.Builder
	for _, c := range word {
		small, capital := strings.ToLower(string(c)), strings.ToUpper(string(c))
		if small == capital {
			out.WriteRune(c)
			continue
		}
		out.WriteString("[" + small + capital + "]")
	}
	return out.String()
}
