-- Revision 0003_watermark, branch config: the one row that says what is archived.

-- step: create_config
-- purpose: the watermark
-- lock: the database, for a moment
CREATE TABLE IF NOT EXISTS des_archive_config (
    id INTEGER PRIMARY KEY CONSTRAINT des_archive_config_one_row CHECK (id = 1),
    archived_until TEXT NOT NULL,
    lag_days INTEGER NOT NULL CONSTRAINT des_archive_config_lag CHECK (lag_days >= 0),
    last_updated TEXT DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'),
    updated_by TEXT,
    fence INTEGER NOT NULL DEFAULT 0
);

-- step: seed_watermark
-- purpose: start at the newest archived row; if nothing is archived, below the oldest row
-- lock: the database, until it is done
-- cost: one statement, which reads what is at or below the initial watermark
-- only: script
-- group: seed
INSERT INTO des_archive_config (id, archived_until, lag_days, last_updated, updated_by, fence)
SELECT 1,
       COALESCE(
           :seed_at,
           (SELECT MAX({created_at_utc}) FROM {files} WHERE {archived} = TRUE),
           CASE WHEN :default_at < oldest.created_at THEN :default_at END,
           CASE WHEN oldest.created_at LIKE '% 00:00:00.000000'
               THEN date(oldest.created_at, '-1 day') ELSE date(oldest.created_at) END
               || ' 00:00:00.000000',
           date('now', '-' || :lag_days || ' days') || ' 00:00:00.000000'),
       :lag_days,
       strftime('%Y-%m-%d %H:%M:%f', 'now') || '000',
       :actor,
       COALESCE((SELECT json_extract(details, '$.fence') + 1
                 FROM des_archive_job
                 WHERE name = 'retired'), 0)
FROM (SELECT MIN({created_at_utc}) AS created_at FROM {files}) AS oldest;

-- step: capture_holes
-- purpose: rows at or below the initial watermark that are not archived; des-admin reads them in pages
-- lock: the database, until it is done
-- cost: one statement, which reads what is at or below the initial watermark
-- only: script
-- group: seed
-- The long expression is SHA-256 of the uid, for which sqlite3 has no function.
INSERT INTO des_archive_exception
    (uid_sha256, uid, created_at, location, archived, reason, attempts, first_seen, last_seen)
