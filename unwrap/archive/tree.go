package archive

import (
	"fmt"
	"io"
	"path"
	"strings"

	"ingest/formats"
	"ingest/internal/errcode"
)

// An Entry is a file, a folder or a symbolic link in an archive that keeps its
// folders.
type Entry struct {
	Name   string // relative, cleaned, with slashes; never leads out of the archive
	Folder bool
	// Link is the entry's name that a symbolic link stands for, resolved within the
	// archive; "" for what is no link.
	Link string
	Off  int64 // host offset of its first byte
	Size int64 // bytes; 0 for folders and links
	r    io.ReaderAt
}

// Section returns the entry's bytes.
func (e Entry) Section() *io.SectionReader { return io.NewSectionReader(e.r, e.Off, e.Size) }

// Tree finds the entries of a tar file with folders, in their order. It reads as
// Tar does, and takes folders, and symbolic links to regular files of the same
// archive, too. Limits.NameBytes is that of a whole path.
func Tree(r io.ReaderAt, size int64, lim Limits) ([]Entry, error) {
	t := &tarFile{r: r, size: size, lim: lim, names: map[string]bool{}, tree: true}
	for {
		done, err := t.next()
		if err != nil {
			return nil, err
		}
		if done {
			return t.entries, t.resolve()
		}
	}
}

// firstHeaders is how many headers First looks at: those of one member, and of the
// folder itself.
const firstHeaders = 6

// First returns the name of the first entry of a tar file, without "./" in front
// and that folder itself; "" if there is none or this is no tar file.
func First(r io.ReaderAt, size int64) string {
	t := &tarFile{r: r, size: size}
	for range firstHeaders {
		h := make([]byte, blockBytes)
		if n, _ := r.ReadAt(h, t.off); n < blockBytes || t.off+blockBytes > size {
			return ""
		}
		if _, ok := sumOf(h); !ok {
			return ""
		}
		n, err := number(h[atSize : atSize+12])
		if err != nil {
			return ""
		}
		name := strings.TrimPrefix(nameOf(h), "./")
		switch kind := h[atType]; {
		case kind == 'x', kind == 'g', kind == 'L', kind == 'K', kind == '5' && (name == "" || name == "."):
		default:
			return name
		}
		if t.skip(n) != nil {
			return ""
		}
	}
	return ""
}

// entry notes a member of a tree.
func (t *tarFile) entry(h []byte, n int64) error {
	name, n, err := t.named(h, n)
	if err != nil {
		return err
	}
	e := Entry{r: t.r, Folder: h[atType] == '5', Off: t.off + blockBytes, Size: n}
	target := t.target(h)
	t.long, t.pax, t.link = "", nil, ""
	if e.Folder {
		name = strings.TrimSuffix(name, "/")
	}
	if name = strings.TrimPrefix(name, "./"); e.Folder && n == 0 && (name == "" || name == ".") {
		return t.skip(0)
	}
	if e.Name = name; h[atType] != '2' {
		if err := t.treeKind(h[atType], name, n); err != nil {
			return err
		}
	}
	if err := CheckPath(name, t.lim, t.place("name")); err != nil {
		return err
	}
	if h[atType] == '2' {
		if e.Link, err = t.inside(name, target, n); err != nil {
			return err
		}
	}
	if err := t.room(name); err != nil {
		return err
	}
	if err := t.skip(n); err != nil {
		return err
	}
	t.entries = append(t.entries, e)
	return nil
}

// treeKind is kind for what is not a symbolic link.
func (t *tarFile) treeKind(kind byte, name string, n int64) error {
	if kind == '5' && n == 0 {
		return nil
	}
	return t.kind(kind, name, false)
}

// target returns what a link's header says.
func (t *tarFile) target(h []byte) string {
	switch {
	case t.pax != nil && t.pax.link != "":
		return t.pax.link
	case t.link != "":
		return t.link
	}
	return text(h[atLink : atLink+100])
}

// inside returns the name of what a symbolic link leads to, which lies in the
// archive.
func (t *tarFile) inside(name, target string, n int64) (string, error) {
	where := t.place("linkname")
	to := path.Join(path.Dir(name), target)
	switch {
	case n != 0, target == "", len(target) > t.lim.NameBytes, strings.HasPrefix(target, "/"), strings.ContainsAny(target, "\\\x00"), to == "..", strings.HasPrefix(to, "../"):
		return "", where.Refuse(errcode.OVALink, Clip(target), "a file of the archive", "member %q is a link that leads out of the archive", Clip(name))
	}
	return to, CheckPath(to, t.lim, where)
}

// resolve refuses links to anything but regular files, and files below what is no
// folder.
func (t *tarFile) resolve() error {
	kinds := map[string]*Entry{}
	for i := range t.entries {
		kinds[t.entries[i].Name] = &t.entries[i]
	}
	for _, e := range t.entries {
		where := formats.Place{Format: tarFormat, Structure: "member " + Clip(e.Name), Off: e.Off - blockBytes}
		if e.Link != "" {
			if to := kinds[e.Link]; to == nil || to.Folder || to.Link != "" {
				where.Field = "linkname"
				return where.Refuse(errcode.OVALink, Clip(e.Link), "a file of the archive", "member %q is a link to what is no file of the archive", Clip(e.Name))
			}
		}
		for dir := path.Dir(e.Name); dir != "."; dir = path.Dir(dir) {
			if d := kinds[dir]; d != nil && !d.Folder {
				where.Field = "name"
				return where.Refuse(errcode.OVAPath, Clip(e.Name), "a folder", "member %q lies below %q, which is no folder", Clip(e.Name), Clip(dir))
			}
		}
	}
	return nil
}

// CheckPath refuses a path that is not relative, or whose parts are not plain names.
func CheckPath(name string, lim Limits, where formats.Place) error {
	if len(name) > lim.NameBytes {
		where.Field = "name"
		return where.Refuse(errcode.OVAPath, Clip(name), fmt.Sprint(lim.NameBytes, " bytes"), "member %q: the name is too long", Clip(name))
	}
	for part := range strings.SplitSeq(name, "/") {
		if err := CheckName(part, lim, where); err != nil {
			return err
		}
	}
	return nil
}
