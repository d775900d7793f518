//! Whether definitions, privileges or settings have changed, without reading them all.
//!
//! One row per catalog: its name, how many rows count, and a sum of hashes. A row hashes its
//! identity and its `xmin`, which is new whenever the row is. Left out is what changes without
//! meaning, so that ordinary work does not look like a change of definitions:
//!
//! - temporary objects, which come and go with sessions;
//! - of `pg_class` all that maintenance, TRUNCATE and REFRESH write: storage, statistics, freezing;
//! - of the relations that came with `initdb` privileges and columns: no reply that depends on them
//!   is kept.
//!
//! Passwords do not count: `pg_roles` hides them, and they decide logins, which the server judges.
//! Roles other than superusers cannot read `pg_authid`, nor settings meant for superusers.
//!
//! Everything of which [`catalog::queries::QUERIES`] make a snapshot, but for temporary objects, is
//! covered: while a fingerprint stays, so does the snapshot.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
};

use cache::DigestBuilder;
use store::Print;

use super::{ControlError, texts};
use tokio_postgres::SimpleQueryRow;

/// Changes whenever a definition, a privilege or a setting of a database does.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprint {
    sums: Box<[Sum]>,
    /// When this process of the server has read the configuration, in microseconds. It holds settings
    /// that no catalog shows. Each process reads it when it gets round to it, and a new one has the
    /// time of the postmaster, which is the first: only what is later tells of another reading.
    loaded: u64,
}

/// What stands for the rows of one catalog.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Sum {
    catalog: Box<str>,
    rows: u64,
    /// NULL if there are none.
    hashes: Option<Box<str>>,
}

impl Fingerprint {
    /// Reads the rows of [`statement`].
    pub(super) fn of(rows: &[SimpleQueryRow]) -> Result<Self, ControlError> {
        let sum = |row| {
            let mut texts = texts(row)?.into_iter();
            let mut text = || texts.next().flatten();
            let (catalog, rows) = (text(), text().and_then(|count| count.parse().ok()));
            let missing = || ControlError::Statement("no row of a fingerprint".to_owned());
            Ok(Sum {
                catalog: catalog.ok_or_else(missing)?.into(),
                rows: rows.ok_or_else(missing)?,
                hashes: text().map(Into::into),
            })
        };
        let mut sums = rows
            .iter()
            .map(sum)
            .collect::<Result<Vec<_>, ControlError>>()?;
        let loaded = sums.iter().position(|sum| &*sum.catalog == LOADED);
        let loaded = loaded.map_or(0, |place| sums.swap_remove(place).rows);
        // A union promises no order.
        sums.sort_unstable_by(|a, b| a.catalog.cmp(&b.catalog));
        Ok(Self {
            sums: sums.into(),
            loaded,
        })
    }

    /// Whether nothing has changed until `now`.
    pub(crate) fn holds(&self, now: &Self) -> bool {
        self.sums == now.sums && now.loaded <= self.loaded
    }

    /// The names of the catalogs in which two fingerprints differ, if replies may differ for it.
    pub(crate) fn differences(&self, other: &Self) -> String {
        let sums = self.sums.iter().zip(&other.sums);
        let names = sums.filter(|(a, b)| a != b && &*a.catalog != DATABASES);
        let names = names.map(|(sum, _)| &*sum.catalog);
        let loaded = (other.loaded > self.loaded).then_some(LOADED);
        names.chain(loaded).collect::<Vec<_>>().join(", ")
    }

    /// Whether functions and types that came with `initdb` are what they were in `other`: they, and
    /// what else the statements look at that list them.
    pub(super) fn has_initdb_of(&self, other: &Self) -> bool {
        let of = |print: &Self| -> Vec<Sum> {
            let sums = print.sums.iter();
            let listed = |sum: &&Sum| INITDB.contains(&&*sum.catalog);
            sums.filter(listed).cloned().collect()
        };
        let own = of(self);
        own.len() == INITDB.len() && own == of(other)
    }

    /// A digest over what code there is, and where names lead to code: changes whenever a function,
    /// operator, cast, view, rule or policy does, back to what it was before as well. Tables
    /// may come and go, and change their columns.
    pub(crate) fn code(&self) -> u64 {
        let mut digest = DefaultHasher::new();
        let sums = self.sums.iter();
        for sum in sums.filter(|sum| CODE.contains(&&*sum.catalog)) {
            (&sum.catalog, sum.rows, &sum.hashes).hash(&mut digest);
        }
        digest.finish()
    }

