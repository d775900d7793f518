//! Operators and casts of the user's, and whether a query could mean them.

use super::*;
use crate::Meaning;

/// An operator whose function may do what it likes, over types by name: `mood` is an enum of the
/// user's, `label` a domain over text.
fn with(symbol: &'static str, operands: [&'static str; 2]) -> Database {
    Database::with(move |db| {
        types(db);
        let function = db.plpgsql("compare", "begin return true; end");
        db.operator(symbol, function);
        let operands = operands.map(|name| kind(db, name));
        db.last_operator().expect("it was made").operands = operands;
    })
}

fn types(db: &mut Fixture) {
    let mood = db.kind("mood", TypeKind::Enum(0));
    db.kind("_mood", TypeKind::Of(mood));
    db.kind("label", TypeKind::Of(kind(db, "text")));
    db.table("public", "felt", &["id", "m text"]);
    db.last_relation().expect("it was made").columns[1].1 = mood;
    db.table("public", "row", &["id", "r text"]);
    db.last_relation().expect("it was made").columns[1].1 = TypeId::from_oid(99_999);
}

fn kind(db: &Fixture, name: &str) -> TypeId {
    let found = db.builder.types.iter().find(|known| &*known.name == name);
    found.map_or(TypeId::from_oid(0), |known| known.id)
}

fn check(symbol: &'static str, operands: [&'static str; 2], text: &str, known: bool) {
    let db = with(symbol, operands);
    let plan = db.plan(text);
    match known {
        true => assert!(
            plan.read.is_ok() && plan.builtin_parameters,
            "{text}: {plan:?}"
        ),
        // What nothing is known of may hold a time with a zone, as there are tables that do.
        false => assert!(
            matches!(plan.read, Err(Reason::UnknownOperator | Reason::Clock)),
            "{text}"
        ),
    }
}

#[test]
fn an_operator_for_types_that_do_not_occur_is_not_meant() {
    let moods = ["mood", "mood"];
    for text in [
        "select count(*) from t where id = 1 order by v",
        "select * from t where v in ('a', $1) and v = $2 and 'a' = 'b' and $1 = any($2)",
        "select distinct v from t union select w from u",
        "select case v when 'a' then 1 end from t join u using (id)",
    ] {
        check("=", moods, text, true);
        check("=", ["_mood", "mood"], text, true);
    }
    for text in [
        "select * from felt",
        "select * from t where v = 'happy'::mood::text",
        "select * from t where v::public._mood = '{}'",
        "select * from t where v::none = '{}'",
        "select * from row",
    ] {
        check("=", moods, text, false);
        check("=", ["_mood", "mood"], text, false);
    }
    check("=", ["", "mood"], "select * from t", true);
}

#[test]
fn an_operator_for_rows_is_meant_where_rows_are() {
    let check = |symbol, text: &str, known| {
        let db = Database::with(|db| {
            let function = db.plpgsql("compare", "begin return true; end");
            db.operator(symbol, function);
            let row = TypeId::from_oid(99_999);
            db.last_operator().expect("it was made").operands = [row, row];
        });
        assert_eq!(db.read(text).is_ok(), known, "{text}");
    };
    check("=", "select id from t where id = 1", true);
    check("*", "select id from t where id * 1 = 1", true);
    check("=", "select id from t where v::none = null", false);
    for (rows, more) in [
        (
            "select id from t where (id, v) = (1, 'a')",
            "(id, v) * null",
        ),
        ("select id from t where row(id) = row(1)", "row(id) * null"),
        ("select id from t where t = t", "t * t"),
        ("select a.id from t a, t b where a.* = b.*", "a.* * b.*"),
        (
            "select id from t where lower(t.*) = null",
            "lower(t.*) * null",
        ),
        ("select id from t x where x.x = null", "x * x"),
    ] {
        check("=", rows, true);
        check(
            "*",
            &rows.replace("where", &format!("where {more} is null and")),
            false,
        );
    }
    let own = Database::with(|db| {
        let function = db.plpgsql("compare", "begin return true; end");
        db.operator("=", function);
        let t = db.builder.relations.iter().find(|it| &*it.name == "t");
        let row = t.expect("it was made").row;
        db.last_operator().expect("it was made").operands = [row, row];
    });
    assert!(own.read("select id from t where id = 1").is_ok());
    assert_eq!(
        own.read("select id from t where t = t"),
        Err(Reason::UnknownOperator)
    );
}

