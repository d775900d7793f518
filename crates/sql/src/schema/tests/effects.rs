//! What is done to session and transaction.

use super::*;
use crate::{Control, Isolation, SetScope, SetValue, Setting};

fn effects(text: &str) -> Effects {
    Database::new().plan(text).effects
}

#[test]
fn control_is_told_for_single_statements_only() {
    let begin = effects("begin isolation level serializable;").control;
    assert!(matches!(
        begin,
        Some(Control::Begin(begin)) if begin.isolation == Some(Isolation::Serializable)
    ));
    let several = effects("begin; select 1");
    assert!(several.control.is_none() && several.commits);
    assert!(effects("call add_row()").commits && !effects("select add_row()").commits);
    assert!(effects("do $$ $$").commits);
    assert!(!effects("select 1; select 2").commits);
    let body = "create function f() returns int begin atomic select 1; select 2; end; commit";
    assert!(effects(body).commits);
    assert_eq!(analyze(body.as_bytes()).statements(), 1);
}

#[test]
fn definitions_are_undone_whole_that_do_not_commit_on_the_way() {
    for text in [
        "create table x (at timestamp with time zone)",
        "alter table t drop column v",
        "drop table if exists t, u",
        "grant select on t to public",
        "create role r",
    ] {
        assert!(effects(text).whole, "{text}");
    }
    for text in [
        "create index concurrently on t (v)",
        "create index on t (v) with (some.option)",
        "alter table t detach partition u concurrently",
        "create database x",
        "create subscription s connection '' publication p",
        "alter system set work_mem = 1",
        "create table x as select f()",
        "create table x (i int); drop table t",
        "vacuum t",
        "call p()",
    ] {
        assert!(!effects(text).whole, "{text}");
    }
}

#[test]
fn settings_are_one_or_unknown() {
    let one = SettingsEffect::One(Setting {
        name: "timezone".into(),
        scope: SetScope::Local,
        value: SetValue::List(["UTC".into()].into()),
    });
    assert_eq!(effects("set local time zone 'UTC'").settings, one);
    assert_eq!(effects("reset all").settings, SettingsEffect::ResetAll);
    assert_eq!(effects("discard all").settings, SettingsEffect::ResetAll);
    assert_eq!(effects("discard plans").settings, SettingsEffect::Untouched);
    assert_eq!(
        effects("select * from t").settings,
        SettingsEffect::Untouched
    );
    for text in [
        "set x = 1; reset all",
        "set x = 1; select set_config('a', 'b', false)",
        "set x = 1; select configure()",
        "select set_config('a', lower('b'), false)",
        "select pg_catalog.set_config('a', 'b', false) from t",
        "select configure()",
        "insert into t select configure()",
        "do $$ $$",
        "gibberish",
    ] {
        assert_eq!(effects(text).settings, SettingsEffect::Unknown, "{text}");
    }
}

#[test]
fn settings_of_a_string_are_told_together() {
    let set = |name: &str, value: &str| Setting {
        name: name.into(),
        scope: SetScope::Session,
        value: SetValue::List([value.into()].into()),
    };
    let (x, y) = (set("x", "1"), set("y", "2"));
    assert_eq!(
        effects("set x = 1; select 2").settings,
        SettingsEffect::One(x.clone())
    );
    assert_eq!(
        effects("select 2; set x = 1; set y = 2; set x = 1").settings,
        SettingsEffect::Several([x.clone(), y, x].into())
    );
    assert_eq!(
        effects("close all; unlisten *; reset all;").settings,
        SettingsEffect::ResetAll
    );
}

