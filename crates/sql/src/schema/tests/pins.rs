//! Which rows statements keep to, refusals beside successes.

mod values;
mod writes;

use std::collections::HashMap;

use catalog::{RowClass, TypeId};

use super::*;
use crate::pin::value::{Value, class};
use crate::{Arguments, Changes};

pub(super) fn database() -> Database {
    Database::with(keyed)
}

fn keyed(db: &mut Fixture) {
    let mut table = |name: &str, columns: &[&str], key: &[&str]| {
        let table = db.table("public", name, columns);
        db.key(table, key);
        table
    };
    let acc = table("acc", &["id", "v text", "n int8"], &["id"]);
    table("pair", &["a", "b int8", "v"], &["a", "b"]);
    table("doc", &["id uuid", "v", "at date"], &["id"]);
    table("word", &["k text", "v"], &["k"]);
    table("short", &["k varchar", "v"], &["k"]);
    table("bare", &["id", "v"], &[]);
    let kid = table("kid", &["id", "acc"], &["id"]);
    let tree = table("tree", &["id", "up"], &["id"]);
    let watched = table("watched", &["id", "v"], &["id"]);
    let ruled = table("ruled", &["id", "v"], &["id"]);
    let part = table("part", &["id", "v"], &["id"]);
    let defaults = table("defaults", &["id", "v"], &["id"]);
    let seen = table("seen", &["id", "v"], &["id"]);
    db.foreign_key(kid, acc, ForeignKeyAction::Writes);
    db.builder.constraints.last_mut().unwrap().columns = ["id".into()].into();
    db.foreign_key(tree, tree, ForeignKeyAction::Writes);
    let stamp = db.plpgsql("stamp", "begin new.v := 1; return new; end");
    db.trigger(watched, stamp, &[Event::Update]);
    db.rule(
        ruled,
        "CREATE RULE r AS ON UPDATE TO public.ruled DO INSTEAD NOTHING",
    );
    let whole = db.relation(
        RelationKind::PartitionedTable,
        "public",
        "whole",
        &["id", "v"],
    );
    db.inherit(part, whole);
    let touch = db.plpgsql("touch", "begin update defaults set v = 0; return 1; end");
    db.uses(defaults, touch, Moment::Write);
    db.plpgsql("bump_acc", "begin update acc set n = 0; return 1; end");
    db.view(
        "public",
        "acc_view",
        &["id"],
        " SELECT acc.id FROM public.acc;",
        &[acc],
    );
    db.view(
        "public",
        "seen_view",
        &["id"],
        " SELECT seen.id FROM public.seen;",
        &[seen],
    );
}

/// Names of classes of rows by the values of their keys.
fn label(class_of: RowClass) -> String {
    thread_local! {
        static LABELS: HashMap<u32, String> = labels();
    }
    LABELS.with(|labels| labels[&class_of.number()].clone())
}

