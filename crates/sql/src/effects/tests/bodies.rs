//! What functions do, by body, language and extension.

use super::*;

/// What a PL/pgSQL function with this body writes, in terms of the tables it names.
fn check_body(language: Language, body: &str, expected: Option<&[&str]>) {
    let (mut db, tables) = db();
    db.function(
        "public",
        "write_city",
        Language::Sql,
        Volatility::Volatile,
        "DELETE FROM city",
    );
    db.plpgsql("dynamic", "BEGIN EXECUTE 'x'; END");
    let function = db.function("public", "f", language, Volatility::Volatile, body);
    let expected = expected.map_or(Writes::Everything, |names| {
        let known = ["city", "person", "audit"].into_iter().zip(tables);
        let ids: Vec<_> = known
            .filter(|(name, _)| names.contains(name))
            .map(|(_, id)| id)
            .collect();
        if ids.is_empty() {
            Writes::Code
        } else {
            relations(&ids)
        }
    });
    assert_eq!(effects(db).of_function(function).writes, expected, "{body}");
}

fn plpgsql(body: &str, expected: &[&str]) {
    check_body(Language::PlPgSql, body, Some(expected));
}

#[test]
fn bodies_write_their_targets_and_not_what_they_read() {
    plpgsql("BEGIN RETURN 1; END", &[]);
    plpgsql("BEGIN SELECT id INTO x FROM city; RETURN x; END", &[]);
    plpgsql("BEGIN PERFORM 1 FROM city FOR UPDATE; END", &[]);
    plpgsql(
        "BEGIN PERFORM 1 FROM city FOR NO KEY UPDATE OF city SKIP LOCKED; END",
        &[],
    );
    plpgsql(
        "BEGIN INSERT INTO audit SELECT id FROM city; END",
        &["audit"],
    );
    plpgsql("BEGIN DELETE FROM ONLY (city) USING person; END", &["city"]);
    for odd in [
        "OPEN c FOR UPDATE skip SET id = 1 RETURNING id",
        "OPEN c FOR UPDATE nowait AS n SET id = 1",
        "OPEN c FOR UPDATE of o SET id = 1",
        "IF a THEN UPDATE set AS s SET id = 1; END IF",
        "IF a THEN UPDATE set s SET id = 1; END IF",
        "IF a THEN UPDATE set * SET id = 1; END IF",
        "IF a THEN UPDATE set.t SET id = 1; END IF",
        "OPEN c FOR UPDATE skip.t SET id = 1",
        "PERFORM CASE WHEN a THEN declare SIMILAR TO 'x' END FROM city; DROP TABLE city",
    ] {
        // There are no tables of these names.
        check_body(Language::PlPgSql, &format!("BEGIN {odd}; END"), None);
    }
    plpgsql(
        "BEGIN UPDATE ONLY city SET id = 1 FROM person; END",
        &["city"],
    );
    plpgsql(
        "BEGIN MERGE INTO city USING person ON true WHEN MATCHED THEN DO NOTHING; END",
        &["city"],
    );
    plpgsql(
        "BEGIN INSERT INTO \"city\" VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2; END",
        &["city"],
    );
    plpgsql(
        "BEGIN TRUNCATE TABLE ONLY city *, public.person CASCADE; END",
        &["city", "person"],
    );
    plpgsql(
        "BEGIN FOR r IN DELETE FROM city RETURNING id LOOP NULL; END LOOP; END",
        &["city"],
    );
    plpgsql(
        "BEGIN OPEN c FOR UPDATE city SET id = 1 RETURNING id; END",
        &["city"],
    );
    plpgsql(
        "BEGIN x := (WITH d AS (DELETE FROM city RETURNING 1) SELECT 1 FROM d); END",
        &["city"],
    );
    plpgsql(
        "DECLARE c CURSOR FOR SELECT write_city(); BEGIN OPEN c; END",
        &["city"],
    );
    plpgsql(
        "BEGIN RETURN 'INSERT INTO city' || $q$ DELETE FROM person $q$; -- UPDATE audit\nEND",
        &[],
    );
}

#[test]
fn names_in_bodies_fold_and_match_in_any_schema() {
    let (mut db, [city, ..]) = db();
    let other = db.table("other", "city", &["id"]);
    let quoted = db.table("public", "City", &["id"]);
    db.table("pg_temp_3", "city", &["id"]);
    db.last_relation().unwrap().temporary = true;
    let mut of = |name: &str, target: &str| {
        db.plpgsql(name, &format!("BEGIN INSERT INTO {target} VALUES (1); END"))
    };
    let any = of("f1", "CITY");
    let exact = of("f2", "\"City\"");
    let qualified = of("f3", "Other . City");
    let database = of("f4", "shop.public.city");
    let temporary = of("f5", "pg_temp.city");
    let missing = of("f6", "nowhere.city");
    // An index, in whose place a table may have come since.
    db.relation(catalog::RelationKind::Other, "third", "city", &[]);
    let mut of = |name: &str, target: &str| {
        db.plpgsql(name, &format!("BEGIN INSERT INTO {target} VALUES (1); END"))
    };
    let index = of("f7", "third.city");
    let effects = effects(db);
    assert_eq!(effects.of_function(any).writes, relations(&[city, other]));
    assert_eq!(effects.of_function(exact).writes, relations(&[quoted]));
    assert_eq!(effects.of_function(qualified).writes, relations(&[other]));
    assert_eq!(effects.of_function(database).writes, relations(&[city]));
    assert_eq!(effects.of_function(temporary).writes, Writes::Everything);
    assert_eq!(effects.of_function(missing).writes, Writes::Everything);
    assert_eq!(effects.of_function(index).writes, Writes::Everything);
}

