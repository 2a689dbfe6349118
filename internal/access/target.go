package access

import "strconv"

// A Target is what a caller wants to do something with, as rules see it: names and
// values, "project_id" above all. A name that is not in it makes every check that
// mentions it false. The zero Target has nothing.
type Target struct {
	values map[string]string
	unset  map[string]bool // known names that have no value: Python's None
}

// NewTarget returns a target that belongs to a project.
func NewTarget(project string) Target {
	var t Target
	t.Set("project_id", project)
	t.Set("owner", project)
	return t
}

// Set gives a name its value; "" means that it has none.
func (t *Target) Set(name, value string) {
	if t.values == nil {
		t.values, t.unset = map[string]string{}, map[string]bool{}
	}
	if value == "" {
		delete(t.values, name)
		t.unset[name] = true
		return
	}
	delete(t.unset, name)
	t.values[name] = value
}

// SetBool gives a name a truth value, which rules write as Python does.
func (t *Target) SetBool(name string, value bool) { t.Set(name, pythonBool(value)) }

// SetMissing is Set for a name that must not hide one that is there already: what an
// image's owner writes cannot stand in place of what the catalogue says.
func (t *Target) SetMissing(name, value string) {
	if _, ok := t.values[name]; !ok && !t.unset[name] {
		t.Set(name, value)
	}
}

// get returns a value; known says that the target has the name, if without a value.
func (t Target) get(name string) (value string, set, known bool) {
	value, set = t.values[name]
	return value, set, set || t.unset[name]
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// pythonLiteral reads what stands before the colon of a check if it is a value and no
// attribute of the caller.
func pythonLiteral(s string) (value string, none, ok bool) {
	switch {
	case s == "None":
		return "", true, true
	case s == "True" || s == "False":
		return s, false, true
	case len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0]:
		return s[1 : len(s)-1], false, true
	}
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return s, false, true
	}
	return "", false, false
}

// Has reports whether a name has a value.
func (t Target) Has(name string) bool { _, ok := t.values[name]; return ok }
