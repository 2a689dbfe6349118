package errcode

import (
	"errors"
	"fmt"
	"testing"
)

func TestTableIsComplete(t *testing.T) {
	seen := map[Code]bool{}
	for _, d := range All() {
		if seen[d.Code] {
			t.Errorf("%s stands twice in the table", d.Code)
		}
		seen[d.Code] = true
		if d.Meaning == "" || d.Remedy == "" || d.HTTPStatus < 400 || d.HTTPStatus > 599 {
			t.Errorf("%s: descriptor is not whole: %+v", d.Code, d)
		}
	}
}

func TestCodeSurvivesWrapping(t *testing.T) {
	cause := errors.New("dial tcp: secret detail")
	err := fmt.Errorf("read l2 table 17: %w", Wrap(cause, SourceUnreachable, "source stopped answering"))
	if got := Of(err); got != SourceUnreachable {
		t.Errorf("Of = %s, want %s", got, SourceUnreachable)
	}
	if !errors.Is(err, Sentinel(SourceUnreachable)) || errors.Is(err, Sentinel(Truncated)) {
		t.Error("Sentinel matches by code only")
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if got := Of(errors.New("x")); got != Internal {
		t.Errorf("Of(plain) = %s, want %s", got, Internal)
	}
	if Of(nil) != "" {
		t.Error("Of(nil) is not empty")
	}
}
