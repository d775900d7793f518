//! What may be done with a statement: the outcome of analysis and name resolution.

use std::sync::Arc;

use catalog::{RelationId, RoleId, RowClass, SearchPath};

use crate::pin::{Pinned, WRITE_ROWS_MAX};
use crate::{Assignment, Form, Reason, Skips, Temporary};

/// What the names of a statement mean, as digests that are comparable within one process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Meaning {
    /// Which relations they are.
    pub(crate) relations: u64,
    /// Which functions it may run.
    pub(crate) functions: u64,
    /// Those of them that its operators may stand for.
    pub(crate) operators: u64,
    /// What the types of its relations' columns are made of.
    pub(crate) kinds: u64,
    /// Which types, collations and whatever else.
    pub(crate) others: u64,
    /// All casts of users.
    pub(crate) casts: u64,
    /// No schema of the path has a relation of such a name but the one that is meant.
    pub(crate) alone: bool,
    /// What the types of its relations' columns are made of bears on it by casts alone.
    pub(crate) settled: bool,
}

impl Meaning {
    /// Whether a server that has analysed a statement with this meaning, under the same path, takes it
    /// for what it means `now`.
    ///
    /// It keeps to a relation that it has found until that is dropped, or is called otherwise, and then
    /// looks for the name again; so it does when a column becomes one of another type. So where one
    /// relation has the name, that is the one, whichever was known before: what was made just before
    /// the statement was prepared may not have been.
    pub fn holds(&self, now: &Self) -> bool {
        self.writes_as(now)
            && self.functions == now.functions
            && self.others == now.others
            && (self.kinds == now.kinds || now.settled && self.casts == now.casts)
    }

    /// Whether it runs nothing but what it might run `now`, and changes what that would, whatever it
    /// reads.
    ///
    /// A function that it has found by its name counts `now` as well, under the same path: were it
    /// dropped, or called otherwise, the server would look for the name again (`plancache.c`,
    /// `PlanCacheObjectCallback`). Operators may be dropped without that, and so may casts and policies come
    /// to an end: what these run is counted by the words of any statement, but not where it is a read.
    pub fn writes_as(&self, now: &Self) -> bool {
        self.operators == now.operators && (self.relations == now.relations || now.alone)
    }

    /// That of a string of which this is the beginning, and `next` comes next.
    pub(crate) const fn and(self, next: Self) -> Self {
        Self {
            relations: self.relations.rotate_left(1) ^ next.relations,
            functions: self.functions.rotate_left(1) ^ next.functions,
            operators: self.operators.rotate_left(1) ^ next.operators,
            kinds: self.kinds.rotate_left(1) ^ next.kinds,
            others: self.others.rotate_left(1) ^ next.others,
            casts: self.casts.rotate_left(1) ^ next.casts,
            alone: self.alone && next.alone,
            settled: self.settled && next.settled,
        }
    }
}

/// What may be done with one statement string for one search path and role.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The relations a recorded reply depends on: views together with the tables they expand to,
    /// sorted, no relation twice; or why the statement is not looked up.
    ///
    /// Only relations that are named are listed: a write to a partition or inheritance child
    /// counts as a write to its ancestors, and the other way round.
    pub read: Result<Box<[RelationId]>, Reason>,
    /// What its names mean.
    pub meaning: Meaning,
    /// Settings of the application on whose values the reply depends besides; lower case, sorted.
    pub settings: Box<[Box<str>]>,
    /// It is looked up only if no parameter is declared to be of a type made after `initdb`: a
    /// function of the user's could be meant then.
    pub builtin_parameters: bool,
    /// The same for a time of day: its zone could be asked for.
    pub timeless_parameters: bool,
    /// A function that it calls, and that is planned with it, holds literals whose values depend on
    /// settings.
    pub formed_literals: bool,
    /// It may hold constants that the planner writes down as text, in the form of some settings.
    pub folds: bool,
    /// What it may change, closed over foreign keys, triggers, rules, views, partitions.
    pub writes: Writes,
    /// It changes rows of the session's own temporary tables, and is told to change nothing there
    /// because of what its names mean now.
    pub own: bool,
    /// Which rows of these relations it keeps to.
    pub pinned: Pinned,
    /// What it does to the session.
    pub effects: Effects,
}

impl Plan {
    /// Makes the plan of a statement that of all statements of its form, in which the values of the
    /// literals come with the arguments.
    pub fn open(&mut self, form: &Form) {
        self.pinned.open(form);
    }
}

/// What a statement may change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Writes {
    /// No row and no definition.
    Nothing,
    /// The same, unless the functions that it runs have been replaced meanwhile.
    Code,
    /// At most these relations' rows; sorted, no relation twice.
    Relations(Box<[RelationId]>),
    /// At most these rows. No plan says so: which they are is known when values are bound.
    Rows(Box<Changes>),
    /// Anything: rows, definitions, privileges, settings.
    Everything,
    /// Anything, and what all databases of the cluster share: roles, their memberships and settings.
    Cluster,
}

