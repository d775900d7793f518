//! Which functions of the server a reply may depend on.
//!
//! Immutable ones always. Of the stable ones those that depend on nothing but their arguments and
//! on settings that are part of the key: TimeZone, DateStyle, IntervalStyle, the locale settings,
//! `bytea_output`, `extra_float_digits`, `default_text_search_config`. Whatever is not on the list
//! is refused, so that a function of a later version is refused until someone has thought about it.
//! That this holds for every function of a server is audited by `tests/tests/classes.rs`.

use catalog::{Function, Language, TypeId, Volatility};

use crate::Reason;

/// Why a function of the server is not looked up, if it is not.
pub(crate) fn refusal(function: &Function) -> Option<Reason> {
    let name = &*function.name;
    if name.contains("timetz") {
        // Text or a time of day without a zone becomes one with it by today's offset.
        return Some(Reason::Clock);
    }
    if let Some((_, reason)) = LIES.iter().find(|(known, _)| *known == name) {
        return Some(*reason);
    }
    if !matches!(
        function.language,
        Language::Internal | Language::C | Language::Sql
    ) {
        // Somebody has put another in its place.
        return Some(Reason::UnknownFunction);
    }
    match function.volatility {
        Volatility::Immutable => None,
        // Roles are in the key; what they are members of follows from definitions.
        Volatility::Stable if name == "pg_has_role" => None,
        Volatility::Stable if FORMAT.binary_search(&name).is_ok() => None,
        Volatility::Stable | Volatility::Volatile if CLOCK.contains(&name) => Some(Reason::Clock),
        Volatility::Stable if is_catalog(name) => Some(Reason::SystemCatalog),
        Volatility::Stable => Some(Reason::SessionState),
        Volatility::Volatile => Some(Reason::Volatile),
    }
}

/// Whether a read may run a function of the server itself, as far as the function goes: for audits
/// of what the catalog of a server holds.
pub fn is_believed(function: &Function) -> bool {
    refusal(function).is_none()
}

/// Whether a name stands for syntax that looks like a call, and depends on its arguments alone.
pub(crate) fn is_syntax(name: &str) -> bool {
    SYNTAX.contains(&name)
}

/// Whether the immutable functions of an extension read no setting, and no table but the one that
/// [`read_behind`] names.
pub(crate) fn is_known_extension(name: &str) -> bool {
    EXTENSIONS.contains(&name)
}

/// Whether a function of such an extension depends on more than its arguments, though on nothing
/// that is not in the key: settings that are asked for by name, and definitions.
pub(crate) fn is_known_stable(extension: &str, name: &str) -> bool {
    STABLE.contains(&(extension, name))
}

/// Whether a function of such an extension reads text as types that the call does not show.
pub(crate) fn reads_records(name: &str) -> bool {
    name == "populate_record"
}

/// The table of an extension that its functions read though they are declared IMMUTABLE.
pub(crate) fn read_behind(extension: &str) -> Option<&'static str> {
    // Coordinates are transformed, and distances on the globe measured, by what it says of systems.
    (extension == "postgis").then_some("spatial_ref_sys")
}

/// Whether the code of an extension reads text as the session has been told by a function of it,
/// which no setting shows.
pub(crate) fn has_hidden_state(extension: &str) -> bool {
    extension == "isn"
}

/// Whether values of a type stand for objects of the catalogs, of which a function may tell more.
pub(crate) fn names_objects(kind: TypeId) -> bool {
    OBJECTS.contains(&kind.oid())
}

/// Whether the settings that the access methods of an extension read are asked for by name.
pub(crate) fn is_known_method(extension: &str) -> bool {
    METHODS.contains(&extension)
}

/// Whether a stable function reads the catalogs.
fn is_catalog(name: &str) -> bool {
    CATALOG.iter().any(|prefix| name.starts_with(prefix))
        || name.ends_with("_description")
        || name.contains("_to_xml")
}

/// Stable, by arguments and settings of the key alone; sorted.
///
/// Absent on purpose: `age/1`, `timetz/1` and `jsonb_path_…_tz`, which ask for today's date, and
/// `json_populate_…`, which reads text as types that the call does not show.
const FORMAT: [&str; 64] = [
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "convert",
    "convert_from",
    "convert_to",
    "date",
    "date_add",
    "date_part",
    "date_subtract",
    "date_trunc",
    "enum_first",
    "enum_last",
    "enum_range",
    "extract",
    "format",
    "generate_series",
    "json_agg",
    "json_agg_strict",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "json_to_record",
    "json_to_recordset",
    "json_to_tsvector",
    "jsonb_agg",
    "jsonb_agg_strict",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "jsonb_to_tsvector",
    "length",
    "make_timestamptz",
    "money",
    "numeric",
    "overlaps",
    "phraseto_tsquery",
    "plainto_tsquery",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "time",
    "timestamp",
    "timestamptz",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "ts_headline",
    "websearch_to_tsquery",
];

/// Declared IMMUTABLE, though they look into the catalogs, or hang on the state of the server.
const LIES: [(&str, Reason); 5] = [
    ("pg_indexam_progress_phasename", Reason::SystemCatalog),
    ("pg_partition_root", Reason::SystemCatalog),
    ("pg_walfile_name", Reason::SessionState),
    ("pg_walfile_name_offset", Reason::SessionState),
    ("satisfies_hash_partition", Reason::SystemCatalog),
];

/// `regclass` and its kin, but for those of text search.
const OBJECTS: [u32; 9] = [24, 2_202, 2_203, 2_204, 2_205, 2_206, 4_089, 4_096, 4_191];

const CLOCK: [&str; 17] = [
    "age",
    "clock_timestamp",
    "json_populate_record",
    "json_populate_recordset",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "jsonb_path_exists_tz",
    "jsonb_path_match_tz",
    "jsonb_path_query_array_tz",
    "jsonb_path_query_first_tz",
    "jsonb_path_query_tz",
    "now",
    "pg_conf_load_time",
    "pg_postmaster_start_time",
    "statement_timestamp",
    "timeofday",
    "transaction_timestamp",
];

const CATALOG: [&str; 3] = ["pg_get_", "to_reg", "format_type"];

/// Grammar, not functions. Those of SQL/JSON that convert text to other types are absent: the
/// text may mean the clock.
const SYNTAX: [&str; 13] = [
    "array",
    "coalesce",
    "cube",
    "greatest",
    "grouping",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_objectagg",
    "least",
    "nullif",
    "rollup",
    "row",
];

/// Their functions declared IMMUTABLE were written in C by people who meant it, or in SQL over
/// such.
const EXTENSIONS: [&str; 21] = [
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "earthdistance",
    "fuzzystrmatch",
    "h3",
    "hstore",
    "intarray",
    "ip4r",
    "ltree",
    "pg_bigm",
    "pg_trgm",
    "pgcrypto",
    "postgis",
    "prefix",
    "seg",
    "semver",
    "timescaledb",
    "uuid-ossp",
    "vector",
];

/// The one has no settings, those of the other are part of every session's state.
const METHODS: [&str; 2] = ["bloom", "vector"];

/// Operators of similarity have their thresholds in settings.
const STABLE: [(&str, &str); 6] = [
    ("pg_trgm", "similarity_op"),
    ("pg_trgm", "strict_word_similarity_commutator_op"),
    ("pg_trgm", "strict_word_similarity_op"),
    ("pg_trgm", "word_similarity_commutator_op"),
    ("pg_trgm", "word_similarity_op"),
    ("unaccent", "unaccent"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_for_its_search() {
        assert!(FORMAT.is_sorted());
    }
}
