package schemas

import (
	"encoding/json"
	"fmt"
	"slices"
)

// maxCustom is how many properties an operator adds to the schema of images: clients
// make an option of each.
const maxCustom = 256

// ParseProperties reads further properties of images in the shape of Glance's
// schema-image.json: an object with the schema of each property under its name. All are
// texts, as every free property of an image is, or null.
func ParseProperties(raw []byte) (map[string]Object, error) {
	var out map[string]Object
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	if len(out) > maxCustom {
		return nil, fmt.Errorf("there are %d properties, at most %d are taken", len(out), maxCustom)
	}
	own := imageProperties(Options{Stores: true})
	for name, p := range out {
		if _, taken := own[name]; taken {
			return nil, fmt.Errorf("%s is a member of every image", name)
		}
		kinds, several := p["type"].(list)
		if !several {
			kinds = list{p["type"]}
		}
		if !slices.Contains(kinds, any("string")) || slices.ContainsFunc(kinds, func(k any) bool { return k != "string" && k != "null" }) {
			return nil, fmt.Errorf("%s: the type is string, or null and string: properties of images are texts", name)
		}
		if d, has := p["description"]; has {
			if _, ok := d.(string); !ok {
				return nil, fmt.Errorf("%s: the description is no text", name)
			}
		}
		if err := checkRules(p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if p["readOnly"] == true {
			return nil, fmt.Errorf("%s: whoever owns an image sets its properties: they are not readOnly", name)
		}
	}
	return out, nil
}