impl Writes {
    /// Whether anything may change, as far as is known.
    pub const fn any(&self) -> bool {
        !matches!(self, Self::Nothing | Self::Code)
    }

    /// Whether nothing changes, whatever others do.
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Whether anything in the database may change.
    pub const fn is_unbounded(&self) -> bool {
        matches!(self, Self::Everything | Self::Cluster)
    }

    /// Grows to cover `other` as well.
    pub fn add(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Cluster, _) | (_, Self::Nothing) => {}
            (Self::Nothing, Self::Code) => *self = Self::Code,
            (_, Self::Code) => {}
            (_, Self::Cluster) => *self = Self::Cluster,
            (Self::Everything, _) => {}
            (_, Self::Everything) => *self = Self::Everything,
            (Self::Nothing | Self::Code, Self::Relations(_) | Self::Rows(_)) => {
                *self = other.clone();
            }
            (Self::Relations(mine), Self::Relations(theirs)) => *mine = union(mine, theirs),
            (mine @ (Self::Relations(_) | Self::Rows(_)), theirs) => {
                let mut changes = Changes::of(mine);
                changes.add(&Changes::of(theirs));
                *mine = Self::Rows(Box::new(changes));
            }
        }
    }
}

/// Changes of rows, some of which are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Any rows of these relations may change; sorted, no relation twice.
    pub relations: Box<[RelationId]>,
    /// Rows of these classes may change; sorted, none twice, none of `relations`.
    pub rows: Box<[(RelationId, RowClass)]>,
    /// Rows may come to these relations under keys that are not there; sorted, no relation twice,
    /// none of `relations`.
    pub inserts: Box<[RelationId]>,
}

impl Changes {
    fn of(writes: &Writes) -> Self {
        match writes {
            Writes::Rows(changes) => Self::clone(changes),
            Writes::Relations(relations) => Self {
                relations: relations.clone(),
                ..Self::default()
            },
            Writes::Nothing | Writes::Code | Writes::Everything | Writes::Cluster => {
                Self::default()
            }
        }
    }

    /// Grows to cover `other` as well. Beyond a number of rows, their relations are meant.
    fn add(&mut self, other: &Self) {
        self.relations = union(&self.relations, &other.relations);
        let mut rows = union(&self.rows, &other.rows);
        if rows.len() > WRITE_ROWS_MAX {
            let mut whole: Vec<_> = rows.iter().map(|&(relation, _)| relation).collect();
            whole.dedup();
            self.relations = union(&self.relations, &whole);
            rows = Box::default();
        }
        let known = |relation: &RelationId| self.relations.binary_search(relation).is_err();
        let inserts = union(&self.inserts, &other.inserts);
        self.rows = rows.into_iter().filter(|(it, _)| known(it)).collect();
        self.inserts = inserts.into_iter().filter(known).collect();
    }
}

/// Both of two lists, sorted, nothing twice.
fn union<T: Copy + Ord>(one: &[T], other: &[T]) -> Box<[T]> {
    let mut all: Vec<_> = one.iter().chain(other).copied().collect();
    all.sort_unstable();
    all.dedup();
    all.into()
}

/// What a statement string does to session and transaction.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Effects {
    /// Transaction control, when the string is exactly this one statement.
    pub control: Option<Control>,
    /// Settings it changes.
    pub settings: SettingsEffect,
    /// It may create or drop temporary objects in this session.
    pub temporary: bool,
    /// The one temporary relation that it makes, if it is known to make no more than one.
    pub makes: Option<Box<str>>,
    /// The temporary table that it makes, if that holds rows and does no more, and it does nothing
    /// else to temporary objects.
    pub founds: Option<Box<str>>,
    /// It sees names of prepared statements or portals (`EXECUTE`, `DEALLOCATE`, `FETCH`,
    /// `DISCARD`, `pg_prepared_statements`, text that was not understood): everything that the
    /// client believes to exist must exist on the server first.
    pub names: bool,
    /// Of these names.
    pub sight: Sight,
    /// It may begin or end a transaction in a way `control` does not say: several statements of
    /// which one is transaction control, CALL, DO.
    pub commits: bool,
    /// What it writes may have no bound, but if it fails, nothing of that has happened.
    pub whole: bool,
    /// What the server says if it has done nothing; whatever fires on definitions is not there.
    pub skips: Option<Arc<Skips>>,
    /// It may tell the server to read its configuration, at once, whatever becomes of its block.
    pub reloads: bool,
    /// It calls a function that is not known. If there was one all the same, made by another session
    /// and dropped since, nobody can tell what it did.
    pub calls_unknown: bool,
    /// It was not understood; the server's CommandComplete tag may clear it of writing.
    pub tag_judges: bool,
    /// `DISCARD ALL`, `DEALLOCATE ALL`, `DEALLOCATE name` are told from the tag and this; so is
    /// `PREPARE name`, behind which no other statement has that name. Of several statements, in order.
    pub deallocates: Box<[Box<str>]>,
    /// `LISTEN`, `DECLARE … WITH HOLD`, advisory locks: harmless to the cache, pins the session.
    pub pins: bool,
}

