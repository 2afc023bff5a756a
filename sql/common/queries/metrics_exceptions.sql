-- purpose: open exceptions by reason, counted up to a limit
-- index: open exceptions by created_at
-- touches: des_archive_exception (no more rows than the limit)
SELECT reason, COUNT(*) AS files
FROM (
    SELECT reason
    FROM des_archive_exception
    WHERE resolved_at IS NULL
    LIMIT :row_limit
) AS counted
GROUP BY reason
ORDER BY reason;
