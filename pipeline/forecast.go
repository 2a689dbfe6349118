package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"ingest/detect"
	"ingest/formats"
	"ingest/internal/contract"
	"ingest/internal/errcode"
	"ingest/sources"
)

// A forecaster makes one forecast.
type forecaster struct {
	p     *Pipeline
	req   contract.ImportRequest
	b     *budget
	out   contract.Forecast
	stage contract.Stage // at which an import would be
	parts []*part
}

// Forecast says what an import would do, within the limits of ForecastBytes and its
// neighbours, and writes nothing anywhere. An import that would be refused is a
// forecast that says so, with the import's own code; the error is that of the
// context.
func (p *Pipeline) Forecast(ctx context.Context, req contract.ImportRequest) (contract.Forecast, error) {
	f := &forecaster{p: p, req: req, out: contract.NewForecast(), stage: contract.StageFetch,
		b: &budget{maxBytes: ForecastBytes, maxRequests: ForecastRequests, until: time.Now().Add(ForecastTime)}}
	// A source that hangs is given up a little later than the reading ends.
	within, stop := context.WithTimeoutCause(ctx, ForecastTime+ForecastTime/3, errcode.New(errcode.SourceTooSlow, "the source did not answer within the dry run's time"))
	defer stop()
	err := f.run(within)
	f.close()
	if ctx.Err() != nil {
		return contract.Forecast{}, context.Cause(ctx)
	}
	if err != nil && within.Err() != nil {
		err = context.Cause(within)
	}
	f.out.Read = f.b.read()
	f.verdict(err)
	return f.out, nil
}

// verdict concludes the forecast.
func (f *forecaster) verdict(err error) {
	switch {
	case errors.Is(err, errSpent):
		f.out.Verdict = contract.VerdictUnknown
	case err != nil:
		v := contract.ValueOf(sourceError(err, f.req.Source.URL))
		f.out.Verdict, f.out.Stage, f.out.Error = contract.VerdictRefused, f.stage, &v
	case f.out.Detected == nil:
		f.out.Verdict = contract.VerdictUnknown
	default:
		f.out.Verdict = contract.VerdictAccepted
	}
	f.duration()
}

func (f *forecaster) close() {
	for _, pt := range f.parts {
		pt.close()
	}
}

// unknown notes what is not known, once for all disks.
func (f *forecaster) unknown(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(f.out.Unknowns, text) {
		f.out.Unknowns = append(f.out.Unknowns, text)
	}
}

// tired reports whether an error only says that no more may be read, and then notes
// what is not known for it. Errors of readers hide their cause, so that the budget
// is asked too.
func (f *forecaster) tired(err error, what string) bool {
	if err == nil || !f.b.spent() && !errors.Is(err, errSpent) {
		return false
	}
	f.unknown("%s: it needs more of the source than a dry run reads", what)
	return true
}

func (f *forecaster) run(ctx context.Context) error {
	f.b.phase(40)
	if err := f.find(ctx); err != nil {
		return err
	}
	f.checks()
	set, fetched, err := f.open(ctx)
	if err != nil || set == nil {
		return err
	}
	f.stage = contract.StageDetect
	in := &insight{p: f.p, set: set, fetched: fetched, declared: formats.Name(f.req.Source.Format), uncounted: true}
	rep, err := in.look(ctx)
	if err == nil {
		rep, err = in.openAll(ctx)
	}
	if f.tired(err, "what the source is") {
		return errSpent
	}
	f.report(rep)
	if err != nil {
		return err
	}
	detected := in.detected(rep)
	f.out.Detected = &detected
	f.stage = contract.StageValidate
	for n := 1; n <= in.count(); n++ {
		if err := f.disk(ctx, in, n); err != nil {
			return err
		}
	}
	if err := f.manifest(ctx, in); err != nil {
		return err
	}
	if err := f.store(ctx); err != nil {
		return err
	}
	return set.check(ctx)
}

// report keeps detection's report.
func (f *forecaster) report(rep detect.Report) {
	raw, err := json.Marshal(rep)
	if err == nil && len(raw) <= maxForecastReport {
		f.out.Report = raw
		return
	}
	f.unknown("report: it is longer than %d bytes; ingest inspect prints it", maxForecastReport)
}

// Limits of what a forecast carries through Temporal, which takes 2 MiB at once.
const (
	maxForecastReport = 256 << 10 // bytes
	maxForecastGuest  = 64 << 10  // bytes, of each disk
)

