//! What a read depends on, as PostgreSQL itself sees it.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use support::{
    Postgres,
    watched::{NEVER, Watched, config},
};

/// The statements of the corpus that bind nothing, with their names.
fn corpus() -> Vec<(&'static str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for line in include_str!("../../../tests/corpus/statements.sql").lines() {
        if let Some(name) = line.strip_prefix("-- ") {
            found.push((name, String::new()));
        } else if let Some((_, text)) = found.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    found.retain(|(_, text)| !text.trim().is_empty() && !text.contains("$1"));
    found
}

/// Statements made of two of these each, one within the other or beside it.
fn composed(corpus: &[(&'static str, String)]) -> Vec<(String, String)> {
    let bare = |index: usize| {
        let (name, text) = corpus.iter().cycle().nth(index).expect("it does not end");
        (*name, text.trim().trim_end_matches(';').trim_end())
    };
    let one = |index: usize| {
        let ((a, first), (b, second)) = (bare(index), bare(index * 7 + 3));
        let text = match index % 4 {
            0 => format!(
                "WITH q AS ({first}\n), r AS (SELECT count(*) FROM q) SELECT (SELECT count(*) FROM ({second}\n) x), * FROM r"
            ),
            1 => format!("SELECT EXISTS ({first}\n), NOT EXISTS ({second}\n)"),
            2 => format!(
                "SELECT y.* FROM generate_series(1, 2) g, LATERAL (SELECT g, count(*) FROM ({first}\n) x) y LEFT JOIN (SELECT count(*) FROM ({second}\n) z) w ON true"
            ),
            _ => format!(
                "SELECT count(*) FROM ({first}\n) x UNION ALL (SELECT CASE WHEN EXISTS ({second}\n) THEN 1 END)"
            ),
        };
        (format!("{a} with {b}"), text)
    };
    (0..corpus.len()).map(one).collect()
}

/// What the server notes of a view made of a statement: `None` if it cannot be made into one.
async fn depends(client: &tokio_postgres::Client, text: &str) -> Option<Vec<u32>> {
    let text = text.trim().trim_end_matches(';').trim_end();
    client.batch_execute("BEGIN").await.unwrap();
    // The names of columns need not be unique in a query, and are ours here.
    let made = match client.prepare(text).await {
        Ok(prepared) => {
            let names: Vec<_> = (0..prepared.columns().len())
                .map(|n| format!("c{n}"))
                .collect();
            let view = format!("CREATE VIEW made_of ({}) AS {text}\n", names.join(", "));
            client.batch_execute(&view).await
        }
        Err(error) => Err(error),
    };
    let depends = match made {
        Err(_) => None,
        Ok(()) => {
            let rows = client
                .query(
                    "SELECT DISTINCT d.refobjid FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                        JOIN pg_class c ON c.oid = d.refobjid AND c.relkind <> 'c'
                     WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
                        AND r.ev_class = 'made_of'::regclass AND d.refobjid <> r.ev_class",
                    &[],
                )
                .await
                .unwrap();
            Some(rows.iter().map(|row| row.get(0)).collect())
        }
    };
    client.batch_execute("ROLLBACK").await.unwrap();
    depends
}

/// PostgreSQL's own parser names no relation that we do not.
#[tokio::test]
async fn a_read_depends_on_all_that_the_server_says() {
    let server = Postgres::start();
    server.sql("CREATE DATABASE corpus");
    let client = server.session("corpus").await;
    client
        .batch_execute(include_str!("../../../tests/corpus/schema.sql"))
        .await
        .unwrap();
    let watched = Watched::ready(&config(&server, NEVER), "corpus").await;
    let known = watched.knowledge();
    let snapshot = known.schema.snapshot();
    let path = snapshot.search_path(&["public"], "postgres");
    let role = snapshot.role_by_name("postgres").unwrap().id;
    let context = sql::Context {
        path: &path,
        role,
        temporary: &sql::Temporary::Plain,
    };
    let mut compared = 0;
    let corpus = corpus();
    let more = composed(&corpus);
    let corpus = corpus
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text));
    for (name, text) in corpus.chain(more) {
        let plan = known.schema.plan(&sql::analyze(text.as_bytes()), &context);
        let (Ok(read), Some(depends)) = (plan.read, depends(&client, &text).await) else {
            continue;
        };
        for oid in depends {
            let found = read.iter().any(|id| id.oid() == oid);
            assert!(found, "{name} depends on {oid}, but not for us: {read:?}");
        }
        compared += 1;
    }
    assert!(compared > 200, "only {compared} statements were compared");
}
