//! What is left to the server, and by which word of the statement.

use super::{
    reads::{reads, refused},
    *,
};

#[test]
fn the_clock_is_found_in_every_form() {
    refused(
        Reason::Clock,
        &[
            "select * from e where ts > now() - interval '1 day'",
            "select statement_timestamp(), * from e",
            "select age(ts) from e",
            "select jsonb_populate_record(null::e, '{}') from e",
            "select clock_timestamp() from e",
            "select current_date from e",
            "select CURRENT_TIME(0) from e",
            "select localtimestamp from e",
            "select 'now'::timestamp from e",
            "select date 'today' from e",
            "select * from e where d = ' Tomorrow '",
            "select * from e where d = E'\\tyesterday'",
            "select E'n\\ow'::timestamp from e",
            "select E'tod\\x61y'::date from e",
            "select E't\\u006fday'::date from e",
            "select E'\\156ow'::date from e",
            "select U&'tod\\0061y'::date from e",
            "select E'{n\\\\ow}'::date[] from e",
            "select '{n\\ow}'::date[] from e",
            "select '[2024-01-01,t\"oda\"y)'::daterange from e",
            "select * from e where d = $$now$$",
            "select * from e where d = $a$today$a$",
            "select * from e where d = any('{today,2024-01-01}')",
            "select '12:00'::timetz from e",
            "select '12:00'::time with time zone from e",
            "select '12:00'::time(3) with time zone from e",
            "select pg_catalog.now() from e",
        ],
    );
    reads("select 'nowhere', 'monday' from e", &["e"]);
    reads("select e.\"current_date\" from e", &["e"]);
    reads("select ts as current_date from e", &["e"]);
    reads("select ts::timestamp with time zone from e", &["e"]);
    refused(
        Reason::Unsupported,
        &[
            "select 'to'\n'day'::date from e",
            "select U&'tod!0061y' UESCAPE '!' from e",
            "select U&\"\\0069d\" from e",
            "select U&'\\00' from e",
            "select E'\\u00' from e",
        ],
    );
    reads(
        "select U&'caf\\00e9', E'caf\\u00e9\\n', E'\\x41' from e",
        &["e"],
    );
}

#[test]
fn identity_and_randomness_are_not_looked_up() {
    refused(
        Reason::SessionState,
        &[
            "select current_schema from t",
            "select current_role, system_user from t",
            "select pg_catalog.\"current_user\"() from t",
            "select current_setting('a.b', v = 'x') from t",
            "select current_setting('a.' || v) from t",
            "select current_setting($1) from t",
            "select current_setting('a.b'), current_setting(v) from t",
            "select current_setting('x') from t",
            "select current_database() from t",
        ],
    );
    refused(
        Reason::Volatile,
        &[
            "select random() from t",
            "select * from t order by random()",
            "select * from t where id > random()",
            "select case when true then gen_random_uuid() end from t",
            "select sum(id) filter (where random() > 0.5) from t",
            "select * from t limit random()",
            "select nextval('seq') from t",
            "select txid_current() from t",
            "select pg_advisory_lock(1) from t",
            "select set_config('a', 'b', false) from t",
        ],
    );
    refused(
        Reason::SystemColumn,
        &[
            "select ctid from t",
            "select xmin, * from t",
            "select t.\"tableoid\" from t",
        ],
    );
    for text in [
        "select current_user from t",
        "select user, session_user, current_role from t where v = current_user",
        "select current_setting('a.b'), current_setting('A.c', true) from t",
    ] {
        reads(text, &["t"]);
    }
    let settings =
        Database::new().plan("select current_setting('a.b'), current_setting('A.c', true) from t");
    assert_eq!(*settings.settings, ["a.b".into(), "a.c".into()]);
    // What its library makes of the setting when it is loaded is not known before.
    let extended = Database::with(|db| {
        db.function("public", "f", Language::C, Volatility::Immutable, "");
        db.last_function().expect("it was made").extension = Some("a".into());
    });
    let given = |text| extended.read(text).map(|_| ());
    assert_eq!(
        given("select current_setting('A.b', true) from t"),
        Err(Reason::SessionState)
    );
    assert_eq!(given("select current_setting('aa.b', true) from t"), Ok(()));
    let vectors = Database::with(|db| {
        db.function("public", "f", Language::C, Volatility::Immutable, "");
        db.last_function().expect("it was made").extension = Some("vector".into());
    });
    let given = |text| vectors.read(text).map(|_| ());
    assert_eq!(
        given("select current_setting('hnsw.ef_search', true) from t"),
        Err(Reason::SessionState)
    );
    assert_eq!(given("select current_setting('a.b', true) from t"), Ok(()));
    reads("select t.id as user from t", &["t"]);
    reads("select \"current_user\" from t", &["t"]);
}

