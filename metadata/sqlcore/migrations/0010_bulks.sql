CREATE TABLE bulks (
	id {id} NOT NULL PRIMARY KEY,
	owner {name} NOT NULL,
	user_id {name} NOT NULL,
	name {name} NOT NULL,
	digest {name} NOT NULL,
	status {word} NOT NULL,
	workflow_id {long} NOT NULL,
	settings {text} NOT NULL,
	gates {text} NOT NULL,
	message {text} NOT NULL,
	total {int} NOT NULL,
	seen_event {int} NOT NULL,
	revision {int} NOT NULL,
	told {int} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	ended_us {int},
	row_version {int} NOT NULL
){options};

CREATE INDEX bulks_by_owner ON bulks (owner, created_us, id);
CREATE INDEX bulks_by_status ON bulks (status, created_us, id);

CREATE TABLE bulk_items (
	bulk_id {id} NOT NULL,
	n {int} NOT NULL,
	item_key {name} NOT NULL,
	source_host {name} NOT NULL,
	store {name} NOT NULL,
	urgency {int} NOT NULL,
	state {word} NOT NULL,
	same_as {int} NOT NULL,
	task_id {id} NOT NULL,
	image_id {id} NOT NULL,
	attempt {int} NOT NULL,
	code {word} NOT NULL,
	message {text} NOT NULL,
	size_bytes {int} NOT NULL,
	started_us {int},
	ended_us {int},
	digest {id} NOT NULL,
	request {text} NOT NULL,
	PRIMARY KEY (bulk_id, n),
	FOREIGN KEY (bulk_id) REFERENCES bulks (id) ON DELETE CASCADE
){options};

CREATE INDEX bulk_items_by_turn ON bulk_items (bulk_id, state, urgency, n);
CREATE INDEX bulk_items_by_twin ON bulk_items (bulk_id, same_as);
CREATE INDEX bulk_items_by_digest ON bulk_items (digest);