SELECT
    (WITH RECURSIVE
            message (digits, constants, steps) AS (
                SELECT hex(CAST(CAST({uid} AS text) AS blob)) || '80'
                    || substr(hex(zeroblob(64)), 1, 2 * ((119 - length(CAST(CAST({uid} AS text) AS blob)) % 64) % 64))
                    || printf('%016X', 8 * length(CAST(CAST({uid} AS text) AS blob))),
                '428A2F9871374491B5C0FBCFE9B5DBA53956C25B59F111F1923F82A4AB1C5ED5'
                || 'D807AA9812835B01243185BE550C7DC372BE5D7480DEB1FE9BDC06A7C19BF174'
                || 'E49B69C1EFBE47860FC19DC6240CA1CC2DE92C6F4A7484AA5CB0A9DC76F988DA'
                || '983E5152A831C66DB00327C8BF597FC7C6E00BF3D5A7914706CA635114292967'
                || '27B70A852E1B21384D2C6DFC53380D13650A7354766A0ABB81C2C92E92722C85'
                || 'A2BFE8A1A81A664BC24B8B70C76C51A3D192E819D6990624F40E3585106AA070'
                || '19A4C1161E376C082748774C34B0BCB5391C0CB34ED8AA4A5B9CCA4F682E6FF3'
                || '748F82EE78A5636F84C878148CC7020890BEFFFAA4506CEBBEF9A3F7C67178F2',
                (length(CAST(CAST({uid} AS text) AS blob)) + 72) / 64 * 65
            ),
            turn (s, w, k, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14, p15,
                  a, b, c, d, e, f, g, h, h0, h1, h2, h3, h4, h5, h6, h7) AS (
                SELECT 0,
                    (instr('123456789ABCDEF', substr(digits, 0 + 1, 1)) << 28)
                    | (instr('123456789ABCDEF', substr(digits, 0 + 2, 1)) << 24)
                    | (instr('123456789ABCDEF', substr(digits, 0 + 3, 1)) << 20)
                    | (instr('123456789ABCDEF', substr(digits, 0 + 4, 1)) << 16)
                    | (instr('123456789ABCDEF', substr(digits, 0 + 5, 1)) << 12)
                    | (instr('123456789ABCDEF', substr(digits, 0 + 6, 1)) << 8)
                    | (instr('123456789ABCDEF', substr(digits, 0 + 7, 1)) << 4)
                    | (instr('123456789ABCDEF', substr(digits, 0 + 8, 1))),
                    1116352408, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                    1779033703, 3144134277, 1013904242, 2773480762, 1359893119, 2600822924, 528734635, 1541459225,
                    1779033703, 3144134277, 1013904242, 2773480762, 1359893119, 2600822924, 528734635, 1541459225
                FROM message
                UNION ALL
                SELECT s + 1,
                    CASE WHEN (s + 1) % 65 < 16 THEN
                        (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 1, 1)) << 28)
                        | (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 2, 1)) << 24)
                        | (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 3, 1)) << 20)
                        | (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 4, 1)) << 16)
                        | (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 5, 1)) << 12)
                        | (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 6, 1)) << 8)
                        | (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 7, 1)) << 4)
                        | (instr('123456789ABCDEF', substr(digits, (s + 1) / 65 * 128 + (s + 1) % 65 * 8 + 8, 1)))
                    ELSE (((((((p1 >> 17) | ((p1 << 15) & 4294967295)) | ((p1 >> 19) | ((p1 << 13) & 4294967295))) - (((p1 >> 17) | ((p1 << 15) & 4294967295)) & ((p1 >> 19) | ((p1 << 13) & 4294967295)))) | (p1 >> 10)) - (((((p1 >> 17) | ((p1 << 15) & 4294967295)) | ((p1 >> 19) | ((p1 << 13) & 4294967295))) - (((p1 >> 17) | ((p1 << 15) & 4294967295)) & ((p1 >> 19) | ((p1 << 13) & 4294967295)))) & (p1 >> 10))) + p6
                        + ((((((p14 >> 7) | ((p14 << 25) & 4294967295)) | ((p14 >> 18) | ((p14 << 14) & 4294967295))) - (((p14 >> 7) | ((p14 << 25) & 4294967295)) & ((p14 >> 18) | ((p14 << 14) & 4294967295)))) | (p14 >> 3)) - (((((p14 >> 7) | ((p14 << 25) & 4294967295)) | ((p14 >> 18) | ((p14 << 14) & 4294967295))) - (((p14 >> 7) | ((p14 << 25) & 4294967295)) & ((p14 >> 18) | ((p14 << 14) & 4294967295)))) & (p14 >> 3))) + p15) & 4294967295 END,
                    (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 1, 1)) << 28)
                    | (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 2, 1)) << 24)
                    | (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 3, 1)) << 20)
                    | (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 4, 1)) << 16)
                    | (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 5, 1)) << 12)
                    | (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 6, 1)) << 8)
                    | (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 7, 1)) << 4)
                    | (instr('123456789ABCDEF', substr(constants, (s + 1) % 65 * 8 + 8, 1))),
                    w, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11, p12, p13, p14,
                    CASE s % 65 WHEN 64 THEN (h0 + a) & 4294967295 ELSE
                        (h + ((((((e >> 6) | ((e << 26) & 4294967295)) | ((e >> 11) | ((e << 21) & 4294967295))) - (((e >> 6) | ((e << 26) & 4294967295)) & ((e >> 11) | ((e << 21) & 4294967295)))) | ((e >> 25) | ((e << 7) & 4294967295))) - (((((e >> 6) | ((e << 26) & 4294967295)) | ((e >> 11) | ((e << 21) & 4294967295))) - (((e >> 6) | ((e << 26) & 4294967295)) & ((e >> 11) | ((e << 21) & 4294967295)))) & ((e >> 25) | ((e << 7) & 4294967295)))) + ((e & f) | (~e & g)) + k + w
                         + ((((((a >> 2) | ((a << 30) & 4294967295)) | ((a >> 13) | ((a << 19) & 4294967295))) - (((a >> 2) | ((a << 30) & 4294967295)) & ((a >> 13) | ((a << 19) & 4294967295)))) | ((a >> 22) | ((a << 10) & 4294967295))) - (((((a >> 2) | ((a << 30) & 4294967295)) | ((a >> 13) | ((a << 19) & 4294967295))) - (((a >> 2) | ((a << 30) & 4294967295)) & ((a >> 13) | ((a << 19) & 4294967295)))) & ((a >> 22) | ((a << 10) & 4294967295)))) + ((a & b) | (a & c) | (b & c))) & 4294967295 END,
                    CASE s % 65 WHEN 64 THEN (h1 + b) & 4294967295 ELSE a END,
                    CASE s % 65 WHEN 64 THEN (h2 + c) & 4294967295 ELSE b END,
                    CASE s % 65 WHEN 64 THEN (h3 + d) & 4294967295 ELSE c END,
                    CASE s % 65 WHEN 64 THEN (h4 + e) & 4294967295 ELSE
                        (d + h + ((((((e >> 6) | ((e << 26) & 4294967295)) | ((e >> 11) | ((e << 21) & 4294967295))) - (((e >> 6) | ((e << 26) & 4294967295)) & ((e >> 11) | ((e << 21) & 4294967295)))) | ((e >> 25) | ((e << 7) & 4294967295))) - (((((e >> 6) | ((e << 26) & 4294967295)) | ((e >> 11) | ((e << 21) & 4294967295))) - (((e >> 6) | ((e << 26) & 4294967295)) & ((e >> 11) | ((e << 21) & 4294967295)))) & ((e >> 25) | ((e << 7) & 4294967295)))) + ((e & f) | (~e & g)) + k + w) & 4294967295 END,
                    CASE s % 65 WHEN 64 THEN (h5 + f) & 4294967295 ELSE e END,
                    CASE s % 65 WHEN 64 THEN (h6 + g) & 4294967295 ELSE f END,
                    CASE s % 65 WHEN 64 THEN (h7 + h) & 4294967295 ELSE g END,
                    CASE s % 65 WHEN 64 THEN (h0 + a) & 4294967295 ELSE h0 END,
                    CASE s % 65 WHEN 64 THEN (h1 + b) & 4294967295 ELSE h1 END,
                    CASE s % 65 WHEN 64 THEN (h2 + c) & 4294967295 ELSE h2 END,
                    CASE s % 65 WHEN 64 THEN (h3 + d) & 4294967295 ELSE h3 END,
                    CASE s % 65 WHEN 64 THEN (h4 + e) & 4294967295 ELSE h4 END,
                    CASE s % 65 WHEN 64 THEN (h5 + f) & 4294967295 ELSE h5 END,
                    CASE s % 65 WHEN 64 THEN (h6 + g) & 4294967295 ELSE h6 END,
                    CASE s % 65 WHEN 64 THEN (h7 + h) & 4294967295 ELSE h7 END
                FROM turn, message
                WHERE s < steps
            )
            SELECT printf('%08x%08x%08x%08x%08x%08x%08x%08x', h0, h1, h2, h3, h4, h5, h6, h7)
            FROM turn, message
            WHERE s = steps),
    CAST({uid} AS text), {created_at_utc}, {location}, FALSE, 'pending_at_seed', 0,
    strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'