#[test]
fn functions_are_known_by_class() {
    for text in [
        "select lower(v), abs(id), count(*) over () from t group by 1, 2",
        "select to_char(id, '99'), concat(v, id) from t",
        "select date_trunc('day', '1'::timestamp), extract(year from id::timestamp) from t",
        "select substring(v from 1 for 2), trim(both 'x' from v), position('a' in v) from t",
        "select v at time zone 'UTC', coalesce(v, ''), nullif(v, ''), greatest(id, 1) from t",
        "select t.id from t, generate_series(1, 3) g, unnest(array[1, 2]) x(y)",
        "select jsonb_build_object('a', id), row(id, v), array[id], array(select id from t) from t",
        "select v::numeric(10, 2), cast(v as varchar(3)), id::time(3) from t",
        "select string_agg(v, ',' order by v), percentile_cont(0.5) within group (order by id) from t",
        "select v ~ '^a', v ilike 'x%', v similar to 'y', v is distinct from 'z' from t",
        "select l2_distance(id, id), id <-> 1 from t",
    ] {
        reads(text, &["t"]);
    }
    refused(
        Reason::UnknownFunction,
        &[
            "select full_name(t) from t",
            "select t.full_name from t",
            "select (t).full_name from t",
            "select public.lower(v) from t",
            "select public.end(v) from t",
            "select nowhere(1) from t",
            "select * from t, full_name(t.id)",
            "select pure(1) from t",
            "select pg_temp.f(1) from t",
            "select xmlconcat(v) from t",
        ],
    );
    refused(
        Reason::SystemCatalog,
        &[
            "select to_regclass('t') from t",
            "select obj_description(1) from t",
        ],
    );
    refused(Reason::UnknownOperator, &["select id % 2 from t"]);
}

#[test]
fn a_function_of_the_user_spoils_the_builtin_of_its_name() {
    let db = Database::with(|db| {
        db.function(
            "public",
            "lower",
            Language::PlPgSql,
            Volatility::Immutable,
            "begin end",
        );
        db.function(
            "other",
            "upper",
            Language::PlPgSql,
            Volatility::Volatile,
            "begin end",
        );
    });
    assert_eq!(
        db.read("select lower(v) from t"),
        Err(Reason::UnknownFunction)
    );
    assert!(db.read("select pg_catalog.lower(v) from t").is_ok());
    assert!(db.read("select upper(v) from t").is_ok());
    assert_eq!(
        db.read("select other.upper(v) from t"),
        Err(Reason::UnknownFunction)
    );
}

#[test]
fn a_column_in_functional_notation_is_a_column_if_there_is_one() {
    let db = Database::with(|db| {
        db.plpgsql("w", "begin end");
    });
    assert!(db.read("select u.w from u").is_ok());
    assert!(db.read("select x.w from u x").is_ok());
    assert_eq!(
        db.read("select t.w from t, u"),
        Err(Reason::UnknownFunction)
    );
    assert!(db.read("select x.w from (select * from u) x").is_ok());
    assert!(db.read("select x.w from (select id as w from t) x").is_ok());
    assert_eq!(
        db.read("select x.w from (select * from t) x"),
        Err(Reason::UnknownFunction)
    );
}

#[test]
fn what_the_operator_vouches_for_brings_its_tables() {
    let rule = |table: &str| FunctionRule {
        function: ("public".into(), "listed".into()),
        reads: [("public".into(), table.into())].into(),
    };
    let check = |rules: &[FunctionRule], expected: Result<Vec<String>, Reason>| {
        let mut db = Fixture::new();
        tables(&mut db);
        functions(&mut db);
        let db = Database::over(db.finish(), rules);
        assert_eq!(db.read("select listed(id) from t"), expected);
        let vouched = rules.iter().any(|rule| &*rule.reads[0].1 != "missing");
        let writes = db.writes("select listed(id), now() from t");
        assert_eq!(writes.is_empty(), vouched);
    };
    check(&[rule("u")], Ok(vec!["t".into(), "u".into()]));
    check(&[rule("secret")], Ok(vec!["secret".into(), "t".into()]));
    check(&[rule("missing")], Err(Reason::UnknownFunction));
    check(&[], Err(Reason::UnknownFunction));
}

