package api

import (
	"maps"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"ingest/api/wire"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/logging"
	"ingest/internal/verify"
	"ingest/metadata"
)

// Limits of what a request may say. Those of images are Glance's.
const (
	maxOwner      = 64         // bytes of a project's id
	maxName       = 255        // characters of a name, property name or tag
	maxProperties = 128        // of one image
	maxTags       = 128        // of one image
	maxValue      = 64<<10 - 1 // bytes of a property's value: a MySQL TEXT column
	maxSource     = 4096       // bytes of a URL or path
	maxKey        = 128        // bytes of an idempotency key
	maxMinimum    = 1<<31 - 1
	maxOptions    = 16 // of one target
	maxOptionName = 64 // characters
)

// reservedPrefix is that of properties that only the server writes, in any case of letters.
const reservedPrefix = "os_glance"

// containerFormats are Glance's.
var containerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}

// diskFormats are Glance's: what an image may say of itself. Which of them can
// be imported is another question.
var diskFormats = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}

var visibilities = []string{"private", "shared", "community", "public"}

// checkSettable refuses names of members that a client cannot set.
func checkSettable(name string) error {
	switch {
	case wire.IsReadOnly(name):
		return fieldError(errcode.Forbidden, name, "", "attribute %q is read-only", name)
	case wire.IsReserved(name), strings.HasPrefix(strings.ToLower(name), reservedPrefix):
		return fieldError(errcode.Forbidden, name, "", "attribute %q is reserved", name)
	}
	return nil
}

// checkImage checks what an owner says of an image.
func checkImage(img metadata.Image) error {
	if err := checkText("name", img.Name, maxName); err != nil {
		return err
	}
	for _, c := range []struct {
		field, value string
		known        []string
	}{
		{"visibility", img.Visibility, visibilities},
		{"disk_format", img.DiskFormat, diskFormats},
		{"container_format", img.ContainerFormat, containerFormats},
	} {
		if err := checkOneOf(c.field, c.value, c.known); err != nil {
			return err
		}
	}
	if img.MinDisk < 0 || img.MinDisk > maxMinimum {
		return badField("min_disk", "", "expected 0 to %d", maxMinimum)
	}
	if img.MinRAM < 0 || img.MinRAM > maxMinimum {
		return badField("min_ram", "", "expected 0 to %d", maxMinimum)
	}
	if len(img.Tags) > maxTags {
		return withStatus(413, badField("tags", "", "an image has at most %d tags", maxTags))
	}
	for _, tag := range img.Tags {
		if err := checkText("tags", tag, maxName); err != nil {
			return err
		}
	}
	return checkProperties(img.Properties)
}

func checkProperties(props map[string]string) error {
	if len(props) > maxProperties {
		return withStatus(413, badField("properties", "", "an image has at most %d properties", maxProperties))
	}
	names := make([]string, 0, len(props))
	for name := range props {
		names = append(names, name)
	}
	sort.Strings(names) // the same request gets the same answer
	for _, name := range names {
		if name == "" {
			return badField("properties", "", "a property has a name")
		}
		if err := checkText("property name", name, maxName); err != nil {
			return err
		}
		if err := checkSettable(name); err != nil {
			return err
		}
		if wire.IsCore(name) {
			return badField("properties."+name, "", "this is a member of every image and no property")
		}
		if len(props[name]) > maxValue {
			return badField("properties."+name, props[name], "a property's value has at most %d bytes", maxValue)
		}
		if strings.ContainsRune(props[name], 0) || !utf8.ValidString(props[name]) {
			return badField("properties."+name, "", "a property's value is text")
		}
	}
	return nil
}

// checkText checks a short text of one line.
func checkText(field, s string, most int) error {
	if n := utf8.RuneCountInString(s); n > most {
		return badField(field, s, "has %d characters, at most %d are allowed", n, most)
	}
	if !utf8.ValidString(s) || strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return badField(field, "", "control characters are not allowed")
	}
	return nil
}

// checkOneOf admits the empty value too: it means the default.
func checkOneOf(field, value string, known []string) error {
	if value == "" || slices.Contains(known, value) {
		return nil
	}
	return badField(field, value, "%q is not one of %s", value, strings.Join(known, ", "))
}

// checkRequest checks everything of an import that can be judged without
// touching the source.
func (a *api) checkRequest(req contract.ImportRequest) error {
	if err := a.checkSource(req.Source); err != nil {
		return err
	}
	return a.checkBeside(req)
}

