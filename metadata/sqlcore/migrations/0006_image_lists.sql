CREATE TABLE image_members (
	image_id {id} NOT NULL,
	member {name} NOT NULL,
	status {word} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	PRIMARY KEY (image_id, member),
	FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
){options};

CREATE INDEX image_members_by_member ON image_members (member, status, image_id);

CREATE TABLE image_tags (
	image_id {id} NOT NULL,
	tag {name} NOT NULL,
	PRIMARY KEY (image_id, tag),
	FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
){options};

CREATE INDEX image_tags_by_tag ON image_tags (tag, image_id);

CREATE TABLE image_properties (
	image_id {id} NOT NULL,
	name {name} NOT NULL,
	value_hash {id} NOT NULL,
	PRIMARY KEY (image_id, name),
	FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
){options};

CREATE INDEX image_properties_by_value ON image_properties (name, value_hash, image_id);

CREATE INDEX images_by_visibility ON images (visibility, created_us, id, owner, status, is_hidden);
CREATE INDEX images_by_name ON images (name, created_us, id);
CREATE INDEX images_by_owner_and_name ON images (owner, name, created_us, id);
CREATE INDEX images_by_visibility_and_name ON images (visibility, name, created_us, id);
CREATE INDEX images_by_checksum ON images (checksum);