#[test]
fn an_operator_for_arrays_of_rows_is_meant_where_rows_are() {
    let db = Database::with(|db| {
        let function = db.plpgsql("compare", "begin return true; end");
        db.operator("=", function);
        let t = db.builder.relations.iter().find(|it| &*it.name == "t");
        let row = t.expect("it was made").row;
        let rows = db.kind("_t", TypeKind::Of(row));
        db.last_operator().expect("it was made").operands = [rows, rows];
    });
    assert!(db.read("select id from t where id = 1").is_ok());
    assert_eq!(
        db.read("select array_agg(a) = array_agg(b) from t a, t b"),
        Err(Reason::UnknownOperator)
    );
}

#[test]
fn an_operator_for_a_builtin_type_may_be_meant() {
    for operands in [
        ["text", "int4"],
        ["text", "mood"],
        ["mood", "text"],
        ["label", "label"],
    ] {
        check("=", operands, "select * from t where id = 1", false);
    }
}

#[test]
fn an_operator_between_literals_may_be_that_of_any_type() {
    let moods = ["mood", "mood"];
    check("+", moods, "select id + 1, id + $1 from t", true);
    check("+", moods, "select '1' + $1 from t", false);
    check(
        "+",
        moods,
        "select id + 1 from t where ('a') + null is null",
        false,
    );
    check("@@@", ["", "mood"], "select @@@ id from t", true);
    check("@@@", ["", "mood"], "select @@@ 'a' from t", false);
}

#[test]
fn an_operator_counts_where_its_schema_is_in_the_path() {
    let check = |symbol, text: &str, known| {
        let db = Database::with(|db| {
            let function = db.plpgsql("compare", "begin return true; end");
            db.operator(symbol, function);
            let far = db.schema("far");
            db.last_operator().expect("it was made").schema = far;
        });
        let found = db.read(text);
        assert_eq!(found.is_ok(), known, "{text}: {found:?}");
    };
    check("+", "select id + 1 from t", true);
    check("+", "select id operator(far.+) 1 from t", false);
    // The order of a type has no schema.
    check("<", "select * from t order by v", false);
}

#[test]
fn a_star_is_no_operator() {
    let texts = ["int4", "int4"];
    check("=", ["mood", "mood"], "select count(*) from t", true);
    for text in [
        "select count(*), t.* from t",
        "select * from t",
        "select distinct * from t",
    ] {
        let db = with("*", texts);
        assert!(db.read(text).is_ok(), "{text}");
        // Writes do not run it either.
        let plan = db.plan(&format!("insert into log select id from ({text}) x"));
        assert!(matches!(plan.writes, Writes::Relations(_)), "{text}");
    }
    check("*", texts, "select id * 2 from t", false);
}

#[test]
fn compiled_code_of_an_extension_is_trusted_behind_operators_and_casts() {
    let check = |language, volatility, extension: Option<&str>, known| {
        let db = Database::with(|db| {
            let function = db.function("public", "compare", language, volatility, "");
            db.last_function().expect("it was made").extension = extension.map(Into::into);
            db.operator("=", function);
            db.cast("text", "int4", function);
        });
        assert_eq!(db.read("select * from t").is_ok(), known);
        let called = db.read("select compare(v) from t");
        assert_eq!(called, Err(Reason::UnknownFunction));
    };
    check(Language::C, Volatility::Immutable, Some("new"), true);
    check(Language::Internal, Volatility::Immutable, Some("new"), true);
    check(Language::C, Volatility::Stable, Some("new"), false);
    check(Language::C, Volatility::Immutable, None, false);
    check(Language::PlPgSql, Volatility::Immutable, Some("new"), false);
}

