CREATE INDEX images_by_object ON images (object_key);
CREATE INDEX images_by_hash ON images (hash_value);
CREATE INDEX image_locations_by_object ON image_locations (object_key);
