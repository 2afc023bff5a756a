-- purpose: the demo's table of files, as an application may have it
-- index: primary key
-- touches: files
CREATE TABLE {files} (
    {uid} TEXT PRIMARY KEY,
    {created_at} TEXT NOT NULL,
    {location} TEXT NOT NULL,
    {size_bytes} INTEGER,
    {archived} BOOLEAN NOT NULL DEFAULT 0
);
