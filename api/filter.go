package api

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ingest/internal/errcode"
	"ingest/metadata"
)

var imageSortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

// filterWords are the values of the filters that have few.
var filterWords = map[string][]string{
	"visibility":    {"private", "shared", "community", "public", "all"},
	"member_status": {"pending", "accepted", "rejected", "all"},
}

// Bounds of what one list may ask for: more values, tags or properties than an image
// can have find nothing.
const (
	maxChoices = 1000
	maxFilters = maxTags + maxProperties
)

// seenIn is whose eyes a list of images is made for, and how far they look.
func (a *api) seenIn(r *http.Request) *metadata.Seen {
	s, q := a.seen(r), r.URL.Query()
	visibility := q.Get("visibility")
	s.Community = visibility == "community" || visibility == "all"
	s.Member = metadata.MemberStatus(q.Get("member_status"))
	return &s
}

// imageFilter turns a query into what the catalogue selects and sorts by. Hidden images
// are listed to those who ask for them only.
func imageFilter(q url.Values) (metadata.ImageFilter, error) {
	f := metadata.ImageFilter{Hidden: new(bool)}
	if len(q) > maxFilters {
		return f, badField("query", "", "a list takes at most %d filters", maxFilters)
	}
	for name, values := range q {
		if err := addFilter(&f, name, values); err != nil {
			return f, err
		}
	}
	return f, nil
}

// addFilter adds one parameter of a query. One that is no field of images filters by
// the property of that name.
func addFilter(f *metadata.ImageFilter, name string, values []string) error {
	value := values[0]
	switch name {
	case "limit", "marker", "sort", "sort_key", "sort_dir":
	case "deleted": // of older clients; what is deleted is never listed
	case "visibility", "member_status":
		if name == "visibility" && value != "all" {
			f.Visibility = value
		}
		return checkOneOf(name, value, filterWords[name])
	case "owner":
		f.Owner = value
	case "name", "id", "status", "container_format", "disk_format":
		return addChoices(f, name, value)
	case "checksum", "os_hash_algo", "os_hash_value":
		f.Matches = append(f.Matches, metadata.Match{Field: metadata.ImageField(name), Values: []string{value}})
	case "tag":
		if len(values) > maxTags {
			return badField(name, "", "an image has at most %d tags", maxTags)
		}
		for _, tag := range values {
			f.Tags = append(f.Tags, strings.TrimSpace(tag))
		}
	case "protected", "os_hidden":
		want, err := strconv.ParseBool(strings.ToLower(value))
		if err != nil {
			return badField(name, value, "expected true or false")
		}
		if name == "os_hidden" {
			f.Hidden = &want
		} else {
			f.Protected = &want
		}
	case "created_at", "updated_at":
		for _, v := range values {
			r, err := timeRange(name, v)
			if err != nil {
				return err
			}
			f.Ranges = append(f.Ranges, r)
		}
	case "changes-since":
		return badField(name, value, "this filter does not exist in version 2")
	default:
		return addNumberOrProperty(f, name, value)
	}
	return nil
}

// numberFields are those that filters compare as numbers: by their own name, and as
// NAME_min and NAME_max.
var numberFields = []string{"size", "virtual_size", "min_disk", "min_ram"}

func addNumberOrProperty(f *metadata.ImageFilter, name, value string) error {
	field, least := strings.CutSuffix(name, "_min")
	most := false
	if !least {
		field, most = strings.CutSuffix(name, "_max")
	}
	// min_disk ends in no bound, and min_disk_min does.
	if slices.Contains(numberFields, name) {
		field, least, most = name, true, true
	}
	if !slices.Contains(numberFields, field) || !least && !most {
		if f.Properties == nil {
			f.Properties = map[string]string{}
		}
		f.Properties[name] = value
		return nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return badField(name, value, "expected a number, 0 or greater")
	}
	r := metadata.Range{Field: metadata.ImageField(field)}
	if least {
		r.Min = &n
	}
	if most {
		r.Max = &n
	}
	f.Ranges = append(f.Ranges, r)
	return nil
}

// addChoices adds a filter that takes a value, eq:VALUE, or in:a,b,"quoted,c". What only
// looks like an operator, as the name ubuntu:24.04 does, is a value.
func addChoices(f *metadata.ImageFilter, name, value string) error {
	m := metadata.Match{Field: metadata.ImageField(name), Values: []string{value}}
	op, rest, found := strings.Cut(value, ":")
	if !found {
		op = ""
	}
	switch op {
	case "in":
		list, err := choices(name, rest)
		if err != nil {
			return err
		}
		m.Values = list
	case "eq":
		m.Values = []string{rest}
	case "neq", "gt", "gte", "lt", "lte":
		return badField(name, value, "this filter takes a value, eq: or in:, not %s:", op)
	}
	f.Matches = append(f.Matches, m)
	return nil
}

// choices reads a,b,"quoted,c".
func choices(name, list string) ([]string, error) {
	var out []string
	for rest, more := list, true; more; {
		var v string
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			var behind string
			if v, behind, ok = strings.Cut(quoted, `"`); !ok || behind != "" && behind[0] != ',' {
				return nil, badField(name, list, "a quoted value ends with a quote before a comma or the end")
			}
			more, rest = behind != "", strings.TrimPrefix(behind, ",")
		} else {
			v, rest, more = strings.Cut(rest, ",")
			if strings.Contains(v, `"`) {
				return nil, badField(name, list, "a value with a quote in its middle")
			}
		}
		if out = append(out, v); len(out) > maxChoices {
			return nil, fieldError(errcode.BadRequest, name, "", "a list takes at most %d values", maxChoices)
		}
	}
	return out, nil
}

// orders are the keys of a page for the catalogue.
func (p page) imageOrders() []metadata.Order {
	var out []metadata.Order
	for _, o := range p.orders {
		out = append(out, metadata.Order{Field: metadata.ImageField(o.key), Desc: o.desc})
	}
	return out
}
