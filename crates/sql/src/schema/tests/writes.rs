//! What may be changed.

use super::*;

fn writes(text: &str, expected: &[&str]) {
    let found = Database::new().writes(text);
    assert_eq!(found, expected, "{}", text.get(..200).unwrap_or(text));
}

#[test]
fn targets_are_found_with_what_hangs_on_them() {
    writes("insert into t values (1)", &["t"]);
    writes("INSERT INTO public.\"t\" AS x SELECT * FROM u", &["t"]);
    // White space since PostgreSQL 17.
    writes("delete\x0bfrom\x0bu", &["u"]);
    writes(
        "update t as foo set v = 'b' from u where u.tid = foo.id",
        &["t", "u"],
    );
    writes("update only u set w = 'x'", &["u"]);
    writes("delete from only (u) using t", &["u"]);
    writes("delete from t x where exists (select 1)", &["t", "u"]);
    writes("insert into u values (1) on conflict do nothing", &["u"]);
    writes(
        "insert into t values (1) on conflict (id) do update set v = 'x'",
        &["t", "u"],
    );
    writes(
        "merge into u using t on t.id = u.tid when matched then update set w = 'x'",
        &["u"],
    );
    writes(
        "merge into added using t on false when not matched then insert values (1)",
        &["added", "log"],
    );
    writes(
        "merge into removed r using t on r.id = t.id when matched then delete",
        &["log", "removed"],
    );
    writes("insert into \"T t\" values (1)", &["T t"]);
    writes("insert into parent values (1)", &["child", "parent"]);
    writes("update child set id = 1", &["child", "parent"]);
    writes("update vw set v = 'z'", &["t", "u"]);
    writes("insert into audited values (1)", &["audited", "log"]);
    writes("truncate t cascade", &["t", "u"]);
    writes(
        "truncate table only u *, log restart identity",
        &["log", "u"],
    );
    writes("refresh materialized view concurrently mv", &["mv"]);
    writes("copy u (id) from stdin with (format csv)", &["u"]);
    writes("copy binary u from stdin", &["u"]);
}

#[test]
fn writes_inside_other_statements_count() {
    writes(
        "with d as (delete from u returning tid) insert into log select * from d",
        &["log", "u"],
    );
    writes(
        "with x as (insert into u values (1) returning *) select * from x",
        &["u"],
    );
    writes(
        "with m as (merge into u using t on true when matched then delete returning *) select * from m",
        &["u"],
    );
    writes("explain (analyze, buffers) delete from u", &["u"]);
    writes("explain analyze verbose insert into u values (1)", &["u"]);
    writes("explain (analyze false) delete from u", &[]);
    writes("explain delete from u", &[]);
    writes("explain (analyze) select 1", &[]);
    writes("explain (\"analyze\") delete from u", &["u"]);
    writes("copy (delete from u returning *) to stdout", &["u"]);
    writes("declare c cursor for select add_row()", &["log"]);
    writes("select 1; update u set w = 'm'", &["u"]);
    writes("begin; insert into u values (1); commit", &["u"]);
    writes("select add_row(2)", &["log"]);
    writes("call add_row(2, x => 'y')", &["log"]);
    writes("CALL public.\"add_row\"()", &["log"]);
    writes("call pure((select v from vw where add_row()))", &["log"]);
    writes("select * from t where add_row()", &["log"]);
    writes("insert into u select add_row()", &["log", "u"]);
}

#[test]
fn what_has_no_bound_writes_everything() {
    for text in [
        "create table x (id int)",
        "alter table t rename to t0",
        "drop table t",
        "grant select on t to bob",
        "select * into x from t",
        "create table x as select 1",
        "call missing()",
        "call dynamic()",
        "call add_row(dynamic())",
        "call pg_temp.add_row()",
        "call a.b.add_row()",
        "do $$ begin update t set v = 'x'; end $$",
        "execute p",
        "explain analyze execute p",
        "select dynamic()",
        "insert into missing values (1)",
        "insert into a.b.c values (1)",
        "insert into U&\"\\0074\" values (1)",
        "copy t from program 'x'",
        "gibberish",
        "load 'x'",
        "insert into t values ('open",
        "explain analyze create table x as select 1",
        "select 5 insert into fresh",
        "update pg_class set relname = 'x'",
    ] {
        writes(text, &["*"]);
    }
}

