-- purpose: encoding and locale of this database; ICU and built-in ones have columns of their own by version
-- index: none
-- touches: system views
SELECT pg_encoding_to_char(encoding) AS encoding,
       datcollate AS collation_name,
       datctype AS ctype,
       to_jsonb(d) ->> 'datlocprovider' AS provider,
       COALESCE(to_jsonb(d) ->> 'daticulocale', to_jsonb(d) ->> 'datlocale') AS provider_locale
FROM pg_database AS d
WHERE datname = current_database();
