package e2e

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imageimport"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/members"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/tasks"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// A gopher is a user of gophercloud, through which Terraform and Kubernetes use images.
type gopher struct {
	t testing.TB
	*gophercloud.ServiceClient
}

func newGopher(t testing.TB, url, user, password, project string) *gopher {
	t.Helper()
	p, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{IdentityEndpoint: url + "/identity/v3", Username: user, Password: password,
		DomainName: "Default", TenantName: project})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openstack.NewImageV2(p, gophercloud.EndpointOpts{Region: "RegionOne"})
	if err != nil {
		t.Fatal(err)
	}
	return &gopher{t, c}
}

// ok is what a call has answered.
func ok[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (g *gopher) done(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *gopher) create(name string) *images.Image {
	g.t.Helper()
	return ok[*images.Image](g.t)(images.Create(g.t.Context(), g.ServiceClient, images.CreateOpts{
		Name: name, DiskFormat: "raw", ContainerFormat: "bare", MinDisk: 1, Tags: []string{"blue"}, Properties: map[string]string{"os_distro": "debian"},
	}).Extract())
}

func (g *gopher) show(id string) *images.Image {
	g.t.Helper()
	return ok[*images.Image](g.t)(images.Get(g.t.Context(), g.ServiceClient, id).Extract())
}

func (g *gopher) content(id string) []byte {
	g.t.Helper()
	r := ok[io.ReadCloser](g.t)(imagedata.Download(g.t.Context(), g.ServiceClient, id).Extract())
	defer r.Close()
	return ok[[]byte](g.t)(io.ReadAll(r))
}

// imports imports into an image and waits until it is active.
func (g *gopher) imports(id string, opts imageimport.CreateOpts) {
	g.t.Helper()
	g.done(imageimport.Create(g.t.Context(), g.ServiceClient, id, opts).ExtractErr())
	eventually(g.t, time.Minute, "the import", func() (bool, string) {
		img := g.show(id)
		return img.Status == images.ImageStatusActive, string(img.Status)
	})
}

// names are those of all images, page by page.
func (g *gopher) names(opts images.ListOpts) (names []string, pages int) {
	g.t.Helper()
	g.done(images.List(g.ServiceClient, opts).EachPage(g.t.Context(), func(_ context.Context, p pagination.Page) (bool, error) {
		pages++
		list, err := images.ExtractImages(p)
		for _, img := range list {
			names = append(names, img.Name)
		}
		return true, err
	}))
	return names, pages
}

// TestGophercloud uses everything that gophercloud knows of images.
func TestGophercloud(t *testing.T) {
	t.Parallel()
	const password = "a-password-of-gophers"
	k := newKit(t, "--auth", "token", "--identity-users", usersFile(t, password))
	ann, bob := newGopher(t, k.url, "ann", password, "demo"), newGopher(t, k.url, "bob", password, "other")
	want := read(t, k.file("disk.raw"))

	sent, staged, fetched := ann.create("a-sent"), ann.create("b-staged"), ann.create("c-fetched")
	ann.done(imagedata.Upload(t.Context(), ann.ServiceClient, sent.ID, bytes.NewReader(want)).ExtractErr())
	ann.done(imagedata.Stage(t.Context(), ann.ServiceClient, staged.ID, bytes.NewReader(want)).ExtractErr())
	if got := ann.show(staged.ID).Status; got != "uploading" {
		t.Errorf("what was staged is %s", got)
	}
	ann.imports(staged.ID, imageimport.CreateOpts{Name: imageimport.GlanceDirectMethod})
	ann.imports(fetched.ID, imageimport.CreateOpts{Name: imageimport.WebDownloadMethod, URI: k.origin + "/disk.raw"})
	for _, id := range []string{sent.ID, staged.ID, fetched.ID} {
		if !bytes.Equal(ann.content(id), want) {
			t.Errorf("image %s has other bytes", id)
		}
	}
	if info := ok[*imageimport.ImportInfo](t)(imageimport.Get(t.Context(), ann.ServiceClient).Extract()); !slices.Contains(info.ImportMethods.Value, "web-download") {
		t.Errorf("import methods %+v", info)
	}
	ann.lists()
	ann.changes(sent.ID)
	ann.shares(bob, sent.ID)
	ann.tasks(k.origin + "/disk.raw")
	ann.done(images.Delete(t.Context(), ann.ServiceClient, fetched.ID).ExtractErr())
	if _, err := images.Get(t.Context(), ann.ServiceClient, fetched.ID).Extract(); !gophercloud.ResponseCodeIs(err, 404) {
		t.Errorf("a deleted image: %v", err)
	}
}

func (g *gopher) lists() {
	all := []string{"a-sent", "b-staged", "c-fetched"}
	if names, pages := g.names(images.ListOpts{Limit: 1, Sort: "name:asc"}); !slices.Equal(names, all) || pages < 3 {
		g.t.Errorf("%d pages of %v", pages, names)
	}
	for _, c := range []struct {
		opts images.ListOpts
		want []string
	}{
		{images.ListOpts{Name: "in:a-sent,c-fetched", Sort: "name:asc"}, []string{"a-sent", "c-fetched"}},
		{images.ListOpts{Tags: []string{"blue"}, Status: images.ImageStatusActive, Sort: "name:desc"}, []string{"c-fetched", "b-staged", "a-sent"}},
		{images.ListOpts{Visibility: images.ImageVisibilityPublic}, nil},
		{images.ListOpts{ContainerFormat: "ova"}, nil},
		{images.ListOpts{DiskFormat: "raw", ContainerFormat: "bare", SortKey: "name", SortDir: "asc"}, all},
		{images.ListOpts{CreatedAtQuery: &images.ImageDateQuery{Date: time.Now().Add(-time.Hour), Filter: images.FilterLT}}, nil},
	} {
		if got, _ := g.names(c.opts); !slices.Equal(got, c.want) {
			g.t.Errorf("%+v lists %v, want %v", c.opts, got, c.want)
		}
	}
}

func (g *gopher) changes(id string) {
	update := func(opts ...images.Patch) *images.Image {
		g.t.Helper()
		return ok[*images.Image](g.t)(images.Update(g.t.Context(), g.ServiceClient, id, images.UpdateOpts(opts)).Extract())
	}
	img := update(images.ReplaceImageName{NewName: "renamed"}, images.ReplaceImageTags{NewTags: []string{"x", "y"}}, images.ReplaceImageMinDisk{NewMinDisk: 2},
		images.ReplaceImageMinRam{NewMinRam: 128}, images.ReplaceImageHidden{NewHidden: true}, images.ReplaceImageProtected{NewProtected: true},
		images.UpdateVisibility{Visibility: images.ImageVisibilityCommunity},
		images.UpdateImageProperty{Op: images.AddOp, Name: "hw_disk_bus", Value: "scsi"}, images.UpdateImageProperty{Op: images.RemoveOp, Name: "os_distro"})
	slices.Sort(img.Tags)
	_, kept := img.Properties["os_distro"]
	if img.Name != "renamed" || !slices.Equal(img.Tags, []string{"x", "y"}) || img.MinDiskGigabytes != 2 || img.MinRAMMegabytes != 128 || !img.Hidden || !img.Protected ||
		img.Visibility != images.ImageVisibilityCommunity || img.Properties["hw_disk_bus"] != "scsi" || kept {
		g.t.Errorf("the image is %+v", img)
	}
	if err := images.Delete(g.t.Context(), g.ServiceClient, id).ExtractErr(); !gophercloud.ResponseCodeIs(err, 403) {
		g.t.Errorf("a protected image was deleted: %v", err)
	}
	update(images.ReplaceImageProtected{NewProtected: false}, images.ReplaceImageHidden{NewHidden: false}, images.UpdateVisibility{Visibility: images.ImageVisibilityShared})
}

func (g *gopher) shares(other *gopher, id string) {
	ctx := g.t.Context()
	if m := ok[*members.Member](g.t)(members.Create(ctx, g.ServiceClient, id, "other").Extract()); m.Status != "pending" || m.ImageID != id {
		g.t.Errorf("the membership is %+v", m)
	}
	if names, _ := other.names(images.ListOpts{}); len(names) != 0 {
		g.t.Errorf("who has not accepted lists %v", names)
	}
	ok[*members.Member](g.t)(members.Update(ctx, other.ServiceClient, id, "other", members.UpdateOpts{Status: "accepted"}).Extract())
	if names, _ := other.names(images.ListOpts{}); !slices.Equal(names, []string{"renamed"}) {
		g.t.Errorf("who has accepted lists %v", names)
	}
	page := ok[pagination.Page](g.t)(members.List(g.ServiceClient, id).AllPages(ctx))
	if list := ok[[]members.Member](g.t)(members.ExtractMembers(page)); len(list) != 1 || list[0].Status != "accepted" {
		g.t.Errorf("the members are %+v", list)
	}
	g.done(members.Delete(ctx, g.ServiceClient, id, "other").ExtractErr())
	if _, err := images.Get(ctx, other.ServiceClient, id).Extract(); !gophercloud.ResponseCodeIs(err, 404) {
		g.t.Errorf("who is no member any more: %v", err)
	}
}

func (g *gopher) tasks(from string) {
	ctx := g.t.Context()
	task := ok[*tasks.Task](g.t)(tasks.Create(ctx, g.ServiceClient, tasks.CreateOpts{Type: "import", Input: map[string]any{
		"import_from": from, "import_from_format": "raw", "image_properties": map[string]string{"name": "by a task", "disk_format": "raw", "container_format": "bare"},
	}}).Extract())
	eventually(g.t, time.Minute, "the task", func() (bool, string) {
		task = ok[*tasks.Task](g.t)(tasks.Get(ctx, g.ServiceClient, task.ID).Extract())
		return task.Status == "success", task.Status + " " + task.Message
	})
	id, _ := task.Result["image_id"].(string)
	if img := g.show(id); img.Name != "by a task" || img.Status != images.ImageStatusActive {
		g.t.Errorf("the task has made %+v", img)
	}
	page := ok[pagination.Page](g.t)(tasks.List(g.ServiceClient, tasks.ListOpts{Status: tasks.TaskStatusSuccess, Limit: 1}).AllPages(ctx))
	if list := ok[[]tasks.Task](g.t)(tasks.ExtractTasks(page)); len(list) != 3 || list[0].ID != task.ID {
		g.t.Errorf("the tasks are %+v", list)
	}
}
