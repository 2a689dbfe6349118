package repotest

import (
	"cmp"
	"slices"
	"strings"

	"ingest/metadata"
)

// An oracle lists images by the rules of metadata.ImageFilter, in memory and without
// any cleverness.
type oracle struct {
	images  []metadata.Image
	members []metadata.Member
}

// list returns the ids that a filter selects, in order; ok is false if there is no
// image for its marker.
func (o oracle) list(f metadata.ImageFilter) (ids []string, ok bool) {
	keys := wholeOrder(f.Sort)
	compare := func(a, b metadata.Image) int {
		for _, k := range keys {
			if c := compareField(a, b, k.Field); c != 0 {
				if k.Desc {
					return -c
				}
				return c
			}
		}
		return 0
	}
	rows := slices.SortedFunc(slices.Values(o.images), compare)
	var marker *metadata.Image
	if f.Marker != "" {
		i := slices.IndexFunc(rows, func(m metadata.Image) bool { return m.ID == f.Marker })
		if i < 0 || f.Owner != "" && rows[i].Owner != f.Owner || !o.byID(rows[i], f.Seen) {
			return nil, false
		}
		marker = &rows[i]
	}
	for _, m := range rows {
		if o.selected(m, f) && (marker == nil || compare(m, *marker) > 0) && (f.Limit == 0 || len(ids) < f.Limit) {
			ids = append(ids, m.ID)
		}
	}
	return ids, true
}

func wholeOrder(sort []metadata.Order) []metadata.Order {
	if len(sort) == 0 {
		sort = []metadata.Order{{Field: metadata.FieldCreatedAt, Desc: true}}
	}
	last := true
	if len(sort) == 1 {
		last = sort[0].Desc
	}
	return append(slices.Clone(sort), metadata.Order{Field: metadata.FieldCreatedAt, Desc: last}, metadata.Order{Field: metadata.FieldID, Desc: last})
}

func compareField(a, b metadata.Image, f metadata.ImageField) int {
	if x, isText := textOf(a, f); isText {
		y, _ := textOf(b, f)
		return strings.Compare(x, y)
	}
	x, known := numberOf(a, f)
	if !known {
		x = -1
	}
	y, known := numberOf(b, f)
	if !known {
		y = -1
	}
	return cmp.Compare(x, y)
}

func textOf(m metadata.Image, f metadata.ImageField) (string, bool) {
	v, ok := map[metadata.ImageField]string{
		metadata.FieldID: m.ID, metadata.FieldName: m.Name, metadata.FieldStatus: string(m.Status),
		metadata.FieldDiskFormat: m.DiskFormat, metadata.FieldContainerFormat: m.ContainerFormat,
		metadata.FieldChecksum: m.Checksum, metadata.FieldHashAlgo: m.HashAlgo, metadata.FieldHashValue: m.HashValue,
	}[f]
	return v, ok
}

// numberOf also says whether the image has the number.
func numberOf(m metadata.Image, f metadata.ImageField) (int64, bool) {
	switch f {
	case metadata.FieldSize:
		if m.Size == nil {
			return 0, false
		}
		return *m.Size, true
	case metadata.FieldVirtualSize:
		if m.VirtualSize == nil {
			return 0, false
		}
		return *m.VirtualSize, true
	case metadata.FieldMinDisk:
		return m.MinDisk, true
	case metadata.FieldMinRAM:
		return m.MinRAM, true
	case metadata.FieldCreatedAt:
		return m.CreatedAt.UnixMicro(), true
	default:
		return m.UpdatedAt.UnixMicro(), true
	}
}

func (o oracle) selected(m metadata.Image, f metadata.ImageFilter) bool {
	for _, c := range []struct{ want, got string }{
		{f.Owner, m.Owner}, {f.Name, m.Name}, {string(f.Status), string(m.Status)}, {f.DiskFormat, m.DiskFormat},
		{f.Visibility, m.Visibility}, {f.HashValue, m.HashValue},
	} {
		if c.want != "" && c.want != c.got {
			return false
		}
	}
	if f.Protected != nil && *f.Protected != m.Protected || f.Hidden != nil && *f.Hidden != m.Hidden {
		return false
	}
	for _, match := range f.Matches {
		if v, _ := textOf(m, match.Field); !slices.Contains(match.Values, v) {
			return false
		}
	}
	for _, r := range f.Ranges {
		n, known := numberOf(m, r.Field)
		in := (r.Min == nil || n >= *r.Min) && (r.Max == nil || n <= *r.Max)
		if !known || in == r.Not {
			return false
		}
	}
	for _, tag := range f.Tags {
		if !slices.Contains(m.Tags, tag) {
			return false
		}
	}
	for name, value := range f.Properties {
		if v, ok := m.Properties[name]; !ok || v != value {
			return false
		}
	}
	if f.Seen == nil {
		return f.Deleted || m.Status != metadata.ImageDeleted
	}
	return o.seen(m, f)
}

func (o oracle) seen(m metadata.Image, f metadata.ImageFilter) bool {
	s := *f.Seen
	switch m.Status {
	case metadata.ImageDeleted, metadata.ImageKilled:
		return false
	case metadata.ImagePendingDelete:
		asked := f.Status == m.Status
		for _, match := range f.Matches {
			asked = asked || match.Field == metadata.FieldStatus && slices.Contains(match.Values, string(m.Status))
		}
		if !asked || !s.All && m.Owner != s.Project {
			return false
		}
	}
	switch {
	case m.Owner == s.Project:
		return true
	case s.All:
		return m.Visibility != "community" || s.Community
	}
	return m.Visibility == "public" || m.Visibility == "community" && s.Community || m.Visibility == "shared" && o.member(m.ID, s.Project, s.Member)
}

// byID reports whether somebody may know of an image by its id.
func (o oracle) byID(m metadata.Image, s *metadata.Seen) bool {
	return s == nil || s.All || m.Owner == s.Project || m.Visibility == "public" || m.Visibility == "community" ||
		m.Visibility == "shared" && o.member(m.ID, s.Project, metadata.MemberAny)
}

func (o oracle) member(id, project string, status metadata.MemberStatus) bool {
	if status == "" {
		status = metadata.MemberAccepted
	}
	return slices.ContainsFunc(o.members, func(m metadata.Member) bool {
		return m.ImageID == id && m.Project == project && (status == metadata.MemberAny || m.Status == status)
	})
}
