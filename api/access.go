package api

import (
	"net/http"
	"strconv"

	"ingest/internal/access"
	"ingest/internal/errcode"
	"ingest/internal/identity"
	"ingest/metadata"
)

// caller is on whose behalf a request is made.
func caller(r *http.Request) identity.Caller { return identity.From(r.Context()) }

// administers reports whether the caller sees what belongs to others.
func (a *api) administers(r *http.Request) bool { return a.Access().Administers(caller(r)) }

// mayAct returns errcode.Forbidden unless a rule lets the caller do what concerns no
// single thing: list images, collect garbage. The target is the caller's own project.
func (a *api) mayAct(r *http.Request, rule string) error {
	return a.judge(r, rule, access.NewTarget(caller(r).Project))
}

// judge returns errcode.Forbidden, with the rule's name, unless the rule lets the caller
// do it with the target.
func (a *api) judge(r *http.Request, rule string, t access.Target) error {
	if a.Access().Allows(rule, caller(r), t) {
		return nil
	}
	return forbidden(rule)
}

// forbidden says which rule a caller does not meet.
func forbidden(rule string) error {
	return errcode.New(errcode.Forbidden, "the rule %q does not allow this to you", rule).
		With(errcode.Evidence{Structure: "access", Field: rule})
}

// imageFor returns the image that a path names, if the caller may do with it what
// rule says; rules have the names of Glance's policies ("modify_image"). One that
// the caller may not even see is answered like one that does not exist.
func (a *api) imageFor(r *http.Request, rule string) (metadata.Image, error) {
	img, _, err := a.targetedImage(r, rule)
	return img, err
}

// targetedImage is imageFor for those who ask further rules about the image.
func (a *api) targetedImage(r *http.Request, rule string) (metadata.Image, access.Target, error) {
	id := r.PathValue("id")
	img, err := a.Catalogue.Image(r.Context(), id)
	if err != nil {
		return metadata.Image{}, access.Target{}, unseen(err, "image", id)
	}
	t, err := a.imageTarget(r, img)
	if err != nil {
		return metadata.Image{}, t, err
	}
	if img.Status == metadata.ImagePendingDelete || !a.sees(r, img, t) {
		return metadata.Image{}, t, notFound("image", id)
	}
	return img, t, a.judge(r, rule, t)
}

// still is targetedImage once more, inside of the transaction that changes the image: it
// may have been given to another project, or be deleted, since t was made of it.
func (a *api) still(r *http.Request, rule string, t access.Target) metadata.Guard {
	invited := t.Has("member_id")
	return func(img metadata.Image) error {
		now := targetOf(r, img, invited)
		if img.Status == metadata.ImagePendingDelete || !a.sees(r, img, now) {
			return notFound("image", img.ID)
		}
		return a.judge(r, rule, now)
	}
}

// allowed reports whether the caller may do with an image what rule says.
func (a *api) allowed(r *http.Request, rule string, img metadata.Image) bool {
	t, err := a.imageTarget(r, img)
	return err == nil && a.sees(r, img, t) && a.Access().Allows(rule, caller(r), t)
}

// sees reports whether an image exists for the caller. No rule opens what visibility
// hides from everybody but an administrator: that is what "private" says.
func (a *api) sees(r *http.Request, img metadata.Image, t access.Target) bool {
	c := caller(r)
	own := c.Project != "" && img.Owner == c.Project
	open := img.Visibility == "public" || img.Visibility == "community"
	if !own && !open && !t.Has("member_id") && !a.administers(r) {
		return false
	}
	return a.Access().Allows("get_image", c, t)
}

// imageTarget is an image as rules see it. What its owner writes, its properties, never
// stands in place of what the catalogue knows.
func (a *api) imageTarget(r *http.Request, img metadata.Image) (access.Target, error) {
	invited, err := a.invited(r, img)
	return targetOf(r, img, invited), err
}