#[test]
fn casts_through_unknown_functions_are_refused_where_they_may_happen() {
    let with = |source: &'static str, target: &'static str| {
        Database::with(move |db| {
            let function = db.plpgsql("to_other", "begin end");
            db.cast(source, target, function);
            if let (Some(cast), "mine") = (db.builder.casts.last_mut(), target) {
                cast.target = catalog::TypeId::from_oid(99_999);
            }
        })
    };
    assert_eq!(
        with("text", "int4").read("select * from t"),
        Err(Reason::UnknownCast)
    );
    let db = with("text", "mine");
    assert!(db.read("select v::int from t").is_ok());
    assert_eq!(db.read("select v::mine from t"), Err(Reason::UnknownCast));
    assert_eq!(
        Database::new().read("select id::mine from t"),
        Ok(vec!["t".into()])
    );
}

#[test]
fn locks_and_samples_are_refused_at_any_depth() {
    refused(
        Reason::LocksRows,
        &[
            "select * from t for update",
            "select * from t for no key update skip locked",
            "select * from t for share of t",
            "select * from t for key share",
            "select * from (select * from t for update) x",
            "with x as (select * from t for update) select * from x",
        ],
    );
    refused(
        Reason::Sample,
        &[
            "select * from t tablesample bernoulli (10)",
            "select * from (select * from t tablesample system (1) repeatable (1)) s",
        ],
    );
}

#[test]
fn what_is_no_read_is_told_apart() {
    refused(
        Reason::Writes,
        &[
            "with x as (insert into t values (2, 'b') returning *) select * from x",
            "with d as (delete from u returning tid) select * from d",
            "insert into t values (1)",
        ],
    );
    refused(
        Reason::NotARead,
        &[
            "",
            " -- nothing",
            "select * into x from t",
            "copy t to stdout",
            "copy (select * from t) to stdout",
            "execute p",
            "fetch 1 from c",
            "declare c cursor for select * from t",
            "explain select * from t",
            "prepare p as select * from t",
            "show all",
        ],
    );
    refused(
        Reason::SeveralStatements,
        &[
            "select 1; select * from t",
            "select * from t; update t set v = 'x'",
            "begin; select * from t",
        ],
    );
    refused(
        Reason::Unreadable,
        &["select * from t where", "selec 1", "select 'open", "$1"],
    );
    reads("select * from t; ;", &["t"]);
    reads("select * from t where v = ';'", &["t"]);
    refused(Reason::Unsupported, &["select * from t\u{a0}where id = 1"]);
}

#[test]
fn a_string_behind_a_type_is_no_label() {
    refused(
        Reason::Unsupported,
        &[
            "select label 'x', id from t",
            "select public.label 'x' from t",
            "select \"label\" 'x', id from t",
            "select id from t where exists (select label 'x')",
            "select id from t 'x'",
        ],
    );
    refused(
        Reason::Unreadable,
        &[
            "select id from t where v = label 'x'",
            "select id from t order by label 'x'",
            "select lower(label 'x') from t",
            "select id from t where v in (label 'x')",
            "select array[label 'x'] from t",
            "select label E'x' from t",
        ],
    );
    reads("select date '2020-01-01', id as \"x\" from t", &["t"]);
}

#[test]
fn too_much_is_left_alone() {
    let long = format!("select * from t where v = '{}'", "x".repeat(17_000));
    refused(Reason::TooLong, &[&long]);
    let many = format!("select * from t where id in ({}1)", "1,".repeat(2_500));
    refused(Reason::TooLong, &[&many]);
    let wide = format!("select 1 from t {}", ", t".repeat(65));
    refused(Reason::Unsupported, &[&wide]);
    refused(
        Reason::Unreadable,
        &[&format!(
            "select {}1{} from t",
            "(".repeat(60),
            ")".repeat(60)
        )],
    );
}