fn labels() -> HashMap<u32, String> {
    let mut labels = HashMap::new();
    let mut add = |key: &[Value<'_>], label: String| labels.insert(class(key).number(), label);
    for one in -9..=60 {
        add(&[Value::Integer(one)], one.to_string());
        for other in 0..=9 {
            add(
                &[Value::Integer(one), Value::Integer(other)],
                format!("{one}.{other}"),
            );
        }
    }
    add(&[Value::Uuid(0xab)], "ab".into());
    for text in ["x", "y'z"] {
        add(&[Value::Text(text)], text.into());
    }
    labels
}

const UUID: &str = "00000000-0000-0000-0000-0000000000AB";

impl Database {
    /// `acc 5 6` for rows, `acc *` for all rows, with `!` behind what is complete by its count.
    fn rows(&self, text: &str, arguments: &Arguments<'_>) -> String {
        let plan = self.plan(text);
        let Ok(relations) = &plan.read else {
            return format!("{:?}", plan.read);
        };
        let mut all: Vec<String> = relations
            .iter()
            .map(|id| match plan.pinned.reads(*id, arguments) {
                None => format!("{} *", self.name(id)),
                Some(rows) => {
                    let mut labels: Vec<_> = rows.classes.iter().map(|&it| label(it)).collect();
                    labels.sort();
                    let complete = plan.pinned.complete(rows.keys);
                    let complete = complete.map(|keys| format!(" !{keys}"));
                    format!(
                        "{} {}{}",
                        self.name(id),
                        labels.join(" "),
                        complete.unwrap_or_default()
                    )
                }
            })
            .collect();
        all.sort();
        all.join(", ")
    }

    /// The same for a write; `acc +` for rows that come.
    fn changes(&self, text: &str, arguments: &Arguments<'_>) -> String {
        let plan = self.plan(text);
        let narrow = plan.pinned.writes(arguments);
        let whole = |ids: &[RelationId]| {
            let names = ids.iter().map(|id| format!("{} *", self.name(id)));
            names.collect::<Vec<_>>()
        };
        let mut all = match narrow.as_ref().unwrap_or(&plan.writes) {
            Writes::Nothing | Writes::Code => Vec::new(),
            Writes::Everything | Writes::Cluster => vec!["everything".into()],
            Writes::Relations(relations) => whole(relations),
            Writes::Rows(changes) => {
                let Changes {
                    relations,
                    rows,
                    inserts,
                } = &**changes;
                let mut all = whole(relations);
                all.extend(
                    rows.iter()
                        .map(|(id, row)| format!("{} {}", self.name(id), label(*row))),
                );
                all.extend(inserts.iter().map(|id| format!("{} +", self.name(id))));
                all
            }
        };
        all.sort();
        all.join(", ")
    }
}

fn check_reads(db: &Database, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(db.rows(text, &Arguments::default()), *expected, "{text}");
    }
}

fn check_writes(db: &Database, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(db.changes(text, &Arguments::default()), *expected, "{text}");
    }
}

#[test]
fn reads_by_key_keep_to_their_rows() {
    check_reads(
        &database(),
        &[
            ("SELECT * FROM acc WHERE id = 5", "acc 5 !1"),
            (
                "select v from public.acc as a where 5=a.id and v = 'x'",
                "acc 5 !1",
            ),
            ("SELECT v FROM acc a WHERE a.id = -5", "acc -5 !1"),
            ("SELECT v FROM acc WHERE \"acc\".\"id\" = '5'", "acc 5 !1"),
            (
                "SELECT v FROM public.acc WHERE (public.acc.id = 5 AND 1=1)",
                "acc 5 !1",
            ),
            ("SELECT v FROM acc WHERE ((id = 5)) LIMIT 1", "acc 5 !1"),
            (
                "SELECT v FROM acc WHERE NOT v = 'x' AND id = 5 ORDER BY v",
                "acc 5 !1",
            ),
            ("SELECT v FROM acc WHERE id = '5'::int8", "acc 5 !1"),
            ("SELECT v FROM acc WHERE id IN (5, 6, 5)", "acc 5 6 !2"),
            ("SELECT v FROM acc WHERE id = ANY ('{5,6}')", "acc 5 6 !2"),
            (
                "SELECT v FROM acc WHERE id = ANY ('{5,6}'::int[])",
                "acc 5 6 !2",
            ),
            (
                "SELECT v FROM acc WHERE id = ANY (ARRAY[5, 6])",
                "acc 5 6 !2",
            ),
            (
                "SELECT v FROM acc WHERE (v = 'a' OR v = 'b') AND id = 5",
                "acc 5 !1",
            ),
            ("SELECT v FROM pair WHERE b = 2 AND a = 1", "pair 1.2 !1"),
            (
                "SELECT v FROM pair WHERE a IN (1, 2) AND b = 3",
                "pair 1.3 2.3 !2",
            ),
            ("SELECT count(*) FROM acc WHERE id = 5", "acc 5"),
            ("SELECT 1 FROM acc WHERE id = 5 HAVING true", "acc 5"),
            ("SELECT v FROM acc WHERE id = 5 GROUP BY v", "acc 5"),
            ("SELECT k FROM word WHERE k = 'x'", "word x !1"),
            ("SELECT k FROM word WHERE k = 'y''z'", "word y'z !1"),
            ("SELECT k FROM short WHERE k = 'x'", "short x !1"),
            (
                &format!("SELECT v FROM doc WHERE id = '{UUID}'"),
                "doc ab !1",
            ),
        ],
    );
}

