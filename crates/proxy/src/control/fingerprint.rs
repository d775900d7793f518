//! Whether definitions, privileges or settings have changed, without reading them all.
//!
//! One row per catalog: its name, how many rows count, and a sum of hashes. A row hashes its
//! identity and its `xmin`, which is new whenever the row is. Left out is what changes without
//! meaning, so that ordinary work does not look like a change of definitions:
//!
//! - temporary objects, which come and go with sessions;
//! - of `pg_class` all that maintenance, TRUNCATE and REFRESH write: storage, statistics, freezing;
//! - what came with `initdb`, where only its privileges could change: relations and columns.
//!
//! Passwords do not count: `pg_roles` hides them, and they decide logins, which the server judges.
//! Roles other than superusers cannot read `pg_authid`, nor settings meant for superusers.

/// The statement. Three columns: catalog, count, sum.
pub(super) const FINGERPRINT: &str = "
WITH lasting AS (
    SELECT oid FROM pg_catalog.pg_class
    WHERE oid >= 16384 AND relpersistence <> 't' AND relkind NOT IN ('i', 'I', 't')
), schemas AS (
    SELECT oid FROM pg_catalog.pg_namespace
    WHERE nspname NOT LIKE 'pg\\_temp\\_%' AND nspname NOT LIKE 'pg\\_toast\\_temp\\_%'
), rows(catalog, content) AS (
    SELECT 'class', ROW(oid, relname, relnamespace, relkind, relowner, reltype, reloftype,
        relpersistence, relhasrules, relrowsecurity, relforcerowsecurity, relispartition,
        relpartbound, relacl, reloptions)::text
    FROM pg_catalog.pg_class NATURAL JOIN lasting
UNION ALL SELECT 'attribute', ROW(attrelid, attnum, a.xmin)::text
    FROM pg_catalog.pg_attribute a JOIN lasting l ON l.oid = attrelid
UNION ALL SELECT 'attrdef', ROW(d.oid, d.xmin)::text
    FROM pg_catalog.pg_attrdef d JOIN lasting l ON l.oid = adrelid
UNION ALL SELECT 'inherits', ROW(inhrelid, inhparent, i.xmin)::text
    FROM pg_catalog.pg_inherits i JOIN lasting l ON l.oid = inhrelid
UNION ALL SELECT 'trigger', ROW(t.oid, t.xmin)::text
    FROM pg_catalog.pg_trigger t JOIN lasting l ON l.oid = tgrelid
UNION ALL SELECT 'rewrite', ROW(r.oid, r.xmin)::text
    FROM pg_catalog.pg_rewrite r JOIN lasting l ON l.oid = ev_class
UNION ALL SELECT 'policy', ROW(p.oid, p.xmin)::text
    FROM pg_catalog.pg_policy p JOIN lasting l ON l.oid = polrelid
UNION ALL SELECT 'constraint', ROW(c.oid, c.xmin)::text
    FROM pg_catalog.pg_constraint c JOIN schemas s ON s.oid = connamespace
UNION ALL SELECT 'index', ROW(indexrelid, indrelid, indkey, indclass, indcollation, indisvalid,
        indimmediate)::text
    FROM pg_catalog.pg_index i JOIN lasting l ON l.oid = indrelid WHERE indisunique
UNION ALL SELECT 'namespace', ROW(n.oid, n.xmin)::text
    FROM pg_catalog.pg_namespace n NATURAL JOIN schemas
UNION ALL SELECT 'type', ROW(t.oid, t.xmin)::text
    FROM pg_catalog.pg_type t JOIN schemas s ON s.oid = typnamespace
UNION ALL SELECT 'proc', ROW(oid, xmin)::text FROM pg_catalog.pg_proc
UNION ALL SELECT 'aggregate', ROW(aggfnoid::oid, xmin)::text FROM pg_catalog.pg_aggregate
UNION ALL SELECT 'operator', ROW(oid, xmin)::text FROM pg_catalog.pg_operator
UNION ALL SELECT 'opclass', ROW(oid, xmin)::text FROM pg_catalog.pg_opclass
UNION ALL SELECT 'amop', ROW(oid, xmin)::text FROM pg_catalog.pg_amop
UNION ALL SELECT 'amproc', ROW(oid, xmin)::text FROM pg_catalog.pg_amproc
UNION ALL SELECT 'cast', ROW(oid, xmin)::text FROM pg_catalog.pg_cast
UNION ALL SELECT 'enum', ROW(oid, xmin)::text FROM pg_catalog.pg_enum
UNION ALL SELECT 'range', ROW(rngtypid, xmin)::text FROM pg_catalog.pg_range
UNION ALL SELECT 'collation', ROW(oid, xmin)::text FROM pg_catalog.pg_collation
UNION ALL SELECT 'language', ROW(oid, xmin)::text FROM pg_catalog.pg_language
UNION ALL SELECT 'extension', ROW(oid, xmin)::text FROM pg_catalog.pg_extension
UNION ALL SELECT 'event_trigger', ROW(oid, xmin)::text FROM pg_catalog.pg_event_trigger
UNION ALL SELECT 'foreign_server', ROW(oid, xmin)::text FROM pg_catalog.pg_foreign_server
UNION ALL SELECT 'foreign_table', ROW(ftrelid, xmin)::text FROM pg_catalog.pg_foreign_table
UNION ALL SELECT 'ts_config', ROW(oid, xmin)::text FROM pg_catalog.pg_ts_config
UNION ALL SELECT 'ts_config_map', ROW(mapcfg, maptokentype, mapseqno, xmin)::text
    FROM pg_catalog.pg_ts_config_map
UNION ALL SELECT 'ts_dict', ROW(oid, xmin)::text FROM pg_catalog.pg_ts_dict
UNION ALL SELECT 'database', ROW(oid, xmin)::text FROM pg_catalog.pg_database
    WHERE datname = pg_catalog.current_database()
UNION ALL SELECT 'roles', ROW(oid, rolname, rolsuper, rolinherit, rolbypassrls, rolcanlogin,
        rolvaliduntil)::text
    FROM pg_catalog.pg_roles
UNION ALL SELECT 'auth_members', ROW(roleid, member, grantor, xmin)::text
    FROM pg_catalog.pg_auth_members
UNION ALL SELECT 'db_role_setting', ROW(setdatabase, setrole, xmin)::text
    FROM pg_catalog.pg_db_role_setting
UNION ALL SELECT 'settings', ROW(name, reset_val)::text FROM pg_catalog.pg_settings
    WHERE context IN ('user', 'superuser')
)
SELECT catalog, pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(content, 0))
FROM rows GROUP BY catalog ORDER BY catalog";
