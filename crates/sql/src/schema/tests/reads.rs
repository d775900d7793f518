//! What may be looked up.

use super::*;

pub(super) fn reads(text: &str, expected: &[&str]) {
    let found = Database::new().read(text);
    let expected: Vec<String> = expected.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, Ok(expected), "{text}");
}

pub(super) fn refused(reason: Reason, texts: &[&str]) {
    let db = Database::new();
    for text in texts {
        assert_eq!(db.read(text), Err(reason), "{text}");
    }
}

#[test]
fn tables_are_found_wherever_they_hide() {
    for text in [
        "select (select w from u limit 1) from t",
        "select * from t where exists (select 1 from u)",
        "select * from t where id in (select tid from u)",
        "select * from t where id = any(array(select tid from u))",
        "select * from t order by (select max(id) from u)",
        "select * from t limit (select count(*) from u)",
        "select count(*) from t group by (select max(id) from u)",
        "select count(*) from t having count(*) > (select max(id) from u)",
        "select row_number() over (partition by (select max(id) from u)) from t",
        "select * from t, lateral (select * from u where u.tid = t.id) x",
        "select * from t union all values ((select max(id) from u), 'x')",
        "select * from t union select id, w from u",
        "select * from t except (select id, w from u)",
        "with recursive r as (select id from t union all select u.id from u join r on r.id = u.tid) select * from r",
        "select abs((select max(id) from u)) from t",
        "select distinct on ((select max(id) from u)) * from t",
        "select count(*) filter (where id > (select max(id) from u)) from t",
        "select case when id > (select max(id) from u) then 1 end from t",
        "select id from t group by grouping sets ((id), ((select max(id) from u)))",
        "select t from t, u",
        "select * from only t, u",
        "select * from (t join u on true)",
        "select * from t left join (select * from only (u)) x on true",
        "(select id from t) intersect (select id from u)",
        "select (select array_agg(w order by w) from u) from t",
        "select sum(id) over w from t window w as (order by (select max(id) from u))",
        "select u.w[1:(select max(id) from t)] from u",
        "select * from t where (id, v) in (select id, w from u)",
        "select id::text from t where v like (select max(w) from u)",
        "select * from t offset (select max(id) from u)",
        "select coalesce((select max(w) from u), 'x') from t",
        "select * from t where id between 1 and (select max(id) from u)",
        "select * from t where id between symmetric 1 and (select max(id) from u)",
        "select * from t where id = any (values (1), ((select max(id) from u)))",
        "select * from t where v like any (select w from u)",
        "select * from t where v ilike any (array[(select max(w) from u)])",
        "select * from t where v not like all (array(select w from u))",
        "select * from t where v like some (array['a', (select max(w) from u)])",
        "select interval '1 day' * (select max(id) from u) from t",
    ] {
        reads(text, &["t", "u"]);
    }
    reads(
        "select * from t join e on e.id = (select max(id) from u)",
        &["e", "t", "u"],
    );
    for text in [
        "select * from t where not exists (table u)",
        "table t union table u",
        "with x as (table only u) select * from t, x",
        "select * from t, rows from (abs((select max(id) from u)), abs(2)) as r(a, b)",
    ] {
        reads(text, &["t", "u"]);
    }
}

#[test]
fn names_mean_what_the_server_takes_them_for() {
    reads("select * from T", &["t"]);
    reads("select * from \"t\" as \"T\"", &["t"]);
    reads("select * from \"T t\"", &["T t"]);
    reads("select * from public.t", &["t"]);
    reads("select * from other.far", &["far"]);
    reads("table t", &["t"]);
    reads("select * from t;", &["t"]);
    refused(
        Reason::UnknownRelation,
        &[
            "select * from \"T\"",
            "select * from far",
            "select * from a.b.t",
            "select * from none.t",
        ],
    );
}

#[test]
fn common_table_expressions_hide_tables_in_their_scope_only() {
    reads("with t as (select * from u) select * from t", &["u"]);
    reads("with t as (select * from t) select * from t", &["t"]);
    reads(
        "with x as (with t as (select * from u) select * from t) select * from x, t",
        &["t", "u"],
    );
    reads(
        "with x as (select * from u), t as (select * from x) select * from t",
        &["u"],
    );
    reads(
        "with t as (select * from u) select * from public.t",
        &["t", "u"],
    );
    reads(
        "select * from t where v in (with t as (select w from u) select w from t)",
        &["t", "u"],
    );
    refused(
        Reason::NoTable,
        &["with recursive t as (select 1 union select * from t) select * from t"],
    );
    reads("select 'u' from t u", &["t"]);
}

