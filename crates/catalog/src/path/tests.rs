use super::*;
use crate::fixture::Fixture;
use crate::{Language, RelationId, Volatility};

fn path<'a>(db: &'a Snapshot, names: &[&str], user: &str) -> Vec<&'a str> {
    let path = db.search_path(names, user);
    path.0
        .iter()
        .map(|&id| &*db.schema(id).unwrap().name)
        .collect()
}

#[test]
fn the_catalog_comes_first_unless_it_is_listed() {
    let db = Fixture::new().finish();
    assert_eq!(path(&db, &["public"], "alice"), ["pg_catalog", "public"]);
    assert_eq!(
        path(&db, &["public", "pg_catalog"], "alice"),
        ["public", "pg_catalog"]
    );
    assert_eq!(path(&db, &[], "alice"), ["pg_catalog"]);
}

#[test]
fn the_user_stands_for_the_schema_of_that_name() {
    let mut db = Fixture::new();
    db.schema("alice");
    let db = db.finish();
    let setting = ["$user", "public"];
    assert_eq!(
        path(&db, &setting, "alice"),
        ["pg_catalog", "alice", "public"]
    );
    assert_eq!(path(&db, &setting, "bob"), ["pg_catalog", "public"]);
}

#[test]
fn unknown_repeated_and_temporary_schemas_are_skipped() {
    let mut db = Fixture::new();
    db.schema("pg_temp_3");
    let db = db.finish();
    let setting = [
        "nowhere",
        "public",
        "pg_temp",
        "pg_temp_3",
        "public",
        "Public",
    ];
    assert_eq!(path(&db, &setting, "alice"), ["pg_catalog", "public"]);
}

#[test]
fn a_schema_is_skipped_by_roles_that_may_not_use_it() {
    let mut db = Fixture::new();
    let (staff, team, carol) = (db.role("staff"), db.role("team"), db.role("carol"));
    let (reader, all) = (db.role("reader"), db.role("pg_read_all_data"));
    db.private_schema("secret", &[staff]);
    db.grant(staff, team);
    db.grant(team, carol);
    db.grant(all, reader);
    let db = db.finish();
    for (user, visible) in [
        ("carol", true),
        ("alice", false),
        ("postgres", true),
        ("reader", true),
    ] {
        assert_eq!(
            path(&db, &["secret"], user).contains(&"secret"),
            visible,
            "{user}"
        );
    }
}

#[test]
fn nothing_resolves_for_an_unknown_role() {
    let db = Fixture::new().finish();
    assert!(path(&db, &["public"], "mallory").is_empty());
}

#[test]
fn a_name_means_the_first_relation_on_the_path() {
    let mut db = Fixture::new();
    let (a, b) = (db.table("a", "t", &[]), db.table("b", "t", &[]));
    let only = db.table("b", "T", &[]);
    db.table("public", "pg_class", &[]);
    let db = db.finish();
    let check = |names: &[&str], schema, name, expected: Option<RelationId>| {
        let path = db.search_path(names, "alice");
        let found = db
            .resolve_relation(&path, schema, name)
            .map(|found| found.id);
        assert_eq!(found, expected, "{names:?} {schema:?} {name}");
    };
    check(&["a", "b"], None, "t", Some(a));
    check(&["b", "a"], None, "t", Some(b));
    check(&["a", "b"], None, "T", Some(only));
    check(&["a"], None, "T", None);
    check(&["a"], Some("b"), "t", Some(b));
    check(&["a"], Some("nowhere"), "t", None);
    let path = db.search_path(&["public"], "alice");
    let class = db.resolve_relation(&path, None, "pg_class").unwrap();
    assert!(db.is_system_schema(class.schema));
}

#[test]
fn a_call_may_mean_every_function_on_the_path() {
    let mut db = Fixture::new();
    let mut add = |schema| db.function(schema, "lower", Language::Sql, Volatility::Volatile, "");
    let (mine, other) = (add("public"), add("other"));
    let db = db.finish();
    let path = db.search_path(&["public"], "alice");
    let ids = |schema, name| {
        db.functions(&path, schema, name)
            .map(|function| function.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(None, "lower").len(), 2);
    assert!(ids(None, "lower").contains(&mine));
    assert_eq!(ids(Some("other"), "lower"), [other]);
    assert_eq!(ids(Some("pg_catalog"), "lower").len(), 1);
    assert!(ids(Some("nowhere"), "lower").is_empty());
    assert!(ids(None, "LOWER").is_empty());
}