FROM {files}
WHERE {created_at_utc} <= (SELECT archived_until FROM des_archive_config WHERE id = 1)
  AND {archived} IS NOT 1
ON CONFLICT (uid_sha256, created_at) DO UPDATE SET
    location = excluded.location, archived = excluded.archived, reason = excluded.reason,
    last_error = NULL, last_seen = excluded.last_seen, next_attempt = NULL,
    resolved_at = NULL, resolution = NULL;

-- step: remember_seed
-- purpose: where the watermark began, and of which table: below, the column archived stays right
-- lock: the database, for a moment
-- group: seed
INSERT INTO des_archive_job
    (name, state, cursor_created_at, cursor_uid, rows_done, rows_total, started_at, updated_at, details)
SELECT 'seed', 'done', archived_until, NULL, (SELECT COUNT(*) FROM des_archive_exception WHERE resolved_at IS NULL), NULL, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', strftime('%Y-%m-%d %H:%M:%f', 'now') || '000', :details
FROM des_archive_config
WHERE id = 1
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, cursor_created_at = excluded.cursor_created_at,
    rows_done = excluded.rows_done, updated_at = excluded.updated_at, details = excluded.details;

-- step: adopt_set_aside
-- purpose: a table made by hand, set aside within the transaction
-- lock: the database, for a moment
-- only: program
ALTER TABLE des_archive_config RENAME TO des_archive_config_by_hand;

-- step: adopt_drop_old
-- purpose: a table made by hand, copied by now
-- lock: the database, for a moment
-- only: program
DROP TABLE des_archive_config_by_hand;
