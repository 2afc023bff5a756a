-- purpose: append to the audit trail; two events cannot follow the same one
-- index: primary key, unique (prev_hash)
-- touches: des_archive_event
INSERT INTO des_archive_event
    (at, actor, action, from_value, to_value, reason, details, prev_hash, hash)
VALUES
    (:at, :actor, :action, :from_value, :to_value, :reason, :details, :prev_hash, :hash);