// checkBeside is checkRequest for all but the source.
func (a *api) checkBeside(req contract.ImportRequest) error {
	if err := a.checkTarget(req.Target); err != nil {
		return err
	}
	if err := a.checkStores(req.StoresSpec); err != nil {
		return err
	}
	if err := a.checkWritable(req); err != nil {
		return err
	}
	for _, c := range []struct{ field, id string }{{"task_id", req.TaskID}, {"image_id", req.ImageID}} {
		if _, err := uuid.Parse(c.id); c.id != "" && (err != nil || len(c.id) != 36 || strings.ToLower(c.id) != c.id) {
			return badField(c.field, c.id, "expected a UUID in lower case")
		}
	}
	if err := checkKey("idempotency_key", req.IdempotencyKey); err != nil {
		return err
	}
	if err := checkText("user_id", req.UserID, maxName); err != nil {
		return err
	}
	if _, err := a.Defaults.Verify.Resolve(req.Verify); err != nil {
		return err
	}
	if err := checkImage(metadata.Image{
		Name: req.Image.Name, Visibility: req.Image.Visibility, ContainerFormat: req.Image.ContainerFormat,
		MinDisk: req.Image.MinDisk, MinRAM: req.Image.MinRAM, Tags: req.Image.Tags, Properties: req.Image.Properties,
	}); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(req.Image.Properties)) {
		if err := a.checkFree(name, req.Image.Properties[name]); err != nil {
			return err
		}
	}
	// Whatever the workflow would refuse is refused here.
	return req.Check()
}

func (a *api) checkSource(s contract.SourceSpec) error {
	if s.URL == "" {
		return badField("source.url", "", "an import needs a source")
	}
	if err := checkOneOf("source.format", s.Format, a.Defaults.SourceFormats); err != nil {
		return err
	}
	if len(s.Members) > contract.MaxMembers {
		return badField("source.members", "", "an image has at most %d other files", contract.MaxMembers)
	}
	first := contract.MemberSpec{URL: s.URL, Checksum: s.Checksum, Credential: s.Credential}
	if err := a.checkFile("source", first); err != nil {
		return err
	}
	if err := a.checkTrust(s); err != nil {
		return err
	}
	if err := a.checkMirrors(s); err != nil {
		return err
	}
	for i, m := range s.Members {
		if err := a.checkFile("source.members["+strconv.Itoa(i)+"]", m); err != nil {
			return err
		}
	}
	return nil
}

// checkFile checks one file of a source; at is where it stands in the request.
func (a *api) checkFile(at string, m contract.MemberSpec) error {
	field := at + ".url"
	if len(m.URL) > maxSource || !utf8.ValidString(m.URL) || strings.IndexFunc(m.URL, unicode.IsControl) >= 0 {
		return fieldError(errcode.SourceURLInvalid, field, "", "expected at most %d bytes without control characters", maxSource)
	}
	if err := a.checkSourceURL(field, m.URL); err != nil {
		return err
	}
	if err := checkText(at+".credential", m.Credential, maxName); err != nil {
		return err
	}
	return a.checkChecksum(at+".checksum", m.Checksum)
}

// checkMirrors checks the other URLs of the source, which web servers alone have.
func (a *api) checkMirrors(s contract.SourceSpec) error {
	if len(s.Mirrors) > contract.MaxMirrors {
		return badField("source.mirrors", "", "a source has at most %d mirrors", contract.MaxMirrors)
	}
	if len(s.Mirrors) > 0 && !web(s.URL) {
		return fieldError(errcode.SourceScheme, "source.url", "", "a source with mirrors is an http or https URL")
	}
	for i, m := range s.Mirrors {
		at := "source.mirrors[" + strconv.Itoa(i) + "]"
		if !web(m) {
			return fieldError(errcode.SourceScheme, at, "", "a mirror is an http or https URL")
		}
		if err := a.checkFile(at, contract.MemberSpec{URL: m}); err != nil {
			return err
		}
	}
	return nil
}

func web(url string) bool {
	scheme, _, _ := strings.Cut(strings.ToLower(url), "://")
	return scheme == "http" || scheme == "https"
}

// checkTrust checks where a checksum file and a signature are said to be. What they
// say is found out by the import.
func (a *api) checkTrust(s contract.SourceSpec) error {
	for _, c := range []struct{ field, ref string }{{"source.checksum_file", s.ChecksumFile}, {"source.signature", s.Signature}} {
		if c.ref == "" || c.ref == "auto" {
			continue
		}
		if err := a.checkFile(c.field, contract.MemberSpec{URL: c.ref}); err != nil {
			return err
		}
	}
	switch {
	case s.Signature == "" && s.Keyring == "":
		return nil
	case len(a.Defaults.Keyrings) == 0:
		return fieldError(errcode.KeyringUnknown, "source.keyring", s.Keyring, "a signature is asked for, and the server has no keyring")
	case s.Keyring != "" && !slices.Contains(a.Defaults.Keyrings, s.Keyring):
		return fieldError(errcode.KeyringUnknown, "source.keyring", s.Keyring, "expected one of %s", strings.Join(a.Defaults.Keyrings, ", "))
	}
	return nil
}

