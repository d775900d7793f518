//! What statements do in sessions whose temporary relations reach what lasts.

use super::*;
use crate::Reaching;

/// `narrow` changes anything when it is written, `wide` when it is read as well.
fn named() -> Temporary {
    Temporary::Named(Box::new(Reaching {
        written: ["narrow".into(), "wide".into()].into(),
        read: ["wide".into()].into(),
        plain: Box::default(),
    }))
}

/// These hold rows and do no more. The last is permanent too.
fn plain() -> Temporary {
    Temporary::Named(Box::new(Reaching {
        plain: ["mine".into(), "Yours".into(), "t".into()].into(),
        ..Reaching::default()
    }))
}

/// Both are permanent too.
fn database() -> Database {
    Database::with(|db| {
        db.table("public", "narrow", &["id"]);
        db.table("public", "wide", &["id"]);
        db.plpgsql("names_narrow", "BEGIN PERFORM 1 FROM \"narrow\"; END");
        db.plpgsql("names_none", "BEGIN PERFORM 1 FROM t; END");
        let busy = db.table("public", "busy", &["id"]);
        let fill = db.plpgsql("fill", "BEGIN INSERT INTO Wide VALUES (1); RETURN NEW; END");
        db.trigger(busy, fill, &[Event::Insert]);
        let ruled = db.table("public", "ruled", &["id"]);
        db.rule(
            ruled,
            "CREATE RULE r AS ON INSERT TO public.ruled DO  SELECT wide.id FROM wide;",
        );
    })
}

#[track_caller]
fn check(temporary: &Temporary, everything: &[&str], less: &[&str]) {
    let db = database();
    let plan = |text: &str| db.plan_within(text, temporary);
    for text in everything {
        assert!(!db.plan(text).writes.is_unbounded(), "{text}");
        let Plan {
            writes, effects, ..
        } = plan(text);
        assert_eq!(writes, Writes::Everything, "{text}");
        assert!(effects.temporary && effects.names, "{text}");
        assert_eq!(effects.settings, SettingsEffect::Unknown, "{text}");
        assert!(plan(text).read.is_err() && plan(text).pinned.is_empty());
    }
    for text in less {
        let writes = plan(text).writes;
        assert_eq!(writes, db.plan(text).writes, "{text}");
        assert!(!writes.is_unbounded(), "{text}");
    }
}

#[test]
fn whoever_names_one_may_change_anything() {
    check(
        &named(),
        &[
            "insert into narrow values (1)",
            "update narrow set id = 2 where id = 1",
            "with x as (delete from \"narrow\" returning id) select * from x",
            "copy narrow from stdin",
            "select * from wide",
            "select (select max(id) from wide)",
            "insert into t select id from wide",
            "copy wide to stdout",
            "explain analyze select * from wide",
            "select names_narrow()",
            "insert into busy values (1)",
            "insert into ruled values (1)",
        ],
        &[
            "select * from narrow",
            "select * from t",
            "insert into public.narrow values (1)",
            "insert into t select id from narrow",
            "update t set v = 'x' where id = 1",
            "select names_none()",
            "delete from busy",
            "set timezone = 'UTC'",
        ],
    );
}

#[test]
fn where_they_are_not_known_whatever_runs_may_change_anything() {
    check(
        &Temporary::Unknown,
        &[
            "select * from t",
            "select count(*) from none",
            "insert into t values (1)",
            "declare c cursor for select * from none",
        ],
        &["set timezone = 'UTC'", "show timezone", "begin", "fetch c"],
    );
}

#[test]
fn code_in_other_languages_commits_by_itself() {
    let commits = |temporary: &Temporary, foreign: bool| {
        let mut db = Fixture::new();
        db.table("public", "wide", &["id"]);
        if foreign {
            let language = Language::Foreign;
            db.function("public", "py", language, Volatility::Volatile, "");
        }
        let db = Database::over(db.finish(), &[]);
        let plan = db.plan_within("select * from wide", temporary);
        plan.effects.commits
    };
    for temporary in [named(), Temporary::Unknown] {
        assert!(commits(&temporary, true) && !commits(&temporary, false));
    }
    assert!(!commits(&Temporary::Plain, true));
}

#[test]
fn functions_of_the_session_are_found() {
    let db = Database::with(|db| {
        db.table("public", "log2", &["id"]);
        db.schema("pg_temp_3");
        let body = "BEGIN INSERT INTO log2 VALUES (1); END";
        db.function(
            "pg_temp_3",
            "f",
            Language::PlPgSql,
            Volatility::Volatile,
            body,
        );
    });
    for text in ["select pg_temp.f()", "select pg_temp_3.f()"] {
        assert_eq!(db.writes(text), ["log2"], "{text}");
    }
    assert!(db.writes("select f()").is_empty());
}

