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
    // What it calls within itself needs no more than it does.
    check("select f() from u", &["t", "u"]);
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

/// `lower` is the user's own for whoever has `public` in the path; `price` calls it, or an operator.
fn hidden(db: &mut Fixture, body: &str) {
    db.function(
        "public",
        "lower",
        Language::PlPgSql,
        Volatility::Volatile,
        "begin insert into log values (1); return 'x'; end",
    );
    let own = db.last_function().expect("it was made").id;
    db.operator("<->", own);
    function(db, "price", Volatility::Stable, 1, body);
}

#[test]
fn a_function_finds_its_names_along_the_path_of_whoever_looks() {
    let bodies = ["select lower($1)", "select ($1 <-> 'a')::text"];
    for body in bodies {
        let db = Database::with(|db| {
            hidden(db, body);
            db.view(
                "public",
                "prices",
                &["p text"],
                " SELECT public.price(t.v) AS p FROM public.t;",
                &[],
            );
            let text = "BEGIN ATOMIC\n SELECT public.price('a'::text) AS price;\nEND";
            function(db, "f", Volatility::Stable, 0, text);
            let secret = db.builder.relations.iter().find(|it| &*it.name == "secret");
            let secret = secret.expect("it was made").id;
            db.policy(secret, "(public.price('a'::text) = 'a'::text)", &[]);
        });
        assert!(db.read("select price(v) from t").is_err(), "{body}");
        assert!(db.read("select * from prices").is_err(), "{body}");
        assert!(db.read("select f() from t").is_err(), "{body}");
        assert!(db.read("select * from secret").is_err(), "{body}");
    }
}

#[test]
fn tables_of_a_function_behind_a_view_must_be_qualified() {
    let check = |body, view: &Result<Vec<String>, Reason>, parsed: &[&str]| {
        let db = Database::with(|db| {
            function(db, "g", Volatility::Stable, 0, body);
            let text = " SELECT public.g() AS g FROM public.t;";
            db.view("public", "seen", &["g text"], text, &[]);
            let text = "RETURN ( SELECT public.g() AS g)";
            function(db, "f", Volatility::Stable, 0, text);
        });
        assert_eq!(db.read("select * from seen"), *view, "{body}");
        let parsed = parsed.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(db.read("select f() from t"), Ok(parsed), "{body}");
    };
    let unknown = Err(Reason::UnknownRelation);
    check("select w from u", &unknown, &["t", "u"]);
    let all = ["seen", "t", "u"].map(str::to_owned).to_vec();
    check("select w from public.u", &Ok(all), &["t", "u"]);
}

#[test]
fn what_a_function_calls_with_the_rights_of_its_owner_finds_its_names_along_his_path() {
    let check = |body, definer| {
        let db = Database::with(|db| {
            function(db, "g", Volatility::Stable, 0, body);
            let text = "RETURN ( SELECT public.g() AS g)";
            function(db, "f", Volatility::Stable, 0, text);
            let function = db.last_function().expect("it was made");
            function.definer = definer;
        });
        db.read("select f() from t").is_ok()
    };
    assert!(check("select w from u", false) && !check("select w from u", true));
    assert!(check("select w from public.u", true));
}

#[test]
fn a_table_that_hides_another_may_not_be_what_a_session_remembers() {
    let check = |version, body| {
        let db = Database::with(|db| {
            db.builder.server_version = version;
            function(db, "f", Volatility::Stable, 0, body);
        });
        let path = SearchPath(
            ["other", "public"]
                .map(|name| db.schema.snapshot().schema_by_name(name).unwrap().id)
                .into(),
        );
        let context = Context {
            path: &path,
            role: db.role,
            temporary: &Temporary::Plain,
        };
        let text = b"select f() from far";
        db.schema.plan(&analyze(text), &context).read.is_ok()
    };
    // There is a table `t` in either schema.
    let body = "select id::text from t";
    assert!(check(170_000, body) && !check(180_000, body));
    assert!(check(180_000, "select w from u"));
    assert!(check(180_000, "select id::text from other.t"));
    assert!(check(
        180_000,
        "RETURN ( SELECT (t.id)::text AS id FROM other.t)"
    ));
}

