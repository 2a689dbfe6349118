package api

import "ingest/internal/contract"

// importSchema describes what importInput reads.
func (a *api) importSchema() object {
	image := about("Members of the image. A disk_format other than import_from_format says what is stored", a.imageInput())
	from := object{"type": "string", "format": "uri", "maxLength": maxSource, "pattern": webURL(`([/?][^#]*)?`), "not": lacks(controls)}
	out := schemaOfInput("Input of a task of type "+typeImport, "A disk image at a URL, and the image that is made of it.", object{
		"import_from":        about("URL of the disk image, without user and fragment; a query that holds a secret is refused unless the operator allows it", from),
		"import_from_format": about("What the source is", oneOfTexts(a.Defaults.SourceFormats)),
		"image_properties":   image,
	}, "import_from", "import_from_format", "image_properties")
	if rules := a.onlyAsTheyAre(); len(rules) > 0 {
		out["allOf"] = rules
	}
	return out
}

// onlyAsTheyAre says of the disk formats that nothing is converted into that their sources
// have them.
func (a *api) onlyAsTheyAre() []object {
	var out []object
	for _, f := range diskFormats {
		if a.writes(f) {
			continue
		}
		asked := object{"properties": object{"disk_format": object{"const": f}}, "required": []string{"disk_format"}}
		out = append(out, object{
			"if":   object{"properties": object{"image_properties": asked}, "required": []string{"image_properties"}},
			"then": object{"properties": object{"import_from_format": object{"const": f}}},
		})
	}
	return out
}

// writes reports whether a format or preset can be asked for.
func (a *api) writes(name string) bool {
	_, err := a.Defaults.Resolve(contract.TargetSpec{Format: name})
	return err == nil
}
