//! Functions of the server that change something, and how they are found where nobody writes them out.
//!
//! Expressions in the catalogs are kept as trees. What they call of the server's own is not among
//! the dependencies, since it cannot be dropped: it is looked for in the trees.

/// Defines the names once, for Rust and for SQL.
macro_rules! acting {
    ($($name:literal)*) => {
        /// The names of builtins that run text as SQL, read whole schemas (views among them), or
        /// change settings, definitions, statistics or the server's configuration.
        pub const ACTING: &[&str] = &[$($name),*];

        /// Two common table expressions: `acting` with the functions, and `called_in` with what is
        /// called in these trees, by class and object.
        macro_rules! called_in {
            ($trees:literal) => {
                concat!(
                    "\
acting AS MATERIALIZED (
    SELECT oid, ':funcid ' || oid || ' ' AS call FROM pg_proc
    WHERE oid < 16384 AND proname IN (", $("'", $name, "', ",)* "'')
), trees AS (", $trees, "), suspects AS MATERIALIZED (
    SELECT classid, objid, tree FROM trees
    WHERE strpos(tree, ':funcid ') > 0
        AND tree ~ (SELECT ':funcid (' || string_agg(oid::text, '|') || ') ' FROM acting)
), called_in AS (
    SELECT DISTINCT classid, objid, oid AS function
    FROM suspects JOIN acting ON strpos(tree, call) > 0
)"
                )
            };
        }
    };
}

acting! {
    "set_config"
    "query_to_xml"
    "query_to_xmlschema"
    "query_to_xml_and_xmlschema"
    "cursor_to_xml"
    "cursor_to_xmlschema"
    "table_to_xml"
    "table_to_xmlschema"
    "table_to_xml_and_xmlschema"
    "schema_to_xml"
    "schema_to_xmlschema"
    "schema_to_xml_and_xmlschema"
    "database_to_xml"
    "database_to_xmlschema"
    "database_to_xml_and_xmlschema"
    "ts_stat"
    "ts_rewrite"
    "pg_reload_conf"
    "pg_promote"
    "pg_import_system_collations"
    "pg_extension_config_dump"
    "pg_nextoid"
    "pg_stop_making_pinned_objects"
    "pg_restore_relation_stats"
    "pg_restore_attribute_stats"
    "pg_clear_relation_stats"
    "pg_clear_attribute_stats"
}