/// Whatever a table of that name in any schema is, it may be meant.
#[test]
fn names_behind_a_setting_mean_all_that_they_could() {
    let mut twin = None;
    let db = Database::with(|db| {
        db.schema("far");
        twin = Some(db.table("far", "t", &["id"]));
    });
    let twin = twin.unwrap();
    let holds = |text: &str| {
        let writes = db.plan(text).writes;
        let Writes::Relations(relations) = &writes else {
            panic!("{text}: {writes:?}");
        };
        relations.contains(&twin)
    };
    assert!(!holds("update t set id = 1"));
    assert!(!holds("begin; savepoint s; update t set id = 1"));
    for text in [
        "set search_path = far; update t set id = 1",
        "commit; update t set id = 1",
        "rollback to s; update t set id = 1",
        "select 1; set role bob; select 2; update t set id = 1",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn temporary_objects_are_announced() {
    for text in [
        "create temp table x (id int)",
        "create or replace temporary view x as select 1",
        "select * into temp x from t",
        "create table pg_temp.x (id int)",
        "create local temp table x as select 1",
        "select dynamic()",
        "do $$ $$",
        "gibberish",
    ] {
        assert!(effects(text).temporary, "{text}");
    }
    for text in [
        "create table x (id int)",
        "select add_row()",
        "insert into audited values (1)",
    ] {
        assert!(!effects(text).temporary, "{text}");
    }
}

#[test]
fn the_one_temporary_relation_that_is_made_has_a_name() {
    for text in [
        "create temp table x (id int default f())",
        "CREATE TEMPORARY TABLE IF NOT EXISTS \"x\" (id int)",
        "create or replace temp view X as select * from t",
        "create local temp table pg_temp.x as select v from t",
        "create temp recursive view x (n) as select 1",
    ] {
        assert_eq!(effects(text).makes.as_deref(), Some("x"), "{text}");
    }
    for text in [
        "create table pg_temp.x (id int)",
        "create temp table x as select f()",
        "create temp sequence x",
        "select * into temp x from t",
        "create table x (id int)",
        "create temp table x (id int); create temp table y (id int)",
        "do $$ $$",
    ] {
        assert_eq!(effects(text).makes, None, "{text}");
    }
}

#[test]
fn names_of_statements_and_portals_are_announced() {
    for text in [
        "execute p",
        "prepare p as select 1",
        "deallocate p",
        "deallocate prepare p",
        "deallocate all",
        "fetch c",
        "close c",
        "discard all",
        "declare c cursor with hold for select 1",
        "explain execute p",
        "select * from pg_cursors",
        "select name from pg_catalog.pg_prepared_statements",
        "gibberish",
    ] {
        assert!(effects(text).names, "{text}");
    }
    let sight = |text| effects(text).sight;
    assert_eq!(sight("execute P (1)"), Sight::Statement("p".into()));
    assert_eq!(sight("deallocate \"P\""), Sight::Name("P".into()));
    assert_eq!(sight("prepare p as select 1"), Sight::Name("p".into()));
    for text in ["deallocate all", "discard all"] {
        assert_eq!(sight(text), Sight::Nothing, "{text}");
    }
    for text in ["fetch c", "declare c cursor for select 1"] {
        assert_eq!(sight(text), Sight::Portals, "{text}");
    }
    for text in [
        "explain execute p",
        "select * from pg_cursors",
        "do $$ $$",
        "fetch c; execute p",
    ] {
        assert_eq!(sight(text), Sight::All, "{text}");
    }
    let deallocates = |text: &str, names: &[&str]| {
        let names: Box<[Box<str>]> = names.iter().map(|&name| name.into()).collect();
        assert_eq!(effects(text).deallocates, names, "{text}");
    };
    deallocates("deallocate prepare \"P\"", &["P"]);
    deallocates("deallocate prepare", &["prepare"]);
    deallocates("deallocate all", &[]);
    deallocates(
        "deallocate a; select 1; prepare b as select 1; deallocate all; deallocate a",
        &["a", "b", "a"],
    );
    deallocates("execute b; deallocate a; explain execute c", &["a"]);
    // It may be one of either, of any name.
    deallocates("deallocate a; gibberish", &[]);
    assert!(!effects("select * from t").names);
}

#[test]
fn sessions_are_pinned_by_what_outlives_a_transaction() {
    for text in [
        "listen a",
        "select pg_advisory_lock(1)",
        "declare c cursor with hold for select 1",
    ] {
        assert!(effects(text).pins, "{text}");
    }
    assert!(!effects("select pg_advisory_xact_lock(1)").pins);
    assert!(!effects("insert into t values (1)").pins);
}

#[test]
fn the_tag_judges_what_was_not_understood() {
    assert!(effects("gibberish").tag_judges);
    assert!(effects("execute p").tag_judges);
    assert!(!effects("create table x (id int)").tag_judges);
    assert!(!effects("gibberish; select 1").tag_judges);
}

#[test]
fn set_config_sets_what_it_says_if_it_is_the_servers_own() {
    let text = "select set_config('app.user', $1, true) as x";
    let told = |db: &Database| {
        let known = db.plan(text).effects.settings;
        let anywhere = db
            .schema
            .plan_anywhere(&analyze(text.as_bytes()), &Temporary::Plain);
        assert_eq!(known, anywhere.effects.settings);
        matches!(known, SettingsEffect::Calls(_))
    };
    assert!(told(&Database::new()));
    assert!(!told(&Database::with(|db| {
        db.function(
            "public",
            "set_config",
            Language::Sql,
            Volatility::Volatile,
            "select 1",
        );
    })));
    assert!(!told(&Database::with(|db| {
        let set = db.plpgsql("convert", "begin perform set_config('a.b', 'c', true); end");
        db.cast("text", "int4", set);
    })));
    let blind = plan_without_catalog(&analyze(text.as_bytes()));
    assert_eq!(blind.effects.settings, SettingsEffect::Unknown);
    assert_eq!(Database::new().plan(text).read, Err(Reason::Volatile));
}

#[test]
fn a_report_does_what_the_queries_do_that_it_is_given() {
    let db = Database::with(|db| {
        for name in ["crosstab", "crosstab2", "normal_rand", "connectby"] {
            db.function("public", name, Language::C, Volatility::Stable, "");
            db.last_function().expect("it was made").extension = Some("tablefunc".into());
        }
        db.plpgsql("crosstab3", "begin execute $1; end");
    });
    let check = |text: &str, unbounded| {
        let plan = db.plan(text);
        assert!(plan.read.is_err(), "{text}");
        assert_eq!(plan.writes.is_unbounded(), unbounded, "{text}");
        assert_eq!(plan.writes.any(), unbounded, "{text}");
    };
    for text in [
        "select * from crosstab('select v, id, id from t order by 1, 2;') as c(v text, a int)",
        "select * from crosstab('select v, id, id from t', $$values (''a'')$$) as c(v text, a int)",
        "select * from normal_rand(5, 1, 2), t",
    ] {
        check(text, false);
    }
    for text in [
        "select * from crosstab('select v, dynamic() from t') as c(v text, a int)",
        "select * from crosstab($1) as c(v text, a int)",
        "select * from crosstab('select 1; select 2') as c(v text, a int)",
        "select * from crosstab('delete from t') as c(v text, a int)",
        "select * from crosstab('select * from crosstab(''select 1'') as c(v text)') as c(v text)",
        "select * from crosstab('select 1') c(v text), crosstab2($1) d(v text)",
        "select * from crosstab3('select 1') c(v text)",
        "select * from connectby('t', 'a', 'b', 'c', 1) c(v text)",
    ] {
        check(text, true);
    }
    let adds = db.plan("select * from crosstab('select v, add_row() from t') as c(v text, a int)");
    assert!(
        matches!(adds.writes, Writes::Relations(_)),
        "{:?}",
        adds.writes
    );
    let told = db.plan("select * from crosstab('select configure()') as c(v text, a int)");
    assert_eq!(told.effects.settings, SettingsEffect::Unknown);
}