#[test]
fn a_cast_counts_where_its_types_occur() {
    let check = |source, target, text: &str, known| {
        let db = Database::with(|db| {
            types(db);
            let function = db.plpgsql("convert", "begin return 1; end");
            db.cast("text", "text", function);
            let (source, target) = (kind(db, source), kind(db, target));
            let cast = db.builder.casts.last_mut().expect("it was made");
            (cast.source, cast.target) = (source, target);
        });
        let plan = db.plan(text);
        match known {
            true => assert!(plan.read.is_ok() && plan.builtin_parameters, "{text}"),
            false => assert_eq!(plan.read, Err(Reason::UnknownCast), "{text}"),
        }
    };
    check("text", "mood", "select * from t", true);
    check("text", "mood", "select v::mood from t", false);
    check("mood", "text", "select * from felt", false);
    check("text", "int4", "select * from t", false);
    check("mood", "json", "select to_json(m) from felt", false);
    check("mood", "text", "select id, 'x' || m from felt", false);
    check("mood", "json", "select * from t", true);
}

/// A cast to text, as old applications want it, whose function has this body.
fn written_by(volatility: Volatility, body: &'static str) -> Database {
    Database::with(move |db| {
        db.function("public", "written", Language::Sql, volatility, body);
        let (number, text) = (kind(db, "int4"), kind(db, "text"));
        let function = db.last_function().expect("it was made");
        (function.arguments, function.takes) = ((1, 1), [number].into());
        function.returns = text;
        let id = function.id;
        db.cast("int4", "text", id);
    })
}

#[test]
fn a_cast_needs_what_its_function_reads() {
    let check = |volatility, body, expected: Result<&[&str], Reason>| {
        let db = written_by(volatility, body);
        let expected = expected.map(|names| names.iter().map(|&it| it.to_owned()).collect());
        assert_eq!(db.read("select id from t where id = 1"), expected, "{body}");
    };
    let (stable, immutable) = (Volatility::Stable, Volatility::Immutable);
    check(immutable, "select lower('a')", Ok(&["t"]));
    check(stable, "select v from u where id = 1", Ok(&["t", "u"]));
    check(immutable, "select v from u", Err(Reason::UnknownCast));
    check(stable, "select now()", Err(Reason::UnknownCast));
    check(Volatility::Volatile, "select 'a'", Err(Reason::UnknownCast));
}

#[test]
fn what_a_view_keeps_is_looked_at_by_its_identity() {
    let check = |extension: Option<&str>, volatility, operator: bool| {
        let db = Database::with(|db| {
            let convert = db.function("public", "convert", Language::C, volatility, "");
            db.last_function().expect("it was made").extension = extension.map(Into::into);
            let table = db.builder.relations.iter().find(|it| &*it.name == "t");
            let table = table.expect("it was made").id;
            let text = "select id, v::int4 as n from public.t";
            let view = db.view("public", "kept", &["id", "n"], text, &[table]);
            match operator {
                true => db.uses(view, convert, Moment::Read),
                false => db.keeps(Keeper::Relation(view), convert),
            }
        });
        db.read("select n from kept").map(|_| ())
    };
    for (operator, refused) in [
        (false, Reason::UnknownCast),
        (true, Reason::UnknownFunction),
    ] {
        assert_eq!(check(Some("new"), Volatility::Immutable, operator), Ok(()));
        let stable = check(Some("new"), Volatility::Stable, operator);
        assert_eq!(stable, Err(refused));
        let own = check(None, Volatility::Immutable, operator);
        assert_eq!(own, Err(refused));
    }
}

#[test]
fn what_a_view_names_is_what_it_keeps() {
    let db = Database::with(|db| {
        let body = "select 1";
        let read = db.function("public", "one", Language::Sql, Volatility::Stable, body);
        let function = db.last_function().expect("it was made");
        (function.arguments, function.returns) = ((0, 0), catalog::fixture::type_named("int4"));
        let table = db.builder.relations.iter().find(|it| &*it.name == "t");
        let table = table.expect("it was made").id;
        let text = "select id, public.one() as n from public.t";
        let view = db.view("public", "kept", &["id", "n"], text, &[table]);
        db.uses(view, read, Moment::Read);
    });
    assert!(db.read("select n from kept").is_ok());
}

