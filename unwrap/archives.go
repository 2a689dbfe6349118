package unwrap

import (
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"

	"ingest/formats"
	"ingest/formats/gce"
	"ingest/internal/binio"
	"ingest/internal/errcode"
	"ingest/unwrap/archive"
	"ingest/unwrap/docker"
	"ingest/unwrap/ovf"
)

// Values of Contents.Container.
const (
	ContainerTar    = "tar"
	ContainerOVA    = "ova"
	ContainerZip    = "zip"
	ContainerDocker = "docker"
)

// Contents are what an archive holds.
type Contents struct {
	Container string
	// Verbatim says that the archive itself is the image: a container image,
	// whose inside is nobody's disk. It has no Disks.
	Verbatim bool
	// Disks are in the machine's order.
	Disks []Disk
	// Properties describe the machine in Glance's words; see ovf.Package.
	Properties map[string]string
	// Docker is the container image, nil unless Container is ContainerDocker. Its
	// Verify reads everything.
	Docker *docker.Image
	// OVA is the machine, nil unless Container is ContainerOVA. Its Verify reads
	// everything and compares it with the manifest.
	OVA *ovf.Package
}

// A Disk is the file of a disk within an archive.
type Disk struct {
	Name     string // base name of the member
	Size     int64  // of the file, bytes, once it is decompressed
	Boot     bool   // the machine boots from it
	Format   string // URI that an OVF gives its format, else ""
	Capacity int64  // virtual size that an OVF gives, bytes, else -1

	section *io.SectionReader // the member as it is stored
	zip     *archive.ZipMember
}

// Section returns the file's bytes in place, without a copy. The result is false
// for one that is compressed: Open reads it.
func (d Disk) Section() (*io.SectionReader, bool) {
	if d.zip != nil && d.zip.Method != archive.MethodStored {
		return nil, false
	}
	return d.section, true
}

// Open reads the file forward, and checks its sum if the archive has one: that of a
// stored member of a zip file too.
func (d Disk) Open(lim Limits) (io.Reader, error) {
	if d.zip == nil {
		return io.NewSectionReader(d.section, 0, d.section.Size()), nil
	}
	return openZip(*d.zip, lim)
}

// OpenArchive finds the disks in a tar file, an OVA or a zip file. It reads the
// structure and not the disks. A tar file without a descriptor has one member.
func OpenArchive(r io.ReaderAt, size int64, lim Limits) (*Contents, error) {
	var head [headBytes]byte
	n := min(size, headBytes)
	if err := binio.ReadFull(r, head[:max(n, 0)], 0); err != nil {
		return nil, formats.Place{Format: "archive", Structure: "first bytes"}.Unread(err)
	}
	switch {
	case strings.HasPrefix(string(head[:]), "PK"):
		return zipContents(r, size, lim)
	case docker.Named(archive.First(r, size)):
		return dockerContents(r, size, lim)
	}
	return tarContents(r, size, lim)
}

// memberName returns the name in a tar header, "" if this is none.
func memberName(head []byte) string {
	if len(head) < headBytes || string(head[257:262]) != "ustar" {
		return ""
	}
	name, _, _ := strings.Cut(string(head[:100]), "\x00")
	return strings.TrimPrefix(name, "./")
}

// dockerContents reads the structure of a container image.
func dockerContents(r io.ReaderAt, size int64, lim Limits) (*Contents, error) {
	img, err := docker.Open(r, size, lim.Docker, lim.Output, func(r io.Reader, head []byte) (io.Reader, bool, error) {
		layer, ok := Match(head)
		if !ok {
			return nil, false, nil
		}
		z, err := Open(r, layer, lim)
		return z, true, err
	})
	if err != nil {
		return nil, err
	}
	return &Contents{Container: ContainerDocker, Verbatim: true, Docker: img}, nil
}

