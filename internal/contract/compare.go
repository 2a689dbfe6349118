package contract

import "fmt"

// Compare tells whether a source has another version than the known one, and why. by is
// the field that must decide, CheckAuto for the best that both versions have. A held
// version is one that was rolled back: finding it is no change.
func Compare(found SourceVersion, known, held *SourceVersion, by string) Comparison {
	c := Comparison{Found: found, Known: known, Held: held, Changed: true}
	if known == nil {
		c.Why = "no version has been imported yet"
	} else if field, same := found.same(*known, by); same {
		c.By, c.Changed, c.Why = field, false, fmt.Sprintf("%s is that of the current version", fieldName(field))
		return c
	} else if field == "" {
		c.Why = "the source and the current version have nothing in common that could be compared"
	} else {
		c.By, c.Why = field, fmt.Sprintf("%s is another one than that of the current version", fieldName(field))
	}
	if held == nil {
		return c
	}
	if field, same := found.same(*held, by); same {
		c.By, c.Changed, c.Why = field, false, fmt.Sprintf("%s is that of the version that was rolled back", fieldName(field))
	}
	return c
}

// Holds reports whether the comparison found the version that was rolled back.
func (c Comparison) Holds() bool {
	if c.Changed || c.Held == nil {
		return false
	}
	_, held := c.Found.same(*c.Held, c.By)
	if c.Known == nil {
		return held
	}
	_, known := c.Found.same(*c.Known, c.By)
	return held && !known
}

// same compares two versions by a field, or by the best that both have. A digest and an
// object's version speak for the bytes, wherever they lie; the others belong to a URL.
func (v SourceVersion) same(w SourceVersion, by string) (field string, same bool) {
	for _, f := range []string{CheckChecksumFile, CheckVersion, CheckETag, CheckLastModified} {
		a, b := v.evidence(f), w.evidence(f)
		if by != CheckAuto && by != "" && by != f || a == "" || b == "" {
			continue
		}
		if f != CheckChecksumFile && v.URL != w.URL {
			return "url", false
		}
		return f, a == b
	}
	return "", false
}

// evidence is what a version says in a field, "" for nothing.
func (v SourceVersion) evidence(field string) string {
	switch field {
	case CheckChecksumFile:
		return v.Digest
	case CheckVersion:
		return v.Version
	case CheckETag:
		return v.ETag
	case CheckLastModified:
		if v.LastModified != "" {
			return fmt.Sprintf("%s, %d bytes", v.LastModified, v.Size)
		}
	}
	return ""
}

// Tells reports whether the version says anything in a field, or in any for CheckAuto.
func (v SourceVersion) Tells(by string) bool {
	if by != CheckAuto {
		return v.evidence(by) != ""
	}
	return v.Digest != "" || v.Version != "" || v.ETag != "" || v.LastModified != ""
}

func fieldName(field string) string {
	switch field {
	case CheckChecksumFile:
		return "the digest in the checksum file"
	case CheckVersion:
		return "the object's version"
	case CheckETag:
		return "the ETag"
	case CheckLastModified:
		return "the date of the last change"
	case "url":
		return "the newest file's name"
	}
	return field
}