    /// What other instances have as well that read at the same moment.
    ///
    /// Without settings: a process of the server shows those that it began with, which may have been
    /// others when another was connected.
    pub(crate) fn print(&self) -> Print {
        let sums = self.sums.iter();
        let shared = |sum: &&Sum| ![DATABASES, SETTINGS].contains(&&*sum.catalog);
        let mut digest = DigestBuilder::default();
        for sum in sums.filter(shared) {
            let hashes = sum.hashes.as_deref().unwrap_or_default();
            digest.field(sum.catalog.as_bytes()).number(sum.rows);
            digest.field(hashes.as_bytes());
        }
        Print {
            kind: *KIND,
            sum: *digest.into_key().0.as_bytes(),
        }
    }

    /// How many rows were counted.
    pub(super) fn rows(&self) -> u64 {
        self.sums.iter().map(|sum| sum.rows).sum()
    }
}

/// The statement. Three columns: catalog, count, sum; in one row a time instead.
///
/// Records are hashed as they are, which is cheaper than their text by half; hashing the hash keeps
/// rows that exchange values from having the same sum. Hashes of access rights are sums
/// themselves, so these are hashed as text.
pub(super) fn statement() -> String {
    let sums = CATALOGS.iter().map(|(catalog, columns, rows)| {
        format!(
            "SELECT '{catalog}', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashint8extended(\
             pg_catalog.hash_record_extended(ROW({columns}), 0), 0)) FROM pg_catalog.{rows}"
        )
    });
    let sums: Vec<_> = sums.collect();
    format!(
        "{LASTING} {} UNION ALL SELECT '{LOADED}', \
         (extract(epoch FROM pg_catalog.pg_conf_load_time()) * 1000000)::bigint, NULL",
        sums.join(" UNION ALL ")
    )
}

/// Names the statement: what another counts cannot be compared.
static KIND: LazyLock<u64> = LazyLock::new(|| {
    let mut digest = DigestBuilder::default();
    digest.field(statement().as_bytes());
    digest.into_key().0.short()
});

const LASTING: &str = "\
WITH lasting AS (
    SELECT oid FROM pg_catalog.pg_class
    WHERE relpersistence <> 't' AND relkind NOT IN ('i', 'I', 't')
), schemas AS (
    SELECT oid FROM pg_catalog.pg_namespace
    WHERE nspname NOT LIKE 'pg\\_temp\\_%' AND nspname NOT LIKE 'pg\\_toast\\_temp\\_%'
)";

/// The row that tells when the configuration was read.
const LOADED: &str = "configuration";

/// Other databases, which no reply depends on.
const DATABASES: &str = "databases";

/// What sessions have unless they are told otherwise.
const SETTINGS: &str = "settings";

/// Those of [`CATALOGS`] that the queries for `initdb`'s own functions and types read.
const INITDB: [&str; 6] = [
    "type_initdb",
    "range_initdb",
    "proc_initdb",
    "language",
    "extension",
    "member",
];

/// Those by which code is found, or is what it is.
const CODE: [&str; 18] = [
    "aggregate",
    "am",
    "amop",
    "amproc",
    "cast",
    "event_trigger",
    "extension",
    "foreign_server",
    "foreign_table",
    "language",
    "member",
    "namespace",
    "opclass",
    "operator",
    "policy",
    "proc",
    "proc_initdb",
    "rewrite",
];