#[test]
fn views_stand_for_what_they_select_from() {
    reads("select * from vw", &["t", "vw"]);
    reads("select * from vv", &["t", "u", "vv", "vw"]);
    reads("select * from mv", &["mv"]);
    reads("select * from parent", &["parent"]);
    refused(Reason::Clock, &["select * from clocked"]);
    reads("select * from tenant", &["t", "tenant"]);
    // Without a policy no row is shown, whoever looks.
    reads("select * from leak", &["leak", "secret"]);
}

#[test]
fn some_relations_are_never_looked_up() {
    refused(Reason::ForeignTable, &["select * from ft"]);
    refused(Reason::Sequence, &["select last_value from seq"]);
    refused(Reason::Unlogged, &["select * from fast"]);
    refused(Reason::Clock, &["select 1 from zoned where at = '1:00'"]);
    refused(
        Reason::SystemCatalog,
        &["select * from named", "select id from t, named n"],
    );
    refused(Reason::Temporary, &["select * from pg_temp.t"]);
    refused(
        Reason::SystemCatalog,
        &[
            "select count(*) from pg_class",
            "select * from pg_catalog.pg_class",
            "select * from pg_stat_activity",
            "select * from information_schema.tables",
            "select 't'::regclass from t",
            "select '{t}'::_regclass from t",
            "select \"regclass\" '1' from t",
        ],
    );
    refused(
        Reason::NoTable,
        &[
            "select 1",
            "values (1)",
            "select $1::int",
            "select * from generate_series(1, 3)",
        ],
    );
}

#[test]
fn the_owner_and_those_who_bypass_see_all_rows() {
    let mut db = Database::new();
    db.role = db.schema.snapshot().role_by_name("postgres").unwrap().id;
    assert!(db.read("select * from secret").is_ok());
    assert!(db.read("select * from leak").is_ok());
}

#[test]
fn policies_bring_their_tables_and_settings() {
    let with = |condition: &'static str| {
        Database::with(move |db| {
            let secret = db.builder.relations.iter().find(|it| &*it.name == "secret");
            let secret = secret.expect("it was made").id;
            db.policy(secret, condition, &[]);
        })
    };
    let check = |condition, tables: &[&str], settings: &[&str]| {
        let db = with(condition);
        let expected: Vec<String> = tables.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(db.read("select * from secret"), Ok(expected), "{condition}");
        let found = db.plan("select * from secret").settings;
        let found: Vec<&str> = found.iter().map(|name| &**name).collect();
        assert_eq!(found, settings, "{condition}");
    };
    check("(id = 1)", &["secret"], &[]);
    check(
        "(id IN ( SELECT u.tid FROM public.u WHERE (u.id = secret.id)))",
        &["secret", "u"],
        &[],
    );
    check(
        "((v = CURRENT_USER) AND (id = (current_setting('App.Tenant'::text, true))::integer))",
        &["secret"],
        &["app.tenant"],
    );
    check(
        "(EXISTS ( SELECT 1 FROM public.tenant))",
        &["secret", "t", "tenant"],
        &["app.x"],
    );
    for condition in [
        "(id = public.pure(1))",
        "(now() > '2000-01-01'::date)",
        "(EXISTS ( SELECT 1 FROM public.secret s))",
        "(EXISTS ( SELECT 1 FROM public.leak))",
        "(id = (current_setting('TimeZone'::text))::integer)",
        "(SELECT",
    ] {
        let found = with(condition).read("select * from secret");
        assert!(
            found == Err(Reason::RowSecurity) || condition.contains("secret s"),
            "{condition}: {found:?}"
        );
    }
    let mut exempt = with("(now() > '2000-01-01'::date)");
    exempt.role = exempt
        .schema
        .snapshot()
        .role_by_name("postgres")
        .unwrap()
        .id;
    assert!(exempt.read("select * from secret").is_ok());
    let settings = with("(current_setting('b.c'::text) = 'x'::text)");
    let settings = settings.schema.settings().to_vec();
    assert_eq!(settings, ["app.x".into(), "b.c".into()]);
}

