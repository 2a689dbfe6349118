package bulk

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"path"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"ingest/internal/errcode"
)

// A Format is how a manifest is written.
type Format string

// The formats, by their media types.
const (
	JSON   Format = "application/json"
	YAML   Format = "application/yaml"
	CSV    Format = "text/csv"
	NDJSON Format = "application/x-ndjson"
)

// FormatOf tells a format by a media type, or by a file's name; "" if it is none.
func FormatOf(name string) Format {
	if media, _, err := mime.ParseMediaType(name); err == nil && strings.Contains(media, "/") {
		switch media {
		case "application/json":
			return JSON
		case "application/yaml", "application/x-yaml", "text/yaml":
			return YAML
		case "text/csv":
			return CSV
		case "application/x-ndjson", "application/jsonl", "application/ndjson":
			return NDJSON
		}
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".json":
		return JSON
	case ".yaml", ".yml":
		return YAML
	case ".csv":
		return CSV
	case ".ndjson", ".jsonl":
		return NDJSON
	}
	return ""
}

// Parse reads a manifest.
func Parse(f Format, text []byte) (*Manifest, error) {
	if len(text) > MaxBytes || f == YAML && len(text) > MaxYAML {
		return nil, bad("", "", "the manifest is longer than %d bytes", map[bool]int{true: MaxYAML, false: MaxBytes}[f == YAML])
	}
	var m *Manifest
	var err error
	switch f {
	case JSON:
		m, err = ParseJSON(text)
	case YAML:
		m, err = parseYAML(text)
	case CSV:
		m, err = parseCSV(text)
	case NDJSON:
		m, err = parseLines(text)
	default:
		return nil, bad("Content-Type", string(f), "a manifest is JSON, YAML, CSV or NDJSON")
	}
	if err != nil {
		return nil, err
	}
	if len(m.items) == 0 {
		return nil, bad("items", "", "the manifest has no items")
	}
	return m, nil
}

// add adds an item.
func (m *Manifest) add(line int, raw json.RawMessage) error {
	if len(m.items) >= MaxItems {
		return bad("items", "", "the manifest has more than %d items", MaxItems)
	}
	m.items = append(m.items, rawItem{line, raw})
	return nil
}

// strict decodes JSON in which every member is known.
func strict(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return wrongJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return bad("", "", "there is something behind the JSON value")
	}
	return nil
}

// wrongJSON says what is wrong with a text, and names the field.
func wrongJSON(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	if e, ok := errcode.As(err); ok { // of a value that reads itself
		return e
	}
	switch {
	case errors.As(err, &kind):
		return bad(kind.Field, kind.Value, "%s: expected %s, found %s", kind.Field, kind.Type, kind.Value)
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return bad("", "", "this is no JSON: %v", err)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return bad(name, "", "there is no field %q", name)
	}
	return bad("", "", "%v", err)
}

// ParseJSON reads an object with the head's members and items.
func ParseJSON(text []byte) (*Manifest, error) {
	m, head := &Manifest{}, map[string]json.RawMessage{}
	dec := json.NewDecoder(bytes.NewReader(text))
	lines := counter{text: text}
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, bad("", "", "the manifest is no JSON object with items")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, wrongJSON(err)
		}
		name, _ := t.(string)
		if name != "items" {
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return nil, wrongJSON(err)
			}
			head[name] = raw
			continue
		}
		if t, err := dec.Token(); err != nil || t != json.Delim('[') || len(m.items) > 0 {
			return nil, bad("items", "", "items is one list")
		}
		for dec.More() {
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return nil, wrongJSON(err)
			}
			if err := m.add(lines.at(int(dec.InputOffset())-len(raw)), raw); err != nil {
				return nil, err
			}
		}
		if _, err := dec.Token(); err != nil {
			return nil, wrongJSON(err)
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, wrongJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("", "", "there is something behind the manifest")
	}
	return m, m.setHead(head)
}

// setHead reads the members of the head.
func (m *Manifest) setHead(members map[string]json.RawMessage) error {
	raw, err := json.Marshal(members)
	if err != nil {
		return wrongJSON(err)
	}
	return m.Override(raw)
}

// Override changes those members of the head that raw has.
func (m *Manifest) Override(raw json.RawMessage) error {
	if err := strict(raw, &m.Head); err != nil {
		return err
	}
	if len(m.Defaults) > 0 {
		return within("defaults", strict(m.Defaults, &Item{}))
	}
	return nil
}

// A counter tells the line of an offset; offsets ascend.
type counter struct {
	text      []byte
	off, line int
}

func (c *counter) at(off int) int {
	off = min(max(off, c.off), len(c.text))
	c.line += bytes.Count(c.text[c.off:off], []byte{'\n'})
	c.off = off
	return c.line + 1
}

