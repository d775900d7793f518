//! Rows of the catalog queries, read column by column.

mod reader;

use self::reader::Row;
pub use self::reader::RowError;
use crate::object::{
    Cast, Collation, Constraint, Depends, Event, ForeignKeyAction, Function, FunctionKind,
    Implicit, Language, Membership, Moment, Operator, Policy, Relation, RelationKind, Role,
    RowSecurity, Rule, Schema, Trigger, Type, TypeKind, Uses, Volatility,
};
use crate::queries::Kind;
use crate::{
    Builder, DatabaseId, FunctionId, Keeper, RelationId, RoleId, SchemaId, SystemId, TypeId,
};

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
    /// Since when the server has counted what it archives, in microseconds since 1970: since it
    /// crashed last, unless somebody has begun anew since. `None` if it does not say.
    pub counted_since_us: Option<i64>,
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
            counted_since_us: row.optional()?,
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
            Kind::Memberships => self.memberships.push(membership(&mut row)?),
            Kind::Relations => self.relations.push(relation(&mut row)?),
            Kind::Columns => self
                .columns
                .push((row.relation()?, row.boxed()?, row.kind()?)),
            Kind::Types => self.types.push(type_row(&mut row)?),
            Kind::Inherits => self.inherits.push((row.relation()?, row.relation()?)),
            Kind::Definitions => {
                let view = row.relation()?;
                // NULL when the view was dropped under our feet; the next snapshot lacks it.
                if let Some(definition) = row.next() {
                    self.definitions.push((view, definition.into()));
                }
            }
            Kind::Keys => {
                self.keys.push((row.relation()?, row.names()));
            }
            Kind::Constraints => self.constraints.push(constraint(&mut row)?),
            Kind::Policies => self.policies.push(policy(&mut row)?),
            Kind::Triggers => self.triggers.push(trigger(&mut row)?),
            Kind::Rules => self.rules.push(rule(&mut row)?),
            Kind::Functions => self.functions.push(function(&mut row)?),
            Kind::Support => {
                let (function, support) = (row.function()?, row.list(FunctionId::from_oid)?);
                let present = support.into_iter().filter(|function| function.oid() != 0);
                self.support.push((function, present.collect()));
            }
            Kind::Operators => self.operators.push(operator(&mut row)?),
            Kind::Casts => self.casts.push(cast(&mut row)?),
            Kind::Depends => self.depends.push(depends(&mut row)?),
            Kind::Uses => self.uses.push(uses(&mut row)?),
            Kind::Kept => self.kept.push(kept(&mut row)?),
            Kind::Implicit => self.implicit.push(implicit(&mut row)?),
            Kind::Methods => self.methods.push(row.next().map(Into::into)),
            Kind::TextSearch => self.text_search = row.boxed()?,
            Kind::Collations => self.collations.push(collation(&mut row)?),
            Kind::EventTriggers => {
                self.event_triggers.push(row.boxed()?);
                self.login_triggers |= row.flag()?;
            }
            Kind::Databases => self.databases.push(row.number()?),
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
        row: row.kind()?,
        rows: row.kind()?,
        numbered: row.number()?,
        parents: [].into(),
        key: [].into(),
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
        columns: row.names(),
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
    let takes = row.list(TypeId::from_oid)?;
    Ok(Function {
        id,
        schema,
        name,
        kind,
        arguments: (
            most.saturating_sub(defaults),
            if variadic { u16::MAX } else { most },
        ),
        takes,
        returns: row.kind()?,
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
        definer: row.flag()?,
        body: row.next().map(Into::into),
        support: [].into(),
        settings: row.names(),
        extension: row.next().map(Into::into),
        columns: row.list(TypeId::from_oid)?,
    })
}

/// What follows from the types it is made of is filled in when all are there.
fn type_row(row: &mut Row<'_, '_>) -> Result<Type, RowError> {
    let (id, schema, name) = (row.kind()?, SchemaId::from_oid(row.number()?), row.boxed()?);
    let letter = row.text()?;
    let base: u32 = row.number()?;
    let (is_text, immutable) = (row.flag()?, row.flag()?);
    let labels = row.next().and_then(|digest| digest.parse().ok());
    let timeless = immutable || (id.is_builtin() && TIMELESS.contains(&&*name));
    Ok(Type {
        id,
        schema,
        name,
        kind: match (letter, base) {
            ("e", _) => TypeKind::Enum(labels.unwrap_or(0)),
            (_, 0) => TypeKind::Base,
            (_, base) => TypeKind::Of(TypeId::from_oid(base)),
        },
        is_text,
        reads_clock: letter != "e" && !timeless,
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

fn kept(row: &mut Row<'_, '_>) -> Result<(Keeper, FunctionId), RowError> {
    let (relation, body) = (row.relation()?, row.function()?);
    let keeper = match body.oid() {
        0 => Keeper::Relation(relation),
        _ => Keeper::Body(body),
    };
    Ok((keeper, row.function()?))
}

fn membership(row: &mut Row<'_, '_>) -> Result<Membership, RowError> {
    Ok(Membership {
        member: row.role()?,
        role: row.role()?,
    })
}

fn policy(row: &mut Row<'_, '_>) -> Result<Policy, RowError> {
    Ok(Policy {
        relation: row.relation()?,
        // NULL when the policy was dropped under our feet: nobody knows what it said.
        condition: row.next().unwrap_or("now() IS NULL").into(),
        depends: row.list(RelationId::from_oid)?,
    })
}

fn rule(row: &mut Row<'_, '_>) -> Result<Rule, RowError> {
    Ok(Rule {
        relation: row.relation()?,
        definition: row.boxed()?,
    })
}

fn operator(row: &mut Row<'_, '_>) -> Result<Operator, RowError> {
    Ok(Operator {
        symbol: row.boxed()?,
        schema: SchemaId::from_oid(row.number()?),
        function: row.function()?,
        operands: [row.kind()?, row.kind()?],
    })
}

fn cast(row: &mut Row<'_, '_>) -> Result<Cast, RowError> {
    Ok(Cast {
        source: row.kind()?,
        target: row.kind()?,
        function: row.function()?,
        binary: row.flag()?,
        implicit: row.flag()?,
    })
}

fn depends(row: &mut Row<'_, '_>) -> Result<Depends, RowError> {
    Ok(Depends {
        view: row.relation()?,
        relation: row.relation()?,
    })
}

fn implicit(row: &mut Row<'_, '_>) -> Result<Implicit, RowError> {
    Ok(Implicit {
        function: row.function()?,
        kind: row.kind()?,
    })
}

fn collation(row: &mut Row<'_, '_>) -> Result<Collation, RowError> {
    Ok(Collation {
        oid: row.number()?,
        schema: SchemaId::from_oid(row.number()?),
        name: row.boxed()?,
    })
}

/// Builtin types whose input depends on settings or the catalogs, but not on the clock.
const TIMELESS: [&str; 5] = ["interval", "money", "regconfig", "regdictionary", "xml"];

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
mod tests;
