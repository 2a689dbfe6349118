package access

// Checks that several rules have in common. Those of images and namespaces are Glance's
// since 2023.1, with one tightening: that an image is shared lets its members in, and
// not everybody who knows its id.
const (
	admin     = "role:admin"
	anybody   = "@"
	byService = "role:service or service_roles:service"
	own       = "project_id:%(project_id)s"
	invited   = "project_id:%(member_id)s" // member_id is the caller's project if it is a member of the image
	ownReader = "role:admin or (role:reader and " + own + ")"
	ownMember = "role:admin or (role:member and " + own + ")"
	visible   = "(" + own + " or " + invited + " or 'community':%(visibility)s or 'public':%(visibility)s)"
	seen      = "role:admin or (role:reader and " + visible + ")"
	taken     = "role:admin or (role:member and " + visible + ")"
	shareable = "role:admin or (role:reader and (" + own + " or " + invited + "))"
	namespace = "role:admin or (role:reader and (" + own + " or 'public':%(visibility)s))"
)

// standard lists the rules of a server that authenticates.
func standard() []Rule {
	out := append(imageRules(), taskRules()...)
	return append(append(out, metadefRules()...), ourRules()...)
}

func rule(name, check, description string, routes ...string) Rule {
	return Rule{Name: name, Check: check, Description: description, Routes: routes}
}

func imageRules() []Rule {
	const (
		image   = "/v2/images/{id}"
		members = image + "/members"
		member  = members + "/{member}"
	)
	return []Rule{
		rule("default", "", "what a rule says that says nothing"),
		rule(contextIsAdmin, admin, "who is an administrator, and sees what belongs to others"),

		rule("add_image", "role:admin or (role:member and "+own+" and project_id:%(owner)s)", "make an image", "POST /v2/images"),
		rule("get_images", "role:admin or role:reader", "list images", "GET /v2/images"),
		rule("get_image", seen, "see an image", "GET "+image),
		rule("modify_image", ownMember, "change an image, its properties and tags, and import into it", "PATCH "+image, "PUT "+image+"/tags/{tag}", "DELETE "+image+"/tags/{tag}", "POST "+image+"/import"),
		rule("delete_image", ownMember, "delete an image", "DELETE "+image),
		rule("publicize_image", admin, "give an image to everybody", "POST /v2/images", "PATCH "+image, "POST /v1/imports"),
		rule("communitize_image", ownMember, "let everybody use an image who knows of it", "POST /v2/images", "PATCH "+image, "POST /v1/imports"),
		rule("download_image", taken, "read an image's bytes", "GET "+image+"/file"),
		rule("upload_image", ownMember, "send an image's bytes", "PUT "+image+"/file", "PUT "+image+"/stage"),
		rule("deactivate", ownMember, "withdraw an image from use", "POST "+image+"/actions/deactivate"),
		rule("reactivate", ownMember, "give an image back to use", "POST "+image+"/actions/reactivate"),
		rule("copy_image", admin, "copy an image to further stores", "POST "+image+"/import"),

		rule("get_image_location", ownReader, "see where an image's bytes lie", "GET "+image),
		rule("set_image_location", ownMember, "say where an image's bytes lie", "PATCH "+image),
		rule("delete_image_location", admin, "take an image out of a store", "PATCH "+image, "DELETE /v2/stores/{store}/{id}"),
		rule("add_image_location", byService+" or "+ownMember, "say where a queued image's bytes lie", "POST "+image+"/locations"),
		rule("fetch_image_location", byService, "see where an image's bytes lie, as a service", "GET "+image+"/locations"),

		rule("get_members", shareable, "list the projects that an image is shared with", "GET "+members),
		rule("get_member", shareable, "see a project that an image is shared with", "GET "+member),
		rule("add_member", ownMember, "share an image with a project", "POST "+members),
		rule("delete_member", ownMember, "share an image with a project no longer", "DELETE "+member),
		rule("modify_member", "role:admin or (role:member and "+invited+")", "accept or reject an image that is shared", "PUT "+member),

		rule("manage_image_cache", admin, "manage the image cache; the older name of the three rules of the cache"),
		rule("cache_image", "rule:manage_image_cache", "have an image cached", "PUT /v2/cache/{id}"),
		rule("cache_list", "rule:manage_image_cache", "see what is cached", "GET /v2/cache"),
		rule("cache_delete", "rule:manage_image_cache", "remove images from the cache, prune and clean it", "DELETE /v2/cache", "DELETE /v2/cache/{id}", "POST /v2/cache/{id}"),
		rule("stores_info_detail", admin, "see how the stores are set up", "GET /v2/info/stores/detail"),
	}
}

