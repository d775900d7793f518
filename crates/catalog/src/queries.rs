//! The statements that fill a [`crate::Snapshot`], and what the columns of their rows mean.
//!
//! The shell opens a transaction with [`BEGIN`], runs each of [`QUERIES`] and hands every row to
//! [`crate::Builder::push`]; values come in text format. They work for any role from PostgreSQL 15
//! on: nothing here asks for a privilege that PUBLIC does not have after `initdb`.
//!
//! Objects below OID 16384 came with `initdb`. Their relations are listed without columns, their
//! functions without bodies: both are known by name. Functions and types are by far the most of all
//! rows, and next to never change: those that came with `initdb` are asked for apart from the others,
//! so that they can be left out while they are known to be the same.

mod kind;

pub use self::kind::Kind;
use crate::kept::KEPT;

/// One statement, and what its rows describe.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// What its rows describe.
    pub kind: Kind,
    /// Its text: one statement without parameters.
    pub text: &'static str,
    /// Whether its rows are of functions and types that came with `initdb`, and may be left out if
    /// these are known; see [`crate::Builder::initdb`].
    pub initdb: bool,
}

impl Query {
    const fn new(kind: Kind, text: &'static str) -> Self {
        Self {
            kind,
            text,
            initdb: false,
        }
    }

    const fn initdb(kind: Kind, text: &'static str) -> Self {
        Self {
            kind,
            text,
            initdb: true,
        }
    }
}

/// Opens the transaction in which [`QUERIES`] see one moment.
///
/// The settings decide how `pg_get_viewdef` and its kin print: names qualified, backslashes plain.
/// These functions lock the tables they print, so a transaction that holds ACCESS EXCLUSIVE blocks
/// them: better no snapshot for now than a control connection that hangs. They also look past the
/// transaction's moment: where a definition has changed meanwhile they print the new one, and where
/// it is gone they may fail, which a second attempt cures. Compiling the statements would cost more
/// than running them.
pub const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
    SET LOCAL search_path = ''; SET LOCAL jit = off; SET LOCAL quote_all_identifiers = off; \
    SET LOCAL standard_conforming_strings = on; \
    SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '30s'; \
    SET LOCAL idle_in_transaction_session_timeout = '60s'";

/// One row that says which cluster, database and incarnation this is; see [`crate::Identity`].
///
/// A server that has crashed begins its statistics anew, whether or not its postmaster lives on.
pub const IDENTITY: &str = "\
SELECT s.system_identifier, d.oid, current_setting('server_version_num'),
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    c.timeline_id, pg_is_in_recovery(), (extract(epoch FROM a.stats_reset) * 1000000)::bigint
FROM pg_control_system() s, pg_control_checkpoint() c, pg_stat_get_archiver() a, pg_database d
WHERE d.datname = current_database()";

/// The same row for servers that forbid reading the control file (SQLSTATE 42501): system
/// identifier and timeline are NULL.
pub const IDENTITY_FALLBACK: &str = "\
SELECT NULL, d.oid, current_setting('server_version_num'),
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
    NULL, pg_is_in_recovery(), (extract(epoch FROM a.stats_reset) * 1000000)::bigint
FROM pg_stat_get_archiver() a, pg_database d
WHERE d.datname = current_database()";

