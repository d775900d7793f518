//! Rows of the catalog queries, read column by column.

use crate::object::{
    Cast, Constraint, Depends, Event, ForeignKeyAction, Function, FunctionKind, Language,
    Membership, Moment, Operator, Relation, RelationKind, Role, RowSecurity, Rule, Schema, Trigger,
    Uses, Volatility,
};
use crate::queries::Kind;
use crate::{Builder, DatabaseId, FunctionId, RelationId, RoleId, SchemaId, SystemId, TypeId};

/// A row that a catalog query cannot have returned; without it there is no snapshot.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("column {column} of a catalog row is `{found:?}`; expected {expected}")]
pub struct RowError {
    /// Counted from zero.
    column: usize,
    /// The value, `None` for NULL or a missing column.
    found: Option<Box<str>>,
    /// What would have been right.
    expected: &'static str,
}

/// Which cluster, database and incarnation a connection leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity {
    /// The cluster; `None` if the server does not tell this role.
    pub system: Option<SystemId>,
    /// `pg_database.oid`.
    pub database: u32,
    /// `server_version_num`.
    pub server_version: u32,
    /// When the server was started, in microseconds since 1970.
    pub started_us: i64,
    /// The timeline of the last checkpoint; a promotion changes it. `None` like the cluster.
    pub timeline: Option<u32>,
    /// Whether the server is a standby.
    pub in_recovery: bool,
}

impl Identity {
    /// Reads the row of [`crate::queries::IDENTITY`] or its fallback.
    ///
    /// # Errors
    ///
    /// When it is not such a row.
    pub fn from_row<'a>(row: impl IntoIterator<Item = Option<&'a str>>) -> Result<Self, RowError> {
        let mut columns = row.into_iter();
        let mut row = Row::new(&mut columns);
        Ok(Self {
            // Printed as a signed number, stored as an unsigned one.
            system: row.optional()?.map(|id: i64| SystemId(id.cast_unsigned())),
            database: row.number()?,
            server_version: row.number()?,
            started_us: row.number()?,
            timeline: row.optional()?,
            in_recovery: row.flag()?,
        })
    }

    /// The database's identity, unless the cluster is unknown.
    pub fn database_id(&self) -> Option<DatabaseId> {
        self.system.map(|system| DatabaseId {
            system,
            oid: self.database,
        })
    }
}

impl Builder {
    /// Takes one row of a query, its columns in text format, NULL as `None`.
    ///
    /// # Errors
    ///
    /// When the row does not have the shape that [`Kind`] documents.
    pub fn push<'a>(
        &mut self,
        kind: Kind,
        row: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<(), RowError> {
        let mut columns = row.into_iter();
        let mut row = Row::new(&mut columns);
        match kind {
            Kind::Server => self.server_version = row.number()?,
            Kind::Schemas => self.schemas.push(schema(&mut row)?),
            Kind::Roles => self.roles.push(role(&mut row)?),
            Kind::Memberships => {
                self.memberships.push(Membership {
                    member: row.role()?,
                    role: row.role()?,
                });
            }
            Kind::Relations => self.relations.push(relation(&mut row)?),
            Kind::Columns => self
                .columns
                .push((row.relation()?, row.boxed()?, row.kind()?)),
            Kind::Inherits => self.inherits.push((row.relation()?, row.relation()?)),
            Kind::Definitions => {
                let view = row.relation()?;
                // NULL when the view was dropped under our feet; the next snapshot lacks it.
                if let Some(definition) = row.next() {
                    self.definitions.push((view, definition.into()));
                }
            }
            Kind::Constraints => self.constraints.push(constraint(&mut row)?),
            Kind::Triggers => self.triggers.push(trigger(&mut row)?),
            Kind::Rules => {
                self.rules.push(Rule {
                    relation: row.relation()?,
                    definition: row.boxed()?,
                });
            }
            Kind::Functions => self.functions.push(function(&mut row)?),
            Kind::Aggregates => {
                let (aggregate, support) = (row.function()?, row.list(FunctionId::from_oid)?);
                let present = support.into_iter().filter(|function| function.oid() != 0);
                self.aggregates.push((aggregate, present.collect()));
            }
            Kind::Operators => {
                self.operators.push(Operator {
                    symbol: row.boxed()?,
                    function: row.function()?,
                });
            }
            Kind::Casts => self.casts.push(Cast {
                source: row.kind()?,
                target: row.kind()?,
                function: row.function()?,
            }),
            Kind::Depends => {
                self.depends.push(Depends {
                    view: row.relation()?,
                    relation: row.relation()?,
                });
            }
            Kind::Uses => self.uses.push(uses(&mut row)?),
            Kind::Implicit => self.implicit.push(row.function()?),
            Kind::EventTriggers => self.event_triggers.push(row.boxed()?),
        }
        Ok(())
    }
}

