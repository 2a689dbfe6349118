CREATE TABLE schedules (
	id {id} NOT NULL PRIMARY KEY,
	owner {name} NOT NULL,
	name {name} NOT NULL,
	user_id {name} NOT NULL,
	spec {text} NOT NULL,
	paused {bool} NOT NULL,
	note {long} NOT NULL,
	deleted {bool} NOT NULL,
	revision {int} NOT NULL,
	told {int} NOT NULL,
	current_image {id} NOT NULL,
	held {text} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	row_version {int} NOT NULL
){options};

CREATE INDEX schedules_by_owner ON schedules (owner, created_us, id);

CREATE TABLE schedule_versions (
	id {id} NOT NULL PRIMARY KEY,
	schedule_id {id} NOT NULL,
	task_id {id} NOT NULL,
	images {text} NOT NULL,
	source {text} NOT NULL,
	status {word} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	row_version {int} NOT NULL,
	FOREIGN KEY (schedule_id) REFERENCES schedules (id) ON DELETE CASCADE
){options};

CREATE INDEX schedule_versions_by_schedule ON schedule_versions (schedule_id, created_us, id);

CREATE TABLE schedule_runs (
	id {id} NOT NULL PRIMARY KEY,
	schedule_id {id} NOT NULL,
	image_id {id} NOT NULL,
	by_hand {bool} NOT NULL,
	outcome {word} NOT NULL,
	code {word} NOT NULL,
	message {text} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	row_version {int} NOT NULL,
	FOREIGN KEY (schedule_id) REFERENCES schedules (id) ON DELETE CASCADE
){options};

CREATE INDEX schedule_runs_by_schedule ON schedule_runs (schedule_id, created_us, id);