#[test]
fn bytes_that_are_not_text_may_be_any_name() {
    let db = Database::new();
    let context = Context {
        path: &db.path,
        role: db.role,
        temporary: &Temporary::Plain,
    };
    let read = |text: &[u8]| db.schema.plan(&analyze(text), &context).read;
    assert!(read(b"select v from t where v = '\xff'").is_ok());
    for text in [&b"select v as \"\xe9\" from t"[..], b"select * from \xe9"] {
        assert_eq!(read(text), Err(Reason::Unsupported));
    }
}

/// A function whose result has this type; it takes anything.
fn returning(db: &mut Fixture, name: &str, kind: &str) {
    db.builtin(name, Volatility::Immutable, FunctionKind::Function);
    db.returning(kind);
}

#[test]
fn text_is_no_date_unless_its_words_are_known() {
    let db = Database::with(|db| {
        returning(db, "moment", "timestamptz");
        returning(db, "moment_of", "timestamptz");
        returning(db, "word", "text");
        returning(db, "words", "record");
        returning(db, "date", "date");
        returning(db, "timestamptz", "timestamptz");
    });
    let clock = |text| assert_eq!(db.read(text), Err(Reason::Clock), "{text}");
    let fine = |text| assert!(db.read(text).is_ok(), "{text}: {:?}", db.read(text));
    for text in [
        "select v::date from t",
        "select cast(v as timestamptz) from t",
        "select t.v::timestamp(3) from t",
        "select (v)::time from t",
        "select (v || ' 12:00')::timestamptz from t",
        "select ('to' || 'day')::date from e",
        "select ($1 || 'day')::date from e",
        "select $1::varchar(3)::date from e",
        "select 'nowhere'::char(3)::date from e",
        "select substr('nowhere', 1, 3)::date from e",
        "select coalesce(v, '2024-01-01')::date from t",
        "select (case when id = 1 then v else '2024-01-01' end)::date from t",
        "select (select v from t limit 1)::date from e",
        "select array[v]::date[] from t",
        "select (array[v])[1]::date from t",
        "select array_agg(v)::date[] from t",
        "select max(v)::date from t",
        "select x.d::date from (select v as d from t) x",
        "select x.ts::date from (select ts::text from e) x, e",
        "with x(d) as (select v from t) select d::date from x",
        "select d::date from t, word(t.v) as d",
        "select d::date from t, word(t.v) as x(d)",
        "select id::date from t, words(t.v)",
        "select id::date from t, words(t.v) as x(a)",
        "select d::date from t, unnest(array[v]) d",
        "select * from t where v::tstzrange @> '2024-01-01'::timestamptz",
        "select v::mine from t",
        "select date(v) from t",
        "select pg_catalog.date(v) from t",
        "select \"timestamptz\"(v) from t",
        "select (v).date from t",
        "select * from t, jsonb_to_recordset(v::jsonb) as x(a int, b date)",
        "select (to_jsonb(e) ->> 'ts')::date from e",
    ] {
        clock(text);
    }
    for text in [
        "select ts::date, d::timestamptz, cast(e.ts as time) from e",
        "select '2024-01-01'::date, $1::date, $1::text::date, '1'::text::timestamptz from e",
        "select date '2024-01-01', null::date from e",
        "select coalesce(ts, '2024-01-01')::date, (ts + interval '1 day')::date from e",
        "select (case when id = 1 then ts else d end)::date from e",
        "select (select max(ts) from e)::date from e",
        "select x.s::date from (select ts as s from e) x",
        "select ts::text, ts::date from e order by ts",
        "select ts::date as ts from e group by ts::date",
        "select d::date from moment_of(1, 2) as d, e",
        "select x.a::date from moment_of(1, 2) as x(a), t",
        "select moment(v)::date, date(moment(v)) from t",
        "select extract(year from ts)::text::int, (ts at time zone 'UTC')::date from e",
        "select v::int, v::interval, v::jsonb, v::uuid from t",
        "select array[ts]::date[], (array[ts])[1]::date from e",
        "select date(ts), timestamptz(d) from e",
        "select * from t, jsonb_to_recordset(v::jsonb) as x(a int, b text)",
        "with x as (select ts as at from e) select at::date from x",
    ] {
        fine(text);
    }
}

#[test]
fn casts_through_text_that_nobody_wrote_are_refused() {
    let db = Database::with(|db| {
        db.cast("varchar", "date", catalog::FunctionId::from_oid(0));
    });
    assert_eq!(db.read("select * from t"), Err(Reason::UnknownCast));
}
