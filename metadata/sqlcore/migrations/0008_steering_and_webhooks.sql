ALTER TABLE tasks ADD COLUMN paused {bool} NOT NULL DEFAULT FALSE;
ALTER TABLE tasks ADD COLUMN priority {int} NOT NULL DEFAULT 5;
ALTER TABLE tasks ADD COLUMN retry_of {id} NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN steered {int} NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN steer_told {int} NOT NULL DEFAULT 0;

CREATE TABLE webhooks (
	id {id} NOT NULL PRIMARY KEY,
	owner {name} NOT NULL,
	url {long} NOT NULL,
	events {long} NOT NULL,
	secret {name} NOT NULL,
	description {name} NOT NULL,
	failing_us {int},
	disabled_us {int},
	disabled_reason {long} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	row_version {int} NOT NULL
){options};

CREATE INDEX webhooks_by_owner ON webhooks (owner, created_us, id);

CREATE TABLE webhook_deliveries (
	id {id} NOT NULL PRIMARY KEY,
	webhook_id {id} NOT NULL,
	task_id {id} NOT NULL,
	event {word} NOT NULL,
	body {text} NOT NULL,
	status {word} NOT NULL,
	attempts {int} NOT NULL,
	http_status {int} NOT NULL,
	error {long} NOT NULL,
	created_us {int} NOT NULL,
	next_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	row_version {int} NOT NULL,
	FOREIGN KEY (webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
){options};

CREATE INDEX webhook_deliveries_by_due ON webhook_deliveries (status, next_us);
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, created_us, id);
