package contract

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingest/internal/errcode"
)

func TestParseCron(t *testing.T) {
	all := func(from, to int) []CronRange { return []CronRange{{from, to, 1}} }
	one := func(n ...int) (out []CronRange) {
		for _, n := range n {
			out = append(out, CronRange{n, n, 1})
		}
		return out
	}
	for line, want := range map[string]Cron{
		"30 4 * * *":             {one(30), one(4), all(1, 31), all(1, 12), all(0, 6)},
		"@weekly":                {one(0), one(0), all(1, 31), all(1, 12), one(0)},
		" */15 0-6/2 1,15 * 1-5": {[]CronRange{{0, 59, 15}}, []CronRange{{0, 6, 2}}, one(1, 15), all(1, 12), all(1, 5)},
		"5/20 * * JAN-mar SUN":   {[]CronRange{{5, 59, 20}}, all(0, 23), all(1, 31), all(1, 3), one(0)},
		"0 0 * * 7":              {one(0), one(0), all(1, 31), all(1, 12), one(0)},
		"0 0 * * 5-7":            {one(0), one(0), all(1, 31), all(1, 12), one(5, 6, 0)},
	} {
		got, err := ParseCron(line)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %v %s", line, err, cmp.Diff(want, got))
		}
	}
	for _, line := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *",
		"1, * * * *", "a * * * *", "+1 * * * *", "-1 * * * *", "@often", "* * * * mon-", "1//2 * * * *", strings.Repeat("1,", 200) + "1 * * * *"} {
		if c, err := ParseCron(line); errcode.Of(err) != errcode.BadRequest {
			t.Errorf("%q is taken: %+v, %v", line, c, err)
		}
	}
}

func FuzzParseCron(f *testing.F) {
	f.Add("*/15 0-6/2 1,15 jan-mar 5-7")
	f.Fuzz(func(t *testing.T, line string) {
		c, err := ParseCron(line)
		if err != nil {
			return
		}
		for i, rs := range [][]CronRange{c.Minute, c.Hour, c.Day, c.Month, c.Weekday} {
			f := cronFields()[i]
			if len(rs) == 0 {
				t.Errorf("%q: no %s", line, f.name)
			}
			for _, r := range rs {
				if r.Start < f.min || r.End > f.max || r.Start > r.End || r.Step < 1 || i == 4 && r.End > 6 {
					t.Errorf("%q: %s has %+v", line, f.name, r)
				}
			}
		}
	})
}

func goodSpec() ScheduleSpec {
	return ScheduleSpec{Name: "s", Trust: TrustDigest, Timing: Timing{EverySeconds: 3600},
		Import: ImportRequest{Source: SourceSpec{URL: "https://h/a-*.img"}, Image: ImageSpec{Name: "a"}}}
}

