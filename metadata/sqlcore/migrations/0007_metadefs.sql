CREATE TABLE metadef_namespaces (
	id {id} NOT NULL PRIMARY KEY,
	namespace {name} NOT NULL,
	display_name {name},
	description {long},
	visibility {word} NOT NULL,
	protected {bool} NOT NULL,
	owner {name} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	row_version {int} NOT NULL
){options};

CREATE UNIQUE INDEX metadef_namespaces_by_name ON metadef_namespaces (namespace);

CREATE TABLE metadef_resource_types (
	name {name} NOT NULL PRIMARY KEY,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL
){options};

CREATE TABLE metadef_associations (
	namespace_id {id} NOT NULL,
	resource_type {name} NOT NULL,
	prefix {name},
	properties_target {name},
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	PRIMARY KEY (namespace_id, resource_type),
	FOREIGN KEY (namespace_id) REFERENCES metadef_namespaces (id) ON DELETE CASCADE,
	FOREIGN KEY (resource_type) REFERENCES metadef_resource_types (name)
){options};

CREATE TABLE metadef_definitions (
	seq {seq},
	namespace_id {id} NOT NULL,
	kind {word} NOT NULL,
	name {name} NOT NULL,
	document {text} NOT NULL,
	created_us {int} NOT NULL,
	updated_us {int} NOT NULL,
	FOREIGN KEY (namespace_id) REFERENCES metadef_namespaces (id) ON DELETE CASCADE
){options};

CREATE UNIQUE INDEX metadef_definitions_by_name ON metadef_definitions (namespace_id, kind, name);
