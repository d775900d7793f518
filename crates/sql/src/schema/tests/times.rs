//! Times of day and their zones.

use super::*;

fn database() -> Database {
    Database::with(|db| {
        db.table(
            "public",
            "slot",
            &[
                "day date",
                "begins time",
                "at timestamptz",
                "lasts interval",
            ],
        );
        let zoned = db.kind(
            "zoned_time",
            TypeKind::Of(catalog::fixture::type_named("timetz")),
        );
        db.table("public", "due", &["id", "by"]);
        let last = db.last_relation().expect("it was made");
        last.columns = [("id".into(), TypeId::from_oid(23)), ("by".into(), zoned)].into();
        db.function(
            "public",
            "f",
            Language::Sql,
            Volatility::Immutable,
            "SELECT 1",
        );
        let function = db.last_function().expect("it was made");
        (function.takes, function.arguments) = ([zoned].into(), (1, 1));
    })
}

#[test]
fn what_may_be_a_time_of_day_is_taken_to_no_zone() {
    let db = database();
    for expr in [
        "begins at time zone 'UTC'",
        "slot.begins at time zone interval '1 hour'",
        "(begins + interval '1 hour') at time zone 'UTC'",
        "(lasts + begins - interval '1 hour') at time zone 'UTC'",
        "(begins + $1) at time zone 'UTC'",
        "coalesce(begins, '12:00') at time zone 'UTC'",
        "max(begins) at time zone 'UTC'",
        "at::time at time zone 'UTC'",
        "time '12:00' at time zone 'UTC'",
        "case when true then begins end at time zone 'UTC'",
        "(select begins from slot) at time zone 'UTC'",
        "x.y at time zone 'UTC' from (select begins as y from slot) x",
        "timezone('UTC', begins)",
        "pg_catalog.timezone('UTC', max(begins))",
        "(slot.begins).timezone",
        // It may have its type from elsewhere.
        "$1 at time zone 'UTC'",
    ] {
        let text = match expr.contains(" from (") {
            true => format!("select {expr}"),
            false => format!("select {expr} from slot"),
        };
        assert_eq!(db.read(&text), Err(Reason::Clock), "{text}");
    }
}

#[test]
fn other_values_are() {
    let db = database();
    for expr in [
        "at at time zone 'UTC'",
        "(day + begins) at time zone 'UTC'",
        "(begins + day) at time zone 'UTC'",
        "(day + begins + interval '1 hour') at time zone 'UTC'",
        "max(at) at time zone 'UTC'",
        "coalesce(at, '2024-01-01') at time zone 'UTC'",
        "(at at time zone 'UTC') at time zone 'Europe/Helsinki'",
        "date_trunc('day', at at time zone 'UTC') at time zone 'UTC'",
        "day::timestamp at time zone 'UTC'",
        "(at - interval '1 hour' * 2) at time zone 'UTC'",
        "(now_.y) at time zone 'UTC' from (select at as y from slot) now_",
        "case when true then at end at time zone 'UTC'",
        "timezone('UTC', at)",
    ] {
        let text = match expr.contains(" from (") {
            true => format!("select {expr}"),
            false => format!("select {expr} from slot"),
        };
        assert_eq!(db.read(&text), Ok(vec!["slot".to_owned()]), "{text}");
    }
}

#[test]
fn what_is_not_known_not_to_be_one_may_be_declared_to_be() {
    let timeless = |text: &str| Database::new().plan(text).timeless_parameters;
    assert!(timeless("select $1 at time zone 'UTC' from t"));
    assert!(timeless(
        "select x at time zone 'UTC' from (select $1 as x from t) y"
    ));
    assert!(!timeless("select $1 from t"));
    assert!(!timeless("select ts at time zone $1 from e"));
}

#[test]
fn what_holds_a_time_with_a_zone_is_left_alone() {
    let db = database();
    for text in [
        "select by from due",
        "select '12:00'::zoned_time from t",
        "select f('12:00') from t",
        "select timetz_hash(begins) from slot",
    ] {
        assert_eq!(db.read(text), Err(Reason::Clock), "{text}");
    }
    assert!(db.plan("select id from t").builtin_parameters);
    assert!(!Database::new().plan("select id from t").builtin_parameters);
}

#[test]
fn paths_that_make_times_of_day_are_not_followed() {
    let db = Database::new();
    for (path, expected) in [
        ("'$.a'", true),
        ("'$.a ? (@ > 1)'", true),
        ("'$.a.datetime()'", false),
        ("'$ ? (@.time() < 1)'", false),
        ("v", false),
        ("$1", false),
    ] {
        let text = format!("select id from t where json_exists(v, {path})");
        assert_eq!(db.read(&text).is_ok(), expected, "{text}");
    }
    let form = |path: &str| {
        let text = format!("select id from t where json_exists(v, {path})");
        crate::form(text.as_bytes()).map(|form| form.text)
    };
    assert!(form("'$.a'").is_some() && form("'$.a'") == form("'$.b'"));
    assert_eq!(form("'$.a.datetime()'"), None);
}

/// A view for administrators is no reason to leave other tables alone.
#[test]
fn what_holds_names_of_objects_is_told_from_what_does_not() {
    let db = Database::with(|db| {
        let shown = " SELECT 1 AS id;";
        let view = db.view("public", "sizes", &["id"], shown, &[]);
        db.table("public", "pair", &["a"]);
        let rows = |db: &Fixture, name: &str| {
            let mut all = db.builder.relations.iter();
            all.find(|it| &*it.name == name).expect("it was made").rows
        };
        db.last_relation().expect("it was made").columns[0].1 = TypeId::from_oid(23);
        for (name, of) in [("pairs", "pair"), ("all_sizes", "sizes")] {
            let kind = rows(db, of);
            db.table("public", name, &["id", "of"]);
            db.last_relation().expect("it was made").columns[1].1 = kind;
        }
        let relations = db.builder.relations.iter_mut();
        for relation in relations.filter(|it| it.id == view) {
            relation.columns[0].1 = TypeId::from_oid(2_205);
        }
    });
    assert!(db.read("select * from pairs").is_ok());
    let refused = Err(Reason::SystemCatalog);
    assert_eq!(db.read("select * from all_sizes"), refused);
    assert_eq!(db.read("select * from sizes"), refused);
}
