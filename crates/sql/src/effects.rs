//! What statements, functions and writes change in the end, closed over the catalog.
//!
//! A write goes on: to partitions and inheritance children, to tables behind foreign keys and
//! views, through rules, triggers, defaults, checks and policies into functions, and from their
//! bodies to further tables. All of that is a graph over the snapshot, walked on demand; circles
//! end because nothing is visited twice.
//!
//! Invariant: an outcome names at least every relation whose rows may change. Names in bodies stand
//! for every object they could mean in any schema, and a body that cannot be read for anything.
//! Temporary relations are left out, since they belong to one session each: a body that writes one
//! it did not find may do anything, and so may one that could meet one of the session's own that
//! reaches what lasts ([`Temporary`]).
//!
//! What a text mentions is [`body`]'s affair, which functions are known without a body [`known`]'s,
//! what is gone and may run all the same [`former`]'s.
//! From what happens to all that it leads to goes [`walk`].

mod body;
mod former;
mod known;
mod tokens;
mod walk;
mod writers;

use std::sync::Arc;

use catalog::{Event, Function, FunctionId, Language, Relation, RelationId, Snapshot};
use foldhash::{HashMap, HashSet};

use crate::{Temporary, Writes};
use body::{Dialect, Name};
use former::Former;
use known::Builtin;
use walk::{builtin, is_foreign};

pub(crate) use walk::Within;

/// What may change, settings included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outcome {
    /// Which rows.
    pub(crate) writes: Writes,
    /// Whether settings of the session may change, as by `set_config` in a function.
    pub(crate) sets: bool,
    /// Whether code outside the server's own languages runs. It may do what it does through a
    /// connection of its own, as `dblink` does: committed at once, whatever becomes of the block.
    pub(crate) foreign: bool,
}

impl Outcome {
    /// Nothing changes.
    pub(crate) const NOTHING: Self = Self {
        writes: Writes::Nothing,
        sets: false,
        foreign: false,
    };

    /// Anything may change.
    pub(crate) const EVERYTHING: Self = Self {
        writes: Writes::Everything,
        sets: true,
        foreign: false,
    };

    /// Grows to cover `other` as well.
    pub(crate) fn add(&mut self, other: &Self) {
        self.writes.add(&other.writes);
        self.sets |= other.sets;
        self.foreign |= other.foreign;
    }
}

/// The effects of everything in one snapshot.
#[derive(Debug)]
pub(crate) struct Effects {
    snapshot: Arc<Snapshot>,
    /// Of functions in languages that can be read; `None` if one may do anything.
    bodies: HashMap<FunctionId, Option<Reach>>,
    /// Of the queries of views.
    definitions: HashMap<RelationId, Option<Reach>>,
    /// Of all rules of a relation together.
    rules: HashMap<RelationId, Option<Reach>>,
    /// What is gone and may run all the same.
    former: Former,
    /// There is code that may have a connection of its own.
    foreign: bool,
}

/// Something that happens, and leads to more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Node {
    /// Rows of a relation change.
    Write(RelationId, Event),
    /// A relation is read: a view runs its query, a policy its condition.
    Read(RelationId),
    /// A function is called.
    Call(FunctionId),
}

/// What a text leads to.
#[derive(Debug, Default)]
struct Reach {
    nodes: Vec<Node>,
    sets: bool,
}

impl Reach {
    fn and(mut self, other: Self) -> Self {
        self.nodes.extend(other.nodes);
        self.sets |= other.sets;
        self
    }
}

/// A text or function that may do anything.
struct Anything;

impl Effects {
    /// Reads all bodies, queries of views and rules of a snapshot once, which comes after that of
    /// `before`.
    pub(crate) fn build(snapshot: Arc<Snapshot>, before: Option<&Self>) -> Self {
        let user = |relation: &&Relation| !snapshot.is_system_schema(relation.schema);
        let bodies = snapshot
            .all_functions()
            .filter(|function| !function.id.is_builtin())
            .filter_map(|function| {
                let body = function.body.as_deref()?.as_bytes();
                Some((
                    function.id,
                    reach(&snapshot, body, dialect(function.language)?),
                ))
            });
        let definitions = snapshot.relations().filter(user).filter_map(|relation| {
            let definition = relation.definition.as_deref()?.as_bytes();
            Some((
                relation.id,
                reach(&snapshot, definition, Dialect::Statement),
            ))
        });
        let mut rules: HashMap<_, Option<Reach>> = HashMap::default();
        for relation in snapshot.relations().filter(user) {
            for rule in snapshot.rules(relation.id) {
                let rule = reach(&snapshot, rule.definition.as_bytes(), Dialect::Rule);
                let all = rules
                    .entry(relation.id)
                    .or_insert_with(|| Some(Reach::default()));
                *all = all.take().zip(rule).map(|(all, rule)| all.and(rule));
            }
        }
        let (bodies, definitions) = (bodies.collect(), definitions.collect());
        let made = |function: &&Function| !function.id.is_builtin();
        let foreign = snapshot.all_functions().filter(made).any(is_foreign);
        Self {
            bodies,
            definitions,
            rules,
            former: before.map_or_else(Former::default, |it| it.former_in(&snapshot)),
            foreign,
            snapshot,
        }
    }