#[test]
fn joins_pin_each_table_by_itself() {
    check_reads(
        &database(),
        &[
            (
                "SELECT * FROM acc, pair WHERE acc.id = 5 AND a = 1 AND b = 2",
                "acc 5, pair 1.2",
            ),
            (
                "SELECT * FROM acc JOIN kid ON kid.acc = acc.id WHERE acc.id = 5",
                "acc 5, kid *",
            ),
            (
                "SELECT * FROM acc LEFT JOIN kid ON kid.id = 1 WHERE acc.id = 5",
                "acc 5, kid *",
            ),
            (
                "SELECT * FROM acc JOIN kid ON kid.id = 1 WHERE acc.id = 5",
                "acc 5, kid 1",
            ),
            (
                "SELECT * FROM acc JOIN kid ON kid.id = acc.id WHERE acc.id = 5",
                "acc 5, kid 5",
            ),
            (
                "SELECT * FROM acc LEFT JOIN kid ON kid.id = acc.id WHERE acc.id = 5",
                "acc 5, kid *",
            ),
            (
                "SELECT * FROM acc x, acc y WHERE x.id = 5 AND y.id = 6",
                "acc 5 6",
            ),
            (
                "SELECT * FROM acc x, acc y WHERE x.id = 5 AND y.id < 6",
                "acc *",
            ),
            (
                "SELECT * FROM acc x, acc y WHERE x.id = 5 AND x.id = y.id",
                "acc 5",
            ),
            (
                "SELECT * FROM acc JOIN kid USING (id) WHERE acc.id = 5",
                "acc 5, kid *",
            ),
            (
                "SELECT * FROM acc JOIN kid USING (id) WHERE id = 5",
                "acc *, kid *",
            ),
            (
                "SELECT * FROM acc CROSS JOIN word WHERE id = 5 AND k = acc.v",
                "acc 5, word *",
            ),
        ],
    );
}

