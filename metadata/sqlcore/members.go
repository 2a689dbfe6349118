package sqlcore

import (
	"context"

	"github.com/uptrace/bun"

	"ingest/internal/errcode"
	"ingest/metadata"
)

type memberRow struct {
	bun.BaseModel `bun:"table:image_members"`

	ImageID   string `bun:"image_id,pk"`
	Member    string `bun:"member,pk"`
	Status    string `bun:"status"`
	CreatedUS int64  `bun:"created_us"`
	UpdatedUS int64  `bun:"updated_us"`
}

func (r memberRow) member() metadata.Member {
	return metadata.Member{
		ImageID: r.ImageID, Project: r.Member, Status: metadata.MemberStatus(r.Status),
		CreatedAt: moment(r.CreatedUS), UpdatedAt: moment(r.UpdatedUS),
	}
}

func checkMember(m metadata.Member) error {
	return check("member", m.Project, []column{
		{"image_id", m.ImageID, maxID}, {"member", m.Project, maxName}, {"status", string(m.Status), maxWord},
	})
}

// Members implements metadata.Tx.
func (t *tx) Members(ctx context.Context, imageID string) ([]metadata.Member, error) {
	var rows []memberRow
	err := t.db.NewSelect().Model(&rows).Where("image_id = ?", imageID).Order("created_us", "member").Scan(ctx)
	if err != nil {
		return nil, unavailable(ctx, err, "list members")
	}
	return each(rows, func(r memberRow) (metadata.Member, error) { return r.member(), nil })
}

// PutMember implements metadata.Tx.
func (t *tx) PutMember(ctx context.Context, m metadata.Member) error {
	if err := t.writable(); err != nil {
		return err
	}
	if err := checkMember(m); err != nil {
		return err
	}
	known, err := t.db.NewSelect().Table("images").Where("id = ?", m.ImageID).Exists(ctx)
	if err != nil {
		return unavailable(ctx, err, "read image of member")
	}
	if !known {
		return errcode.New(errcode.NotFound, "image %q does not exist", m.ImageID)
	}
	row := memberRow{ImageID: m.ImageID, Member: m.Project, Status: string(m.Status), CreatedUS: micros(m.CreatedAt), UpdatedUS: micros(m.UpdatedAt)}
	if _, err := t.db.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
		return unavailable(ctx, err, "replace member")
	}
	_, err = t.db.NewInsert().Model(&row).Exec(ctx)
	return unavailable(ctx, err, "write member")
}

// DeleteMembers implements metadata.Tx.
func (t *tx) DeleteMembers(ctx context.Context, imageID string, projects ...string) error {
	if err := t.writable(); err != nil {
		return err
	}
	q := t.db.NewDelete().Model((*memberRow)(nil)).Where("image_id = ?", imageID)
	if len(projects) > 0 {
		q.Where("member IN (?)", bun.In(projects))
	}
	_, err := q.Exec(ctx)
	return unavailable(ctx, err, "delete members")
}
