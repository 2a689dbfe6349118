CREATE INDEX bulk_items_by_group ON bulk_items (bulk_id, state, source_host, store, urgency, n, size_bytes);
