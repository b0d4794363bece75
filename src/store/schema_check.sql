-- The objects in the first schema of the search path, except those of extensions: the kind and name
-- of each, and its complete definition.
WITH here AS (
    SELECT oid FROM pg_namespace WHERE nspname = current_schema()
), relations AS (
    SELECT c.* FROM pg_class c WHERE c.relnamespace = (SELECT oid FROM here)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'
            AND d.classid = 'pg_class'::regclass AND d.objid = c.oid)
)
SELECT CASE relkind WHEN 'r' THEN 'table ' WHEN 'i' THEN 'index ' WHEN 'S' THEN 'sequence '
            WHEN 'v' THEN 'view ' ELSE 'relation ' END || relname AS name,
       concat_ws(' ', relkind, relpersistence, relrowsecurity, relforcerowsecurity, relispartition,
           (SELECT string_agg(i.inhparent::regclass::text, ' ') FROM pg_inherits i WHERE i.inhrelid = oid),
           CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid, true) END,
           CASE WHEN relkind IN ('i', 'I') THEN
               -- Named with its schema where the search path does not find it.
               replace(pg_get_indexdef(oid, 0, true), COALESCE((
                   SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'
               ), '') || '.gin_trgm_ops', 'gin_trgm_ops') END) AS definition
    FROM relations
UNION ALL
SELECT 'column ' || c.relname || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
           (SELECT collname FROM pg_collation l WHERE l.oid = a.attcollation),
           pg_get_expr(d.adbin, d.adrelid, true))
    FROM relations c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relkind NOT IN ('i', 'I', 'S')
UNION ALL
SELECT 'constraint ' || c.relname || '.' || o.conname,
       concat_ws(' ', pg_get_constraintdef(o.oid, true), o.convalidated)
    FROM relations c JOIN pg_constraint o ON o.conrelid = c.oid
UNION ALL
SELECT 'trigger ' || c.relname || '.' || t.tgname,
       concat_ws(' ', pg_get_triggerdef(t.oid, true), t.tgenabled)
    FROM relations c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal
UNION ALL
-- The triggers of foreign keys, whose names are numbers.
SELECT 'foreign keys of ' || c.relname,
       string_agg(concat_ws(' ', t.tgtype, t.tgenabled, t.tgfoid::regproc), ' ' ORDER BY t.tgtype, t.tgfoid)
    FROM relations c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE t.tgisinternal GROUP BY c.relname
UNION ALL
SELECT 'rule ' || c.relname || '.' || r.rulename, concat_ws(' ', pg_get_ruledef(r.oid, true), r.ev_enabled)
    FROM relations c JOIN pg_rewrite r ON r.ev_class = c.oid WHERE r.rulename <> '_RETURN'
UNION ALL
SELECT 'policy ' || c.relname || '.' || p.polname,
       concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid, true),
           pg_get_expr(p.polwithcheck, p.polrelid, true))
    FROM relations c JOIN pg_policy p ON p.polrelid = c.oid
UNION ALL
SELECT 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
       -- Tokenhouse's functions have their own schema as search path.
       concat_ws(' ', p.prokind, p.prosecdef, p.provolatile,
           replace(p.proconfig::text, 'search_path=' || quote_ident(current_schema()), 'search_path='),
           has_function_privilege('public', p.oid, 'EXECUTE'), p.proleakproof,
           p.prorettype::regtype, l.lanname, p.prosrc, p.probin)
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = (SELECT oid FROM here)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'
            AND d.classid = 'pg_proc'::regclass AND d.objid = p.oid)
UNION ALL
-- An operator for exactly the types of a comparison takes precedence over the system's.
SELECT 'operator ' || o.oprname || '(' || o.oprleft::regtype || ',' || o.oprright::regtype || ')',
       o.oprcode::text
    FROM pg_operator o WHERE o.oprnamespace = (SELECT oid FROM here)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.deptype = 'e'
            AND d.classid = 'pg_operator'::regclass AND d.objid = o.oid)
