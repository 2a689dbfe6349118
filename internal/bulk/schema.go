package bulk

import _ "embed"

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema of manifests in JSON and YAML.
func Schema() []byte { return append([]byte(nil), schema...) }