#[test]
fn reads_that_may_need_other_rows_depend_on_all() {
    let db = database();
    let all = |text: &str| {
        let found = db.rows(text, &Arguments::default());
        assert!(found.ends_with('*'), "{text}: {found}");
    };
    for condition in [
        "id > 5",
        "id = 5 OR v = 'x'",
        "NOT id = 5",
        "id <> 5",
        "id IN (5, 6) IS TRUE",
        "id NOT IN (5)",
        "(id = 5) IS NOT TRUE",
        "(id = 5 OR v = 'x') AND v = 'y'",
        "v = 'x' AND CASE WHEN v = 'y' AND id = 5 AND n = 1 THEN true ELSE false END",
        "n BETWEEN 1 AND id = 5",
        "id = 5.0",
        "id = 5e0",
        "id = 5 + 0",
        "id = (5)",
        "id = '5 '",
        "id = '0x5'",
        "id = E'5'",
        "id = $$5$$",
        "id = '5'::numeric",
        "id = 5::text::int",
        "id = n",
        "id = NULL",
        "id IS NULL",
        "id IN (5, NULL)",
        "id IN (5, n)",
        "id = ANY ('{5,NULL}')",
        "id = ALL ('{5}')",
        "id <= ANY ('{5}')",
        "id OPERATOR(pg_catalog.=) 5",
        "id + 0 = 5",
        "-id = 5",
        "id::text = '5'",
        "(id) = (5)",
        "(id, n) = (5, 6)",
        "id = 99999999999999999999",
        "n = 5",
        "true = 5 AND v = 'x'",
        "acc IS NOT NULL",
    ] {
        all(&format!("SELECT v FROM acc WHERE {condition}"));
    }
    for text in [
        "SELECT v FROM acc",
        "SELECT id = 5 FROM acc",
        "SELECT v FROM acc WHERE id = (SELECT 5)",
        "SELECT (SELECT max(n) FROM acc) FROM acc WHERE id = 5",
        "SELECT v FROM acc WHERE id = 5 UNION SELECT v FROM acc",
        "WITH a AS (SELECT * FROM acc) SELECT * FROM a WHERE id = 5",
        "SELECT v FROM (SELECT * FROM acc) a WHERE id = 5",
        "SELECT v FROM acc a (v, id, n) WHERE id = 5",
        "SELECT v FROM acc AS a (v, id) WHERE id = 5",
        "SELECT v FROM acc WHERE id = 5 AND EXISTS (SELECT FROM acc)",
        "SELECT v FROM pair WHERE a = 1",
        "SELECT v FROM bare WHERE id = 5",
        "SELECT v FROM part WHERE id = 5",
        "SELECT v FROM whole WHERE id = 5",
        "SELECT k FROM word WHERE k = '\u{e9}'",
        "SELECT k FROM word WHERE k = 5::text",
        "SELECT k FROM word WHERE k = 'x'::varchar",
        "SELECT k FROM word WHERE k COLLATE \"C\" = 'x'",
        "SELECT k FROM word WHERE k LIKE 'x'",
        "SELECT k FROM word WHERE k = N'x'",
        "SELECT v FROM doc WHERE id = '000000000000000000000000000000ab'",
        "TABLE acc",
        "SELECT v FROM acc WHERE id IN (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,\
         23,24,25,26,27,28,29,30,31,32,33)",
    ] {
        all(text);
    }
    check_reads(
        &db,
        &[("SELECT id FROM acc_view WHERE id = 5", "acc *, acc_view *")],
    );
}

#[test]
fn what_a_policy_filters_is_not_pinned() {
    let db = Database::with(|db| {
        keyed(db);
        let own = db.table("public", "own", &["id", "v"]);
        db.key(own, &["id"]);
        db.policy(own, "(v = 1)", &[]);
        if let Some(own) = db.last_relation() {
            own.row_security = RowSecurity::On;
        }
    });
    check_reads(&db, &[("SELECT v FROM own WHERE id = 5", "own *")]);
}

#[test]
fn functions_that_read_tables_and_operators_of_users_leave_nothing_pinned() {
    let rule = FunctionRule {
        function: ("public".into(), "listed".into()),
        reads: [("public".into(), "acc".into())].into(),
    };
    let mut db = Fixture::new();
    tables(&mut db);
    functions(&mut db);
    keyed(&mut db);
    let db = Database::over(db.finish(), &[rule]);
    check_reads(
        &db,
        &[
            ("SELECT listed(1) FROM acc WHERE id = 5", "acc *"),
            ("SELECT v FROM acc WHERE id = 5", "acc 5 !1"),
        ],
    );
    let compares = |kind: u32| {
        Database::with(|db| {
            keyed(db);
            let equal = db.builtin("int4eq", Volatility::Immutable, FunctionKind::Function);
            db.operator("=", equal);
            db.last_operator().unwrap().operands = [TypeId::from_oid(kind); 2];
        })
    };
    let foreign = compares(16_500);
    let text = |text: &str| foreign.rows(text, &Arguments::default());
    assert_eq!(text("SELECT v FROM acc WHERE id = 5"), "acc 5 !1");
    assert_eq!(text("SELECT k FROM word WHERE k = 'x'"), "word x !1");
    assert_eq!(text("SELECT k FROM short WHERE k = 'x'"), "short *");
    let taken = compares(23);
    check_reads(&taken, &[("SELECT v FROM acc WHERE id = 5", "acc *")]);
    check_writes(&taken, &[("DELETE FROM seen WHERE id = 5", "seen *")]);
}
