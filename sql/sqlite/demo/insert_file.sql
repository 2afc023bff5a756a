-- purpose: the demo's application stores one file
-- index: primary key
-- touches: files (one row)
INSERT INTO {files} ({uid}, {created_at}, {location}, {size_bytes}, {archived})
VALUES (:uid, :created_at, :location, :size_bytes, 0);