#[test]
fn a_collation_of_a_user_may_not_be_what_a_session_remembers() {
    let check = |version, hidden, text: &str| {
        let db = Database::with(|db| {
            db.builder.server_version = version;
            db.collation("public", "mine");
            if hidden {
                db.collation("pg_catalog", "mine");
            }
            let body = "select w from public.u order by w collate mine limit 1";
            function(db, "f", Volatility::Stable, 0, body);
            let shown = " SELECT public.f() AS f FROM public.t;";
            db.view("public", "shown", &["f text"], shown, &[]);
        });
        db.read(text).is_ok()
    };
    let called = "select f() from t";
    assert!(check(170_000, true, called) && check(180_000, false, called));
    assert!(!check(180_000, true, called));
    // Along any path, and not told from what the statement meant.
    assert!(!check(170_000, false, "select * from shown"));
}

#[test]
fn what_a_statement_means_hangs_on_the_bodies_that_it_calls() {
    let meant = |text: &str, change: &dyn Fn(&mut Fixture)| {
        let db = Database::with(|db| {
            function(db, "g", Volatility::Stable, 0, "select 'x'");
            let body = "select g() from public.u order by w collate mine";
            function(db, "f", Volatility::Stable, 0, body);
            change(db);
        });
        let plan = db.plan(text);
        assert!(plan.read.is_ok(), "{text}: {:?}", plan.read);
        plan.meaning
    };
    let nothing = |_: &mut Fixture| {};
    let collation = |db: &mut Fixture| db.collation("public", "mine");
    let overload = |db: &mut Fixture| {
        function(db, "g", Volatility::Stable, 0, "select 'y'");
    };
    for change in [&collation as &dyn Fn(&mut Fixture), &overload] {
        let text = "select f() from t";
        assert_ne!(meant(text, &nothing), meant(text, change));
        let text = "select id from t";
        assert_eq!(meant(text, &nothing), meant(text, change));
    }
    let text = "select v from t order by v collate mine";
    assert_ne!(meant(text, &nothing), meant(text, &collation));
}

#[test]
fn each_function_is_read_once_for_a_plan() {
    let db = Database::with(|db| {
        function(db, "f8", Volatility::Stable, 1, "select $1");
        for level in (1..8).rev() {
            let calls = vec![format!("f{}($1)", level + 1); 100].join(" || ");
            let (name, body) = (format!("f{level}"), format!("select {calls}"));
            function(db, &name, Volatility::Stable, 1, &body);
        }
        // All overloads could be meant.
        for _ in 0..12 {
            function(db, "many", Volatility::Stable, 1, "select many($1)");
        }
        for number in 0..65 {
            let name = format!("one_of_{number}");
            function(db, &name, Volatility::Stable, 0, "select 'x'");
        }
    });
    assert_eq!(db.read("select f1(v) from t"), Ok(vec!["t".into()]));
    let unknown = Err(Reason::UnknownFunction);
    assert_eq!(db.read("select many(v) from t"), unknown);
    let calls = |count| {
        let calls: Vec<_> = (0..count).map(|it| format!("one_of_{it}()")).collect();
        db.read(&format!("select {} from t", calls.join(", ")))
    };
    assert!(calls(64).is_ok());
    assert_eq!(calls(65), unknown);
}

#[test]
fn what_is_immutable_depends_on_its_arguments_alone() {
    let check = |body: &str, kind: u32, known| {
        let db = Database::with(|db| {
            function(db, "g", Volatility::Stable, 0, "select 'x'");
            function(db, "h", Volatility::Immutable, 0, "select 'x'");
            function(db, "f", Volatility::Immutable, 1, body);
            let f = db.last_function().expect("it was made");
            f.takes = [TypeId::from_oid(kind)].into();
        });
        let found = db.read("select f(null) from t");
        assert_eq!(found.is_ok(), known, "{body}: {found:?}");
    };
    for body in [
        "select $1 || 'x'",
        "select lower($1) || h()",
        "select $1::int",
    ] {
        check(body, 25, true);
        // Text of a moment.
        check(body, 1_184, false);
        check(body, 99_999, false);
    }
    for body in [
        "select current_user || $1",
        "select session_user",
        "select g()",
        "select '2020-01-01'::date::text",
        "select make_date(1, 1, 1)::text",
        "select 1::float8::text",
        "select $1::label",
        "select $1 @@ 'x'",
    ] {
        check(body, 25, false);
    }
}

#[test]
fn an_argument_may_hide_behind_a_column_of_its_name() {
    let check = |kind: u32, expected| {
        let db = Database::with(|db| {
            let body = "select (select d::date)::text from e where false";
            function(db, "f", Volatility::Stable, 1, body);
            let f = db.last_function().expect("it was made");
            f.takes = [TypeId::from_oid(kind)].into();
        });
        assert_eq!(db.read("select f(null) from t").err(), expected, "{kind}");
    };
    check(23, None);
    for text in [25, 99_999, 2_283] {
        check(text, Some(Reason::Clock));
    }
}