/// Which names a statement sees that sees some.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Sight {
    /// All of them, and what they stand for.
    #[default]
    All,
    /// Those of portals.
    Portals,
    /// That of this prepared statement, and what it stands for.
    Statement(Box<str>),
    /// That of this prepared statement, whatever it stands for.
    Name(Box<str>),
    /// None: what is there goes, whatever it is.
    Nothing,
}

/// Transaction control.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// BEGIN, START TRANSACTION.
    Begin(Begin),
    /// COMMIT, END; `chain` for AND CHAIN.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT, RELEASE.
    Savepoint,
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo,
    /// PREPARE TRANSACTION; the unquoted global identifier.
    PrepareTransaction(Box<str>),
    /// COMMIT PREPARED.
    CommitPrepared(Box<str>),
    /// ROLLBACK PREPARED.
    RollbackPrepared(Box<str>),
    /// SET TRANSACTION, SET SESSION CHARACTERISTICS and other forms that need the server.
    Other,
}

/// The options of BEGIN.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Begin {
    /// ISOLATION LEVEL, when given.
    pub isolation: Option<Isolation>,
    /// READ ONLY or READ WRITE, when given.
    pub read_only: Option<bool>,
    /// DEFERRABLE or NOT DEFERRABLE, when given.
    pub deferrable: Option<bool>,
    /// `START TRANSACTION`: its tag differs from that of `BEGIN`.
    pub start_transaction: bool,
}

/// A transaction isolation level.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Isolation {
    /// READ COMMITTED, and READ UNCOMMITTED, which PostgreSQL treats alike.
    ReadCommitted,
    /// REPEATABLE READ.
    RepeatableRead,
    /// SERIALIZABLE.
    Serializable,
}

/// What happens to settings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum SettingsEffect {
    /// Nothing.
    #[default]
    Untouched,
    /// Exactly this one.
    One(Setting),
    /// These, one after the other, all of them or none.
    Several(Box<[Setting]>),
    /// These, one after the other, by calls of `set_config`.
    Calls(Box<[Assignment]>),
    /// RESET ALL, DISCARD ALL: back to what they were after login. Only the latter brings back
    /// role and session authorization.
    ResetAll,
    /// Any of them may have changed, role and search path included.
    Unknown,
}

impl SettingsEffect {
    /// The settings that it names, and how long each lasts.
    pub fn named(&self) -> impl Iterator<Item = (&str, SetScope)> {
        let (told, calls): (&[Setting], &[Assignment]) = match self {
            Self::One(setting) => (std::slice::from_ref(setting), &[]),
            Self::Several(settings) => (settings, &[]),
            Self::Calls(calls) => (&[], calls),
            Self::Untouched | Self::ResetAll | Self::Unknown => (&[], &[]),
        };
        let told = told.iter().map(|setting| (&*setting.name, setting.scope));
        told.chain(calls.iter().map(|call| (call.name(), call.scope())))
    }

    /// What two statements of one string do, one after the other.
    pub(crate) fn and(self, next: &Self) -> Self {
        match (self, next) {
            (before, Self::Untouched) => before,
            (Self::Untouched, next) => next.clone(),
            (Self::One(before), Self::One(next)) => Self::Several([before, next.clone()].into()),
            (Self::Several(before), Self::One(next)) if before.len() < TOGETHER_MAX => {
                let mut all = before.into_vec();
                all.push(next.clone());
                Self::Several(all.into())
            }
            _ => Self::Unknown,
        }
    }
}

/// How many settings are told apart that are made together.
const TOGETHER_MAX: usize = 64;

/// One SET or RESET.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// Lower-case name; `role` and `session_authorization` for those two forms.
    pub name: Box<str>,
    /// SESSION or LOCAL.
    pub scope: SetScope,
    /// The new value.
    pub value: SetValue,
}

impl Setting {
    /// Approximate size.
    pub fn bytes(&self) -> usize {
        let value = match &self.value {
            SetValue::Default => 0,
            SetValue::List(list) => list.iter().map(|one| size_of_val(one) + one.len()).sum(),
            SetValue::Text(text) => text.len(),
        };
        size_of::<Self>() + self.name.len() + value
    }
}

/// How long a setting lasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetScope {
    /// Until changed; reverts if the transaction rolls back.
    Session,
    /// Until the transaction ends.
    Local,
}

/// A setting's new value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SetValue {
    /// RESET, SET … TO DEFAULT.
    Default,
    /// The elements of the value list, literals unquoted, identifiers folded.
    List(Box<[Box<str>]>),
    /// One text, which the server takes apart if the setting is a list.
    Text(Box<str>),
}

/// What name resolution depends on besides the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The effective search path.
    pub path: &'a SearchPath,
    /// The effective role.
    pub role: RoleId,
    /// What the session's temporary objects may do.
    pub temporary: &'a Temporary,
}

/// A user function that the operator vouches for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FunctionRule {
    /// Schema and name.
    pub function: (Box<str>, Box<str>),
    /// The tables it reads: schema and name.
    pub reads: Box<[(Box<str>, Box<str>)]>,
}
