CREATE TABLE idempotency_keys (
	owner {name} NOT NULL,
	idempotency_key {name} NOT NULL,
	request {name} NOT NULL,
	answer {text} NOT NULL,
	created_us {int} NOT NULL,
	PRIMARY KEY (owner, idempotency_key)
){options};

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_us);

CREATE INDEX idempotency_keys_by_owner ON idempotency_keys (owner, created_us);
