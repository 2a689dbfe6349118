CREATE TABLE bandwidth_shares (
	budget_key {id} NOT NULL,
	worker {id} NOT NULL,
	wanted {int} NOT NULL,
	granted {int} NOT NULL,
	renewed_us {int} NOT NULL,
	PRIMARY KEY (budget_key, worker)
){options};

CREATE INDEX bandwidth_shares_by_age ON bandwidth_shares (renewed_us);

CREATE INDEX bulk_items_by_task ON bulk_items (task_id);
