package policy

import (
	"slices"

	"ingest/internal/errcode"
)

// softable lists the codes that a policy may turn into warnings: those of its own
// rules, so that a rule can be tried before it is enforced, and those that say
// that what is around a disk describes it wrongly. What the disk itself can do to
// a host (backing files, nested formats, tables that lie) is never among them.
func softable() []errcode.Code {
	return []errcode.Code{
		errcode.OVACapacity,
		errcode.OVAManifest,
		errcode.PolicySource,
		errcode.PolicyFormat,
		errcode.PolicyContainer,
		errcode.PolicyLimit,
		errcode.PolicyUnverified,
		errcode.PolicyFinding,
		errcode.PolicyGuest,
		errcode.PolicyStore,
	}
}

// ImageCodes lists the softened codes that are not the policy's own: those that
// the stages must let pass.
func ImageCodes(soft []string) []errcode.Code {
	var out []errcode.Code
	for _, c := range []errcode.Code{errcode.OVACapacity, errcode.OVAManifest} {
		if slices.Contains(soft, string(c)) {
			out = append(out, c)
		}
	}
	return out
}

func canSoften(code string) bool { return slices.Contains(softable(), errcode.Code(code)) }

// Names that settings take.
var (
	containerNames   = []string{"none", "ova", "tar", "zip", "gce", "docker"}
	compressionNames = []string{"none", "gzip", "xz", "zstd", "bzip2", "zip"}
	formatNames      = []string{"raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "iso", "ploop", "ami", "aki", "ari"}
	sourceNames      = append(slices.Clone(formatNames), "docker") // a container image is stored as raw
	needNames        = []string{"none", "digest", "checksum_file", "signature"}
	digestNames      = []string{"sha256", "sha512", "md5"}
	guestFacts       = []string{"architecture", "hw_firmware_type", "hw_machine_type", "os_distro", "os_type", "os_version"}
	settingNames     = []string{"source_formats", "target_formats", "containers", "compressions", "sources", "limits", "codes", "require", "guest", "stores"}
)

// sturdy are the digests that count where a rule names none.
func sturdy() []string { return []string{"sha256", "sha512"} }
