CREATE INDEX images_by_object ON images {lookup}(object_key{prefix});
CREATE INDEX images_by_hash ON images (hash_value);
CREATE INDEX image_locations_by_object ON image_locations {lookup}(object_key{prefix});