/// All statements, in an order in which none depends on another.
///
/// Rows come in an order that does not hang on where they are stored: what is equal compares equal.
pub const QUERIES: &[Query] = &[
    Query::new(Kind::Server, "SELECT current_setting('server_version_num')"),
    Query::new(Kind::Schemas, SCHEMAS),
    Query::new(
        Kind::Roles,
        "SELECT oid, rolname, rolsuper, rolbypassrls FROM pg_roles ORDER BY oid",
    ),
    Query::new(Kind::Memberships, MEMBERSHIPS),
    Query::new(Kind::Relations, RELATIONS),
    Query::new(Kind::Columns, COLUMNS),
    Query::initdb(Kind::Types, TYPES_INITDB),
    Query::new(Kind::Types, TYPES),
    Query::new(
        Kind::Inherits,
        "SELECT inhrelid, inhparent FROM pg_inherits ORDER BY inhrelid, inhparent",
    ),
    Query::new(Kind::Definitions, DEFINITIONS),
    Query::new(Kind::Keys, KEYS),
    Query::new(Kind::Constraints, CONSTRAINTS),
    Query::new(Kind::Policies, POLICIES),
    Query::new(Kind::Triggers, TRIGGERS),
    Query::new(Kind::Rules, RULES),
    Query::initdb(Kind::Functions, FUNCTIONS_INITDB),
    Query::new(Kind::Functions, FUNCTIONS),
    Query::new(Kind::Support, SUPPORT),
    Query::new(Kind::Operators, OPERATORS),
    Query::new(Kind::Casts, CASTS),
    Query::new(Kind::Depends, DEPENDS),
    Query::new(Kind::Uses, USES),
    Query::new(Kind::Kept, KEPT),
    Query::new(Kind::Implicit, IMPLICIT),
    Query::new(Kind::Methods, METHODS),
    Query::new(Kind::TextSearch, TEXT_SEARCH),
    Query::new(Kind::Collations, COLLATIONS),
    Query::new(Kind::EventTriggers, EVENT_TRIGGERS),
    Query::new(Kind::Databases, "SELECT oid FROM pg_database ORDER BY oid"),
];

const SCHEMAS: &str = "\
SELECT n.oid, n.nspname,
    (SELECT string_agg(DISTINCT a.grantee::text, ' ')
     FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
     WHERE a.privilege_type = 'USAGE')
FROM pg_namespace n
ORDER BY n.oid";

// `inherit_option` came with PostgreSQL 16; before, the member's own attribute decided. The owner
// of the database is a member of `pg_database_owner` without a row that says so.
const MEMBERSHIPS: &str = "\
SELECT m.member, m.roleid
FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
WHERE coalesce((to_jsonb(m) ->> 'inherit_option')::bool, r.rolinherit)
UNION
SELECT d.datdba, r.oid
FROM pg_database d, pg_roles r
WHERE d.datname = current_database() AND r.rolname = 'pg_database_owner'
ORDER BY 1, 2";

// Indexes are among them where another relation has their name, so that it is known which of the two
// a search path leads to: nothing can be read from an index.
const RELATIONS: &str = "\
SELECT c.oid, c.relnamespace, c.relname, c.relkind, c.relowner,
    CASE WHEN NOT c.relrowsecurity THEN '-' WHEN c.relforcerowsecurity THEN 'f' ELSE 'o' END,
    c.relpersistence,
    c.relkind = 'v' AND EXISTS (
        SELECT FROM pg_options_to_table(c.reloptions) o
        WHERE o.option_name = 'security_invoker' AND o.option_value::bool),
    c.reltype, coalesce(t.typarray, 0), c.relnatts, e.extname
FROM pg_class c
LEFT JOIN pg_type t ON t.oid = c.reltype
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.objsubid = 0 AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
    OR c.relpersistence <> 't' AND c.relname IN (
        SELECT relname FROM pg_class
        WHERE relpersistence <> 't' AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c'))";

const COLUMNS: &str = "\
SELECT a.attrelid, a.attname, a.atttypid
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum";

// `char` is no string to the server, but is cast to other types as one.
macro_rules! types {
    ($which:literal) => {
        concat!(
            "\
SELECT t.oid, t.typnamespace, t.typname, t.typtype,
    coalesce(nullif(t.typbasetype, 0), r.rngsubtype, CASE WHEN t.typcategory = 'A' THEN t.typelem END, 0),
    t.typcategory = 'S' OR t.oid = '\"char\"'::regtype, p.provolatile = 'i',
    CASE WHEN t.typtype = 'e' THEN (SELECT bit_xor(hash_record_extended(l, 0))
        FROM (SELECT oid, enumlabel FROM pg_enum WHERE enumtypid = t.oid) l) END
FROM pg_type t
JOIN pg_proc p ON p.oid = t.typinput
LEFT JOIN pg_range r ON r.rngtypid = t.oid OR r.rngmultitypid = t.oid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE t.typtype IN ('b', 'e', 'd', 'r', 'm') AND e.typtype IS DISTINCT FROM 'c' AND ",
            $which
        )
    };
}

const TYPES: &str = types!("t.oid >= 16384");

const TYPES_INITDB: &str = types!("t.oid < 16384");

const DEFINITIONS: &str = "\
SELECT c.oid, pg_get_viewdef(c.oid)
FROM pg_class c
WHERE c.oid >= 16384 AND c.relkind IN ('v', 'm')";

// The primary key of a table, or else its oldest unique constraint, if its columns are stored as
// they were written, of types whose values have one form each, and compared byte by byte. Unique
// indexes without a constraint do not count. An operator class of the user's may take different
// values for equal, and so may ON CONFLICT by an index of it.
const KEYS: &str = "\
SELECT DISTINCT ON (c.conrelid) c.conrelid, (
    SELECT string_agg(a.attname, chr(31) ORDER BY k.n)
    FROM unnest(c.conkey) WITH ORDINALITY k(number, n)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number)
FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_index i ON i.indexrelid = c.conindid
WHERE c.contype IN ('p', 'u') AND NOT c.condeferrable AND t.oid >= 16384 AND t.relkind = 'r'
    AND i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisexclusion
    AND NOT EXISTS (
        SELECT FROM unnest(c.conkey) k(number)
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE a.attgenerated <> '' OR a.atttypid NOT IN (20, 21, 23, 25, 1043, 2950)
            OR NOT coalesce(l.collisdeterministic, true))
    AND NOT EXISTS (
        SELECT FROM pg_index x, unnest(x.indclass::oid[]) o(class)
        WHERE x.indrelid = c.conrelid AND x.indisunique AND o.class >= 16384)
ORDER BY c.conrelid, c.contype, c.oid";

const CONSTRAINTS: &str = "\
SELECT conrelid, confrelid, confupdtype, confdeltype, (
    SELECT string_agg(a.attname, chr(31) ORDER BY a.attnum)
    FROM pg_attribute a
    WHERE a.attrelid = confrelid AND a.attnum = ANY (confkey)
    HAVING bool_and(a.attgenerated = ''))
FROM pg_constraint
WHERE contype = 'f'
ORDER BY oid";

const POLICIES: &str = "\
SELECT p.polrelid, pg_get_expr(p.polqual, p.polrelid),
    (SELECT string_agg(DISTINCT d.refobjid::text, ' ')
     FROM pg_depend d
     WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> p.polrelid)
FROM pg_policy p
WHERE p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL
ORDER BY p.oid";

const TRIGGERS: &str = "\
SELECT tgrelid, tgfoid::oid, tgtype
FROM pg_trigger
WHERE NOT tgisinternal
ORDER BY oid";

const RULES: &str = "\
SELECT ev_class, pg_get_ruledef(oid)
FROM pg_rewrite
WHERE oid >= 16384 AND rulename <> '_RETURN'
ORDER BY oid";

macro_rules! functions {
    ($which:literal) => {
        concat!(
            "\
SELECT p.oid, p.pronamespace, p.proname, p.prokind, p.pronargs, p.pronargdefaults,
    p.provariadic <> 0, p.proargtypes, p.prorettype, p.provolatile, l.lanname, p.prosecdef,
    CASE WHEN p.oid < 16384 OR l.lanname NOT IN ('sql', 'plpgsql') THEN NULL
        WHEN p.prosqlbody IS NOT NULL THEN pg_get_function_sqlbody(p.oid)
        ELSE p.prosrc END,
    array_to_string(p.proconfig, chr(31)), e.extname,
    coalesce(array_to_string(p.proallargtypes, ' '), '')
FROM pg_proc p
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid
WHERE ",
            $which
        )
    };
}

const FUNCTIONS: &str = functions!("p.oid >= 16384");

const FUNCTIONS_INITDB: &str = functions!("p.oid < 16384");

// The parts of aggregates, and what functions depend on: defaults of their arguments are run by
// whoever calls them. The planner's support functions are not.
const SUPPORT: &str = concat!(
    "WITH ",
    called_in!(
        "SELECT 0 AS classid, oid AS objid, proargdefaults::text AS tree FROM pg_proc \
         WHERE oid >= 16384 AND proargdefaults IS NOT NULL"
    ),
    "
SELECT aggfnoid::oid, concat_ws(' ', aggtransfn::oid, aggfinalfn::oid, aggcombinefn::oid,
    aggserialfn::oid, aggdeserialfn::oid, aggmtransfn::oid, aggminvtransfn::oid, aggmfinalfn::oid)
FROM pg_aggregate
WHERE aggfnoid::oid >= 16384
UNION ALL
SELECT p.oid, string_agg(function::text, ' ' ORDER BY function)
FROM pg_proc p JOIN (
    SELECT objid, refobjid AS function
    FROM pg_depend
    WHERE classid = 'pg_proc'::regclass AND refclassid = 'pg_proc'::regclass AND refobjid >= 16384
    UNION SELECT objid, function FROM called_in) c ON c.objid = p.oid
WHERE p.oid >= 16384 AND p.prokind <> 'a' AND function <> p.prosupport::oid
GROUP BY p.oid
ORDER BY 1, 2"
);

