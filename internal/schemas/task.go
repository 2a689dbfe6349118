package schemas

// member is the schema of a project that an image is shared with.
func member() Object {
	return Object{"name": "member", "properties": Object{
		"member_id":  about(text(), "Project that the image is shared with"),
		"image_id":   about(Object{"type": "string", "pattern": uuidPattern}, "Id of the image"),
		"created_at": about(text(), "When the image was shared"),
		"updated_at": about(text(), "When this was changed last"),
		"status":     about(Object{"type": "string", "enum": oneOf("pending", "accepted", "rejected")}, "What the project says to it"),
		"schema":     shown(text()),
	}}
}

// task is the schema of a task. Lists show it without what it was given and what
// came of it.
func task(whole bool) Object {
	properties := Object{
		"id":         about(Object{"type": "string", "pattern": uuidPattern}, "Id of the task"),
		"type":       about(Object{"type": "string", "enum": oneOf("import", "api_image_import", "export", "clone", "location_import")}, "What the task does"),
		"status":     about(Object{"type": "string", "enum": oneOf("pending", "processing", "success", "failure")}, "Where the task is in its life"),
		"owner":      about(text(), "Project that owns the task"),
		"image_id":   about(text(), "Image that the task works on"),
		"request_id": about(text(), "Id of the request that began the task"),
		"user_id":    about(text(), "User who began the task"),
		"expires_at": about(orNull("string"), "When the task's record may go"),
		"created_at": about(text(), "When the task was made"),
		"updated_at": about(text(), "When the task was changed last"),
		"self":       shown(text()),
		"schema":     shown(text()),
	}
	if whole {
		properties["input"] = about(orNull("object"), "What the task was given")
		properties["result"] = about(orNull("object"), "What came of the task")
		properties["message"] = about(text(), "What happened, for people")
	}
	return Object{"name": "task", "properties": properties}
}
