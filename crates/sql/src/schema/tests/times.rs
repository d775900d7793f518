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
        "select f(by) from due",
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

/// Beside it, text would be read as one by the offset of today.
#[test]
fn a_time_with_a_zone_is_shown_and_not_used() {
    let db = Database::with(|db| {
        db.table(
            "public",
            "shop",
            &["id", "name text", "at timetz", "noon time"],
        );
        db.table("public", "other", &["id", "at time"]);
        let shown = "SELECT shop.id,\n    shop.at AS opens\n   FROM public.shop;";
        db.view("public", "shows", &["id", "opens timetz"], shown, &[]);
        let used = "SELECT shop.id, (shop.at = shop.noon) AS sharp FROM public.shop;";
        db.view("public", "compares", &["id", "sharp"], used, &[]);
    });
    for text in [
        "select id from shop where name = 'x'",
        "select at from shop",
        "select distinct at, id from shop where id = $1 order by at desc nulls last, id limit 3",
        r#"select s1_0.id, s1_0."at" as at, s1_0.name AS "at_2" from public.shop s1_0 where s1_0.id in ($1, $2)"#,
        "select shop.id, shop.name, shop.at from shop join other on other.id = shop.id",
        "select * from shop where id = 1 order by at",
        "select s.* from shop s where name like '12:%'",
        "select count(*) from shop",
        "select at, count(*) from shop group by at having count(*) > 1",
        "select id from other where exists (select 1 from shop s where s.id = other.id)",
        "with x as (select id from shop) select x.id, shop.at from shop join x on x.id = shop.id",
        "select lower(name), at from shop where lower(name) = $1",
        "select opens from shows where id = 2",
        "select id, at from shop where lower(name) = 'x' and not (id = 3) order by lower(name), at",
    ] {
        assert!(db.read(text).is_ok(), "{text}: {:?}", db.read(text));
    }
    for text in [
        "select id from shop where at = '12:00'",
        "select id from shop where '12:00' = shop.at",
        "select id from shop where at = $1",
        "select id from shop where \"at\" in ('12:00')",
        "select id from shop where at between '1:00' and '2:00'",
        "select at = noon from shop",
        "select coalesce(at, '12:00') from shop",
        "select coalesce('12:00', at, '13:00'), id from shop",
        "select array['12:00', at, '13:00'] from shop",
        "select case when id = 1 then at else '12:00' end from shop",
        "select at from shop union select '12:00'",
        "select '12:00' in (select at from shop)",
        "select '12:00' in (select * from shop) from other",
        "select 1 from other where '12:00' in (table shop)",
        "select '12:00' = any (select s.at from shop s) from other",
        "select x from (select at as x from shop) q where x = '12:00'",
        "select b from shop q(a, n, b, c) where b = '12:00'",
        "select b from shop as q (a, n, b, c) where b = '12:00'",
        r#"select b from (select * from shop) "q"(a, n, b, c) where b = '12:00'"#,
        "select b from shop as row(a, n, b, c) where b = '12:00'",
        "select b from shop over(a, n, b, c) where b = '12:00'",
        "select b from shop by (a, n, b, c) where b = '12:00'",
        "select b from public.shop q(a, n, b, c) where b = '12:00'",
        "select b from (shop join other on true) q(a, n, b, c) where b = '12:00'",
        "with q(a, n, b, c) as (select * from shop) select b from q where b = '12:00'",
        "with q as (select id, at as b from shop) select b from q where b = '12:00'",
        "select 1 from shop natural join other",
        "select 1 from shop join other using (at)",
        "select 1 from shop join other using (id) where other.at = shop.at",
        "select shop from shop where shop = row(1, 'x', '12:00', '12:00')",
        "select 1 from shop where (id, at) = (1, '12:00')",
        "select max(at) from shop",
        "select at at time zone 'UTC' from shop",
        "select at::text from shop",
        "select U&\"at\" from shop",
        "select sharp from compares",
        "select id from shows where opens > '12:00'",
    ] {
        assert!(db.read(text).is_err(), "{text}");
    }
}