#[test]
fn calls_are_followed_however_they_are_written() {
    for call in [
        "PERFORM write_city()",
        "x := public.write_city ( )",
        "PERFORM \"write_city\"()",
        "RETURN QUERY SELECT * FROM write_city() AS w",
        "PERFORM p.write_city FROM person p",
        "PERFORM (p).write_city FROM person p",
    ] {
        plpgsql(&format!("BEGIN {call}; END"), &["city"]);
    }
    plpgsql("BEGIN PERFORM other.write_city(); END", &[]);
    plpgsql(
        "BEGIN IF a THEN CALL write_city(); END IF; CALL none(1, x); END",
        &["city"],
    );
    check_body(
        Language::Sql,
        "SELECT 1; CALL write_city()",
        Some(&["city"]),
    );
    check_body(Language::Sql, "SELECT write_city()", Some(&["city"]));
    check_body(Language::Sql, "RETURN write_city()", Some(&["city"]));
}

#[test]
fn dynamic_sql_ddl_and_transaction_control_write_everything() {
    for statement in [
        "EXECUTE 'x'",
        "EXECUTE format('DROP TABLE %I', x)",
        "RETURN QUERY EXECUTE x",
        "FOR r IN EXECUTE x LOOP NULL; END LOOP",
        "OPEN c FOR EXECUTE x",
        "CREATE TEMP TABLE x (id int)",
        "ALTER TABLE city ADD x int",
        "IF a THEN DROP TABLE city; END IF",
        "IF a THEN NULL; ELSE GRANT SELECT ON city TO bob; END IF",
        "LOOP COMMIT; END LOOP",
        "IF a THEN COMMIT; END IF",
        "CALL dynamic()",
        "IF a THEN CALL dynamic(); END IF",
        "DO 'x'",
        "COPY city FROM '/tmp/x'",
        "FOR r IN EXPLAIN ANALYZE DELETE FROM city LOOP NULL; END LOOP",
        "<<a>> CREATE TABLE x ()",
        "INSERT INTO unknown VALUES (1)",
        "INSERT INTO pg_class VALUES (1)",
        "PERFORM query_to_xml('x', true, true, '')",
        "INSERT INTO U&\"d\\0061t\" VALUES (1)",
        "x := 'open",
        r"x := 'a\''",
        "FROBNICATE city",
    ] {
        check_body(
            Language::PlPgSql,
            &format!("BEGIN NULL; {statement}; END"),
            None,
        );
    }
    for body in [
        "CREATE TABLE x ()",
        "SELECT 1; DROP TABLE city",
        "SELECT * INTO x FROM city",
        "EXPLAIN ANALYZE DELETE FROM city",
        "BEGIN ATOMIC CREATE TABLE x (); END",
    ] {
        check_body(Language::Sql, body, None);
    }
}

#[test]
fn words_that_only_look_like_commands_are_harmless() {
    plpgsql("BEGIN comment := 'x'; NEW.call = 1; drop[1] := 2; END", &[]);
    plpgsql(
        "BEGIN x := CASE WHEN a THEN comment ELSE load END; END",
        &[],
    );
    plpgsql(
        "DECLARE comment text; copy int := 1; BEGIN RETURN NEW.execute; END",
        &[],
    );
    plpgsql(
        "#variable_conflict use_column\nDECLARE x int; y int; BEGIN RETURN x; END",
        &[],
    );
    plpgsql(
        "<<outer>> DECLARE x int; BEGIN <<l>> LOOP EXIT l; END LOOP l; END outer",
        &[],
    );
    plpgsql(
        "BEGIN BEGIN NULL; EXCEPTION WHEN others THEN RAISE NOTICE 'x'; END; END",
        &[],
    );
    check_body(
        Language::Sql,
        "SELECT comment, copy AS explain FROM city",
        Some(&[]),
    );
}

