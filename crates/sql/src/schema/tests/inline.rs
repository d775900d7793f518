//! Functions in SQL, which are read like views.

use super::*;

/// A function in SQL that takes texts.
fn function(db: &mut Fixture, name: &str, volatility: Volatility, takes: u16, body: &str) {
    db.function("public", name, Language::Sql, volatility, body);
    let function = db.last_function().expect("it was made");
    function.arguments = (takes, takes);
    function.takes = (0..takes).map(|_| TypeId::from_oid(25)).collect();
}

fn stable(body: &'static str) -> Database {
    Database::with(move |db| function(db, "f", Volatility::Stable, 0, body))
}

#[test]
fn a_call_reads_what_the_body_reads() {
    let check = |body, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|&name| name.to_owned()).collect();
        let db = stable(body);
        assert_eq!(db.read("select f() from t"), Ok(expected.clone()), "{body}");
        assert_eq!(db.read("select * from t, f() x"), Ok(expected), "{body}");
        assert_eq!(
            db.writes("select f() from t"),
            Vec::<String>::new(),
            "{body}"
        );
    };
    check("select 1", &["t"]);
    check("select w from u limit 1;", &["t", "u"]);
    check("select id from vv", &["t", "u", "vv", "vw"]);
    check("SELECT 1 FROM public.u WHERE v = current_user", &["t", "u"]);
    check("RETURN ( SELECT u.w FROM public.u)", &["t", "u"]);
    check("BEGIN ATOMIC\n SELECT u.w FROM public.u;\nEND", &["t", "u"]);
}

#[test]
fn a_call_is_refused_for_what_refuses_the_body() {
    for (body, reason) in [
        ("select now()", Reason::Clock),
        ("select random()", Reason::Volatile),
        ("select f() from u", Reason::UnknownFunction),
        ("select pure(1)", Reason::UnknownFunction),
        ("select id from secret_view", Reason::UnknownRelation),
        ("select 1; select 2", Reason::UnknownFunction),
        ("insert into u values (1) returning 1", Reason::Writes),
        ("", Reason::UnknownFunction),
        // Names are qualified, or of the server.
        ("RETURN ( SELECT u.w FROM u)", Reason::UnknownRelation),
    ] {
        assert_eq!(
            stable(body).read("select f() from t"),
            Err(reason),
            "{body}"
        );
    }
}

#[test]
fn functions_in_functions_are_followed() {
    let db = Database::with(|db| {
        function(db, "f", Volatility::Stable, 0, "select g('a')");
        function(
            db,
            "g",
            Volatility::Stable,
            1,
            "select w from u where w = $1",
        );
    });
    assert_eq!(
        db.read("select f() from t"),
        Ok(vec!["t".into(), "u".into()])
    );
}

#[test]
fn arguments_are_any_text() {
    let check = |body, expected| {
        let db = Database::with(|db| function(db, "f", Volatility::Stable, 1, body));
        assert_eq!(db.read("select f(v) from t").err(), expected, "{body}");
    };
    check("select $1 || 'x'", None);
    check("select $1::uuid", None);
    check("select $1::date", Some(Reason::Clock));
    check("select coalesce($1, 'x')::timestamptz", Some(Reason::Clock));
}

#[test]
fn settings_of_the_application_join_the_key() {
    let db = stable("select nullif(current_setting('App.User', true), '')::uuid");
    let plan = db.plan("select * from t where v::uuid = f()");
    assert_eq!(plan.read.map(|it| it.len()), Ok(1));
    assert_eq!(*plan.settings, ["app.user".into()]);
    // Policies that call it, as Supabase's do.
    let db = Database::with(|db| {
        let body = "select (current_setting('request.jwt.claims', true)::json ->> 'sub')::uuid";
        function(db, "uid", Volatility::Stable, 0, body);
        let secret = db.builder.relations.iter().find(|it| &*it.name == "secret");
        let secret = secret.expect("it was made").id;
        db.policy(secret, "((id)::text = (public.uid())::text)", &[]);
    });
    let plan = db.plan("select * from secret");
    assert!(plan.read.is_ok(), "{plan:?}");
    assert_eq!(*plan.settings, ["request.jwt.claims".into()]);
    assert!(db.schema.settings().contains(&"request.jwt.claims".into()));
}

#[test]
fn not_every_function_is_read() {
    let with = |change: fn(&mut catalog::Function)| {
        let db = Database::with(|db| {
            function(db, "f", Volatility::Stable, 0, "select w from u");
            change(db.last_function().expect("it was made"));
        });
        db.read("select f() from t")
    };
    assert!(with(|_| {}).is_ok());
    let refused = Err(Reason::UnknownFunction);
    assert_eq!(with(|f| f.volatility = Volatility::Volatile), refused);
    // The server may have computed it before the table changed.
    assert_eq!(with(|f| f.volatility = Volatility::Immutable), refused);
    assert_eq!(with(|f| f.language = Language::PlPgSql), refused);
    assert_eq!(with(|f| f.arguments = (0, 1)), refused);
    assert_eq!(with(|f| f.kind = FunctionKind::Aggregate), refused);
    assert_eq!(
        with(|f| f.settings = ["timezone=UTC".into()].into()),
        refused
    );
    // Whose path it is depends on its owner.
    assert_eq!(with(|f| f.definer = true), refused);
}

#[test]
fn a_path_of_its_own_decides_what_names_mean() {
    let with = |path: &'static str, definer| {
        let db = Database::with(|db| {
            function(db, "f", Volatility::Stable, 0, "select id from t");
            let function = db.last_function().expect("it was made");
            function.settings = [path.into()].into();
            function.definer = definer;
        });
        db.plan("select f() from u").read.map(|ids| {
            let snapshot = db.schema.snapshot();
            let schemas = ids.iter().map(|&id| {
                let schema = snapshot.relation(id).unwrap().schema;
                snapshot.schema(schema).unwrap().name.to_string()
            });
            let mut schemas: Vec<_> = schemas.collect();
            schemas.sort();
            schemas
        })
    };
    let both = ["other".to_owned(), "public".to_owned()];
    assert_eq!(with("search_path=other, pg_temp", false), Ok(both.to_vec()));
    assert_eq!(
        with("search_path=\"other\", public", true),
        Ok(both.to_vec())
    );
    assert_eq!(with("search_path=\"\"", true), Err(Reason::UnknownRelation));
    assert_eq!(
        with("search_path=\"$user\", public", false),
        Err(Reason::UnknownFunction)
    );
}

#[test]
fn an_operator_may_run_a_function_that_is_read() {
    let db = Database::with(|db| {
        function(
            db,
            "same",
            Volatility::Stable,
            2,
            "select $1 = (select w from u where w = $2)",
        );
        let same = db.last_function().expect("it was made").id;
        db.operator("<->", same);
    });
    let plan = db.plan("select * from t where id = 1 and (v <-> 'a') is null");
    assert_eq!(plan.read.as_ref().map(|it| it.len()), Ok(2));
    assert!(plan.pinned.is_empty(), "it reads other rows: {plan:?}");
}

#[test]
fn the_columns_of_a_row_can_be_written_out() {
    assert_eq!(
        Database::new()
            .read("select (t).*, (vw).id from t, vw")
            .map(|it| it.len()),
        Ok(2)
    );
}
