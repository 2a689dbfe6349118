PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE catalogue_migrations (
	version INTEGER NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	applied_us INTEGER NOT NULL
);
INSERT INTO catalogue_migrations VALUES(1,'catalogue',1795286454680868);
INSERT INTO catalogue_migrations VALUES(2,'provenance',1795286454680961);
INSERT INTO catalogue_migrations VALUES(3,'reservations',1795286454681050);
CREATE TABLE images (
	id TEXT NOT NULL PRIMARY KEY,
	name TEXT NOT NULL,
	owner TEXT NOT NULL,
	status TEXT NOT NULL,
	visibility TEXT NOT NULL,
	protected BOOLEAN NOT NULL,
	is_hidden BOOLEAN NOT NULL,
	disk_format TEXT NOT NULL,
	container_format TEXT NOT NULL,
	size_bytes INTEGER,
	virtual_size_bytes INTEGER,
	checksum TEXT NOT NULL,
	hash_algo TEXT NOT NULL,
	hash_value TEXT NOT NULL,
	content_digest TEXT NOT NULL,
	store TEXT NOT NULL,
	object_key TEXT NOT NULL,
	min_disk_gib INTEGER NOT NULL,
	min_ram_mib INTEGER NOT NULL,
	tags TEXT NOT NULL,
	properties TEXT NOT NULL,
	created_us INTEGER NOT NULL,
	updated_us INTEGER NOT NULL,
	deleted_us INTEGER,
	row_version INTEGER NOT NULL
);
INSERT INTO images VALUES('image-active','Debian – 12 ''bookworm''','acme','active','private',0,0,'qcow2','bare',197120,1073741824,'','sha256','9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08','blocks:abc','local','image-active/u1',0,0,'["b","a"]','{"hw_firmware_type":"uefi","os_distro":"debian"}',1770091507000789,1770091528000789,NULL,3);
INSERT INTO images VALUES('image-failed','Debian – 12 ''bookworm''','acme','queued','private',0,0,'','bare',NULL,NULL,'','','','','','',0,0,'["b","a"]','{"os_distro":"debian"}',1770091510000789,1770091532000789,NULL,3);
INSERT INTO images VALUES('image-running','Debian – 12 ''bookworm''','acme','importing','private',0,0,'','bare',NULL,NULL,'','','','','','',0,0,'["b","a"]','{"os_distro":"debian"}',1770091513000789,1770091525000789,NULL,2);
INSERT INTO images VALUES('image-waiting','Debian – 12 ''bookworm''','acme','queued','private',0,0,'','bare',NULL,NULL,'','','','','','',0,0,'["b","a"]','{"os_distro":"debian"}',1770091516000789,1770091516000789,NULL,1);
INSERT INTO images VALUES('image-deleted','gone','acme','deleted','shared',0,0,'','',NULL,NULL,'','','','','','',0,0,'','',1770091536000789,1770091538000789,1770091537000789,2);
CREATE TABLE tasks (
	id TEXT NOT NULL PRIMARY KEY,
	type TEXT NOT NULL,
	status TEXT NOT NULL,
	stage TEXT NOT NULL,
	owner TEXT NOT NULL,
	user_id TEXT NOT NULL,
	request_id TEXT NOT NULL,
	image_id TEXT NOT NULL,
	workflow_id TEXT NOT NULL,
	idempotency_key TEXT,
	request TEXT NOT NULL,
	result TEXT NOT NULL,
	message TEXT NOT NULL,
	error TEXT NOT NULL,
	restarts INTEGER NOT NULL,
	created_us INTEGER NOT NULL,
	updated_us INTEGER NOT NULL,
	expires_us INTEGER,
	row_version INTEGER NOT NULL
);
INSERT INTO tasks VALUES('task-done','','success','done','acme','alice','req-1','image-active','','first','{"task_id":"task-done","source":{"url":"https://example.net/it''s.qcow2"}}','{"images":[{"image_id":"image-active"}]}','','',0,1770091508000789,1770091530000789,1770264330000789,3);
INSERT INTO tasks VALUES('task-failed','','failure','detect','acme','alice','req-1','image-failed','',NULL,'{"task_id":"task-failed","source":{"url":"https://example.net/it''s.qcow2"}}','','cut short','{"code":"IMG_TRUNCATED","message":"cut short","stage":"detect"}',0,1770091511000789,1770091533000789,1770264333000789,3);
INSERT INTO tasks VALUES('task-running','','processing','','acme','alice','req-1','image-running','','Second','{"task_id":"task-running","source":{"url":"https://example.net/it''s.qcow2"}}','','','',0,1770091514000789,1770091526000789,NULL,2);
INSERT INTO tasks VALUES('task-waiting','','pending','','acme','alice','req-1','image-waiting','',NULL,'{"task_id":"task-waiting","source":{"url":"https://example.net/it''s.qcow2"}}','','','',0,1770091517000789,1770091517000789,NULL,1);
CREATE TABLE events (
	seq INTEGER PRIMARY KEY AUTOINCREMENT,
	task_id TEXT NOT NULL,
	at_us INTEGER NOT NULL,
	kind TEXT NOT NULL,
	status TEXT NOT NULL,
	stage TEXT NOT NULL,
	attempt INTEGER NOT NULL,
	size_bytes INTEGER NOT NULL,
	duration_ns INTEGER NOT NULL,
	code TEXT NOT NULL,
	message TEXT NOT NULL,
	detail TEXT NOT NULL,
	FOREIGN KEY (task_id) REFERENCES tasks (id)
);
INSERT INTO events VALUES(1,'task-done',1770091509000789,'status','pending','',0,0,0,'','','');
INSERT INTO events VALUES(2,'task-failed',1770091512000789,'status','pending','',0,0,0,'','','');
INSERT INTO events VALUES(3,'task-running',1770091515000789,'status','pending','',0,0,0,'','','');
INSERT INTO events VALUES(4,'task-waiting',1770091518000789,'status','pending','',0,0,0,'','','');
INSERT INTO events VALUES(5,'task-done',1770091521000789,'status','processing','',0,0,0,'','','');
INSERT INTO events VALUES(6,'task-failed',1770091524000789,'status','processing','',0,0,0,'','','');
INSERT INTO events VALUES(7,'task-running',1770091527000789,'status','processing','',0,0,0,'','','');
INSERT INTO events VALUES(8,'task-done',1770091531000789,'status','success','done',0,197120,0,'','','');
INSERT INTO events VALUES(9,'task-failed',1770091534000789,'error','failure','detect',0,0,0,'IMG_TRUNCATED','cut short','{"code":"IMG_TRUNCATED","message":"cut short","stage":"detect"}');
CREATE TABLE provenance (
	image_id TEXT NOT NULL PRIMARY KEY,
	document TEXT NOT NULL,
	created_us INTEGER NOT NULL,
	FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
);
INSERT INTO provenance VALUES('image-active','{"payloadType":"application/vnd.in-toto+json"}',1770091529000789);
CREATE TABLE reservations (
	task_id TEXT NOT NULL,
	kind TEXT NOT NULL,
	part TEXT NOT NULL,
	owner TEXT NOT NULL,
	place TEXT NOT NULL,
	object_key TEXT NOT NULL,
	size_bytes INTEGER NOT NULL,
	room_bytes INTEGER NOT NULL,
	created_us INTEGER NOT NULL,
	updated_us INTEGER NOT NULL,
	PRIMARY KEY (task_id, kind, part)
);
INSERT INTO reservations VALUES('task-running','stage','source','acme','host-1','',4096,4096,1770091535000789,1770091535000789);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('events',9);
CREATE INDEX images_by_age ON images (created_us, id);
CREATE INDEX images_by_owner ON images (owner, created_us, id);
CREATE UNIQUE INDEX tasks_by_key ON tasks (owner, idempotency_key);
CREATE INDEX tasks_by_age ON tasks (created_us, id);
CREATE INDEX tasks_by_owner ON tasks (owner, created_us, id);
CREATE INDEX tasks_by_status ON tasks (status, created_us, id);
CREATE INDEX tasks_by_image ON tasks (image_id);
CREATE INDEX events_by_task ON events (task_id, seq);
CREATE INDEX reservations_by_owner ON reservations (owner, kind);
COMMIT;
