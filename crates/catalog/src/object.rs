//! Objects as the system catalogs describe them, cut down to what decisions need.

use crate::{FunctionId, RelationId, RoleId, SchemaId, TypeId};

/// A schema (`pg_namespace`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Schema {
    /// Its identity.
    pub id: SchemaId,
    /// Its name, unquoted.
    pub name: Box<str>,
    /// Roles that were granted USAGE, the owner among them unless it was revoked.
    pub usage: Box<[RoleId]>,
    /// Whether PUBLIC was granted USAGE.
    pub public_usage: bool,
}

/// A role (`pg_roles`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Role {
    /// Its identity.
    pub id: RoleId,
    /// Its name, unquoted.
    pub name: Box<str>,
    /// Whether row-level security never applies to it (`rolsuper` or `rolbypassrls`).
    pub bypasses_row_security: bool,
    /// `rolsuper`: no privilege is ever asked.
    pub superuser: bool,
}

/// `member` has the privileges of `role` without SET ROLE (`pg_auth_members`, inherited ones).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Membership {
    /// Who inherits.
    pub member: RoleId,
    /// From whom.
    pub role: RoleId,
}

/// What `pg_class.relkind` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelationKind {
    /// `r`
    Table,
    /// `p`
    PartitionedTable,
    /// `v`
    View,
    /// `m`
    MaterializedView,
    /// `f`
    ForeignTable,
    /// `S`
    Sequence,
    /// `c`
    CompositeType,
    /// `i`, `I`, `t` and kinds this version has not heard of.
    Other,
}

impl RelationKind {
    /// Whether its rows can be changed, directly or through what stands behind it. What cannot be
    /// keeps its name from others all the same.
    pub const fn is_writable(self) -> bool {
        match self {
            Self::Table
            | Self::PartitionedTable
            | Self::View
            | Self::MaterializedView
            | Self::ForeignTable => true,
            Self::Sequence | Self::CompositeType | Self::Other => false,
        }
    }
}

/// Whether policies filter the rows of a relation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RowSecurity {
    /// No.
    Off,
    /// For everybody but the owner and roles that bypass it.
    On,
    /// For the owner as well (`relforcerowsecurity`).
    Forced,
}

/// A relation (`pg_class`). Indexes and TOAST tables are listed where another one has their name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relation {
    /// Its identity.
    pub id: RelationId,
    /// The schema it is in.
    pub schema: SchemaId,
    /// Its name, unquoted.
    pub name: Box<str>,
    /// Its kind.
    pub kind: RelationKind,
    /// Its owner.
    pub owner: RoleId,
    /// Whether policies apply.
    pub row_security: RowSecurity,
    /// `relpersistence = 't'`. Temporary relations of other sessions appear in snapshots too.
    pub temporary: bool,
    /// `relpersistence = 'u'`.
    pub unlogged: bool,
    /// Names and types of its live columns, in order; system columns are not listed. Empty for
    /// sequences and whatever came with `initdb`.
    pub columns: Box<[(Box<str>, TypeId)]>,
    /// For a view or materialized view: its query as `pg_get_viewdef` prints it under an empty
    /// `search_path`, every name outside `pg_catalog` qualified. `None` if it came with `initdb`.
    pub definition: Option<Box<str>>,
    /// The type of its rows.
    pub row: TypeId,
    /// The type of arrays of them, 0 if there is none.
    pub rows: TypeId,
    /// How many columns it has ever had.
    pub numbered: u16,
    /// For a view: `security_invoker` is set.
    pub security_invoker: bool,
    /// Parents by inheritance or partitioning (`pg_inherits`), direct ones only.
    pub parents: Box<[RelationId]>,
    /// The columns of the key by which its rows are told apart; empty if there is none of which
    /// that is certain. See [`crate::queries`].
    pub key: Box<[Box<str>]>,
    /// Member of an extension (`pg_depend.deptype = 'e'`).
    pub extension: Option<Box<str>>,
}

/// What a foreign key does to the referencing rows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ForeignKeyAction {
    /// NO ACTION or RESTRICT: the referencing table is only read.
    None,
    /// CASCADE, SET NULL or SET DEFAULT: the referencing table is written.
    Writes,
}

/// A foreign key (`pg_constraint.contype = 'f'`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Constraint {
    /// The table that holds the key.
    pub referencing: RelationId,
    /// The table it points at.
    pub referenced: RelationId,
    /// The referenced columns; empty if they are not known, or the server computes one of them.
    pub columns: Box<[Box<str>]>,
    /// What an UPDATE of the referenced table does.
    pub on_update: ForeignKeyAction,
    /// What a DELETE from the referenced table does.
    pub on_delete: ForeignKeyAction,
}

/// A change that fires triggers, rules and foreign-key actions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// INSERT, COPY FROM, the insert half of MERGE and of ON CONFLICT.
    Insert,
    /// UPDATE, ON CONFLICT DO UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// TRUNCATE.
    Truncate,
}

/// A user trigger (`pg_trigger` with `NOT tgisinternal`), disabled ones included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trigger {
    /// The relation it watches.
    pub relation: RelationId,
    /// What it runs.
    pub function: FunctionId,
    /// What fires it.
    pub events: Box<[Event]>,
}

/// A policy that filters what is read (`pg_policy` for SELECT or ALL).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// The relation whose rows it filters.
    pub relation: RelationId,
    /// `polqual` as `pg_get_expr` prints it under an empty `search_path`: columns of the relation
    /// by their names, within subqueries behind that of the relation.
    pub condition: Box<str>,
    /// The other relations that it names.
    pub depends: Box<[RelationId]>,
}

