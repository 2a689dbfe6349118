package bandwidth

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"ingest/internal/errcode"
)

// A Rate is a number of bytes a second; 0 is no limit. In JSON it is a number, and may be
// a text with a unit where it is read.
type Rate int64

// Least is the lowest limit: below it nothing would ever end. Most is the highest.
const (
	Least Rate = 1 << 10
	Most  Rate = 1 << 50
)

// units are powers of 1024, the largest first.
var units = []struct {
	name  string
	shift int
}{{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}}

// Takes says how a rate is written.
const Takes = "bytes a second such as 52428800, 50MiB or 1GiB/s, from 1KiB to 1024TiB, or 0 for no limit"

// Parse reads a rate: a number of bytes, or one of KiB, MiB, GiB or TiB, with or without
// "/s" behind it.
func Parse(s string) (Rate, error) {
	text, shift := strings.TrimSpace(s), 0
	text = strings.TrimSuffix(text, "/s")
	for _, u := range units {
		if digits, ok := strings.CutSuffix(text, u.name); ok {
			text, shift = strings.TrimSpace(digits), u.shift
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift || text[0] == '+' || text[0] == '-' {
		return 0, wrong(s)
	}
	r := Rate(n << shift)
	return r, r.Check()
}

// Check returns errcode.BadRequest for a rate that can be no limit.
func (r Rate) Check() error {
	if r != 0 && (r < Least || r > Most) {
		return wrong(strconv.FormatInt(int64(r), 10))
	}
	return nil
}

func wrong(value string) error {
	value = strings.ToValidUTF8(value[:min(len(value), 80)], "")
	return errcode.New(errcode.BadRequest, "%q is no bandwidth: expected %s", value, Takes).
		With(errcode.Evidence{Field: "bandwidth", Value: value, Limit: Takes})
}

// String writes the rate with the largest unit that divides it.
func (r Rate) String() string {
	for _, u := range units {
		if n := int64(r) >> u.shift; u.shift > 0 && n > 0 && n<<u.shift == int64(r) {
			return strconv.FormatInt(n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(r), 10)
}

// Set makes the rate a flag's value.
func (r *Rate) Set(s string) error {
	got, err := Parse(s)
	if err == nil {
		*r = got
	}
	return err
}

// Type is how a flag's value is called.
func (r *Rate) Type() string { return "bytes/s" }

// UnmarshalJSON reads a number or a text.
func (r *Rate) UnmarshalJSON(raw []byte) error {
	var text string
	if len(raw) == 0 || raw[0] != '"' {
		text = string(raw)
	} else if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	if text == "null" {
		return nil
	}
	got, err := Parse(text)
	if err == nil {
		*r = got
	}
	return err
}
