package pipeline

import (
	"context"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/internal/verify"
	"ingest/sources"
)

// auto asks for the usual names.
const auto = "auto"

// besideImage are the usual names of a checksum file in the folder of an image, in
// the order in which they are tried.
func besideImage(name string) []string {
	return []string{"SHA256SUMS", "SHA512SUMS", name + ".sha256", name + ".sha256sum", "CHECKSUM"}
}

// besideFile are the usual endings of a detached signature's name.
func besideFile() []string { return []string{".gpg", ".sign", ".asc", ".sig"} }

// A sumsList is a checksum file, judged.
type sumsList struct {
	url   string // as it was fetched
	sums  verify.Sums
	proof contract.Verification // who signed it; Kind is "" if nobody was asked for
}

// sumsList fetches the checksum file that is asked for, and its signature if that is
// wanted.
func (p *Pipeline) sumsList(ctx context.Context, s contract.SourceSpec, wanted bool, rings verify.Keyrings) (*sumsList, error) {
	text, at, err := p.sumsFile(ctx, s)
	if err != nil {
		return nil, err
	}
	l := &sumsList{url: at}
	clear, err := verify.ParseCleartext(text)
	if err != nil {
		return nil, err
	}
	if wanted {
		if l.proof, err = p.signedSums(ctx, s, at, text, clear, rings); err != nil {
			return nil, err
		}
	}
	if clear != nil {
		text = clear.Text
	}
	l.sums, err = verify.ParseSums(text)
	return l, err
}

// sumsFile fetches the checksum file and says where it was.
func (p *Pipeline) sumsFile(ctx context.Context, s contract.SourceSpec) ([]byte, string, error) {
	if s.ChecksumFile != auto {
		text, err := p.fetchSmall(ctx, s, s.ChecksumFile, verify.MaxSumsBytes)
		if errcode.Of(err) == errcode.SourceNotFound {
			err = errcode.Wrap(err, errcode.ChecksumFileMissing, "there is no checksum file at the URL that was given").
				With(errcode.Evidence{Structure: "checksum file", Field: "url", Value: publicURL(s.ChecksumFile)})
		}
		return text, s.ChecksumFile, err
	}
	var tried []string
	for _, name := range besideImage(fileName(s.URL)) {
		at := sibling(s.URL, name)
		if at == "" || strings.HasPrefix(name, ".") {
			continue
		}
		text, err := p.fetchSmall(ctx, s, at, verify.MaxSumsBytes)
		if err == nil || !absent(err) {
			return text, at, err
		}
		tried = append(tried, name)
	}
	return nil, "", errcode.New(errcode.ChecksumFileMissing, "there is no checksum file beside the image").
		With(errcode.Evidence{Structure: "checksum file", Field: "names tried", Value: strings.Join(tried, ", ")})
}

// absent reports whether a name that was guessed is not there. Object stores say
// so by refusing, if they do not show what is in a folder.
func absent(err error) bool {
	code := errcode.Of(err)
	return code == errcode.SourceNotFound || code == errcode.SourceAuth
}

// signedSums checks the signature over a checksum file: the one at the URL that is
// given, the file's own, or one beside it.
func (p *Pipeline) signedSums(ctx context.Context, s contract.SourceSpec, at string, text []byte, clear *verify.Cleartext, rings verify.Keyrings) (contract.Verification, error) {
	v := contract.Verification{URL: publicURL(at)}
	if clear != nil && (s.Signature == "" || s.Signature == auto) {
		by, err := rings.CheckFile(clear.Signatures, clear.Signed, time.Now())
		return signedBy(by, v), err
	}
	sigs, where, err := p.signatureOf(ctx, contract.SourceSpec{URL: at, Credential: credentialFor(s, at)}, s.Signature)
	if err != nil {
		return v, err
	}
	by, err := rings.CheckFile(sigs, text, time.Now())
	v.SignatureURL = publicURL(where)
	return signedBy(by, v), err
}

// signatureOf fetches the detached signatures over a file, from the URL that is
// given or from beside it, and says where they were.
func (p *Pipeline) signatureOf(ctx context.Context, file contract.SourceSpec, given string) ([]*verify.Signature, string, error) {
	places := []string{given}
	if given == "" || given == auto {
		places = nil
		for _, ending := range besideFile() {
			if name := fileName(file.URL); name != "" {
				places = append(places, sibling(file.URL, name+ending))
			}
		}
	}
	for _, at := range places {
		raw, err := p.fetchSmall(ctx, file, at, verify.MaxSignatureBytes)
		if err == nil {
			sigs, err := verify.ParseSignatures(raw)
			return sigs, at, err
		}
		if !absent(err) || at == given && errcode.Of(err) != errcode.SourceNotFound {
			return nil, "", err
		}
	}
	return nil, "", errcode.New(errcode.SignatureMissing, "there is no signature of %s", fileName(file.URL)).
		With(errcode.Evidence{Structure: "signature", Field: "places tried", Value: publicNames(places)})
}