/// A rewrite rule other than a view's own `_RETURN`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// The relation it rewrites.
    pub relation: RelationId,
    /// `pg_get_ruledef`, under an empty `search_path`.
    pub definition: Box<str>,
}

/// `pg_proc.provolatile`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Volatility {
    /// `i`
    Immutable,
    /// `s`
    Stable,
    /// `v`
    Volatile,
}

/// What `pg_proc.prokind` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FunctionKind {
    /// `f`
    Function,
    /// `p`
    Procedure,
    /// `a`: its volatility is nominal, its support functions decide.
    Aggregate,
    /// `w`
    Window,
}

/// What a function is written in, as far as its body can be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    /// `internal`
    Internal,
    /// `c`
    C,
    /// `sql`
    Sql,
    /// `plpgsql`
    PlPgSql,
    /// Anything else: its body says nothing.
    Foreign,
}

/// A type (`pg_type`). Rows of tables, composite types and pseudotypes are not listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Type {
    /// Its identity.
    pub id: TypeId,
    /// The schema it is in.
    pub schema: SchemaId,
    /// Its name, unquoted.
    pub name: Box<str>,
    /// What it is made of.
    pub kind: TypeKind,
    /// Its values are text, or consist of such: a string type, an array of one, a domain over one.
    pub is_text: bool,
    /// Text that is read as this type may mean the clock: a date or time, or what consists of
    /// such. False only if that is certain.
    pub reads_clock: bool,
}

/// What a type is made of (`pg_type.typtype`, `typelem`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TypeKind {
    /// Nothing: its input function reads it.
    Base,
    /// `e`, with a digest over its labels.
    Enum(i64),
    /// An array of this, a domain over this, a range or multirange of this.
    Of(TypeId),
}

/// A function, procedure, aggregate or window function (`pg_proc`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Function {
    /// Its identity.
    pub id: FunctionId,
    /// The schema it is in.
    pub schema: SchemaId,
    /// Its name, unquoted.
    pub name: Box<str>,
    /// Its kind.
    pub kind: FunctionKind,
    /// How many arguments it takes without and with its defaults; `u16::MAX` when variadic.
    pub arguments: (u16, u16),
    /// The types of the arguments it takes, those with defaults included. Empty when not known.
    pub takes: Box<[TypeId]>,
    /// The type of what it returns.
    pub returns: TypeId,
    /// If that is a record with columns of its own: their types, those of its arguments among them.
    pub columns: Box<[TypeId]>,
    /// Its declared volatility.
    pub volatility: Volatility,
    /// What it is written in.
    pub language: Language,
    /// It runs with the rights of its owner (SECURITY DEFINER).
    pub definer: bool,
    /// Its body for SQL and PL/pgSQL functions (`prosrc`, or `pg_get_function_sqlbody`);
    /// `None` for builtins, which are known by name.
    pub body: Option<Box<str>>,
    /// Outside `pg_catalog`: the transition, final and further functions of an aggregate, and what
    /// any other function depends on, as the defaults of its arguments may call it.
    pub support: Box<[FunctionId]>,
    /// Settings attached with `SET` (`proconfig`): `name=value`.
    pub settings: Box<[Box<str>]>,
    /// Member of an extension.
    pub extension: Option<Box<str>>,
}

/// An operator outside `pg_catalog`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operator {
    /// Its symbol, such as `%`.
    pub symbol: Box<str>,
    /// The schema it is in.
    pub schema: SchemaId,
    /// What it runs.
    pub function: FunctionId,
    /// The types of its left and right operand, 0 for none.
    pub operands: [TypeId; 2],
}

/// A cast of the user's that runs a function, or is applied without being asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cast {
    /// From this type.
    pub source: TypeId,
    /// To this one.
    pub target: TypeId,
    /// What it runs; 0 for the input and output functions of the types, or for nothing.
    pub function: FunctionId,
    /// It runs nothing: the values are the same.
    pub binary: bool,
    /// It is applied without being asked for.
    pub implicit: bool,
}

/// A function that statements run without naming it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Implicit {
    /// What is run.
    pub function: FunctionId,
    /// The type at whose values it is run; 0 for the function of a cast or an operator.
    pub kind: TypeId,
}

/// A view's rule, or a table's policy, depends on this (`pg_depend`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Depends {
    /// The view or materialized view, or the table.
    pub view: RelationId,
    /// A relation that its query or policy names, subqueries included; not what that relation names
    /// in turn.
    pub relation: RelationId,
}

/// A collation of a user's, or another one of its name (`pg_collation`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collation {
    /// Its OID.
    pub oid: u32,
    /// Where it lies.
    pub schema: SchemaId,
    /// Its name, unquoted.
    pub name: Box<str>,
}

/// When the server runs a function that no statement names.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Moment {
    /// When the relation is read: the query of a view, a policy.
    Read,
    /// When the relation is written: a default, a check, an expression in an index or a partition
    /// key, the condition of a trigger. A policy or view runs then as well.
    Write,
}

/// A relation whose definition runs a function outside `pg_catalog`, also by way of an operator, or
/// one of the server's own that does something ([`crate::ACTING`]).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Uses {
    /// The relation.
    pub relation: RelationId,
    /// What it runs.
    pub function: FunctionId,
    /// When.
    pub moment: Moment,
}