const OPERATORS: &str = "\
SELECT oprname, oprnamespace, oprcode::oid, oprleft, oprright
FROM pg_operator
WHERE oid >= 16384 AND oprcode::oid <> 0
ORDER BY oid";

// One that the server applies by itself may go through text, or leave values as they are. A range
// type comes with a cast to its multirange, which is the server's own code and cannot be another.
const CASTS: &str = "\
SELECT castsource, casttarget, castfunc, castmethod = 'b', castcontext = 'i'
FROM pg_cast
WHERE oid >= 16384 AND (castfunc <> 0 OR castcontext = 'i')
    AND NOT EXISTS (
        SELECT FROM pg_range r WHERE r.rngtypid = castsource AND r.rngmultitypid = casttarget)
ORDER BY castsource, casttarget";

// What views are made of, and what the policies of tables read, be it to check what is written.
const DEPENDS: &str = "\
SELECT r.ev_class, d.refobjid
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    AND r.rulename = '_RETURN' AND d.refobjid <> r.ev_class
UNION
SELECT p.polrelid, d.refobjid
FROM pg_depend d JOIN pg_policy p ON p.oid = d.objid
WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid <> p.polrelid
ORDER BY 1, 2";

// What depends on a function, itself or through an operator. A trigger's own function is not
// listed again: when it runs depends on the event. A domain's default is one of the columns of its
// type. The OIDs of two catalogs may be equal, so every branch names its class.
const USES: &str = concat!(
    "WITH ",
    called_in!(
        "SELECT 'pg_attrdef'::regclass AS classid, oid AS objid, adbin::text AS tree FROM pg_attrdef
    UNION ALL SELECT 'pg_constraint'::regclass, oid, conbin::text FROM pg_constraint WHERE conrelid <> 0
    UNION ALL SELECT 'pg_trigger'::regclass, oid, tgqual::text FROM pg_trigger
    UNION ALL SELECT 'pg_policy'::regclass, oid, polqual::text FROM pg_policy
    UNION ALL SELECT 'pg_policy'::regclass, oid, polwithcheck::text FROM pg_policy
    UNION ALL SELECT 'pg_type'::regclass, oid, typdefaultbin::text FROM pg_type"
    ),
    ", called AS (
    SELECT classid, objid, refobjid AS function
    FROM pg_depend
    WHERE refclassid = 'pg_proc'::regclass AND refobjid >= 16384 AND deptype <> 'e'
    UNION
    SELECT d.classid, d.objid, o.oprcode::oid
    FROM pg_depend d JOIN pg_operator o ON o.oid = d.refobjid
    WHERE d.refclassid = 'pg_operator'::regclass AND o.oid >= 16384 AND d.deptype <> 'e'
    UNION
    SELECT classid, objid, function FROM called_in
)
SELECT x.adrelid, function, 'w' FROM called JOIN pg_attrdef x ON x.oid = objid
WHERE classid = 'pg_attrdef'::regclass
UNION
SELECT x.attrelid, function, 'w'
FROM called JOIN pg_type t ON t.oid = objid JOIN pg_attribute x ON x.atttypid = t.oid
WHERE classid = 'pg_type'::regclass AND t.typtype = 'd' AND NOT x.attisdropped
UNION
SELECT x.conrelid, function, 'w' FROM called JOIN pg_constraint x ON x.oid = objid
WHERE classid = 'pg_constraint'::regclass AND x.conrelid <> 0
UNION
SELECT coalesce(i.indrelid, objid), function, 'w'
FROM called LEFT JOIN pg_index i ON i.indexrelid = objid
WHERE classid = 'pg_class'::regclass
UNION
SELECT x.tgrelid, function, 'w' FROM called JOIN pg_trigger x ON x.oid = objid
WHERE classid = 'pg_trigger'::regclass AND x.tgfoid <> function
UNION
SELECT x.polrelid, function, 'r' FROM called JOIN pg_policy x ON x.oid = objid
WHERE classid = 'pg_policy'::regclass
UNION
SELECT x.ev_class, function, CASE x.rulename WHEN '_RETURN' THEN 'r' ELSE 'w' END
FROM called JOIN pg_rewrite x ON x.oid = objid
WHERE classid = 'pg_rewrite'::regclass
ORDER BY 1, 2, 3"
);