// publicNames lists places for people.
func publicNames(places []string) string {
	var out []string
	for _, at := range places {
		out = append(out, publicURL(at))
	}
	return strings.Join(out, ", ")
}

// fetchSmall reads a whole small file, with the drivers and so under the rules of
// every source. It has the credential of the file that it belongs to if it is on the
// same server, and none elsewhere.
func (p *Pipeline) fetchSmall(ctx context.Context, of contract.SourceSpec, at string, most int) ([]byte, error) {
	src, err := p.Sources.Open(ctx, sources.Ref{URL: at, Credential: credentialFor(of, at), Project: projectOf(ctx)}, nil)
	if err != nil {
		return nil, sourceError(err, at)
	}
	defer src.Close()
	body, err := src.Stream(ctx, 0)
	if err != nil {
		return nil, sourceError(err, at)
	}
	defer body.Close()
	tell(ctx, src)
	text, err := io.ReadAll(io.LimitReader(body, int64(most)+1))
	if err != nil {
		return nil, sourceError(err, at)
	}
	if len(text) > most {
		return nil, errcode.New(errcode.SourceTooLarge, "a checksum file or signature of more than %d bytes is none", most).
			With(errcode.Evidence{Structure: path.Base(publicURL(at)), Field: "bytes", Limit: strconv.Itoa(most)})
	}
	return text, nil
}

// credentialFor keeps a credential to the server that it was given for.
func credentialFor(of contract.SourceSpec, at string) string {
	a, errA := url.Parse(of.URL)
	b, errB := url.Parse(at)
	if errA != nil || errB != nil || !strings.EqualFold(a.Scheme, b.Scheme) || !strings.EqualFold(a.Host, b.Host) {
		return ""
	}
	return of.Credential
}

// expect adds what the list says of a file. A further file of an image may have a
// digest of its own instead.
func (l *sumsList) expect(pt *part, md5 bool) error {
	name := fileName(pt.spec.URL)
	sums := l.sums
	if base := fileName(l.url); name != "" && strings.HasPrefix(base, name+".") {
		sums = sums.Alone(name)
	}
	digests, err := sums.Lookup(md5, l.within(pt.spec.URL), name)
	if errcode.Of(err) == errcode.ChecksumEntryMissing && pt.name != "" && pt.want.any() {
		return nil
	}
	if err != nil {
		return err
	}
	for _, d := range digests {
		pt.want.digest(d, contract.Verification{Kind: contract.VerifiedChecksumFile, URL: publicURL(l.url)})
	}
	if l.proof.Kind != "" {
		pt.want.digest(digests[0], l.proof)
	}
	return nil
}

// within is a file's path as seen from the list's folder, "" if it is not below.
func (l *sumsList) within(ref string) string {
	folder := publicURL(sibling(l.url, "x"))
	folder = strings.TrimSuffix(folder, "x")
	rel, ok := strings.CutPrefix(publicURL(ref), folder)
	if !ok || folder == "" || !strings.Contains(rel, "/") {
		return ""
	}
	if name, err := url.PathUnescape(rel); err == nil && strings.Contains(ref, "://") {
		return name
	}
	return rel
}

// fileName is the last element of a URL's path, as it was asked for: a redirect
// does not change by which name a list knows the file.
func fileName(ref string) string {
	return contract.MemberSpec{URL: ref}.FileName()
}

// sibling is the URL of another file in the same folder, without a query, which
// would be for the first one alone; "" if the URL has no folder.
func sibling(ref, name string) string {
	if !strings.Contains(ref, "://") {
		return path.Join(path.Dir(ref), name)
	}
	u, err := url.Parse(ref)
	if err != nil {
		return ""
	}
	raw, _ := path.Split(u.EscapedPath())
	dir, _ := path.Split(u.Path)
	if raw == "" {
		raw, dir = "/", "/"
	}
	return (&url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host, Path: dir + name, RawPath: raw + url.PathEscape(name)}).String()
}

type projectKey struct{}

// asProject returns a context whose small files are fetched for a project.
func asProject(ctx context.Context, project string) context.Context {
	return context.WithValue(ctx, projectKey{}, project)
}

func projectOf(ctx context.Context) string {
	project, _ := ctx.Value(projectKey{}).(string)
	return project
}