#[test]
fn settings_are_told_apart_from_rows() {
    let (mut db, [city, ..]) = db();
    let call = db.plpgsql(
        "f1",
        "BEGIN PERFORM set_config('role', 'bob', false); RETURN NEW; END",
    );
    let set = db.plpgsql("f2", "BEGIN SET LOCAL search_path = x; RESET ALL; END");
    let update = db.plpgsql("f3", "BEGIN UPDATE city SET id = 1; END");
    db.trigger(city, call, &[Event::Insert]);
    let effects = effects(db);
    let of = |id| effects.of_function(id);
    assert_eq!(
        of(call),
        Outcome {
            writes: Writes::Code,
            sets: true,
            foreign: false,
        }
    );
    assert_eq!(
        of(set),
        Outcome {
            writes: Writes::Code,
            sets: true,
            foreign: false,
        }
    );
    assert_eq!(
        of(update),
        Outcome {
            writes: relations(&[city]),
            sets: false,
            foreign: false,
        }
    );
    assert!(effects.of_write(city, Event::Insert).sets);
    assert!(!effects.of_write(city, Event::Delete).sets);
}

#[test]
fn functions_without_a_readable_body_are_judged_by_language_and_extension() {
    let mut db = Fixture::new();
    let mut add = |language, volatility, extension: Option<&str>| {
        let id = db.function("public", "f", language, volatility, "");
        db.last_function().unwrap().extension = extension.map(Into::into);
        id
    };
    let cases = [
        (add(Language::C, Volatility::Immutable, None), Writes::Code),
        (
            add(Language::C, Volatility::Stable, None),
            Writes::Everything,
        ),
        (
            add(Language::C, Volatility::Volatile, Some("dblink")),
            Writes::Everything,
        ),
        (
            add(Language::C, Volatility::Volatile, Some("pgcrypto")),
            Writes::Nothing,
        ),
        (
            add(Language::Internal, Volatility::Volatile, None),
            Writes::Everything,
        ),
        (
            add(Language::Foreign, Volatility::Immutable, None),
            Writes::Everything,
        ),
    ];
    let effects = effects(db);
    for (id, expected) in cases {
        assert_eq!(effects.of_function(id).writes, expected, "{id}");
    }
}

#[test]
fn a_body_that_was_not_read_may_do_anything() {
    let mut db = Fixture::new();
    let hidden = db.plpgsql("f", "BEGIN END");
    db.last_function().unwrap().body = None;
    assert_eq!(effects(db).of_function(hidden), Outcome::EVERYTHING);
}

#[test]
fn an_aggregate_does_what_its_support_functions_do() {
    let (mut db, [city, ..]) = db();
    let step = db.plpgsql("step", "BEGIN DELETE FROM city; RETURN 1; END");
    let total = db.function(
        "public",
        "total",
        Language::Internal,
        Volatility::Immutable,
        "",
    );
    let function = db.last_function().unwrap();
    (function.kind, function.support) = (FunctionKind::Aggregate, [step].into());
    assert_eq!(effects(db).of_function(total).writes, relations(&[city]));
}

#[test]
fn builtins_write_nothing_unless_they_run_text() {
    let effects = effects(Fixture::new());
    let of = |name| {
        let function = effects.snapshot.functions_named(name).next().unwrap();
        effects.of_function(function.id)
    };
    assert_eq!(of("lower"), Outcome::NOTHING);
    assert_eq!(of("nextval"), Outcome::NOTHING);
    assert_eq!(
        of("set_config"),
        Outcome {
            writes: Writes::Nothing,
            sets: true,
            foreign: false,
        }
    );
    assert_eq!(of("query_to_xml"), Outcome::EVERYTHING);
}

#[test]
fn a_function_does_what_the_defaults_of_its_arguments_do() {
    let (mut db, [city, ..]) = db();
    let default = db.plpgsql("fallback", "BEGIN DELETE FROM city; RETURN 1; END");
    let function = db.plpgsql("f", "BEGIN RETURN $1; END");
    db.last_function().unwrap().support = [default].into();
    assert_eq!(effects(db).of_function(function).writes, relations(&[city]));
}

#[test]
fn code_that_may_have_a_connection_of_its_own_is_foreign() {
    let (mut db, _) = db();
    let c = db.function("public", "c", Language::C, Volatility::Volatile, "");
    let caller = db.plpgsql("f", "BEGIN EXECUTE 'SELECT 1'; PERFORM c(); END");
    let dynamic = db.plpgsql("g", "BEGIN EXECUTE 'SELECT 1'; END");
    let effects = effects(db);
    assert!(effects.of_function(c).foreign);
    assert!(!effects.of_function(dynamic).foreign);
    // The text that is run hides what it calls.
    assert!(!effects.of_function(caller).foreign);
}

#[test]
fn a_column_called_declare_or_key_hides_nothing() {
    plpgsql(
        "BEGIN x := CASE WHEN a THEN declare ELSE b END; TRUNCATE city; END",
        &["city"],
    );
    plpgsql(
        "BEGIN IF a THEN DECLARE n int; BEGIN TRUNCATE city; END; END IF; END",
        &["city"],
    );
    plpgsql(
        "BEGIN WITH RECURSIVE r AS (SELECT 1) CYCLE id SET c USING key UPDATE city SET id = 1; END",
        &["city"],
    );
}