// targetOf is imageTarget of an image of which it is known whether the caller's project
// is invited.
func targetOf(r *http.Request, img metadata.Image, invited bool) access.Target {
	t := access.NewTarget(img.Owner)
	for name, value := range map[string]string{
		"id": img.ID, "image_id": img.ID, "name": img.Name, "visibility": img.Visibility, "status": string(img.Status),
		"disk_format": img.DiskFormat, "container_format": img.ContainerFormat, "member_id": "", "member": "",
	} {
		t.Set(name, value)
	}
	t.SetBool("protected", img.Protected)
	t.SetBool("os_hidden", img.Hidden)
	t.Set("min_disk", strconv.FormatInt(img.MinDisk, 10))
	t.Set("min_ram", strconv.FormatInt(img.MinRAM, 10))
	if invited {
		t.Set("member_id", caller(r).Project)
		t.Set("member", caller(r).Project)
	}
	for name, value := range img.Properties {
		t.SetMissing(name, value)
	}
	return t
}

// invited reports whether an image is shared with the caller's project, whatever the
// project makes of it: a pending or rejected image is not listed, and can be used.
func (a *api) invited(r *http.Request, img metadata.Image) (bool, error) {
	project := caller(r).Project
	if img.Visibility != metadata.VisibilityShared || project == "" || project == img.Owner || img.Status == metadata.ImagePendingDelete {
		return false, nil
	}
	_, err := a.Catalogue.Member(r.Context(), img.ID, project)
	if errcode.Of(err) == errcode.NotFound {
		return false, nil
	}
	return err == nil, err
}

// seen says whose eyes a list of images is made for.
func (a *api) seen(r *http.Request) metadata.Seen {
	return metadata.Seen{Project: caller(r).Project, All: a.administers(r)}
}

// mayShow returns errcode.Forbidden unless the caller may give an image a visibility
// that reaches beyond its project. "" is no change.
func (a *api) mayShow(r *http.Request, visibility string, t access.Target) error {
	switch visibility {
	case "public":
		return a.judge(r, "publicize_image", t)
	case "community":
		return a.judge(r, "communitize_image", t)
	}
	return nil
}

// mayMake returns errcode.Forbidden unless the caller may make an image that says this
// of itself.
func (a *api) mayMake(r *http.Request, rule string, img metadata.Image) error {
	visibility := img.Visibility
	if visibility == "" {
		visibility = metadata.DefaultVisibility
	}
	t := access.NewTarget(img.Owner)
	t.Set("visibility", visibility)
	t.SetBool("protected", img.Protected)
	if err := a.judge(r, rule, t); err != nil {
		if img.Owner != caller(r).Project {
			return fieldError(errcode.Forbidden, "owner", img.Owner, "an image belongs to the project that makes it, here %q", caller(r).Project)
		}
		return err
	}
	if err := a.mayShow(r, visibility, t); err != nil {
		return err
	}
	return a.protectProperties(r, nil, img.Properties)
}

// taskTarget is a task as rules see it.
func taskTarget(task metadata.Task) access.Target {
	t := access.NewTarget(task.Owner)
	for name, value := range map[string]string{
		"id": task.ID, "task_id": task.ID, "type": task.Type, "status": string(task.Status), "image_id": task.ImageID, "user_id": task.UserID,
	} {
		t.Set(name, value)
	}
	return t
}

// taskFor returns the task that a path names, if the caller may do with it what rule
// says. One that the caller may not see is answered like one that does not exist.
func (a *api) taskFor(r *http.Request, rule string) (metadata.Task, error) {
	task, err := a.wholeTaskFor(r, rule)
	if err != nil {
		return task, err
	}
	return a.taskShown(r, task), nil
}

// wholeTaskFor is taskFor with the properties in it that the caller may not read.
func (a *api) wholeTaskFor(r *http.Request, rule string) (metadata.Task, error) {
	id := r.PathValue("id")
	task, err := a.Catalogue.Task(r.Context(), id)
	if err != nil {
		return metadata.Task{}, unseen(err, "task", id)
	}
	t := taskTarget(task)
	own := caller(r).Project != "" && task.Owner == caller(r).Project
	if !own && !a.administers(r) || !a.Access().Allows("get_task", caller(r), t) {
		return metadata.Task{}, notFound("task", id)
	}
	if err := a.judge(r, rule, t); err != nil {
		return metadata.Task{}, err
	}
	return task, nil
}
