//! What one statement costs to analyse and to plan.
//!
//! `cargo bench -p pgmemo-sql`; the numbers are those of one core, the best of five rounds.

mod timing;

use std::hint::black_box;
use std::sync::Arc;

use catalog::fixture::Fixture;
use pgmemo_sql::{Context, Schema, Temporary, analyze, significant_text};
use timing::best;

fn main() {
    let mut db = Fixture::new();
    for name in ["users", "orders", "items", "products"] {
        db.table(
            "public",
            name,
            &["id", "user_id", "order_id", "product_id", "name text"],
        );
    }
    let snapshot = Arc::new(db.finish());
    let path = snapshot.search_path(&["public"], "alice");
    let role = snapshot.role_by_name("alice").expect("alice exists").id;
    let schema = Schema::new(snapshot, &[]);
    let context = Context {
        path: &path,
        role,
        temporary: &Temporary::Plain,
    };
    println!(
        "{:<18}{:>8}{:>12}{:>12}{:>12}{:>10}",
        "statement", "bytes", "text", "analyze", "plan", "heap"
    );
    for (name, text) in statements() {
        let analysis = analyze(text.as_bytes());
        let plan = best(|| drop(black_box(schema.plan(black_box(&analysis), &context))));
        let read = best(|| drop(black_box(analyze(black_box(text.as_bytes())))));
        let key = best(|| drop(black_box(significant_text(black_box(text.as_bytes())))));
        println!(
            "{name:<18}{:>8}{key:>12.2?}{read:>12.2?}{plan:>12.2?}{:>10}",
            text.len(),
            analysis.bytes(),
        );
    }
}

fn statements() -> [(&'static str, String); 6] {
    let join = "select u.name, count(*), sum(i.id) from users u \
        join orders o on o.user_id = u.id join items i on i.order_id = o.id \
        left join products p on p.id = i.product_id \
        where u.name like 'a%' and o.id in (select max(id) from orders group by user_id) \
        and coalesce(p.name, '') <> 'x' group by u.name having count(*) > 3 \
        order by 2 desc limit 10";
    let rows = "(1, 2, 'some text that is as long as text is', now()),".repeat(4_000);
    [
        ("point query", "select * from users where id = $1".into()),
        (
            "traced",
            "select * from users where id = $1 /*traceparent='00-5bd66ef5095369c7'*/".into(),
        ),
        ("long join", join.into()),
        (
            "insert",
            "insert into orders (id, user_id) values ($1, $2) returning id".into(),
        ),
        (
            "bulk insert",
            format!("insert into orders values {rows} (1)"),
        ),
        ("begin", "BEGIN".into()),
    ]
}