#[test]
fn what_cannot_be_written_may_have_made_room_for_what_can() {
    for kind in [
        RelationKind::Other,
        RelationKind::Sequence,
        RelationKind::CompositeType,
    ] {
        let db = Database::with(|db| {
            db.relation(kind, "first", "t", &[]);
        });
        let path = db
            .schema
            .snapshot()
            .search_path(&["first", "public"], "alice");
        let db = Database { path, ..db };
        assert_eq!(db.writes("insert into t values (1)"), ["*"], "{kind:?}");
        assert!(db.read("select * from t").is_err(), "{kind:?}");
    }
}

#[test]
fn what_touches_no_row_writes_nothing() {
    for text in [
        "",
        ";",
        "select * from t for no key update",
        "select random(), nextval('seq'), pg_advisory_lock(1)",
        "select json_table('x')",
        "begin",
        "commit",
        "set x = 1",
        "reset all",
        "discard all",
        "show all",
        "listen a",
        "notify a, 'b'",
        "lock table t in exclusive mode",
        "vacuum (full) t",
        "analyze t",
        "reindex table t",
        "cluster t",
        "checkpoint",
        "prepare p as delete from t",
        "deallocate p",
        "fetch 10 from c",
        "move c",
        "close all",
        "copy t to stdout",
        "savepoint a",
        "set constraints all deferred",
    ] {
        writes(text, &[]);
    }
}

#[test]
fn long_inserts_are_bounded() {
    let rows = "(1, 'it''s; update t set v = 1', now(), null, -1.5e10, $1),".repeat(4_000);
    writes(
        &format!("insert into u (id, tid) values {rows} (1, 2)"),
        &["u"],
    );
    writes(
        &format!("insert into u values {rows} (add_row(), 2)"),
        &["log", "u"],
    );
    writes(
        &format!("with x as (delete from log) insert into u values {rows} (1, 2)"),
        &["log", "u"],
    );
}

#[test]
fn without_a_catalog_only_what_the_text_proves_is_harmless() {
    let check = |text: &str, expected| {
        let plan = plan_without_catalog(&analyze(text.as_bytes()));
        assert_eq!(plan.writes, expected, "{text}");
        assert!(plan.read.is_err(), "{text}");
    };
    check("begin", Writes::Nothing);
    check("set x = 1", Writes::Nothing);
    check("show x", Writes::Nothing);
    check("select 1", Writes::Everything);
    check("insert into t values (1)", Writes::Everything);
    check("begin; update t set v = 'x'", Writes::Everything);
    let plan = plan_without_catalog(&analyze(b"select * from t"));
    assert_eq!(plan.read, Err(Reason::NoCatalog));
}

#[test]
fn what_databases_share_is_written_in_all_of_them() {
    for text in [
        "create role bob",
        "alter user bob set search_path = x",
        "alter role bob nosuperuser",
        "drop group bob",
        "grant staff to bob",
        "revoke admin option for staff from bob",
        "drop owned by bob",
        "reassign owned by bob to alice",
        "alter database x set timezone = 'UTC'",
        "alter system set timezone = 'UTC'",
        "select 1; revoke staff from bob; create table x ()",
    ] {
        writes(text, &["**"]);
    }
    for text in [
        "grant select on t to bob",
        "create database x",
        "alter table t owner to bob",
    ] {
        writes(text, &["*"]);
    }
}

