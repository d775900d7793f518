//! Small snapshots for tests, built without a server.
//!
//! Helpers name objects as SQL would and hand back identities; whatever they do not take as an
//! argument has the most ordinary value and can be changed in [`Fixture::builder`]. They create
//! schemas they do not know, and ignore nothing: what a test misspells, it does not find.
//!
//! ```
//! # use pgmemo_catalog as catalog;
//! use catalog::fixture::Fixture;
//!
//! let mut db = Fixture::new();
//! let city = db.table("public", "city", &["id", "name text", "founded date"]);
//! let snapshot = db.finish();
//! let path = snapshot.search_path(&["$user", "public"], "alice");
//! assert_eq!(snapshot.resolve_relation(&path, None, "city").map(|found| found.id), Some(city));
//! ```

mod builtins;

pub use self::builtins::type_named;
use self::builtins::{BUILTINS, DATES, PSEUDO, RETURNED, TEXT, TYPES};
use crate::{
    Builder, Cast, Collation, Constraint, Depends, Event, ForeignKeyAction, Function, FunctionId,
    FunctionKind, Implicit, Keeper, Language, Membership, Moment, Operator, Policy, Relation,
    RelationId, RelationKind, Role, RoleId, RowSecurity, Rule, Schema, SchemaId, Snapshot, Trigger,
    Type, TypeId, TypeKind, Uses, Volatility,
};

/// A database under construction.
///
/// A new one holds the schemas `pg_catalog`, `information_schema` and `public`, the superuser
/// `postgres`, the roles `alice` and `bob`, the catalog `pg_class`, and the most common builtin
/// functions.
#[derive(Debug)]
pub struct Fixture {
    /// What was collected so far, for everything the helpers do not cover.
    pub builder: Builder,
    next: u32,
    next_builtin: u32,
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// A database without user objects, see [`Fixture`].
    pub fn new() -> Self {
        let mut db = Self {
            builder: Builder::default(),
            next: 16_384,
            next_builtin: 10_000,
        };
        db.builder.server_version = 170_000;
        for (oid, name) in [
            (11, "pg_catalog"),
            (13_000, "information_schema"),
            (2_200, "public"),
        ] {
            db.builder.schemas.push(Schema {
                id: SchemaId::from_oid(oid),
                name: name.into(),
                usage: [POSTGRES].into(),
                public_usage: true,
            });
        }
        db.builder.roles.push(Role {
            id: POSTGRES,
            name: "postgres".into(),
            bypasses_row_security: true,
            superuser: true,
        });
        db.role("alice");
        db.role("bob");
        db.table("pg_catalog", "pg_class", &["oid oid", "relname name"]);
        for &(name, oid) in TYPES.iter().filter(|(name, _)| !PSEUDO.contains(name)) {
            db.builder.types.push(Type {
                id: TypeId::from_oid(oid),
                schema: SchemaId::from_oid(11),
                name: name.into(),
                kind: TypeKind::Base,
                is_text: TEXT.contains(&name),
                reads_clock: DATES.contains(&name),
            });
        }
        for (volatility, kind, names) in BUILTINS {
            for name in names.split_ascii_whitespace() {
                db.builtin(name, *volatility, *kind);
                let returned = RETURNED.iter().find(|(_, names)| names.contains(&name));
                if let Some((kind, _)) = returned {
                    db.returning(kind);
                }
            }
        }
        db
    }

    /// Indexes everything.
    pub fn finish(self) -> Snapshot {
        self.builder.finish()
    }

