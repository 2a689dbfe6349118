CREATE TABLE provenance (
	image_id {id} NOT NULL PRIMARY KEY,
	document {text} NOT NULL,
	created_us {int} NOT NULL,
	FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
){options};
