ALTER TABLE images ADD COLUMN size_order {int} NOT NULL DEFAULT -1;

CREATE INDEX images_by_size ON images (size_order, created_us, id, owner, visibility, status, is_hidden);
CREATE INDEX images_by_update ON images (updated_us, created_us, id, owner, visibility, status, is_hidden);
CREATE INDEX images_by_status ON images (status, created_us, id, owner, visibility, is_hidden);
CREATE INDEX images_by_disk_format ON images (disk_format, created_us, id, owner, visibility, status, is_hidden);
CREATE INDEX images_by_container_format ON images (container_format, created_us, id, owner, visibility, status, is_hidden);
CREATE INDEX images_by_id ON images (id, owner, visibility, status, is_hidden);

UPDATE images SET size_order = COALESCE(size_bytes, -1);