// find opens all files, and says how each would be read.
func (f *forecaster) find(ctx context.Context) error {
	var err error
	if f.parts, err = f.p.parts(contract.FetchParams{Source: f.req.Source, Project: f.req.Owner}); err != nil {
		return err
	}
	local := true
	for _, pt := range f.parts {
		if err := f.b.take(1); err != nil {
			return err
		}
		began := time.Now()
		err := pt.in(pt.find(ctx, f.p))
		f.b.waiting(began)
		if pt.src == nil {
			return err
		}
		local = local && pt.src.Pin().Local
		pt.src = &thrifty{Source: pt.src, b: f.b}
		if err != nil {
			f.describe()
			return err
		}
	}
	if local {
		f.b.maxBytes, f.b.maxRequests = ForecastLocalBytes, 0
	}
	if err := f.p.expect(ctx, f.parts, f.req.Source); err != nil {
		f.describe()
		return err
	}
	f.req.Source.Format = f.parts[0].about.Declared(f.req.Source.Format)
	f.out.About = f.parts[0].about
	if layered(f.req.Source.Format, len(f.req.Source.Members)) {
		err = f.parts[0].in(f.parts[0].peel(ctx))
	}
	f.describe()
	if err != nil {
		return err
	}
	f.staging()
	return f.p.checkParts(ctx, f.parts)
}

// describe says of each file that was found how it would be read.
func (f *forecaster) describe() {
	for _, pt := range f.parts {
		if pt.src == nil {
			return
		}
		pin := pt.src.Pin()
		s := contract.ForecastSource{Name: pt.name, Origin: origin(pt.spec.URL), Driver: pin.Driver, Size: pin.Size,
			Validator: pin.Validator, Strong: pin.Strong, Ranges: pin.Random, Layer: string(pt.layer), Staged: !pt.direct()}
		if trace, ok := sources.TraceOf(pt.base()); ok && len(trace.Redirects) > 0 {
			s.Resolved, s.Redirects = origin(trace.URL), len(trace.Redirects)
		}
		switch {
		case pt.layer != "":
			s.Reason = "what is within the " + string(pt.layer) + " is staged, the compressed bytes are not"
		case !pin.Random:
			s.Reason = "the server does not serve ranges of a known version"
		case !pt.direct():
			s.Reason = "a digest of its bytes is demanded, and what was digested must be what is read"
		default:
			s.Reason = "any range of this version can be read"
		}
		f.out.Sources = append(f.out.Sources, s)
	}
}

// base is the part's source as its driver made it.
func (pt *part) base() sources.Source {
	src := pt.src
	for {
		switch s := src.(type) {
		case *begun:
			src = s.Source
		case *thrifty:
			src = s.Source
		default:
			return src
		}
	}
}

// origin is what may be shown of a source's address.
func origin(ref string) string {
	if !strings.Contains(ref, "://") {
		return ref
	}
	u, err := url.Parse(ref)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "file":
		return u.Path
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}

// checks lists the proofs that the import will demand.
func (f *forecaster) checks() {
	add := func(what, value string) {
		f.out.Checks = append(f.out.Checks, contract.ForecastCheck{What: what, Value: value})
	}
	for _, pt := range f.parts {
		for _, v := range pt.want.proofs {
			if v.Kind == contract.VerifiedSignature {
				continue // said below
			}
			what := "digest of the source's bytes"
			if pt.name != "" {
				what = "digest of " + pt.name
			}
			add(what, v.Algo+":"+v.Digest)
		}
	}
	src := f.req.Source
	if src.ChecksumFile != "" {
		add("digests in a file beside the source", origin(src.ChecksumFile))
	}
	if src.Signature != "" || src.Keyring != "" {
		value := origin(src.Signature)
		if src.Keyring != "" {
			value = strings.TrimSpace(value + " by a key of keyring " + src.Keyring)
		}
		add("OpenPGP signature", value)
	}
	if level, err := f.p.verifyPolicy().Resolve(f.req.Verify); err == nil {
		switch level {
		case contract.VerifyFull:
			add("the stored image is read back and compared with the source's content", level)
		case contract.VerifyStored:
			add("the stored image is opened again, its size and tables checked", level)
		}
	}
}

// manifest verifies a container's manifest if that is within reach.
func (f *forecaster) manifest(ctx context.Context, in *insight) error {
	if in.box == nil || in.box.verify == nil {
		return nil
	}
	f.out.Checks = append(f.out.Checks, contract.ForecastCheck{What: "digests in the container's manifest, if it has one"})
	f.b.phase(90)
	if in.set[0].size > f.b.left() {
		f.unknown("manifest: its digests need every byte of the source")
		return nil
	}
	if err := in.verify(ctx); err != nil && !f.tired(err, "manifest") {
		return err
	}
	return nil
}
