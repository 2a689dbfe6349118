CREATE TABLE reservations (
	task_id {id} NOT NULL,
	kind {word} NOT NULL,
	part {name} NOT NULL,
	owner {name} NOT NULL,
	place {name} NOT NULL,
	object_key {long} NOT NULL,
	size_bytes {int} NOT NULL,
	room_bytes {int} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	PRIMARY KEY (task_id, kind, part)
){options};

CREATE INDEX reservations_by_owner ON reservations (owner, kind);