#[test]
fn tables_that_hold_rows_and_do_no_more_are_written_for_nobody_else() {
    let db = database();
    let temporary = plain();
    for text in [
        "insert into mine values (1)",
        "insert into pg_temp.mine values (1) on conflict do nothing",
        "update \"Yours\" set id = 2",
        "delete from mine using t where t.id = mine.id",
        "with x as (delete from mine returning id) insert into \"Yours\" select * from x",
        "merge into mine using t on t.id = mine.id when matched then delete",
        "copy mine from stdin",
        "copy pg_temp.mine (id) from stdin where id > 1",
        "truncate mine, \"Yours\"",
        "explain analyze insert into mine values (1)",
        "declare c cursor with hold for select 1 from mine",
        "insert into mine values (1); delete from mine",
        "insert into mine values (1); set timezone = 'UTC'",
    ] {
        let plan = db.plan_within(text, &temporary);
        assert!(!plan.writes.any(), "{text}: {:?}", plan.writes);
        assert_eq!(plan.own, !text.starts_with("declare"), "{text}");
        let anywhere = db
            .schema
            .plan_anywhere(&analyze(text.as_bytes()), &temporary);
        assert!(!anywhere.own, "{text}");
        assert_eq!(anywhere.writes.is_unbounded(), plan.own, "{text}");
        for other in [Temporary::Plain, plain().behind_others()] {
            let plan = db.plan_within(text, &other);
            assert!(!plan.own, "{text}");
            assert_eq!(plan.writes, anywhere.writes, "{text}");
        }
    }
}

#[test]
fn what_else_is_written_beside_such_tables_counts() {
    let db = database();
    let temporary = plain();
    for text in [
        "insert into yours values (1)",
        "insert into public.mine values (1)",
        "insert into pg_temp_3.mine values (1)",
        "insert into mine select * from pg_temp.f()",
        "insert into mine values (1); drop table mine; insert into mine values (1)",
        "set search_path = x; insert into mine values (1)",
        "insert into mine values (1); discard temp; insert into mine values (1)",
        "with x as (insert into mine values (1)) insert into absent values (1)",
        "truncate mine, absent",
    ] {
        assert_eq!(
            db.plan_within(text, &temporary).writes,
            Writes::Everything,
            "{text}"
        );
    }
    // One of its targets may come to be known as well, and mean something else to the server.
    assert!(!db.plan_within("truncate mine, absent", &temporary).own);
    for (text, alone) in [
        (
            "with x as (insert into mine values (1)) update narrow set id = 1",
            "update narrow set id = 1",
        ),
        (
            "insert into narrow select * from mine",
            "insert into narrow values (1)",
        ),
        ("truncate mine, busy", "truncate busy"),
        // It may mean the permanent one.
        ("insert into t values (1)", "insert into t values (1)"),
    ] {
        let plan = db.plan_within(text, &temporary);
        assert!(plan.writes.any(), "{text}");
        assert_eq!(plan.writes, db.plan(alone).writes, "{text}");
    }
    // Reads and rows are told as without them.
    let text = "update narrow set id = 1";
    let (then, now) = (db.plan(text), db.plan_within(text, &temporary));
    assert_eq!(then.pinned.is_empty(), now.pinned.is_empty());
    assert!(db.plan_within("select * from t", &temporary).read.is_ok());
}

/// Definitions of temporary relations, where `plain` are there.
const OWN: [&str; 17] = [
    "create temp table x (id int, d text default names_none())",
    "create local temporary table if not exists x (id serial references mine on update cascade)",
    "create table pg_temp.x (id int generated always as (1 + 1) stored)",
    "create temp table x (like t including all) on commit drop",
    "create temp table x (id int) partition by range (id)",
    "create temp table x as select id, count(*) from t group by id",
    "create temp table x (a, b) on commit drop as table t with no data",
    "create temp view x as select * from t",
    "create or replace temp recursive view x (n) as values (1)",
    "create index on mine (id)",
    "create unique index concurrently if not exists i on pg_temp.mine (lower(v)) where id > 1",
    "drop table mine",
    "drop table if exists mine, \"Yours\" restrict",
    "alter table mine add column b int default 1",
    "alter table if exists only mine alter id type text using id::text",
    "alter table mine rename to hers",
    "create temp table x (id int); create temp view y as select 1",
];

#[test]
fn definitions_of_the_session_alone_change_nothing_that_lasts() {
    let db = database();
    let watched = Database::with(|db| db.event_trigger("e"));
    for text in OWN {
        let plan = db.plan_within(text, &plain());
        assert_eq!(plan.writes, Writes::Code, "{text}");
        assert!(plan.effects.temporary, "{text}");
        assert_eq!(plan.effects.settings, SettingsEffect::Untouched, "{text}");
        let plan = watched.plan_within(text, &plain());
        assert_eq!(plan.writes, Writes::Everything, "{text}");
        assert_eq!(plan.effects.settings, SettingsEffect::Unknown, "{text}");
        let runs = text.contains("index") || text.contains("count(") || text.contains("as table");
        let made = text.starts_with("create") && !runs;
        let plan = db.plan_within(text, &Temporary::Unknown);
        assert_eq!(plan.writes.any(), !made, "{text}");
        let plan = plan_without_catalog(&analyze(text.as_bytes()));
        assert_eq!(plan.writes, Writes::Everything, "{text}");
    }
}