fn schema(row: &mut Row<'_, '_>) -> Result<Schema, RowError> {
    let (id, name) = (SchemaId::from_oid(row.number()?), row.boxed()?);
    let grantees = row.list(RoleId::from_oid)?;
    let (public, usage): (Vec<_>, Vec<_>) =
        grantees.iter().partition(|&&grantee| grantee == PUBLIC);
    Ok(Schema {
        id,
        name,
        usage: usage.into(),
        public_usage: !public.is_empty(),
    })
}

fn role(row: &mut Row<'_, '_>) -> Result<Role, RowError> {
    let (id, name) = (row.role()?, row.boxed()?);
    let (superuser, bypasses) = (row.flag()?, row.flag()?);
    Ok(Role {
        id,
        name,
        bypasses_row_security: superuser || bypasses,
        superuser,
    })
}

fn relation(row: &mut Row<'_, '_>) -> Result<Relation, RowError> {
    let (id, schema, name) = (
        row.relation()?,
        SchemaId::from_oid(row.number()?),
        row.boxed()?,
    );
    let kind = match row.text()? {
        "r" => RelationKind::Table,
        "p" => RelationKind::PartitionedTable,
        "v" => RelationKind::View,
        "m" => RelationKind::MaterializedView,
        "f" => RelationKind::ForeignTable,
        "S" => RelationKind::Sequence,
        "c" => RelationKind::CompositeType,
        _ => RelationKind::Other,
    };
    let owner = row.role()?;
    let row_security = match row.text()? {
        "-" => RowSecurity::Off,
        "o" => RowSecurity::On,
        _ => RowSecurity::Forced,
    };
    let persistence = row.text()?;
    Ok(Relation {
        id,
        schema,
        name,
        kind,
        owner,
        row_security,
        temporary: persistence == "t",
        unlogged: persistence == "u",
        columns: [].into(),
        definition: None,
        security_invoker: row.flag()?,
        parents: [].into(),
        extension: row.next().map(Into::into),
    })
}

fn constraint(row: &mut Row<'_, '_>) -> Result<Constraint, RowError> {
    let action = |letter| match letter {
        "a" | "r" => ForeignKeyAction::None,
        _ => ForeignKeyAction::Writes,
    };
    Ok(Constraint {
        referencing: row.relation()?,
        referenced: row.relation()?,
        on_update: action(row.text()?),
        on_delete: action(row.text()?),
    })
}

fn trigger(row: &mut Row<'_, '_>) -> Result<Trigger, RowError> {
    let (relation, function) = (row.relation()?, row.function()?);
    let bits: u16 = row.number()?;
    let events = TRIGGER_EVENTS.iter().filter(|(bit, _)| bits & bit != 0);
    Ok(Trigger {
        relation,
        function,
        events: events.map(|&(_, event)| event).collect(),
    })
}

