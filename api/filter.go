package api

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ingest/metadata"
)

var imageSortKeys = []string{"name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at"}

// filterWords are the values of the filters that have few.
var filterWords = map[string][]string{
	"visibility":    {"private", "shared", "community", "public", "all"},
	"member_status": {"pending", "accepted", "rejected", "all"},
}

// imageFilter turns a query into what the catalogue selects by itself and what
// is looked at row by row.
func imageFilter(q url.Values, project string) (metadata.ImageFilter, func(metadata.Image) bool, error) {
	var f metadata.ImageFilter
	tests := []func(metadata.Image) bool{}
	add := func(t func(metadata.Image) bool) { tests = append(tests, t) }
	visibility, hidden := q.Get("visibility"), false
	statuses := choices(q.Get("status"))
	add(func(m metadata.Image) bool { return !gone(m, statuses, project) })
	if visibility != "all" {
		f.Visibility = visibility
	}
	for name, values := range q {
		value := values[0]
		switch name {
		case "limit", "marker", "sort", "sort_key", "sort_dir":
		case "visibility", "member_status":
			if err := checkOneOf(name, value, filterWords[name]); err != nil {
				return f, nil, err
			}
		case "owner":
			f.Owner = value
		case "name", "id", "status", "container_format", "disk_format":
			set := choices(value)
			add(func(m metadata.Image) bool { return slices.Contains(set, member(m, name)) })
		case "checksum", "os_hash_algo", "os_hash_value":
			add(func(m metadata.Image) bool { return member(m, name) == value })
		case "tag":
			for _, tag := range values {
				add(func(m metadata.Image) bool { return slices.Contains(m.Tags, tag) })
			}
		case "protected", "os_hidden":
			want, err := strconv.ParseBool(strings.ToLower(value))
			if err != nil {
				return f, nil, badField(name, value, "expected true or false")
			}
			if name == "os_hidden" {
				hidden = want
			} else {
				add(func(m metadata.Image) bool { return m.Protected == want })
			}
		case "size_min", "size_max", "min_disk_min", "min_disk_max", "min_ram_min", "min_ram_max":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return f, nil, badField(name, value, "expected a number, 0 or greater")
			}
			add(bound(name, n))
		case "created_at", "updated_at":
			t, err := timeFilter(name, value)
			if err != nil {
				return f, nil, err
			}
			add(func(m metadata.Image) bool { return t(timeOf(m, name)) })
		case "changes-since":
			return f, nil, badField(name, value, "this filter does not exist in version 2")
		default:
			add(func(m metadata.Image) bool { v, ok := m.Properties[name]; return ok && v == value })
		}
	}
	add(func(m metadata.Image) bool { return m.Hidden == hidden })
	add(func(m metadata.Image) bool { return listed(m, project, visibility) })
	return f, func(m metadata.Image) bool {
		return !slices.ContainsFunc(tests, func(t func(metadata.Image) bool) bool { return !t(m) })
	}, nil
}

// listed reports whether a list for the project shows an image. Community
// images of others are shown to those who ask for them only.
func listed(m metadata.Image, project, visibility string) bool {
	if m.Owner == project || m.Visibility == "public" {
		return true
	}
	return m.Visibility == "community" && (visibility == "community" || visibility == "all")
}

// choices reads a value, or the list of in:a,b,"quoted,c".
func choices(value string) []string {
	list, ok := strings.CutPrefix(value, "in:")
	if !ok {
		return []string{value}
	}
	var out []string
	var cur strings.Builder
	quoted := false
	for _, r := range list {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			out = append(out, cur.String())
			cur.Reset()
		default:
			cur.WriteRune(r)
		}
	}
	return append(out, cur.String())
}

func member(m metadata.Image, name string) string {
	switch name {
	case "id":
		return m.ID
	case "name":
		return m.Name
	case "status":
		return string(m.Status)
	case "container_format":
		return m.ContainerFormat
	case "disk_format":
		return m.DiskFormat
	case "checksum":
		return m.Checksum
	case "os_hash_algo":
		return m.HashAlgo
	case "os_hash_value":
		return m.HashValue
	}
	return ""
}

// bound tests a figure against its least or greatest value, bytes, GiB or MiB.
func bound(name string, n int64) func(metadata.Image) bool {
	field, least := strings.CutSuffix(name, "_min")
	if !least {
		field = strings.TrimSuffix(name, "_max")
	}
	return func(m metadata.Image) bool {
		var v int64
		switch {
		case field == "min_disk":
			v = m.MinDisk
		case field == "min_ram":
			v = m.MinRAM
		case m.Size == nil:
			return false
		default:
			v = *m.Size
		}
		return least && v >= n || !least && v <= n
	}
}

func compareImages(a, b metadata.Image, key string) int {
	switch key {
	case "size":
		return cmp.Compare(orZero(a.Size), orZero(b.Size))
	case "created_at", "updated_at":
		return timeOf(a, key).Compare(timeOf(b, key))
	default:
		return strings.Compare(member(a, key), member(b, key))
	}
}

func orZero(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}