    fn oid(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The schema of this name, created with USAGE for everybody if there is none.
    pub fn schema(&mut self, name: &str) -> SchemaId {
        if let Some(schema) = self
            .builder
            .schemas
            .iter()
            .find(|schema| &*schema.name == name)
        {
            return schema.id;
        }
        let id = SchemaId::from_oid(self.oid());
        let (name, usage) = (name.into(), [POSTGRES].into());
        self.builder.schemas.push(Schema {
            id,
            name,
            usage,
            public_usage: true,
        });
        id
    }

    /// A schema that only these roles may use.
    pub fn private_schema(&mut self, name: &str, usage: &[RoleId]) -> SchemaId {
        let id = SchemaId::from_oid(self.oid());
        let (name, usage) = (name.into(), usage.into());
        self.builder.schemas.push(Schema {
            id,
            name,
            usage,
            public_usage: false,
        });
        id
    }

    /// An ordinary role.
    pub fn role(&mut self, name: &str) -> RoleId {
        let id = RoleId::from_oid(self.oid());
        let (bypasses_row_security, superuser) = (false, false);
        self.builder.roles.push(Role {
            id,
            name: name.into(),
            bypasses_row_security,
            superuser,
        });
        id
    }

    /// `GRANT role TO member`.
    pub fn grant(&mut self, role: RoleId, member: RoleId) {
        self.builder.memberships.push(Membership { member, role });
    }

    /// A relation of any kind, owned by `postgres`. A column is `"name"`, which is an `int4`, or
    /// `"name type"` with the name of a builtin type.
    pub fn relation(
        &mut self,
        kind: RelationKind,
        schema: &str,
        name: &str,
        columns: &[&str],
    ) -> RelationId {
        let schema = self.schema(schema);
        let id = RelationId::from_oid(self.oid());
        self.builder.relations.push(Relation {
            id,
            schema,
            name: name.into(),
            kind,
            owner: POSTGRES,
            row_security: RowSecurity::Off,
            temporary: false,
            unlogged: false,
            columns: columns.iter().map(|column| parse_column(column)).collect(),
            definition: None,
            row: TypeId::from_oid(id.oid() + ROWS),
            rows: TypeId::from_oid(id.oid() + 2 * ROWS),
            numbered: u16::try_from(columns.len()).unwrap_or(u16::MAX),
            security_invoker: false,
            parents: [].into(),
            key: [].into(),
            extension: None,
        });
        id
    }

    /// A table.
    pub fn table(&mut self, schema: &str, name: &str, columns: &[&str]) -> RelationId {
        self.relation(RelationKind::Table, schema, name, columns)
    }

    /// A view: its query with every name qualified, and the relations it names.
    pub fn view(
        &mut self,
        schema: &str,
        name: &str,
        columns: &[&str],
        definition: &str,
        depends: &[RelationId],
    ) -> RelationId {
        let view = self.relation(RelationKind::View, schema, name, columns);
        self.builder.definitions.push((view, definition.into()));
        for &relation in depends {
            self.builder.depends.push(Depends { view, relation });
        }
        view
    }

    /// The relation created last, to change what its helper did not take.
    pub fn last_relation(&mut self) -> Option<&mut Relation> {
        self.builder.relations.last_mut()
    }

    /// Makes `child` a partition of, or inherit from, `parent`.
    pub fn inherit(&mut self, child: RelationId, parent: RelationId) {
        self.builder.inherits.push((child, parent));
    }

    /// The columns by which the rows of a table are told apart.
    pub fn key(&mut self, relation: RelationId, columns: &[&str]) {
        let columns = columns.iter().map(|&column| column.into()).collect();
        self.builder.keys.push((relation, columns));
    }

    /// A foreign key with the same action for UPDATE and DELETE.
    pub fn foreign_key(
        &mut self,
        referencing: RelationId,
        referenced: RelationId,
        action: ForeignKeyAction,
    ) {
        self.builder.constraints.push(Constraint {
            referencing,
            referenced,
            columns: [].into(),
            on_update: action,
            on_delete: action,
        });
    }

    /// A trigger.
    pub fn trigger(&mut self, relation: RelationId, function: FunctionId, events: &[Event]) {
        self.builder.triggers.push(Trigger {
            relation,
            function,
            events: events.into(),
        });
    }

    /// A policy for SELECT, and the other relations that its condition names.
    pub fn policy(&mut self, relation: RelationId, condition: &str, depends: &[RelationId]) {
        self.builder.policies.push(Policy {
            relation,
            condition: condition.into(),
            depends: depends.into(),
        });
    }

    /// A rule, as `CREATE RULE …`.
    pub fn rule(&mut self, relation: RelationId, definition: &str) {
        self.builder.rules.push(Rule {
            relation,
            definition: definition.into(),
        });
    }

    /// A user function with a body; it takes any number of arguments.
    pub fn function(
        &mut self,
        schema: &str,
        name: &str,
        language: Language,
        volatility: Volatility,
        body: &str,
    ) -> FunctionId {
        let schema = self.schema(schema);
        let id = FunctionId::from_oid(self.oid());
        let body = matches!(language, Language::Sql | Language::PlPgSql).then(|| body.into());
        self.builder.functions.push(Function {
            id,
            schema,
            name: name.into(),
            kind: FunctionKind::Function,
            arguments: (0, u16::MAX),
            takes: [].into(),
            returns: type_named("text"),
            columns: [].into(),
            volatility,
            language,
            definer: false,
            body,
            support: [].into(),
            settings: [].into(),
            extension: None,
        });
        id
    }

    /// A volatile PL/pgSQL function in `public`.
    pub fn plpgsql(&mut self, name: &str, body: &str) -> FunctionId {
        self.function(
            "public",
            name,
            Language::PlPgSql,
            Volatility::Volatile,
            body,
        )
    }

    /// A function of `pg_catalog`.
    pub fn builtin(
        &mut self,
        name: &str,
        volatility: Volatility,
        kind: FunctionKind,
    ) -> FunctionId {
        self.function("pg_catalog", name, Language::Internal, volatility, "");
        self.next_builtin += 1;
        let builtin = FunctionId::from_oid(self.next_builtin);
        if let Some(function) = self.last_function() {
            function.id = builtin;
            function.kind = kind;
        }
        builtin
    }

    /// The type that the function created last returns.
    pub fn returning(&mut self, name: &str) {
        if let Some(function) = self.last_function() {
            function.returns = type_named(name);
        }
    }

    /// The function created last, to change what its helper did not take.
    pub fn last_function(&mut self) -> Option<&mut Function> {
        self.builder.functions.last_mut()
    }

    /// An operator outside `pg_catalog`.
    pub fn operator(&mut self, symbol: &str, function: FunctionId) {
        self.implicit(function, TypeId::from_oid(0));
        let schema = self.schema("public");
        self.builder.operators.push(Operator {
            symbol: symbol.into(),
            schema,
            function,
            operands: [TypeId::from_oid(0); 2],
        });
    }

    /// The operator created last, to change what its helper did not take.
    pub fn last_operator(&mut self) -> Option<&mut Operator> {
        self.builder.operators.last_mut()
    }

    /// A cast through a function, between builtin types.
    pub fn cast(&mut self, source: &str, target: &str, function: FunctionId) {
        self.implicit(function, TypeId::from_oid(0));
        let (source, target) = (type_named(source), type_named(target));
        self.builder.casts.push(Cast {
            source,
            target,
            function,
            binary: false,
            implicit: false,
        });
    }

    /// A cast in a tree keeps its function.
    pub fn keeps(&mut self, keeper: Keeper, function: FunctionId) {
        self.builder.kept.push((keeper, function));
    }

    /// A function that is run at values of a type, or 0, without being named.
    pub fn implicit(&mut self, function: FunctionId, kind: TypeId) {
        self.builder.implicit.push(Implicit { function, kind });
    }

    /// A type in `public`.
    pub fn kind(&mut self, name: &str, kind: TypeKind) -> TypeId {
        let (id, schema) = (TypeId::from_oid(self.oid()), self.schema("public"));
        self.builder.types.push(Type {
            id,
            schema,
            name: name.into(),
            kind,
            is_text: false,
            reads_clock: false,
        });
        id
    }

    /// A collation of a user's.
    pub fn collation(&mut self, schema: &str, name: &str) {
        let (oid, schema) = (self.oid(), self.schema(schema));
        let name = name.into();
        self.builder
            .collations
            .push(Collation { oid, schema, name });
    }

    /// An event trigger.
    pub fn event_trigger(&mut self, name: &str) {
        self.builder.event_triggers.push(name.into());
    }

    /// A function that a relation runs by itself, such as a default.
    pub fn uses(&mut self, relation: RelationId, function: FunctionId, moment: Moment) {
        self.builder.uses.push(Uses {
            relation,
            function,
            moment,
        });
    }
}

/// What is added to the identity of a relation for that of the type of its rows.
const ROWS: u32 = 1_000_000;

fn parse_column(column: &str) -> (Box<str>, TypeId) {
    match column.split_once(' ') {
        Some((name, kind)) => (name.into(), type_named(kind)),
        None => (column.into(), type_named("int4")),
    }
}

const POSTGRES: RoleId = RoleId::from_oid(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_type_that_is_written_or_int4() {
        assert_eq!(parse_column("id"), ("id".into(), TypeId::from_oid(23)));
        assert_eq!(
            parse_column("at timestamptz"),
            ("at".into(), TypeId::from_oid(1_184))
        );
        assert_eq!(parse_column("x mine"), ("x".into(), TypeId::from_oid(705)));
    }
}