// Casts, operators (`LIKE`, `IN` and `BETWEEN` call some without naming them), checks of domains,
// operator classes (DISTINCT calls the equality of the default one), range types. Those in C come with
// a type and do what it needs, but for checks, which users write.
const IMPLICIT: &str = concat!(
    "WITH ",
    called_in!(
        "SELECT 'pg_constraint'::regclass AS classid, oid AS objid, conbin::text AS tree \
         FROM pg_constraint WHERE contypid <> 0"
    ),
    ", called AS (
    SELECT classid, objid, refobjid AS function
    FROM pg_depend
    WHERE refclassid = 'pg_proc'::regclass AND refobjid >= 16384
    UNION
    SELECT d.classid, d.objid, o.oprcode::oid
    FROM pg_depend d JOIN pg_operator o ON o.oid = d.refobjid
    WHERE d.refclassid = 'pg_operator'::regclass AND o.oid >= 16384
    UNION
    SELECT classid, objid, function FROM called_in
), run AS (
    SELECT castfunc AS function, 0::oid AS kind, false AS written FROM pg_cast
    UNION SELECT oprcode::oid, 0, false FROM pg_operator
    UNION SELECT amproc::oid, amproclefttype, false FROM pg_amproc
    UNION SELECT o.oprcode::oid, c.opcintype, false
        FROM pg_opclass c
        JOIN pg_amop m ON m.amopfamily = c.opcfamily
            AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
        JOIN pg_operator o ON o.oid = m.amopopr
        WHERE c.opcdefault
    UNION SELECT rngsubdiff::oid, rngtypid, false FROM pg_range
    UNION SELECT function, objid, false FROM called JOIN pg_type x ON x.oid = objid
        WHERE classid = 'pg_type'::regclass AND x.typtype <> 'd'
    UNION SELECT function, x.contypid, true FROM called JOIN pg_constraint x ON x.oid = objid
        WHERE classid = 'pg_constraint'::regclass AND x.contypid <> 0
)
SELECT DISTINCT p.oid, run.kind
FROM run JOIN pg_proc p ON p.oid = function JOIN pg_language l ON l.oid = p.prolang
WHERE written OR (p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal'))
    OR p.oid IN (SELECT oid FROM acting)
ORDER BY 1, 2"
);

const METHODS: &str = "\
SELECT e.extname
FROM pg_am a
LEFT JOIN pg_depend d ON d.classid = 'pg_am'::regclass AND d.objid = a.oid AND d.deptype = 'e'
LEFT JOIN pg_extension e ON e.oid = d.refobjid
WHERE a.oid >= 16384
ORDER BY a.oid";

const TEXT_SEARCH: &str = "\
SELECT sum(hashint8extended(n, 0)) FROM (
    SELECT hash_record_extended(c, 0)
    FROM (SELECT oid, cfgname, cfgnamespace, cfgparser FROM pg_ts_config) c
    UNION ALL SELECT hash_record_extended(d, 0)
    FROM (SELECT oid, dictname, dictnamespace, dicttemplate, dictinitoption FROM pg_ts_dict) d
    UNION ALL SELECT hash_record_extended(m, 0)
    FROM (SELECT mapcfg, maptokentype, mapseqno, mapdict FROM pg_ts_config_map) m) all_of_them(n)";

// Those of users, and others of their names.
const COLLATIONS: &str = "\
SELECT oid, collnamespace, collname
FROM pg_collation
WHERE collname IN (SELECT collname FROM pg_collation WHERE oid >= 16384)
ORDER BY oid";

const EVENT_TRIGGERS: &str = "\
SELECT evtname, evtevent = 'login'
FROM pg_event_trigger
WHERE evtenabled <> 'D'
ORDER BY evtname";