fn function(row: &mut Row<'_, '_>) -> Result<Function, RowError> {
    let (id, schema, name) = (
        row.function()?,
        SchemaId::from_oid(row.number()?),
        row.boxed()?,
    );
    let kind = match row.text()? {
        "p" => FunctionKind::Procedure,
        "a" => FunctionKind::Aggregate,
        "w" => FunctionKind::Window,
        _ => FunctionKind::Function,
    };
    let (most, defaults): (u16, u16) = (row.number()?, row.number()?);
    let variadic = row.flag()?;
    Ok(Function {
        id,
        schema,
        name,
        kind,
        arguments: (
            most.saturating_sub(defaults),
            if variadic { u16::MAX } else { most },
        ),
        volatility: match row.text()? {
            "i" => Volatility::Immutable,
            "s" => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        language: match row.text()? {
            "internal" => Language::Internal,
            "c" => Language::C,
            "sql" => Language::Sql,
            "plpgsql" => Language::PlPgSql,
            _ => Language::Foreign,
        },
        body: row.next().map(Into::into),
        support: [].into(),
        settings: row.next().map_or_else(Box::default, |settings| {
            settings.split('\u{1f}').map(Into::into).collect()
        }),
        extension: row.next().map(Into::into),
    })
}

fn uses(row: &mut Row<'_, '_>) -> Result<Uses, RowError> {
    let (relation, function) = (row.relation()?, row.function()?);
    let moment = if row.text()? == "r" {
        Moment::Read
    } else {
        Moment::Write
    };
    Ok(Uses {
        relation,
        function,
        moment,
    })
}

/// A row being read from left to right.
struct Row<'r, 'a> {
    columns: &'r mut dyn Iterator<Item = Option<&'a str>>,
    read: usize,
}

impl<'r, 'a> Row<'r, 'a> {
    fn new(columns: &'r mut dyn Iterator<Item = Option<&'a str>>) -> Self {
        Self { columns, read: 0 }
    }

    /// The next column; `None` when it is NULL or missing.
    fn next(&mut self) -> Option<&'a str> {
        self.read += 1;
        self.columns.next().flatten()
    }

    fn error(&self, found: Option<&str>, expected: &'static str) -> RowError {
        RowError {
            column: self.read.saturating_sub(1),
            found: found.map(Into::into),
            expected,
        }
    }

    fn text(&mut self) -> Result<&'a str, RowError> {
        self.next().ok_or_else(|| self.error(None, "text"))
    }

    fn boxed(&mut self) -> Result<Box<str>, RowError> {
        self.text().map(Into::into)
    }

    fn optional<T: std::str::FromStr>(&mut self) -> Result<Option<T>, RowError> {
        let Some(text) = self.next() else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| self.error(Some(text), "a number or NULL"))
    }

    fn number<T: std::str::FromStr>(&mut self) -> Result<T, RowError> {
        let text = self.next();
        text.and_then(|text| text.parse().ok())
            .ok_or_else(|| self.error(text, "a number"))
    }

    fn flag(&mut self) -> Result<bool, RowError> {
        match self.next() {
            Some("t") => Ok(true),
            Some("f") => Ok(false),
            other => Err(self.error(other, "`t` or `f`")),
        }
    }

    /// Object identifiers separated by spaces; NULL is an empty list.
    fn list<T>(&mut self, wrap: impl Fn(u32) -> T) -> Result<Box<[T]>, RowError> {
        let text = self.next().unwrap_or_default();
        text.split_ascii_whitespace()
            .map(|oid| oid.parse().map(&wrap))
            .collect::<Result<_, _>>()
            .map_err(|_| self.error(Some(text), "numbers separated by spaces"))
    }

    fn relation(&mut self) -> Result<RelationId, RowError> {
        self.number().map(RelationId::from_oid)
    }

    fn role(&mut self) -> Result<RoleId, RowError> {
        self.number().map(RoleId::from_oid)
    }

    fn function(&mut self) -> Result<FunctionId, RowError> {
        self.number().map(FunctionId::from_oid)
    }

    fn kind(&mut self) -> Result<TypeId, RowError> {
        self.number().map(TypeId::from_oid)
    }
}

/// The grantee that stands for everybody.
const PUBLIC: RoleId = RoleId::from_oid(0);