func taskRules() []Rule {
	return []Rule{
		rule("tasks_api_access", "role:admin or role:reader", "use Glance's calls for tasks; what is seen there is for the three rules that follow", "GET /v2/tasks", "GET /v2/tasks/{id}", "POST /v2/tasks"),
		rule("get_tasks", "role:admin or role:reader", "list tasks: one's own, and an administrator all", "GET /v2/tasks", "GET /v1/tasks"),
		rule("get_task", ownReader, "see a task, its progress and its history", "GET /v2/tasks/{id}", "GET /v1/tasks/{id}", "GET /v1/tasks/{id}/progress", "GET /v1/tasks/{id}/stream", "GET /v1/tasks/{id}/events", "GET /v1/tasks/{id}/policy"),
		rule("add_task", ownMember, "make a task", "POST /v2/tasks"),
		rule("modify_task", ownMember, "change a task; the older name of ingest:modify_task"),
	}
}

// ourRules are for what Glance does not have.
func ourRules() []Rule {
	return []Rule{
		rule("ingest:submit", ownMember, "submit an import", "POST /v1/imports"),
		rule("ingest:export", ownMember, "send an image to a destination outside", "POST /v1/exports", "POST /v2/tasks"),
		rule("ingest:plan", ownMember, "ask what an import would do", "POST /v1/imports?dry_run=true"),
		rule("ingest:modify_task", "rule:modify_task", "cancel a task, pause it, go on with it, try it again", "POST /v1/tasks/{id}/cancel", "POST /v1/tasks/{id}/pause", "POST /v1/tasks/{id}/resume", "POST /v1/tasks/{id}/retry"),
		rule("ingest:task_priority", "rule:ingest:modify_task", "give a task a higher priority than others, or a lower one", "PUT /v1/tasks/{id}/priority", "POST /v1/imports"),
		rule("ingest:change_owner", admin, "give an image to another project", "PATCH /v2/images/{id}"),
		rule("ingest:external_location", byService+" or "+admin, "make images of objects that somebody else has put into a store", "POST /v2/images/{id}/locations", "PATCH /v2/images/{id}"),
		rule("ingest:download_deactivated", admin, "read the bytes of an image that is deactivated", "GET /v2/images/{id}/file"),
		rule("ingest:provenance", seen, "see where an image's bytes come from", "GET /v1/images/{id}/provenance"),
		rule("ingest:image_tasks", ownReader, "see the tasks of an image, and so where it was fetched from", "GET /v2/images/{id}/tasks"),
		rule("ingest:restore", ownMember, "take back the deletion of an image", "POST /v1/images/{id}/restore"),
		rule("ingest:quota", "role:admin or role:reader", "see what one's project uses", "GET /v1/quota", "GET /v2/info/usage"),
		rule("ingest:cache_view", "rule:cache_list", "see all that is known of the cache", "GET /v1/cache"),
		rule("ingest:fsck", admin, "compare the catalogue with the stores", "POST /v1/fsck"),
		rule("ingest:gc", admin, "remove what nobody needs", "POST /v1/gc", "GET /v1/gc/{id}"),
		rule("ingest:bulk", ownMember, "submit and steer imports in bulk", "POST /v1/bulk", "PATCH /v1/bulk/{id}", "POST /v1/bulk/{id}/pause", "POST /v1/bulk/{id}/resume", "POST /v1/bulk/{id}/cancel", "POST /v1/bulk/{id}/retry"),
		rule("ingest:bulk_read", ownReader, "see imports in bulk, their items and reports", "GET /v1/bulk", "GET /v1/bulk/{id}", "GET /v1/bulk/{id}/items", "GET /v1/bulk/{id}/report"),
		rule("ingest:schedule_read", ownReader, "see schedules, their versions and runs", "GET /v1/schedules", "GET /v1/schedules/{id}"),
		rule("ingest:schedule_create", ownMember, "make a schedule; what it imports is judged like an import", "POST /v1/schedules"),
		rule("ingest:schedule_modify", ownMember, "pause a schedule, and let it go on", "POST /v1/schedules/{id}/pause", "POST /v1/schedules/{id}/resume"),
		rule("ingest:schedule_run", ownMember, "run a schedule now, or for times that it has missed", "POST /v1/schedules/{id}/trigger", "POST /v1/schedules/{id}/backfill"),
		rule("ingest:schedule_rollback", ownMember, "switch a schedule to another of its versions", "POST /v1/schedules/{id}/rollback"),
		rule("ingest:schedule_delete", ownMember, "end a schedule", "DELETE /v1/schedules/{id}"),
		rule("ingest:webhooks", ownMember, "say who is told of the ends of tasks", "GET /v1/webhooks", "POST /v1/webhooks", "GET /v1/webhooks/{id}", "DELETE /v1/webhooks/{id}", "POST /v1/webhooks/{id}/test", "POST /v1/webhooks/{id}/enable"),
	}
}

// opened is what the rules say where nobody is authenticated. A project still owns
// what it makes; the server's own business is everybody's who reaches it.
func opened() map[string]string {
	return map[string]string{
		"publicize_image":          ownMember,
		"copy_image":               ownMember,
		"delete_image_location":    ownMember,
		"ingest:external_location": ownMember,
		"fetch_image_location":     byService + " or " + ownReader,
		"manage_image_cache":       anybody,
		"stores_info_detail":       anybody,
		"metadef_admin":            anybody,
		"ingest:fsck":              anybody,
		"ingest:gc":                anybody,
	}
}
