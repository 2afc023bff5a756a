-- purpose: the settings that decide whether a commit survives a power cut
-- index: none: system views
-- touches: system views
SELECT 'synchronous' AS name, synchronous AS setting
FROM pragma_synchronous;