// parseYAML reads the same as JSON in YAML, without its means of repetition: what items
// have in common stands in defaults.
func parseYAML(text []byte) (*Manifest, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, bad("", "", "this is no YAML: %v", err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, bad("", "", "the manifest is more than one YAML document")
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, bad("", "", "the manifest is no YAML mapping with items")
	}
	m, head := &Manifest{}, map[string]json.RawMessage{}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		if _, twice := head[key.Value]; twice || key.Value == "items" && len(m.items) > 0 {
			return nil, bad(key.Value, "", "line %d: %s is given twice", key.Line, key.Value)
		}
		if key.Value != "items" {
			raw, err := jsonOf(value)
			if err != nil {
				return nil, err
			}
			head[key.Value] = raw
			continue
		}
		if value.Kind != yaml.SequenceNode {
			return nil, bad("items", "", "line %d: items is a list", value.Line)
		}
		for _, node := range value.Content {
			raw, err := jsonOf(node)
			if err == nil {
				err = m.add(node.Line, raw)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return m, m.setHead(head)
}

// jsonOf writes a YAML value as JSON.
func jsonOf(n *yaml.Node) (json.RawMessage, error) {
	if repeats(n) {
		return nil, bad("", "", "line %d: anchors and aliases are not read; what items have in common stands in defaults", n.Line)
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return nil, bad("", "", "line %d: %v", n.Line, err)
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, bad("", "", "line %d: the names of members are texts", n.Line)
	}
	return raw, nil
}

func repeats(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return true
	}
	for _, c := range n.Content {
		if repeats(c) {
			return true
		}
	}
	return false
}

// parseLines reads an item a line. The first line may be {"manifest": HEAD}.
func parseLines(text []byte) (*Manifest, error) {
	m := &Manifest{}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var first struct {
			Manifest json.RawMessage `json:"manifest"`
		}
		if len(m.items) == 0 && json.Unmarshal(line, &first) == nil && len(first.Manifest) > 0 {
			if err := m.Override(first.Manifest); err != nil {
				return nil, err
			}
			continue
		}
		if err := m.add(n, bytes.Clone(line)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// parseCSV reads an item a row. The first row names the columns.
func parseCSV(text []byte) (*Manifest, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	r.ReuseRecord, r.TrimLeadingSpace = true, true
	names, err := r.Read()
	if err != nil {
		return nil, bad("", "", "the first row, which names the columns, cannot be read: %v", err)
	}
	columns := make([]column, 0, len(names))
	for _, name := range names {
		c, err := columnOf(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	m := &Manifest{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return m, nil
		}
		if err != nil {
			return nil, bad("", "", "%v", err)
		}
		line, _ := r.FieldPos(0)
		item := map[string]any{}
		for i, value := range row {
			if value == "" {
				continue
			}
			if err := columns[i].set(item, value); err != nil {
				return nil, bad(columns[i].path, value, "line %d: %s: %v", line, columns[i].path, err)
			}
		}
		raw, err := json.Marshal(item)
		if err != nil {
			return nil, errcode.Wrap(err, errcode.Internal, "write item of line %d", line)
		}
		if err := m.add(line, raw); err != nil {
			return nil, err
		}
	}
}

// A column of CSV is a member of items.
type column struct {
	path string
	kind byte // s text, n number, b truth value, l list with semicolons
}

// csvColumns are the short names of columns.
var csvColumns = map[string]column{
	"key": {"key", 's'}, "url": {"source.url", 's'}, "format": {"source.format", 's'}, "checksum": {"source.checksum", 's'},
	"checksum_file": {"source.checksum_file", 's'}, "signature": {"source.signature", 's'}, "keyring": {"source.keyring", 's'},
	"credential": {"source.credential", 's'}, "mirrors": {"source.mirrors", 'l'}, "target_format": {"target.format", 's'},
	"compression": {"target.compression", 's'}, "store": {"target.store", 's'}, "stores": {"stores", 'l'}, "name": {"image.name", 's'},
	"visibility": {"image.visibility", 's'}, "tags": {"image.tags", 'l'}, "min_disk": {"image.min_disk", 'n'}, "min_ram": {"image.min_ram", 'n'},
	"protected": {"image.protected", 'b'}, "image_id": {"image_id", 's'}, "verify": {"verify", 's'}, "priority": {"priority", 'n'},
	"bandwidth": {"bandwidth", 's'},
}

func columnOf(name string) (column, error) {
	if c, known := csvColumns[name]; known {
		return c, nil
	}
	for _, c := range csvColumns {
		if c.path == name {
			return c, nil
		}
	}
	for _, prefix := range []string{"property.", "image.properties."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			return column{"image.properties\x00" + rest, 's'}, nil
		}
	}
	if rest, ok := strings.CutPrefix(name, "target.options."); ok && rest != "" {
		return column{"target.options\x00" + rest, 's'}, nil
	}
	return column{}, bad(name, "", "there is no column %q", name)
}

// set sets the member of an item.
func (c column) set(item map[string]any, value string) error {
	path, last, free := strings.Cut(c.path, "\x00")
	parts := strings.Split(path, ".")
	if free {
		parts = append(parts, last)
	}
	for _, part := range parts[:len(parts)-1] {
		next, ok := item[part].(map[string]any)
		if !ok {
			next = map[string]any{}
			item[part] = next
		}
		item = next
	}
	var v any = value
	var err error
	switch c.kind {
	case 'n':
		v, err = strconv.ParseInt(value, 10, 64)
	case 'b':
		v, err = strconv.ParseBool(value)
	case 'l':
		v = strings.Split(value, ";")
	}
	item[parts[len(parts)-1]] = v
	if err != nil {
		return errors.New("expected a number, or true or false")
	}
	return nil
}