/// The name of a sum, what of each row counts, and the rows.
const CATALOGS: &[(&str, &str, &str)] = &[
    (
        "class",
        "oid, relname, relnamespace, relkind, relowner, reltype, reloftype, relpersistence, \
         relhasrules, relrowsecurity, relforcerowsecurity, relispartition, relpartbound::text, \
         CASE WHEN oid >= 16384 THEN relacl::text END, reloptions",
        "pg_class NATURAL JOIN lasting",
    ),
    (
        "namesake",
        "oid, relname, relnamespace, relkind, relowner, relnatts",
        "pg_class WHERE relpersistence <> 't' AND relkind IN ('i', 'I', 't') AND relname IN
         (SELECT relname FROM pg_catalog.pg_class NATURAL JOIN lasting)",
    ),
    (
        "attribute",
        "attrelid, attnum, a.xmin",
        "pg_attribute a JOIN lasting l ON l.oid = attrelid WHERE attrelid >= 16384",
    ),
    (
        "attrdef",
        "d.oid, d.xmin",
        "pg_attrdef d JOIN lasting l ON l.oid = adrelid",
    ),
    (
        "inherits",
        "inhrelid, inhparent, i.xmin",
        "pg_inherits i JOIN lasting l ON l.oid = inhrelid",
    ),
    (
        "trigger",
        "t.oid, t.xmin",
        "pg_trigger t JOIN lasting l ON l.oid = tgrelid",
    ),
    (
        "rewrite",
        "r.oid, r.xmin",
        "pg_rewrite r JOIN lasting l ON l.oid = ev_class",
    ),
    (
        "policy",
        "p.oid, p.xmin",
        "pg_policy p JOIN lasting l ON l.oid = polrelid",
    ),
    (
        "constraint",
        "c.oid, c.xmin",
        "pg_constraint c JOIN schemas s ON s.oid = connamespace",
    ),
    (
        "index",
        "indexrelid, indrelid, indkey, indclass, indcollation, indisvalid, indimmediate",
        "pg_index i JOIN lasting l ON l.oid = indrelid
         WHERE indisunique OR indexprs IS NOT NULL OR indpred IS NOT NULL",
    ),
    (
        "namespace",
        "n.oid, n.xmin",
        "pg_namespace n NATURAL JOIN schemas",
    ),
    (
        "type",
        "t.oid, t.xmin",
        "pg_type t JOIN schemas s ON s.oid = typnamespace WHERE t.oid >= 16384",
    ),
    ("type_initdb", "oid, xmin", "pg_type WHERE oid < 16384"),
    ("proc", "oid, xmin", "pg_proc WHERE oid >= 16384"),
    ("proc_initdb", "oid, xmin", "pg_proc WHERE oid < 16384"),
    ("aggregate", "aggfnoid::oid, xmin", "pg_aggregate"),
    ("operator", "oid, xmin", "pg_operator"),
    ("opclass", "oid, xmin", "pg_opclass"),
    ("amop", "oid, xmin", "pg_amop"),
    ("amproc", "oid, xmin", "pg_amproc"),
    ("cast", "oid, xmin", "pg_cast"),
    ("enum", "oid, xmin", "pg_enum"),
    (
        "range",
        "rngtypid, xmin",
        "pg_range WHERE rngtypid >= 16384",
    ),
    (
        "range_initdb",
        "rngtypid, xmin",
        "pg_range WHERE rngtypid < 16384",
    ),
    ("collation", "oid, xmin", "pg_collation"),
    ("language", "oid, xmin", "pg_language"),
    ("extension", "oid, xmin", "pg_extension"),
    (
        "member",
        "classid, objid, refobjid, xmin",
        "pg_depend WHERE refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
         AND deptype = 'e'",
    ),
    ("event_trigger", "oid, xmin", "pg_event_trigger"),
    ("foreign_server", "oid, xmin", "pg_foreign_server"),
    ("foreign_table", "ftrelid, xmin", "pg_foreign_table"),
    ("ts_config", "oid, xmin", "pg_ts_config"),
    (
        "ts_config_map",
        "mapcfg, maptokentype, mapseqno, xmin",
        "pg_ts_config_map",
    ),
    ("ts_dict", "oid, xmin", "pg_ts_dict"),
    ("am", "oid, xmin", "pg_am"),
    (
        "database",
        "oid, xmin",
        "pg_database WHERE datname = pg_catalog.current_database()",
    ),
    (DATABASES, "oid", "pg_database"),
    (
        "roles",
        "oid, rolname, rolsuper, rolinherit, rolbypassrls, rolcanlogin, rolvaliduntil",
        "pg_roles",
    ),
    (
        "auth_members",
        "roleid, member, grantor, xmin",
        "pg_auth_members",
    ),
    (
        "db_role_setting",
        "setdatabase, setrole, xmin",
        "pg_db_role_setting",
    ),
    (
        SETTINGS,
        "name, reset_val",
        // By that, connections of ours are told apart.
        "pg_settings WHERE context IN ('user', 'superuser') AND name <> 'application_name'",
    ),
];
