CREATE TABLE images (
	id {id} NOT NULL PRIMARY KEY,
	name {name} NOT NULL,
	owner {name} NOT NULL,
	status {word} NOT NULL,
	visibility {word} NOT NULL,
	protected {bool} NOT NULL,
	is_hidden {bool} NOT NULL,
	disk_format {word} NOT NULL,
	container_format {word} NOT NULL,
	size_bytes {int},
	virtual_size_bytes {int},
	checksum {name} NOT NULL,
	hash_algo {word} NOT NULL,
	hash_value {name} NOT NULL,
	content_digest {name} NOT NULL,
	store {name} NOT NULL,
	object_key {long} NOT NULL,
	min_disk_gib {int} NOT NULL,
	min_ram_mib {int} NOT NULL,
	tags {text} NOT NULL,
	properties {text} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	deleted_us {int},
	row_version {int} NOT NULL
){options};

CREATE INDEX images_by_age ON images (created_us, id);
CREATE INDEX images_by_owner ON images (owner, created_us, id);

CREATE TABLE tasks (
	id {id} NOT NULL PRIMARY KEY,
	type {word} NOT NULL,
	status {word} NOT NULL,
	stage {word} NOT NULL,
	owner {name} NOT NULL,
	user_id {name} NOT NULL,
	request_id {name} NOT NULL,
	image_id {id} NOT NULL,
	workflow_id {long} NOT NULL,
	idempotency_key {name},
	request {text} NOT NULL,
	result {text} NOT NULL,
	message {text} NOT NULL,
	error {text} NOT NULL,
	restarts {int} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	expires_us {int},
	row_version {int} NOT NULL
){options};

CREATE UNIQUE INDEX tasks_by_key ON tasks (owner, idempotency_key);
CREATE INDEX tasks_by_age ON tasks (created_us, id);
CREATE INDEX tasks_by_owner ON tasks (owner, created_us, id);
CREATE INDEX tasks_by_status ON tasks (status, created_us, id);
CREATE INDEX tasks_by_image ON tasks (image_id);

CREATE TABLE events (
	seq {seq},
	task_id {id} NOT NULL,
	at_us {int} NOT NULL,
	kind {word} NOT NULL,
	status {word} NOT NULL,
	stage {word} NOT NULL,
	attempt {int} NOT NULL,
	size_bytes {int} NOT NULL,
	duration_ns {int} NOT NULL,
	code {word} NOT NULL,
	message {text} NOT NULL,
	detail {text} NOT NULL,
	FOREIGN KEY (task_id) REFERENCES tasks (id)
){options};

CREATE INDEX events_by_task ON events (task_id, seq);
