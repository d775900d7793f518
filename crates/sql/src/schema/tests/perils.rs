//! What is new that changes something when it is merely called or read.

use super::*;

fn perils(change: impl FnOnce(&mut Fixture)) -> u64 {
    Database::with(change).schema.perils()
}

fn add_row(db: &Fixture) -> catalog::FunctionId {
    let mut functions = db.builder.functions.iter();
    let found = functions.find(|it| &*it.name == "add_row");
    found.expect("the database has it").id
}

#[test]
fn what_changes_nothing_may_come_and_go() {
    let before = perils(|_| {});
    let changes: [fn(&mut Fixture); 4] = [
        |db| {
            db.table("public", "more", &["id"]);
        },
        |db| {
            db.plpgsql("calm", "begin perform 1 from t; return 1; end");
        },
        |db| {
            let t = db.table("public", "more", &["id"]);
            let text = " SELECT more.id, pure() AS p FROM public.more;";
            db.view("public", "over", &["id", "p"], text, &[t]);
        },
        |db| {
            db.plpgsql("fires", "begin insert into log values (1); return new; end");
            if let Some(function) = db.last_function() {
                function.returns = TypeId::from_oid(2_279);
            }
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(perils(change), before, "{number}");
    }
}

#[test]
fn what_changes_something_is_noticed_wherever_it_hides() {
    let mut seen = vec![perils(|_| {})];
    let changes: [fn(&mut Fixture); 7] = [
        |db| {
            db.plpgsql("lower", "begin delete from t; return 1; end");
        },
        |db| {
            db.plpgsql("behind", "begin perform add_row(); return 1; end");
        },
        |db| {
            let text = " SELECT add_row() AS n;";
            db.view("public", "writing", &["n"], text, &[]);
        },
        |db| {
            let text = " SELECT add_row() AS n;";
            let view = db.view("public", "writing", &["n"], text, &[]);
            let text = " SELECT writing.n FROM public.writing;";
            db.view("public", "over", &["n"], text, &[view]);
        },
        |db| {
            let t = db.table("public", "guarded", &["id"]);
            let function = add_row(db);
            db.uses(t, function, Moment::Read);
        },
        |db| {
            let function = add_row(db);
            db.operator("~@", function);
        },
        |db| {
            let function = add_row(db);
            db.implicit(function, TypeId::from_oid(0));
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let found = perils(change);
        assert!(!seen.contains(&found), "{number}");
        seen.push(found);
    }
}