func TestScheduleSpec(t *testing.T) {
	s := goodSpec().Filled()
	if err := s.CheckSpec(); err != nil {
		t.Fatal(err)
	}
	if s.Import.Source.ChecksumFile != "auto" || s.Check != CheckAuto || s.Order != OrderVersion || s.Old != OldHide || *s.Keep != DefaultKeep || s.Timing.CatchupSeconds != 3600 {
		t.Errorf("filled is %+v", s)
	}
	if s := (ScheduleSpec{Trust: TrustSignature}).Filled(); s.Import.Source.Signature != "auto" {
		t.Error("no signature is asked for")
	}
	for field, spoil := range map[string]func(*ScheduleSpec){
		"trust":                  func(s *ScheduleSpec) { s.Trust = "" },
		"name":                   func(s *ScheduleSpec) { s.Name = " " },
		"check":                  func(s *ScheduleSpec) { s.Check = "md5" },
		"order":                  func(s *ScheduleSpec) { s.Import.Source.URL, s.Order = "https://h/a.img", OrderVersion },
		"old":                    func(s *ScheduleSpec) { s.Old = "delete" },
		"keep":                   func(s *ScheduleSpec) { n := -1; s.Keep = &n },
		"schedule":               func(s *ScheduleSpec) { s.Import.Image.Tags = []string{strings.Repeat("x", MaxScheduleBytes)} },
		"import":                 func(s *ScheduleSpec) { s.Import.TaskID = "x" },
		"import.image.name":      func(s *ScheduleSpec) { s.Import.Image.Name = "" },
		"import.source":          func(s *ScheduleSpec) { s.Import.Source.Mirrors = []string{"https://g/a.img"} },
		"import.source.url":      func(s *ScheduleSpec) { s.Import.Source.URL = "https://h/*/a.img" },
		"import.source.checksum": func(s *ScheduleSpec) { s.Import.Source.Checksum = "sha256:00" },
		"timing":                 func(s *ScheduleSpec) { s.Timing.Cron = []string{"@daily"} },
		"timing.cron":            func(s *ScheduleSpec) { s.Timing = Timing{Cron: []string{"daily"}} },
		"timing.every_seconds":   func(s *ScheduleSpec) { s.Timing.EverySeconds = 59 },
		"timing.offset_seconds":  func(s *ScheduleSpec) { s.Timing.OffsetSeconds = 3600 },
		"timing.jitter_seconds":  func(s *ScheduleSpec) { s.Timing.JitterSeconds = 86401 },
		"timing.catchup_seconds": func(s *ScheduleSpec) { s.Timing.CatchupSeconds = 9 },
		"timing.overlap":         func(s *ScheduleSpec) { s.Timing.Overlap = "allow_all" },
		"timing.time_zone":       func(s *ScheduleSpec) { s.Timing.TimeZone = "Mars/Olympus" },
	} {
		s := goodSpec()
		spoil(&s)
		err := s.CheckSpec()
		e, _ := errcode.As(err)
		if e == nil || e.Code != errcode.BadRequest || e.Evidence == nil || e.Evidence.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	unsigned := goodSpec()
	unsigned.Trust, unsigned.Import.Source.Keyring = TrustNone, "debian"
	if err := unsigned.CheckSpec(); errcode.Of(err) != errcode.BadRequest {
		t.Errorf("trust none with a keyring: %v", err)
	}
}

func TestCompare(t *testing.T) {
	v := func(change ...func(*SourceVersion)) SourceVersion {
		out := SourceVersion{URL: "https://h/a", Size: 5, Digest: "sha256:aa", ETag: `"1"`, LastModified: "Mon"}
		for _, f := range change {
			f(&out)
		}
		return out
	}
	tag := func(s string) func(*SourceVersion) { return func(v *SourceVersion) { v.ETag = s } }
	digest := func(s string) func(*SourceVersion) { return func(v *SourceVersion) { v.Digest = s } }
	elsewhere := func(v *SourceVersion) { v.URL = "https://h/b" }
	longer := func(v *SourceVersion) { v.Size = 6 }
	for _, c := range []struct {
		name        string
		found       SourceVersion
		known, held *SourceVersion
		by          string
		changed     bool
		decided     string
		holds       bool
	}{
		{"the first version", v(), nil, nil, CheckAuto, true, "", false},
		{"the same", v(), ref(v()), nil, CheckAuto, false, CheckChecksumFile, false},
		{"the same digest under another ETag", v(tag(`"2"`)), ref(v()), nil, CheckAuto, false, CheckChecksumFile, false},
		{"the same digest at another URL", v(elsewhere), ref(v()), nil, CheckAuto, false, CheckChecksumFile, false},
		{"another digest under the same ETag", v(digest("sha256:bb")), ref(v()), nil, CheckAuto, true, CheckChecksumFile, false},
		{"the ETag alone counts", v(digest("sha256:bb")), ref(v()), nil, CheckETag, false, CheckETag, false},
		{"no digest any more", v(digest("")), ref(v()), nil, CheckAuto, false, CheckETag, false},
		{"the date is there, with another length", v(digest(""), tag(""), longer), ref(v()), nil, CheckAuto, true, CheckLastModified, false},
		{"another file", v(digest(""), elsewhere), ref(v(digest(""))), nil, CheckAuto, true, "url", false},
		{"nothing in common", v(digest(""), tag("")), ref(v(func(v *SourceVersion) { v.LastModified = "" })), nil, CheckAuto, true, "", false},
		{"the version that was rolled back", v(digest("sha256:bb")), ref(v()), ref(v(digest("sha256:bb"))), CheckAuto, false, CheckChecksumFile, true},
		{"a third version", v(digest("sha256:cc")), ref(v()), ref(v(digest("sha256:bb"))), CheckAuto, true, CheckChecksumFile, false},
		{"the current one, and another is held", v(), ref(v()), ref(v(digest("sha256:bb"))), CheckAuto, false, CheckChecksumFile, false},
	} {
		got := Compare(c.found, c.known, c.held, c.by)
		if got.Changed != c.changed || got.By != c.decided || got.Holds() != c.holds || got.Why == "" {
			t.Errorf("%s: %+v, holds %v", c.name, got, got.Holds())
		}
	}
}

func ref[T any](v T) *T { return &v }
