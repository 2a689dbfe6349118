package metadata

import (
	"context"
	"slices"
	"strconv"
	"time"

	"ingest/internal/errcode"
)

// A MemberStatus says what a project makes of an image that is shared with it.
type MemberStatus string

// The statuses of a membership.
const (
	MemberPending  MemberStatus = "pending"  // may use the image, and does not list it
	MemberAccepted MemberStatus = "accepted" // lists it among its own
	MemberRejected MemberStatus = "rejected" // may use the image, and does not list it
)

// MemberAny stands for every status where one is asked for.
const MemberAny MemberStatus = "all"

// MemberStatuses lists every status that a membership can have.
func MemberStatuses() []MemberStatus {
	return []MemberStatus{MemberPending, MemberAccepted, MemberRejected}
}

// VisibilityShared is that of an image that can have members.
const VisibilityShared = "shared"

// A Member is a project that an image is shared with. It counts while the image's
// visibility is shared, and is kept meanwhile.
type Member struct {
	ImageID   string
	Project   string
	Status    MemberStatus
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Members lists the members of an image, the oldest first.
func (c *Catalogue) Members(ctx context.Context, imageID string) ([]Member, error) {
	return view(ctx, c, func(tx Tx) ([]Member, error) {
		if _, err := liveImage(ctx, tx, imageID); err != nil {
			return nil, err
		}
		return tx.Members(ctx, imageID)
	})
}

// Member returns one membership; errcode.NotFound says that there is none.
func (c *Catalogue) Member(ctx context.Context, imageID, project string) (Member, error) {
	return view(ctx, c, func(tx Tx) (Member, error) { return memberOf(ctx, tx, imageID, project) })
}

func memberOf(ctx context.Context, tx Tx, imageID, project string) (Member, error) {
	if _, err := liveImage(ctx, tx, imageID); err != nil {
		return Member{}, err
	}
	members, err := tx.Members(ctx, imageID)
	if err != nil {
		return Member{}, err
	}
	i := slices.IndexFunc(members, func(m Member) bool { return m.Project == project })
	if i < 0 {
		return Member{}, errcode.New(errcode.NotFound, "image %s has no member %q", imageID, project)
	}
	return members[i], nil
}

// AddMember shares an image with a project, whose membership is pending. An image that
// is not shared is errcode.Forbidden, a member that there is errcode.Conflict, and one
// more than most errcode.QuotaExceeded; a negative most is no bound.
func (c *Catalogue) AddMember(ctx context.Context, imageID, project string, most int, guards ...Guard) (Member, error) {
	return update(ctx, c, func(tx Tx) (Member, error) {
		if err := sharedImage(ctx, tx, imageID, guards); err != nil {
			return Member{}, err
		}
		members, err := tx.Members(ctx, imageID)
		if err != nil {
			return Member{}, err
		}
		if slices.ContainsFunc(members, func(m Member) bool { return m.Project == project }) {
			return Member{}, errcode.New(errcode.Conflict, "image %s has the member %q already", imageID, project).
				With(errcode.Evidence{Structure: "member", Field: "member", Value: project})
		}
		if most >= 0 && len(members) >= most {
			return Member{}, errcode.New(errcode.QuotaExceeded, "image %s may have %d members, this would make it %d", imageID, most, len(members)+1).
				With(errcode.Evidence{Structure: "quota", Field: "image_member_quota", Value: strconv.Itoa(len(members) + 1), Limit: strconv.Itoa(most)})
		}
		at := c.moment()
		m := Member{ImageID: imageID, Project: project, Status: MemberPending, CreatedAt: at, UpdatedAt: at}
		return m, tx.PutMember(ctx, m)
	})
}

// SetMember changes what a member makes of an image.
func (c *Catalogue) SetMember(ctx context.Context, imageID, project string, status MemberStatus, guards ...Guard) (Member, error) {
	if !slices.Contains(MemberStatuses(), status) {
		return Member{}, errcode.New(errcode.BadRequest, "%q is not the status of a member: pending, accepted or rejected", string(status)).
			With(errcode.Evidence{Structure: "member", Field: "status", Value: string(status)})
	}
	return update(ctx, c, func(tx Tx) (Member, error) {
		if err := sharedImage(ctx, tx, imageID, guards); err != nil {
			return Member{}, err
		}
		m, err := memberOf(ctx, tx, imageID, project)
		if err != nil {
			return Member{}, err
		}
		m.Status, m.UpdatedAt = status, c.moment()
		return m, tx.PutMember(ctx, m)
	})
}

// RemoveMember ends a membership; errcode.NotFound says that there is none.
func (c *Catalogue) RemoveMember(ctx context.Context, imageID, project string, guards ...Guard) error {
	return c.repo.InTx(ctx, func(tx Tx) error {
		if err := sharedImage(ctx, tx, imageID, guards); err != nil {
			return err
		}
		if _, err := memberOf(ctx, tx, imageID, project); err != nil {
			return err
		}
		return tx.DeleteMembers(ctx, imageID, project)
	})
}

// sharedImage returns errcode.Forbidden unless the image can have members.
func sharedImage(ctx context.Context, tx Tx, id string, guards []Guard) error {
	img, err := guarded(ctx, tx, id, guards)
	if err == nil && img.Visibility != VisibilityShared {
		err = errcode.New(errcode.Forbidden, "image %s is %s, only shared images have members", id, img.Visibility).
			With(errcode.Evidence{Structure: "image", Field: "visibility", Value: img.Visibility})
	}
	return err
}
