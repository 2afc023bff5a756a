-- purpose: the index by which the demo's application finds what is not archived
-- index: none: makes one
-- touches: files
CREATE INDEX {created_archived_index} ON {files} ({created_at}, {archived});