// tarContents reads a tar file.
func tarContents(r io.ReaderAt, size int64, lim Limits) (*Contents, error) {
	members, err := archive.Tar(r, size, lim.Archive)
	if err != nil {
		return nil, err
	}
	if len(members) == 1 && !strings.HasSuffix(strings.ToLower(members[0].Name), ".ovf") {
		m := members[0]
		return &Contents{Container: ContainerTar, Disks: []Disk{{Name: m.Name, Size: m.Size, Boot: true, Capacity: -1, section: m.Section()}}}, nil
	}
	p, err := ovf.FromMembers(members, lim.Archive, lim.OVF)
	if err != nil {
		return nil, err
	}
	c := &Contents{Container: ContainerOVA, Properties: p.Properties, OVA: p}
	for _, d := range p.Disks {
		c.Disks = append(c.Disks, Disk{Name: d.Name, Size: d.Size, Boot: d.Boot, Format: d.Format, Capacity: d.Capacity, section: d.Section()})
	}
	return c, nil
}

// zipContents reads a zip file.
func zipContents(r io.ReaderAt, size int64, lim Limits) (*Contents, error) {
	m, err := archive.Zip(r, size, lim.Archive)
	if err != nil {
		return nil, err
	}
	// deflate says at most 258 bytes with two bits (RFC 1951, 3.2.5).
	if most, err := binio.Mul(m.Size, 1032); err == nil && m.Method == archive.MethodDeflated && m.Uncompressed > most+headBytes {
		return nil, formats.Place{Format: "zip", Structure: "central directory", Field: "uncompressed size", Off: -1}.
			Refuse(errcode.ExpansionRatio, m.Uncompressed, fmt.Sprint(most), "%d bytes of deflate would hold %d", m.Size, m.Uncompressed)
	}
	if m.Uncompressed > lim.Output {
		return nil, formats.Place{Format: "zip", Structure: "central directory", Field: "uncompressed size", Off: -1}.
			Refuse(errcode.DecompressedTooLarge, m.Uncompressed, fmt.Sprint(lim.Output), "the zip file holds %d bytes", m.Uncompressed)
	}
	return &Contents{Container: ContainerZip, Disks: []Disk{{Name: m.Name, Size: m.Uncompressed, Boot: true, Capacity: -1, section: m.Section(), zip: &m}}}, nil
}

// openZip reads the member of a zip file.
func openZip(m archive.ZipMember, lim Limits) (*Reader, error) {
	in := newInput(m.Section(), Zip)
	z := &zipReader{in: in, dec: in, member: m, sum: crc32.NewIEEE()}
	if m.Method == archive.MethodDeflated {
		z.dec = flate.NewReader(in.Reader)
	}
	return open(in, z, lim)
}

// A zipReader checks what a zip file says of its member.
type zipReader struct {
	in     *input
	dec    io.Reader
	member archive.ZipMember
	sum    hash.Hash32
	n      int64
}

// Read reads the next bytes.
func (z *zipReader) Read(p []byte) (int, error) {
	n, err := z.dec.Read(p)
	z.sum.Write(p[:n])
	z.n += int64(n)
	if z.n > z.member.Uncompressed || err == io.EOF && z.n < z.member.Uncompressed {
		return 0, z.in.corrupt("member", "uncompressed size", z.n, fmt.Sprint(z.member.Uncompressed))
	}
	if err == io.EOF && z.sum.Sum32() != z.member.CRC32 {
		return 0, z.in.corrupt("member", "CRC-32", fmt.Sprintf("%08x", z.sum.Sum32()), fmt.Sprintf("%08x", z.member.CRC32))
	}
	if err == io.EOF && z.in.taken() != z.member.Size {
		return 0, z.in.place("member", "compressed size").Refuse(errcode.TrailingData, z.member.Size, fmt.Sprint(z.in.taken()), "there is something behind the member's last byte")
	}
	return n, err
}

// IsGCE reports whether a gzip whose contents begin with head is what Compute
// Engine makes images from.
func IsGCE(head []byte) bool { return memberName(head) == "disk.raw" }

// OpenGCE opens the tar.gz from which Compute Engine makes an image: gzip is taken
// off and the sparse map applied on the way, without a copy. Reading it to its end
// (formats.Streamer) checks that disk.raw is the only member.
func OpenGCE(r io.ReaderAt, size int64, lim formats.Limits) (formats.Disk, error) {
	d, err := gce.Open(r, size, lim)
	if e, ok := errcode.As(err); ok && e.Code == errcode.FormatMismatch {
		out := *e
		out.Code = errcode.GCPLayout
		return nil, &out
	}
	return d, err
}