/// Bits of `pg_trigger.tgtype`.
const TRIGGER_EVENTS: [(u16, Event); 4] = [
    (4, Event::Insert),
    (8, Event::Delete),
    (16, Event::Update),
    (32, Event::Truncate),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a row as `psql -At` prints it; an empty column is NULL.
    fn columns(row: &str) -> impl Iterator<Item = Option<&str>> {
        row.split('|')
            .map(|column| (!column.is_empty()).then_some(column))
    }

    fn read(rows: &[(Kind, &str)]) -> Builder {
        let mut builder = Builder::default();
        for &(kind, row) in rows {
            builder.push(kind, columns(row)).unwrap();
        }
        builder
    }

    #[test]
    fn public_is_told_from_roles_that_may_use_a_schema() {
        let builder = read(&[
            (Kind::Schemas, "2200|public|0 6171"),
            (Kind::Schemas, "17810|a|10 16389"),
            (Kind::Schemas, "17811|nobody|"),
        ]);
        let usage = |index: usize| {
            let schema = &builder.schemas[index];
            (
                schema.public_usage,
                schema
                    .usage
                    .iter()
                    .map(|role| role.oid())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(usage(0), (true, vec![6171]));
        assert_eq!(usage(1), (false, vec![10, 16389]));
        assert_eq!(usage(2), (false, vec![]));
    }

    #[test]
    fn a_superuser_bypasses_row_security() {
        let builder = read(&[
            (Kind::Roles, "10|postgres|t|f"),
            (Kind::Roles, "11|auditor|f|t"),
            (Kind::Roles, "12|alice|f|f"),
        ]);
        let bypasses: Vec<_> = builder
            .roles
            .iter()
            .map(|role| role.bypasses_row_security)
            .collect();
        assert_eq!(bypasses, [true, true, false]);
    }

    #[test]
    fn a_relation_gets_its_columns_parents_and_definition() {
        let snapshot = read(&[
            (Kind::Columns, "20002|name|25"),
            (Kind::Columns, "20002|id|23"),
            (Kind::Inherits, "20002|20001"),
            (Kind::Inherits, "30000|20001"),
            (Kind::Definitions, "20003|SELECT 1"),
            (Kind::Definitions, "20002|"),
            (Kind::Relations, "20003|2200|v|v|10|-|p|t|hstore"),
            (Kind::Relations, "20001|2200|base|p|10|o|u|f|"),
            (Kind::Relations, "20002|2200|part|r|10|f|t|f|"),
        ])
        .finish();
        let base = snapshot.relation(RelationId::from_oid(20_001)).unwrap();
        assert_eq!(
            (base.kind, base.row_security),
            (RelationKind::PartitionedTable, RowSecurity::On)
        );
        assert!(base.unlogged && !base.temporary);
        let part = snapshot.relation(RelationId::from_oid(20_002)).unwrap();
        assert_eq!(
            (part.row_security, part.temporary),
            (RowSecurity::Forced, true)
        );
        assert_eq!(*part.parents, [base.id]);
        let names: Vec<_> = part.columns.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["name", "id"]);
        assert_eq!(part.definition, None);
        let view = snapshot.relation(RelationId::from_oid(20_003)).unwrap();
        assert_eq!(view.definition.as_deref(), Some("SELECT 1"));
        assert_eq!(
            (view.security_invoker, view.extension.as_deref()),
            (true, Some("hstore"))
        );
    }

    #[test]
    fn a_function_says_how_many_arguments_it_takes() {
        let builder = read(&[
            (
                Kind::Functions,
                "17872|2200|f|f|3|2|t|s|sql|select 1|search_path=a\u{1f}jit=off|",
            ),
            (Kind::Functions, "17873|2200|g|p|2|1|f|v|plpython3u|||"),
            (Kind::Functions, "17884|2200|h|a|1|0|f|i|internal|||hstore"),
            (Kind::Aggregates, "17884|17883 0 17882 0 0 0 0 0"),
        ]);
        let first = &builder.functions[0];
        assert_eq!(
            (first.arguments, first.volatility),
            ((1, u16::MAX), Volatility::Stable)
        );
        assert_eq!(
            first.settings.iter().map(|set| &**set).collect::<Vec<_>>(),
            ["search_path=a", "jit=off"]
        );
        let second = &builder.functions[1];
        assert_eq!(
            (second.arguments, second.language),
            ((1, 2), Language::Foreign)
        );
        assert!(second.settings.is_empty());
        let snapshot = builder.finish();
        let aggregate = snapshot.function(FunctionId::from_oid(17_884)).unwrap();
        assert_eq!(aggregate.kind, FunctionKind::Aggregate);
        assert_eq!(
            *aggregate.support,
            [17_883, 17_882].map(FunctionId::from_oid)
        );
        assert_eq!(aggregate.extension.as_deref(), Some("hstore"));
    }

    #[test]
    fn foreign_keys_and_triggers_are_read_from_their_letters_and_bits() {
        let builder = read(&[
            (Kind::Constraints, "1|2|n|r"),
            (Kind::Constraints, "1|2|a|c"),
            (Kind::Triggers, "1|9|13"),
            (Kind::Triggers, "1|9|48"),
        ]);
        let actions: Vec<_> = builder
            .constraints
            .iter()
            .map(|key| (key.on_update, key.on_delete))
            .collect();
        assert_eq!(
            actions,
            [
                (ForeignKeyAction::Writes, ForeignKeyAction::None),
                (ForeignKeyAction::None, ForeignKeyAction::Writes)
            ]
        );
        assert_eq!(*builder.triggers[0].events, [Event::Insert, Event::Delete]);
        assert_eq!(
            *builder.triggers[1].events,
            [Event::Update, Event::Truncate]
        );
    }

    #[test]
    fn rejects_rows_of_another_shape_and_says_where() {
        let check = |kind, row| {
            Builder::default()
                .push(kind, columns(row))
                .unwrap_err()
                .column
        };
        assert_eq!(check(Kind::Relations, "x"), 0);
        assert_eq!(check(Kind::Relations, "1|2"), 2);
        assert_eq!(check(Kind::Roles, "1|alice|yes|f"), 2);
        assert_eq!(check(Kind::Schemas, "1|a|0 x"), 2);
        assert_eq!(check(Kind::Triggers, "1|2|-1"), 2);
        assert_eq!(check(Kind::Server, ""), 0);
    }

    #[test]
    fn an_identity_may_lack_what_the_role_must_not_see() {
        let full = columns("7711185903919068996|16391|150018|1795400381087720|1|f");
        let full = Identity::from_row(full).unwrap();
        let system = SystemId(7_711_185_903_919_068_996);
        assert_eq!(
            full.database_id(),
            Some(DatabaseId {
                system,
                oid: 16_391
            })
        );
        let partial = Identity::from_row(columns("|16391|150018|1795400381087720||t")).unwrap();
        assert_eq!(
            (partial.system, partial.timeline, partial.in_recovery),
            (None, None, true)
        );
        let signed = Identity::from_row(columns("-1|1|150000|0|1|f")).unwrap();
        assert_eq!(signed.system, Some(SystemId(u64::MAX)));
        assert!(Identity::from_row(columns("1|2")).is_err());
    }
}
