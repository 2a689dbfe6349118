package activities

import (
	"context"
	"fmt"
	"strings"

	"ingest/internal/contract"
	"ingest/metadata"
)

// quota says what of its quota the project has left. Whether the import fits is for the
// import to find out: others may use it until then.
func (a *PlanActivity) quota(ctx context.Context, owner string, f *contract.Forecast) {
	if a.d.Catalogue == nil {
		return
	}
	u, l, err := a.d.Catalogue.Usage(ctx, owner)
	if err != nil {
		f.Unknowns = append(f.Unknowns, "The project's quota could not be read.")
		return
	}
	if text := quotaText(u, l); text != "" {
		f.Quota = text
	}
}

// quotaText lists the limits that bind, "" if none does.
func quotaText(u metadata.Usage, l metadata.Limits) string {
	var out []string
	for _, one := range []struct {
		what       string
		used, most int64
	}{
		{"images", u.Images, l.Images}, {"bytes of images", u.ImageBytes + u.Reserved, l.ImageBytes},
		{"bytes in staging", u.StageBytes, l.StageBytes}, {"imports at one time", u.Uploading, l.Uploading},
	} {
		if one.most >= 0 {
			out = append(out, fmt.Sprintf("%d of %d %s used", one.used, one.most, one.what))
		}
	}
	return strings.Join(out, ", ")
}