#[test]
fn a_check_counts_where_its_domain_occurs() {
    let db = Database::with(|db| {
        types(db);
        let function = db.plpgsql("is_label", "begin return true; end");
        let label = kind(db, "label");
        db.implicit(function, label);
    });
    assert!(db.read("select * from felt").is_ok());
    assert_eq!(db.read("select v::label from t"), Err(Reason::UnknownCast));
}

#[test]
fn what_is_converted_without_being_asked_occurs() {
    let db = Database::with(|db| {
        types(db);
        let function = db.plpgsql("compare", "begin return true; end");
        db.operator("=", function);
        let (mood, text) = (kind(db, "mood"), kind(db, "text"));
        db.last_operator().expect("it was made").operands = [mood, mood];
        db.cast("text", "text", function);
        let cast = db.builder.casts.last_mut().expect("it was made");
        (cast.target, cast.binary, cast.implicit) = (mood, true, true);
        assert_eq!(cast.source, text);
    });
    assert_eq!(db.read("select * from t"), Err(Reason::UnknownOperator));
}

#[test]
fn a_cast_counts_where_a_function_returns_what_it_makes() {
    let check = |returns: &str, known| {
        let db = Database::with(|db| {
            types(db);
            let tone = db.kind("tone", TypeKind::Enum(0));
            let convert = db.plpgsql("convert", "begin return 1; end");
            db.cast("text", "text", convert);
            let mood = kind(db, "mood");
            let cast = db.builder.casts.last_mut().expect("it was made");
            (cast.source, cast.target) = (mood, tone);
            let body = "select m from felt";
            db.function("public", "price", Language::Sql, Volatility::Stable, body);
            let returns = kind(db, returns);
            let function = db.last_function().expect("it was made");
            (function.returns, function.arguments) = (returns, (0, 0));
        });
        let found = db.read("select price() from t");
        assert_eq!(found.is_ok(), known, "{returns}: {found:?}");
    };
    check("mood", true);
    check("tone", false);
}

#[test]
fn what_a_statement_means_hangs_on_the_casts_that_its_values_may_go_through() {
    let holds = |text: &str, cast: [&'static str; 2]| {
        let (before, after) = (meaning(text, None), meaning(text, Some(cast)));
        // What it changes is another question.
        assert!(
            before.writes_as(&after) && after.writes_as(&before),
            "{text}"
        );
        before.holds(&after)
    };
    assert!(!holds("select m::text from felt", ["mood", "text"]));
    assert!(holds("select v from t", ["mood", "text"]));
    assert!(!holds("select v from t", ["int4", "text"]));
}

/// What a text means where there is a cast of the user's.
fn meaning(text: &str, cast: Option<[&'static str; 2]>) -> Meaning {
    let db = Database::with(|db| {
        types(db);
        let convert = db.plpgsql("convert", "begin return 1; end");
        if let Some(cast) = cast {
            db.cast("text", "text", convert);
            let [source, target] = cast.map(|name| kind(db, name));
            let cast = db.builder.casts.last_mut().expect("it was made");
            (cast.source, cast.target) = (source, target);
        }
    });
    db.plan(text).meaning
}

/// It was prepared before anybody here knew its table.
#[test]
fn what_columns_are_made_of_bears_on_reads_that_keep_some_of_it() {
    let check = |text: &str, expected: (bool, bool)| {
        let then = Database::new().plan(text).meaning;
        let now = Database::with(types).plan(text).meaning;
        assert_eq!((then.holds(&now), then.writes_as(&now)), expected, "{text}");
    };
    check("select m from felt", (true, true));
    check("select m from felt where m = $1", (true, true));
    check("select m from felt where m = 'sad'", (false, true));
    check("insert into felt values ('sad')", (true, true));
    check("select * from felt where m::mood = m", (false, true));
}
