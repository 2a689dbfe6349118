CREATE TABLE image_locations (
	image_id {id} NOT NULL,
	store {name} NOT NULL,
	object_key {long} NOT NULL,
	status {word} NOT NULL,
	metadata {text} NOT NULL,
	created_us {int} NOT NULL,
	PRIMARY KEY (image_id, store),
	FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
){options};