func (a *api) checkSourceURL(field, raw string) error {
	if !strings.Contains(raw, "://") {
		if !slices.Contains(a.Defaults.Schemes, "file") {
			return fieldError(errcode.SourceScheme, field, raw, "expected a URL with scheme %s", strings.Join(a.Defaults.Schemes, ", "))
		}
		if !strings.HasPrefix(raw, "/") {
			return fieldError(errcode.SourceURLInvalid, field, raw, "a path on the server is absolute")
		}
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fieldError(errcode.SourceURLInvalid, field, "", "this is no URL")
	}
	scheme := strings.ToLower(u.Scheme)
	switch {
	case !slices.Contains(a.Defaults.Schemes, scheme):
		return fieldError(errcode.SourceScheme, field, u.Scheme, "scheme %q is not one of %s", u.Scheme, strings.Join(a.Defaults.Schemes, ", "))
	case u.User != nil || scheme == "s3" && slices.ContainsFunc(u.Query()["endpoint"], func(at string) bool { return strings.Contains(at, "@") }):
		// The value is not shown: it holds a password.
		return fieldError(errcode.SourceURLInvalid, field, "", "a URL must not hold a user name or password; name a credential instead")
	case scheme != "file" && u.Hostname() == "" && (scheme != "glance" || u.Host != ""): // glance:///IMAGE leaves it to the credential
		return fieldError(errcode.SourceURLInvalid, field, logging.URL(raw), "the URL has no host")
	case !a.Defaults.SignedURLs && secretQuery(u) != "":
		return fieldError(errcode.SourceURLSecret, field, "", "the URL's query holds a secret, %q; name a credential instead", secretQuery(u))
	case scheme != "file" && strings.Contains(raw, "#"):
		// No driver takes one, and what stands in it may be secret.
		return fieldError(errcode.SourceURLInvalid, field, logging.URL(raw), "a URL of a source has no fragment; write # in a name as %%23")
	case scheme == "file" && (u.Host != "" || !strings.HasPrefix(u.Path, "/")):
		return fieldError(errcode.SourceURLInvalid, field, raw, "a file URL is file:///ABSOLUTE/PATH")
	}
	return nil
}

func (a *api) checkChecksum(field, sum string) error {
	if sum == "" {
		return nil
	}
	_, err := verify.ParseDigest(sum, a.Defaults.AllowMD5)
	switch {
	case errcode.Of(err) == errcode.ChecksumAlgorithm:
		return fieldError(errcode.ChecksumAlgorithm, field, sum, "a digest of this algorithm proves nothing here; expected sha256 or sha512")
	case err != nil:
		return fieldError(errcode.ChecksumInvalid, field, sum, "expected sha256: and 64, or sha512: and 128 hexadecimal digits")
	}
	return nil
}

// checkTarget checks what can be said without the source.
func (a *api) checkTarget(t contract.TargetSpec) error {
	if t.DiskFormat != "" || t.ContainerFormat != "" {
		return badField("target.disk_format", t.DiskFormat, "the target's format says what the image will be called")
	}
	if len(t.Options) > maxOptions {
		return badField("target.options", "", "at most %d options are taken", maxOptions)
	}
	for _, k := range slices.Sorted(maps.Keys(t.Options)) {
		v := t.Options[k]
		if checkText("", k, maxOptionName) != nil || checkText("", v, maxName) != nil || k == "" {
			return badField("target.options", k, "an option is a short text")
		}
	}
	if err := checkText("target.format", t.Format, maxName); err != nil {
		return err
	}
	if _, err := a.resolveTarget(t); err != nil {
		return err
	}
	return a.checkStore("target.store", t.Store)
}

// resolveTarget says what a target comes to; one without a format is left to
// what the source is.
func (a *api) resolveTarget(t contract.TargetSpec) (contract.TargetSpec, error) {
	if t.Format != "" {
		return a.Defaults.Resolve(t)
	}
	// raw and its like take no options, so that only the default can have any.
	if len(t.Options) > 0 || t.Compression != "" {
		t.Format = a.Defaults.OutputFormat
		_, err := a.Defaults.Resolve(t)
		t.Format = ""
		return t, err
	}
	return t, nil
}

func (a *api) checkStore(field, name string) error {
	if name == "" || slices.Contains(a.Stores, name) {
		return nil
	}
	return fieldError(errcode.StoreUnknown, field, name, "there is no store of that name")
}

// secretQuery returns the name of a query field that is a secret by its name, ""
// if there is none: signatures, tokens, passwords and keys, among them those of
// Amazon, Google, Azure, OpenStack, Alibaba and Tencent. It looks at the text, since
// servers understand also what url.ParseQuery leaves out: fields between semicolons,
// and escapes that are none. What stands in a field may be a URL of its own, such as
// an endpoint.
func secretQuery(u *url.URL) string {
	text := u.RawQuery
	for range maxNested {
		for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("&;?", r) }) {
			name, _, _ = strings.Cut(name, "=")
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
			if secretName(name) {
				return name
			}
		}
		inner, err := url.QueryUnescape(text)
		if err != nil || inner == text {
			return ""
		}
		text = inner
	}
	return ""
}

// maxNested is how many times a query is unescaped in the search for secrets.
const maxNested = 3

// secretName reports whether a query field's name is that of a secret.
func secretName(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	switch name {
	case "signature", "sig", "temp_url_sig", "token", "apikey", "api_key", "password", "passwd", "secret", "authorization", "jwt":
		return true
	}
	for _, end := range []string{"_signature", "_token", "_secret", "_password", "_api_key", "_secret_key"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}