#[test]
fn what_may_be_written_down_when_it_is_planned_is_known() {
    let check = |text: &str, folds| {
        let db = Database::with(|db| {
            let body = "select $1 || 'x'";
            db.function("public", "f", Language::Sql, Volatility::Immutable, body);
            let shown = " SELECT u.id, ((1 / 3))::text AS third FROM public.u;";
            db.view("public", "thirds", &["id", "third text"], shown, &[]);
        });
        let plan = db.plan(text);
        assert!(plan.read.is_ok(), "{text}: {:?}", plan.read);
        assert_eq!(plan.folds, folds, "{text}");
    };
    for text in [
        "select count(*), max(v) from t where id = $1 and v = 'a' order by 1",
        "select id from t where id = $1::int and id < '7'::numeric(5, 2) or id = any($2::int8[])",
        "select lower(v) from t join u using (id) where id = 1.5",
    ] {
        check(text, false);
    }
    for text in [
        "select (1::float8 / 3)::text from t",
        "select id from t where length(cast(sqrt(2) as varchar)) = 18",
        "select id from t where v = text(1)",
        "select v || sqrt(2) from t",
        "select id from thirds",
        "select id from (select id from thirds) x",
    ] {
        check(text, true);
    }
}

#[test]
fn patterns_are_compared_with_each_of_a_list() {
    for text in [
        "select id from t where v like any (array['a%', 'b'])",
        "select id from t where v ilike any ($1) and v not ilike any ('{a,b}')",
        "select id from t where v like all (array['a%']) or v not like all ('{a,b}'::text[])",
        "select id from t where v ilike some ($1::text[])",
        "select id from t where id = any (values (1), ($1)) and id <> all (values (2))",
        "select id from t where (id, v) in (values (1, 'a'))",
        "select id from t where id not between symmetric 3 and 1",
        "select v, grouping(v) from t group by rollup(v)",
    ] {
        reads(text, &["t"]);
    }
    for text in [
        "select id from t where v like \"all\"(array['a'])",
        "select id from t where v like unheard_of(array['a'])",
        "select id from t where v like all(array['a'], 2)",
    ] {
        refused(Reason::UnknownFunction, &[text]);
    }
    // A type of the user's may have the name of a keyword.
    refused(Reason::Clock, &["select \"grouping\"(v) from t"]);
    // The literals may be of any type.
    let db = Database::with(|db| {
        let function = db.plpgsql("matches", "begin return true; end");
        db.operator("~~", function);
    });
    let unknown = Err(Reason::UnknownOperator);
    assert_eq!(db.read("select id from t where 'a' like any ($1)"), unknown);
}

#[test]
fn values_of_composite_types_may_be_made() {
    let db = Database::with(|db| {
        let composite = RelationKind::CompositeType;
        for (name, columns) in [
            ("pair", &["a text", "b text"][..]),
            ("period", &["a text", "day date"]),
            ("opening", &["at timetz"]),
            ("outer_pair", &["p text"]),
        ] {
            db.relation(composite, "public", name, columns);
        }
        let mut relations = db.builder.relations.iter();
        let row = relations.find(|it| &*it.name == "period").map(|it| it.row);
        let row = row.expect("it was made");
        let last = db.last_relation().expect("it was made");
        last.columns[0].1 = row;
        // It does not hide that the type reads text.
        db.plpgsql("period", "begin return 1; end");
    });
    let check = |text: &str, expected: Result<(), Reason>| {
        assert_eq!(db.read(text).map(|_| ()), expected, "{text}");
    };
    for text in [
        "select '(a,b)'::pair, null::pair, $1::pair from t",
        "select row('a', v)::pair, cast(v as pair), v::public.pair from t",
        "select '(a,2024-01-01)'::period, null::outer_pair from t",
    ] {
        check(text, Ok(()));
    }
    for text in [
        "select v::period from t",
        "select row('a', v)::period from t",
        "select v::outer_pair from t",
        "select '(a,t\"oday\")'::period from t",
        "select null::opening from t",
        "select null::public.opening from t",
    ] {
        check(text, Err(Reason::Clock));
    }
    check("select * from pair", Err(Reason::UnknownRelation));
    check("select * from t, pair", Err(Reason::UnknownRelation));
}
