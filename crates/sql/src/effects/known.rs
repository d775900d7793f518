//! Functions whose bodies cannot be read, but are known.

use catalog::ACTING;

/// What a function of the server itself does beside returning a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Builtin {
    /// Nothing that a reply or a session's settings could depend on. Sequences, large objects,
    /// locks and notifications count as nothing: no reply over them is recorded.
    Harmless,
    /// Changes a setting.
    Sets,
    /// Runs text as SQL, or changes definitions or the server's configuration.
    Anything,
}

/// Places a function of the server; `volatile` is what its declaration says.
pub(super) fn builtin(name: &str, volatile: bool) -> Builtin {
    match name {
        "set_config" => Builtin::Sets,
        // The overload that takes three queries is pure.
        "ts_rewrite" if volatile => Builtin::Anything,
        "ts_rewrite" => Builtin::Harmless,
        _ if ACTING.contains(&name) || name.starts_with("binary_upgrade_") => Builtin::Anything,
        _ => Builtin::Harmless,
    }
}

/// Whether the C functions of an extension write no table. Those in SQL or PL/pgSQL are read like
/// any other.
pub(super) fn is_harmless_extension(name: &str) -> bool {
    HARMLESS.contains(&name)
}

/// The same of one function whose extension has others that do write.
pub(super) fn is_harmless_function(extension: &str, name: &str) -> bool {
    (extension, name) == ("tablefunc", "normal_rand")
}

/// Whether a C function of an extension changes a setting.
pub(super) fn sets(extension: &str, name: &str) -> bool {
    (extension, name) == ("pg_trgm", "set_limit")
}

/// Absent on purpose, because they run SQL: `dblink`, `tablefunc` (but see [`crate::reports`]), `xml2`, `refint`, `pg_cron`,
/// `postgis_topology`, `temporal_tables`; and `hll` and `isn`, whose functions set what no setting shows.
const HARMLESS: [&str; 45] = [
    "amcheck",
    "autoinc",
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "h3",
    "hstore",
    "hypopg",
    "insert_username",
    "intagg",
    "intarray",
    "ip4r",
    "lo",
    "ltree",
    "moddatetime",
    "pageinspect",
    "pg_bigm",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_hashids",
    "pg_prewarm",
    "pg_stat_statements",
    "pg_trgm",
    "pg_uuidv7",
    "pg_walinspect",
    "pgcrypto",
    "pgrowlocks",
    "pgstattuple",
    "postgis",
    "postgis_raster",
    "prefix",
    "rum",
    "seg",
    "semver",
    "sslinfo",
    "tcn",
    "unaccent",
    "uuid-ossp",
    "vector",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_builtins_that_run_text_or_change_definitions_may_do_anything() {
        for name in [
            "query_to_xml",
            "ts_stat",
            "pg_reload_conf",
            "binary_upgrade_set_next_oid",
        ] {
            assert_eq!(builtin(name, true), Builtin::Anything, "{name}");
        }
        assert_eq!(builtin("ts_rewrite", true), Builtin::Anything);
        assert_eq!(builtin("ts_rewrite", false), Builtin::Harmless);
        assert_eq!(builtin("set_config", true), Builtin::Sets);
        for name in ["lower", "now", "nextval", "pg_notify", "lo_create"] {
            assert_eq!(builtin(name, true), Builtin::Harmless, "{name}");
        }
    }

    #[test]
    fn extensions_that_run_sql_are_not_harmless() {
        assert!(is_harmless_extension("pgcrypto"));
        for name in ["dblink", "postgres_fdw", "tablefunc", "pg_cron", ""] {
            assert!(!is_harmless_extension(name), "{name}");
        }
    }
}
