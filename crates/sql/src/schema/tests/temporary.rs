//! What statements do in sessions whose temporary relations reach what lasts.

use super::*;
use crate::Reaching;

/// `narrow` changes anything when it is written, `wide` when it is read as well.
fn named() -> Temporary {
    Temporary::Named(Box::new(Reaching {
        written: ["narrow".into(), "wide".into()].into(),
        read: ["wide".into()].into(),
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