#[test]
fn under_a_path_that_is_not_known_names_mean_all_that_they_could() {
    let db = Database::new();
    let plan = |text: &str| {
        db.schema
            .plan_anywhere(&analyze(text.as_bytes()), &Temporary::Plain)
    };
    let check = |text: &str, expected: &[(&str, &str)]| {
        let Writes::Relations(ids) = plan(text).writes else {
            panic!("{text}: {:?}", plan(text).writes);
        };
        let snapshot = db.schema.snapshot();
        let known = |&(schema, name): &(&str, &str)| {
            let schema = snapshot.schema_by_name(schema).unwrap().id;
            snapshot.relation_by_name(schema, name).unwrap().id
        };
        let mut expected: Vec<RelationId> = expected.iter().map(known).collect();
        expected.sort_unstable();
        assert_eq!(*ids, expected, "{text}");
    };
    check("insert into u values (1)", &[("public", "u")]);
    check(
        "delete from t",
        &[("public", "t"), ("other", "t"), ("public", "u")],
    );
    check("delete from other.t", &[("other", "t")]);
    check("update far set id = 1", &[("other", "far")]);
    check("select add_row()", &[("public", "log")]);
    for harmless in [
        "select * from t",
        "select count(*) from none",
        "select set_config('a.b', 'c', true)",
        "select current_schema",
    ] {
        assert_eq!(plan(harmless).writes, Writes::Nothing, "{harmless}");
    }
    for text in [
        "insert into none values (1)",
        "select dynamic()",
        "call x()",
    ] {
        assert_eq!(plan(text).writes, Writes::Everything, "{text}");
    }
    let read = plan("select * from t");
    assert_eq!(read.read, Err(Reason::SettingsUnknown));
    assert_eq!(read.effects.settings, SettingsEffect::Untouched);
    assert_eq!(
        plan("select now() from t").read,
        Err(Reason::SettingsUnknown)
    );
    let set = plan("select configure()").effects.settings;
    assert_eq!(set, SettingsEffect::Unknown);
}

#[test]
fn options_of_explain_count_wherever_they_stand() {
    let long = "x".repeat(20_000);
    for text in ["x", &long] {
        for options in [
            "analyze, costs off",
            "costs off, analyze",
            "\"analyze\"",
            "format json, analyze",
        ] {
            writes(
                &format!("explain ({options}) update u set w = '{text}'"),
                &["u"],
            );
        }
        writes(
            &format!("explain (costs off, analyze off) update u set w = '{text}'"),
            &[],
        );
    }
}

#[test]
fn names_that_are_not_utf8_may_mean_anything() {
    let db = Database::new();
    let plan = |text: &[u8]| {
        let context = Context {
            path: &db.path,
            role: db.role,
            temporary: &Temporary::Plain,
        };
        db.schema.plan(&analyze(text), &context)
    };
    for text in [
        &b"select l\xf6schen()"[..],
        b"select * from pr\xfcfung",
        b"select * from \"pr\xfcfung\"",
        b"with x as (select 1) select * from a.\xfc",
        b"update t set v = \xfc()",
        b"copy \xfc to stdout",
        b"explain analyze select \xfc()",
        b"declare c cursor for select \xfc()",
        b"truncate \xfc",
    ] {
        let plan = plan(text);
        assert_eq!(plan.writes, Writes::Everything, "{}", text.escape_ascii());
        assert!(plan.read.is_err(), "{}", text.escape_ascii());
    }
    assert!(
        plan(b"select v from t where v = '\xfc'")
            .writes
            .is_nothing()
    );
}

#[test]
fn an_update_behind_a_column_called_key_is_one() {
    writes(
        "with recursive r (id) as (select 1 union all select id + 1 from r) \
         search depth first by id set key update t set v = 'x' from r where t.id = r.id",
        &["t", "u"],
    );
    writes("select * from t for no key update", &[]);
    writes("select * from t for update of t", &[]);
}

#[test]
fn what_is_not_told_apart_may_be_anything() {
    writes("select begin atomic from t; truncate t", &["*"]);
}

#[test]
fn arguments_that_explain_evaluates_may_write() {
    writes("explain execute q(f())", &["*"]);
    writes(
        "explain (costs off) create table x as execute q(f())",
        &["*"],
    );
    writes("explain execute q", &[]);
    writes("explain select execute from f(1)", &[]);
}