#[test]
fn definitions_that_may_be_more_than_that_change_everything() {
    let db = database();
    for text in [
        "create table x (id int)",
        "create temp table public.x (id int)",
        "create table pg_temp_3.x (id int)",
        "create temp table x () inherits (t)",
        "create temp table x partition of mine for values in (1)",
        "create temp table x of kind",
        "create temp table x as execute p",
        "create temp table x as select pg_temp.f()",
        "create temp table x as select query_to_xml('', true, true, '')",
        "select * into temp x from t",
        "create temp sequence s",
        "create index on t (id)",
        "create index on absent (id)",
        "create index on mine (pg_temp.f(id))",
        "drop table t",
        "drop table mine, absent",
        "drop table mine cascade",
        "drop view mine",
        "alter table t add column b int",
        "alter table mine inherit t",
        "alter table mine owner to alice",
        "alter table mine drop column id cascade",
        "create trigger g before insert on mine execute function g()",
        "create rule r as on insert to mine do nothing",
        "drop table mine; create table x (id int)",
        "create temp view t as select * from u; update t set id = 1",
        "create temp table x (id int); select names_none()",
        "drop table mine; drop table mine",
        "create temp view v as select pg_temp.f(); create temp table x as select * from v",
    ] {
        let plan = db.plan_within(text, &plain());
        assert_eq!(plan.writes, Writes::Everything, "{text}");
    }
    let db = Database::with(|db| {
        db.table("public", "wide", &["id"]);
        db.plpgsql("fills", "BEGIN INSERT INTO Wide VALUES (1); END");
    });
    for text in [
        "create temp table x as select fills()",
        "create index on mine (fills())",
        "alter table mine alter id type int using fills()",
    ] {
        let plan = db.plan_within(text, &plain());
        assert_eq!(plan.writes, db.plan("select fills()").writes, "{text}");
        assert!(plan.writes.any(), "{text}");
    }
}

#[test]
fn a_table_is_known_by_its_definition_if_it_holds_rows_and_does_no_more() {
    let domains = Database::with(|db| {
        db.kind("d", TypeKind::Of(TypeId::from_oid(23)));
    });
    // Called like the array of what it is made of.
    let disguised = Database::with(|db| {
        let mood = db.kind("mood", TypeKind::Enum(0));
        db.kind("__mood", TypeKind::Of(mood));
        db.kind("_mood", TypeKind::Of(mood));
    });
    let db = Database::with(|db| {
        let mood = db.kind("mood", TypeKind::Enum(0));
        db.kind("_mood", TypeKind::Of(mood));
    });
    let founds = |db: &Database, text: &str| {
        let plan = db.plan_within(text, &Temporary::Plain);
        plan.effects.founds.map(String::from)
    };
    for text in [
        "create temp table x (id int)",
        "create temporary table X (id bigserial primary key, v varchar(9)[] not null, unique (id, v))",
        "create table pg_temp.x (a int default 1, b text default 'b' not null, c timestamptz default current_timestamp)",
        "create temp table x (a bool default true, b date default current_date, c int default null null) on commit drop",
        "create temp table x (a int) on commit delete rows",
        "create temp table x as select * from t",
        "create temp table x (n) as select count(*) from t",
    ] {
        assert_eq!(founds(&db, text).as_deref(), Some("x"), "{text}");
        for db in [&domains, &disguised] {
            assert_eq!(founds(db, text), None, "{text}");
        }
    }
    for text in [
        "create temp table if not exists x (id int)",
        "create temp table x (id int default 1 + 1)",
        "create temp table x (id int default f())",
        "create temp table x (id int default now() + '1 day')",
        "create temp table x (at timestamptz default now())",
        "create temp table x (id int default 'x'::d)",
        "create temp table x (id date default date '2000-01-01')",
        "create temp table x (id int check (id > 1))",
        "create temp table x (id int generated always as (1) stored)",
        "create temp table x (id int references mine)",
        "create temp table x (id int, foreign key (id) references mine)",
        "create temp table x (like t)",
        "create temp table x (id int, exclude using gist (id with =))",
        "create temp table x (id int) partition by range (id)",
        "create temp table x (id int) on commit drop rows",
        "create temp view x as select 1",
        "create temp table x (id int); create temp table y (id int)",
        "drop table x",
    ] {
        assert_eq!(founds(&db, text), None, "{text}");
    }
}
