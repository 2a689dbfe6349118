package api

import (
	"encoding/json"
	"net/http"

	"ingest/api/wire"
	"ingest/internal/errcode"
	"ingest/metadata"
)

// maxMembers is how many projects an image can be shared with, as in Glance.
const maxMembers = 128

func memberOf(m metadata.Member) wire.Member {
	return wire.Member{
		ImageID: m.ImageID, Project: m.Project, Status: string(m.Status), Schema: "/v2/schemas/member",
		CreatedAt: m.CreatedAt.UTC().Format(wire.TimeFormat), UpdatedAt: m.UpdatedAt.UTC().Format(wire.TimeFormat),
	}
}

// shareable returns the image that a path names if it can have members and the caller
// may do with them what rule says. errcode.Forbidden is of an image that the caller may
// see. The guard is for changes.
func (a *api) shareable(r *http.Request, rule string) (metadata.Image, metadata.Guard, error) {
	img, t, err := a.targetedImage(r, "get_image")
	if err != nil {
		return img, nil, err
	}
	if img.Visibility != metadata.VisibilityShared {
		return img, nil, fieldError(errcode.Forbidden, "visibility", img.Visibility, "only shared images have members")
	}
	return img, a.still(r, rule, t), a.judge(r, rule, t)
}

// ownMember reports whether a membership is the caller's to see: a member sees no other
// one's.
func (a *api) ownMember(r *http.Request, img metadata.Image, member string) bool {
	p := project(r.Context())
	return img.Owner == p || member == p || a.administers(r)
}

func (a *api) listMembers(w http.ResponseWriter, r *http.Request) error {
	img, _, err := a.shareable(r, "get_members")
	if err != nil {
		return err
	}
	members, err := a.Catalogue.Members(r.Context(), img.ID)
	if err != nil {
		return err
	}
	out := wire.MemberList{Members: []wire.Member{}, Schema: "/v2/schemas/members"}
	for _, m := range members {
		if a.ownMember(r, img, m.Project) {
			out.Members = append(out.Members, memberOf(m))
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// showMember answers for whatever the caller may not see as for what is not there.
func (a *api) showMember(w http.ResponseWriter, r *http.Request) error {
	member := r.PathValue("member")
	img, _, err := a.shareable(r, "get_member")
	if errcode.Of(err) == errcode.Forbidden || err == nil && !a.ownMember(r, img, member) {
		return notFound("member", member)
	}
	if err != nil {
		return err
	}
	m, err := a.Catalogue.Member(r.Context(), img.ID, member)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, memberOf(m))
	return nil
}

// addMember answers with 200, as Glance does.
func (a *api) addMember(w http.ResponseWriter, r *http.Request) error {
	member, err := textMember(r, "member")
	if err != nil {
		return err
	}
	if member == "" {
		return badField("member", "", "a member is a project's id")
	}
	if err := checkText("member", member, maxName); err != nil {
		return err
	}
	img, guard, err := a.shareable(r, "add_member")
	if err != nil {
		return err
	}
	m, err := a.Catalogue.AddMember(r.Context(), img.ID, member, maxMembers, guard)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, memberOf(m))
	return nil
}

// setMember lets a member accept or reject an image, and nobody else but an
// administrator do that for it.
func (a *api) setMember(w http.ResponseWriter, r *http.Request) error {
	member := r.PathValue("member")
	status, err := textMember(r, "status")
	if err != nil {
		return err
	}
	img, guard, err := a.shareable(r, "modify_member")
	if err != nil {
		return err
	}
	if !a.ownMember(r, img, member) {
		return notFound("member", member)
	}
	m, err := a.Catalogue.SetMember(r.Context(), img.ID, member, metadata.MemberStatus(status), guard)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, memberOf(m))
	return nil
}

func (a *api) removeMember(w http.ResponseWriter, r *http.Request) error {
	img, guard, err := a.shareable(r, "delete_member")
	if err != nil {
		return err
	}
	if err := a.Catalogue.RemoveMember(r.Context(), img.ID, r.PathValue("member"), guard); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// textMember reads a body that is an object, and its member of a name, which is a text.
// Others are left alone.
func textMember(r *http.Request, name string) (string, error) {
	fields, err := decodeObject(r)
	if err != nil {
		return "", err
	}
	raw, ok := fields[name]
	if !ok {
		return "", badField(name, "", "the body is an object with the member %q", name)
	}
	var value *string
	if err := json.Unmarshal(raw, &value); err != nil || value == nil {
		return "", badField(name, string(raw), "expected a text")
	}
	return *value, nil
}
