package refusals

import (
	"slices"
	"strings"
	"testing"

	"ingest/formats"
	"ingest/internal/errcode"
)

// elsewhere says of codes that no image's format yields who does, and so where
// they are tested. A name that ends in an underscore stands for all codes that
// begin with it.
func elsewhere() map[string]string {
	const source, unwrap, write = "sources", "unwrap", "pipeline and formats/writers"
	return map[string]string{
		"IMG_SOURCE_":                source,
		"IMG_CHECKSUM_":              "pipeline and internal/verify",
		"IMG_SIGNATURE_":             "pipeline and internal/verify",
		"IMG_KEYRING_UNKNOWN":        "pipeline and internal/verify",
		"IMG_VERIFY_MISMATCH":        "pipeline",
		"IMG_TARGET_":                write,
		"IMG_POLICY_":                "internal/policy",
		"IMG_DECOMPRESSED_TOO_LARGE": unwrap,
		"IMG_DECOMPRESSOR_MEMORY":    unwrap,
		"IMG_COMPRESSION_NESTED":     unwrap,
		"IMG_COMPRESSION_METHOD":     unwrap,
		"IMG_TRAILING_DATA":          unwrap,
		"IMG_ZIP_INVALID":            unwrap,
		"IMG_OVA_":                   unwrap,
		"IMG_DOCKER_":                unwrap,
		"IMG_GCP_LAYOUT":             unwrap,
		"IMG_GPT_INVALID":            "guest/partition",
		"IMG_MBR_INVALID":            "guest/partition",
		"IMG_PARTITION_":             "guest/partition",
	}
}

// owner returns who else yields a code, "" if it belongs to the formats.
func owner(c errcode.Code) string {
	for name, who := range elsewhere() {
		if string(c) == name || strings.HasSuffix(name, "_") && strings.HasPrefix(string(c), name) {
			return who
		}
	}
	return ""
}

// TestEveryCodeHasAnImage fails for a code of the formats and of detection that
// no image yields.
func TestEveryCodeHasAnImage(t *testing.T) {
	images := map[errcode.Code]int{}
	for _, l := range manifest(t) {
		images[l.Code]++
	}
	for _, m := range mades() {
		images[m.code]++
	}
	codes, without := 0, 0
	known := map[string]bool{}
	for _, d := range errcode.All() {
		if !strings.HasPrefix(string(d.Code), "IMG_") {
			continue
		}
		for name := range elsewhere() {
			known[name] = known[name] || strings.HasPrefix(string(d.Code), name)
		}
		if owner(d.Code) != "" {
			continue
		}
		codes++
		if images[d.Code] == 0 {
			without++
			t.Errorf("no image yields %s", d.Code)
		}
	}
	for name := range elsewhere() {
		if !known[name] {
			t.Errorf("%s is listed as somebody else's, and is no code", name)
		}
	}
	t.Logf("%d codes of formats and detection, %d without an image", codes, without)
}

// TestMadeImagesYieldTheirCodes uses each made image and demands exactly its
// code, with evidence and advice. That listed ones do is tested in pipeline.
func TestMadeImagesYieldTheirCodes(t *testing.T) {
	for _, m := range mades() {
		t.Run(string(m.code), func(t *testing.T) {
			if m.options.Limits == (formats.Limits{}) {
				m.options.Limits = formats.DefaultLimits()
			}
			if m.readers == nil {
				m.readers = all()
			}
			found, err := use(t, m.readers, m.make(t), m.options)
			if m.told {
				requireTold(t, found, m.code, err)
				return
			}
			if got := errcode.Of(err); got != m.code {
				t.Fatalf("refused with %q, want %s: %v", got, m.code, err)
			}
			if e, ok := errcode.As(err); !ok || e.Message == "" || e.Remedy() == "" || (e.Evidence == nil && m.code != errcode.Empty) {
				t.Errorf("no evidence or advice in %+v", err)
			}
		})
	}
}

// requireTold demands a finding with the code, of an image that is accepted.
func requireTold(t *testing.T, found []formats.Finding, code errcode.Code, err error) {
	t.Helper()
	i := slices.IndexFunc(found, func(f formats.Finding) bool { return f.Code == code })
	if err != nil || i < 0 {
		t.Fatalf("no finding %s in %+v, %v", code, found, err)
	}
	if f := found[i]; f.Severity == formats.SeverityError || f.Evidence == nil || f.Remedy == "" {
		t.Errorf("finding is not whole: %+v", f)
	}
}