    /// The functions that any statement may run without naming them.
    fn implicit(&self) -> impl Iterator<Item = Node> {
        let implicit = self.snapshot.implicit_functions().iter();
        let implicit = implicit.map(|implicit| implicit.function);
        let former = self.former.casts.iter().copied();
        implicit.chain(former).map(Node::Call)
    }

    /// Whether there is code in other languages than the server's own.
    pub(crate) const fn has_foreign(&self) -> bool {
        self.foreign
    }

    /// The same as they are in a session with these temporary objects.
    pub(crate) const fn within<'a>(&'a self, temporary: &'a Temporary) -> Within<'a> {
        Within {
            effects: self,
            temporary,
        }
    }

    /// What a statement may change that the parser did not understand.
    ///
    /// It has a bound only if it is one statement that begins like a query, a change of rows or
    /// COPY, and every table it writes is known.
    pub(crate) fn of_text(&self, text: &[u8]) -> Outcome {
        match reach(&self.snapshot, text, Dialect::Statement) {
            Some(Reach { nodes, sets }) => {
                let mut outcome = self.within(&Temporary::Plain).walk(nodes);
                outcome.sets |= sets;
                outcome
            }
            None => Outcome::EVERYTHING,
        }
    }
}

/// How a body is read, if it can be.
fn dialect(language: Language) -> Option<Dialect> {
    match language {
        Language::Sql => Some(Dialect::Sql),
        Language::PlPgSql => Some(Dialect::PlPgSql),
        Language::Internal | Language::C | Language::Foreign => None,
    }
}

/// What a text leads to; `None` if it may do anything.
fn reach(snapshot: &Snapshot, text: &[u8], dialect: Dialect) -> Option<Reach> {
    let tokens = tokens::tokens(text)?;
    let found = body::scan(&tokens, dialect)?;
    let mut nodes = Vec::new();
    for &(name, event) in &found.targets {
        let before = nodes.len();
        let written = relations(snapshot, name).filter(|it| it.kind.is_writable());
        nodes.extend(written.map(|it| Node::Write(it.id, event)));
        if nodes.len() == before {
            return None;
        }
    }
    for &name in &found.mentions {
        nodes.extend(relations(snapshot, name).map(|it| Node::Read(it.id)));
    }
    for &name in &found.calls {
        nodes.extend(functions(snapshot, name).map(Node::Call));
    }
    let mut seen = HashSet::default();
    nodes.retain(|&node| seen.insert(node));
    Some(Reach {
        nodes,
        sets: found.sets,
    })
}

/// The relations that a name may mean. Temporary ones belong to other sessions.
fn relations<'a>(snapshot: &'a Snapshot, name: Name<'_>) -> impl Iterator<Item = &'a Relation> {
    let schema = name
        .schema
        .map(|schema| snapshot.schema_by_name(schema).map(|schema| schema.id));
    snapshot
        .relations_named(name.name)
        .filter(move |relation| schema.is_none_or(|schema| schema == Some(relation.schema)))
        .filter(|relation| !relation.temporary)
}

/// The functions that a name may mean and that do something.
fn functions(snapshot: &Snapshot, name: Name<'_>) -> impl Iterator<Item = FunctionId> {
    let schema = name
        .schema
        .map(|schema| snapshot.schema_by_name(schema).map(|schema| schema.id));
    snapshot
        .functions_named(name.name)
        .filter(move |function| schema.is_none_or(|schema| schema == Some(function.schema)))
        .filter(|function| !function.id.is_builtin() || builtin(function) != Builtin::Harmless)
        .map(|function| function.id)
}

#[cfg(test)]
mod tests;
