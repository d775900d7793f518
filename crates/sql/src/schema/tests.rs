//! Plans against small databases: what is read, what is refused, what is written.

mod clients;
mod effects;
mod forms;
mod inline;
mod operators;
mod perils;
mod pins;
mod reads;
mod refusals;
mod temporary;
mod times;
mod writes;

use std::sync::Arc;

use catalog::fixture::Fixture;
use catalog::{
    Event, ForeignKeyAction, FunctionKind, Keeper, Language, Moment, RelationKind, RowSecurity,
    SearchPath, Snapshot, TypeId, TypeKind, Volatility,
};

use super::*;
use crate::analyze;

/// A database with one of everything, and alice who looks at it.
struct Database {
    schema: Schema,
    path: SearchPath,
    role: catalog::RoleId,
}

impl Database {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Fixture)) -> Self {
        let mut db = Fixture::new();
        tables(&mut db);
        functions(&mut db);
        change(&mut db);
        Self::over(db.finish(), &[])
    }

    fn over(snapshot: Snapshot, rules: &[FunctionRule]) -> Self {
        let path = snapshot.search_path(&["public"], "alice");
        let role = snapshot.role_by_name("alice").expect("alice exists").id;
        Self {
            schema: Schema::new(Arc::new(snapshot), rules),
            path,
            role,
        }
    }

    fn plan(&self, text: &str) -> Plan {
        self.plan_within(text, &Temporary::Plain)
    }

    fn plan_within(&self, text: &str, temporary: &Temporary) -> Plan {
        let context = Context {
            path: &self.path,
            role: self.role,
            temporary,
        };
        self.schema.plan(&analyze(text.as_bytes()), &context)
    }

    fn name(&self, id: &RelationId) -> String {
        let relation = self
            .schema
            .snapshot()
            .relation(*id)
            .expect("it was planned");
        relation.name.to_string()
    }

    /// The names of the relations read, or the reason against it.
    fn read(&self, text: &str) -> Result<Vec<String>, Reason> {
        let names = |ids: Box<[RelationId]>| {
            let mut names: Vec<_> = ids.iter().map(|id| self.name(id)).collect();
            names.sort();
            names
        };
        self.plan(text).read.map(names)
    }

    /// The names of the relations written; `["*"]` for everything.
    fn writes(&self, text: &str) -> Vec<String> {
        match self.plan(text).writes {
            Writes::Nothing | Writes::Code => Vec::new(),
            Writes::Relations(ids) => {
                let mut names: Vec<_> = ids.iter().map(|id| self.name(id)).collect();
                names.sort();
                names
            }
            Writes::Rows(changes) => panic!("a plan says {changes:?}"),
            Writes::Everything => vec!["*".into()],
            Writes::Cluster => vec!["**".into()],
        }
    }
}

fn tables(db: &mut Fixture) {
    let t = db.table("public", "t", &["id", "v text"]);
    let u = db.table("public", "u", &["id", "tid", "w text"]);
    db.foreign_key(u, t, ForeignKeyAction::Writes);
    db.table("public", "T t", &["id"]);
    db.table(
        "public",
        "e",
        &["id", "ts timestamptz", "d date", "tt text"],
    );
    db.table("public", "zoned", &["at timetz"]);
    db.table("public", "named", &["id", "what regclass"]);
    db.table("other", "t", &["id"]);
    db.table("other", "far", &["id"]);
    let vw = db.view(
        "public",
        "vw",
        &["id", "v text"],
        " SELECT t.id,\n    t.v\n   FROM public.t;",
        &[t],
    );
    db.view(
        "public",
        "vv",
        &["id"],
        " SELECT vw.id FROM public.vw JOIN public.u ON u.id = vw.id;",
        &[vw, u],
    );
    db.view(
        "public",
        "clocked",
        &["id"],
        " SELECT e.id FROM public.e WHERE e.ts > now();",
        &[],
    );
    db.view(
        "public",
        "tenant",
        &["id"],
        " SELECT t.id FROM public.t WHERE t.v = current_setting('app.x'::text);",
        &[t],
    );
    db.relation(RelationKind::MaterializedView, "public", "mv", &["id"]);
    db.relation(RelationKind::ForeignTable, "public", "ft", &["id"]);
    db.relation(RelationKind::Sequence, "public", "seq", &["last_value"]);
    db.table("public", "fast", &["id"]);
    if let Some(fast) = db.last_relation() {
        fast.unlogged = true;
    }
    let secret = db.table("public", "secret", &["id"]);
    if let Some(secret) = db.last_relation() {
        secret.row_security = RowSecurity::On;
    }
    db.view(
        "public",
        "leak",
        &["id"],
        " SELECT secret.id FROM public.secret;",
        &[secret],
    );
    let parent = db.relation(RelationKind::PartitionedTable, "public", "parent", &["id"]);
    let child = db.table("public", "child", &["id"]);
    db.inherit(child, parent);
}

fn functions(db: &mut Fixture) {
    for function in &mut db.builder.functions {
        // With one argument it counts from today.
        if &*function.name == "age" && function.volatility == Volatility::Stable {
            function.arguments = (1, 1);
        }
    }
    for name in [
        "position",
        "overlaps",
        "overlay",
        "string_to_array",
        "timestamp",
    ] {
        db.builtin(name, Volatility::Immutable, FunctionKind::Function);
    }
    let log = db.table("public", "log", &["id"]);
    let audited = db.table("public", "audited", &["id"]);
    let audit = db.plpgsql("audit", "begin insert into log values (1); return new; end");
    db.trigger(
        audited,
        audit,
        &[Event::Insert, Event::Update, Event::Delete],
    );
    let added = db.table("public", "added", &["id"]);
    let removed = db.table("public", "removed", &["id"]);
    db.trigger(added, audit, &[Event::Insert]);
    db.trigger(removed, audit, &[Event::Delete]);
    let _ = log;
    db.plpgsql("add_row", "begin insert into log values (1); end");
    db.plpgsql("dynamic", "begin execute 'x'; end");
    db.plpgsql(
        "configure",
        "begin perform set_config('search_path', 'b', false); end",
    );
    db.function(
        "public",
        "full_name",
        Language::Sql,
        Volatility::Stable,
        "select 'x'",
    );
    db.function(
        "public",
        "listed",
        Language::Foreign,
        Volatility::Stable,
        "",
    );
    db.function(
        "public",
        "pure",
        Language::Sql,
        Volatility::Immutable,
        "select v from t",
    );
    let similar = db.function(
        "public",
        "set_limit_op",
        Language::C,
        Volatility::Stable,
        "",
    );
    if let Some(function) = db.last_function() {
        function.extension = Some("pg_trgm".into());
    }
    db.operator("%", similar);
    let distance = db.function(
        "public",
        "l2_distance",
        Language::C,
        Volatility::Immutable,
        "",
    );
    if let Some(function) = db.last_function() {
        function.extension = Some("vector".into());
    }
    db.operator("<->", distance);
}
