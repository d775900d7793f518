//! What statements, functions and writes change in the end, closed over the catalog.
//!
//! A write goes on: to partitions and inheritance children, to tables behind foreign keys and
//! views, through rules, triggers, defaults, checks and policies into functions, and from their
//! bodies to further tables. All of that is a graph over the snapshot, walked on demand; circles
//! end because nothing is visited twice.
//!
//! Invariant: an outcome names at least every relation whose rows may change. Names in bodies stand
//! for every object they could mean in any schema, and a body that cannot be read for anything.
//! Temporary relations are left out: a body that writes one it did not find may do anything, and
//! what a temporary view calls is the affair of whoever created it.
//!
//! What a text mentions is [`body`]'s affair, which functions are known without a body [`known`]'s.

mod body;
mod known;
mod tokens;

use std::sync::Arc;

use catalog::{
    Constraint, Event, ForeignKeyAction, Function, FunctionId, FunctionKind, Language, Moment,
    Relation, RelationId, RelationKind, Snapshot, Volatility,
};
use foldhash::{HashMap, HashSet};

use crate::Writes;
use body::{Dialect, Name};
use known::Builtin;

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
    /// Reads all bodies, queries of views and rules of a snapshot once.
    pub(crate) fn build(snapshot: Arc<Snapshot>) -> Self {
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
        Self {
            bodies,
            definitions,
            rules,
            snapshot,
        }
    }

    /// What changes when rows of a relation do. INSERT with ON CONFLICT is an update as well, MERGE
    /// all but TRUNCATE; COPY FROM and REFRESH are inserts.
    ///
    /// TRUNCATE needs no word on CASCADE: without it, the server refuses unless all referencing
    /// tables are truncated in the same statement.
    pub(crate) fn of_write(&self, relation: RelationId, event: Event) -> Outcome {
        self.walk([Node::Write(relation, event)])
    }

    /// What changes when a relation is read.
    pub(crate) fn of_read(&self, relation: RelationId) -> Outcome {
        self.walk([Node::Read(relation)])
    }

    /// What changes when a function is called.
    pub(crate) fn of_function(&self, id: FunctionId) -> Outcome {
        self.walk([Node::Call(id)])
    }

    /// What any statement may change through functions that it does not name: casts, operators,
    /// domains. All other outcomes include it.
    pub(crate) fn of_any(&self) -> Outcome {
        self.walk([])
    }

    /// What a statement may change that the parser did not understand.
    ///
    /// It has a bound only if it is one statement that begins like a query, a change of rows or
    /// COPY, and every table it writes is known.
    pub(crate) fn of_text(&self, text: &[u8]) -> Outcome {
        match reach(&self.snapshot, text, Dialect::Statement) {
            Some(Reach { nodes, sets }) => {
                let mut outcome = self.walk(nodes);
                outcome.sets |= sets;
                outcome
            }
            None => Outcome::EVERYTHING,
        }
    }

    /// What changes besides the rows of `table` that a statement names, when it changes those in
    /// no other way than it says and gives values to no columns but `assigned`. `None` if its other
    /// rows may change, or if something may change the values.
    ///
    /// Any trigger may alter the new row; a rule does something else instead; rows of relatives
    /// have keys of their own.
    pub(crate) fn beside(
        &self,
        table: &Relation,
        event: Event,
        assigned: &[Box<str>],
    ) -> Option<Outcome> {
        let snapshot = &*self.snapshot;
        let id = table.id;
        let plain = table.kind == RelationKind::Table
            && !snapshot.is_system_schema(table.schema)
            && table.parents.is_empty()
            && snapshot.children(id).next().is_none()
            && snapshot.rules(id).next().is_none()
            && !snapshot.triggers(id).any(|it| it.events.contains(&event));
        if !plain {
            return None;
        }
        let touched = |key: &&Constraint| {
            let keeps = event == Event::Update && !key.columns.is_empty();
            !keeps || key.columns.iter().any(|name| assigned.contains(name))
        };
        let keys = snapshot.constraints(id).filter(touched);
        let actions = keys.flat_map(|key| {
            let events = actions(key, event).iter();
            events.map(|&event| Node::Write(key.referencing, event))
        });
        let uses = snapshot.uses(id).map(|uses| Node::Call(uses.function));
        let outcome = self.walk(actions.chain(uses).chain([Node::Read(id)]));
        let apart = match &outcome.writes {
            Writes::Nothing => true,
            Writes::Relations(others) => !others.contains(&id),
            Writes::Rows(_) | Writes::Everything | Writes::Cluster => false,
        };
        apart.then_some(outcome)
    }

    fn walk(&self, start: impl IntoIterator<Item = Node>) -> Outcome {
        let implicit = self
            .snapshot
            .implicit_functions()
            .iter()
            .map(|implicit| Node::Call(implicit.function));
        let mut walk = Walk {
            effects: self,
            open: start.into_iter().chain(implicit).collect(),
            seen: HashSet::default(),
            touched: HashSet::default(),
            sets: false,
            foreign: false,
        };
        let mut anything = false;
        while let Some(node) = walk.open.pop() {
            // To the end, even so: what is foreign counts for more.
            anything |= walk.seen.insert(node) && walk.visit(node).is_err();
        }
        if anything {
            return Outcome {
                foreign: walk.foreign,
                ..Outcome::EVERYTHING
            };
        }
        let mut touched: Vec<_> = walk.touched.into_iter().collect();
        touched.sort_unstable();
        let writes = if touched.is_empty() {
            Writes::Nothing
        } else {
            Writes::Relations(touched.into())
        };
        Outcome {
            writes,
            sets: walk.sets,
            foreign: false,
        }
    }
}

/// One walk over the graph.
struct Walk<'a> {
    effects: &'a Effects,
    open: Vec<Node>,
    seen: HashSet<Node>,
    touched: HashSet<RelationId>,
    sets: bool,
    foreign: bool,
}

impl Walk<'_> {
    fn visit(&mut self, node: Node) -> Result<(), Anything> {
        match node {
            Node::Write(id, event) => self.write(id, event),
            Node::Read(id) => self.read(id),
            Node::Call(id) => self.call(id),
        }
    }

    fn write(&mut self, id: RelationId, event: Event) -> Result<(), Anything> {
        let snapshot = &*self.effects.snapshot;
        let relation = snapshot.relation(id).ok_or(Anything)?;
        if snapshot.is_system_schema(relation.schema) && !relation.temporary {
            return Err(Anything);
        }
        match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => self.rows(relation, event),
            RelationKind::MaterializedView => {
                self.touched.insert(id);
            }
            RelationKind::View => {
                self.open
                    .extend(snapshot.depends(id).map(|base| Node::Write(base, event)));
            }
            // What stands behind it is not in the catalog.
            RelationKind::ForeignTable => return Err(Anything),
            // Cannot be written; a name in a body meant something else.
            RelationKind::Sequence | RelationKind::CompositeType | RelationKind::Other => {}
        }
        for trigger in snapshot
            .triggers(id)
            .filter(|trigger| trigger.events.contains(&event))
        {
            self.open.push(Node::Call(trigger.function));
        }
        if let Some(rules) = self.effects.rules.get(&id) {
            self.follow(rules.as_ref())?;
        }
        self.open
            .extend(snapshot.uses(id).map(|uses| Node::Call(uses.function)));
        self.open.push(Node::Read(id));
        Ok(())
    }

    /// The rows of a table, of its children, and of tables that refer to it.
    fn rows(&mut self, table: &Relation, event: Event) {
        let snapshot = &*self.effects.snapshot;
        self.touched.insert(table.id);
        for ancestor in snapshot.ancestors(table.id) {
            self.touched.insert(ancestor);
            // The key of a partitioned table is computed for its partitions as well.
            let uses = snapshot
                .uses(ancestor)
                .filter(|uses| uses.moment == Moment::Write);
            self.open.extend(uses.map(|uses| Node::Call(uses.function)));
        }
        // An update that moves a row deletes it in one partition and inserts it in another.
        let moves = event == Event::Update && table.kind == RelationKind::PartitionedTable;
        for child in snapshot.descendants(table.id) {
            self.open.push(Node::Write(child, event));
            if moves {
                self.open.push(Node::Write(child, Event::Delete));
                self.open.push(Node::Write(child, Event::Insert));
            }
        }
        for key in snapshot.constraints(table.id) {
            self.open.extend(
                actions(key, event)
                    .iter()
                    .map(|&event| Node::Write(key.referencing, event)),
            );
        }
    }

    fn read(&mut self, id: RelationId) -> Result<(), Anything> {
        let snapshot = &*self.effects.snapshot;
        let relation = snapshot.relation(id).ok_or(Anything)?;
        if snapshot.is_system_schema(relation.schema) {
            return Ok(());
        }
        let uses = snapshot.uses(id).filter(|uses| uses.moment == Moment::Read);
        self.open.extend(uses.map(|uses| Node::Call(uses.function)));
        self.open.extend(snapshot.depends(id).map(Node::Read));
        match self.effects.definitions.get(&id) {
            Some(definition) => self.follow(definition.as_ref()),
            None if relation.kind == RelationKind::View => Err(Anything),
            None => Ok(()),
        }
    }

    fn call(&mut self, id: FunctionId) -> Result<(), Anything> {
        let function = self.effects.snapshot.function(id).ok_or(Anything)?;
        if id.is_builtin() {
            return match builtin(function) {
                Builtin::Harmless => Ok(()),
                Builtin::Sets => {
                    self.sets = true;
                    Ok(())
                }
                Builtin::Anything => Err(Anything),
            };
        }
        self.open
            .extend(function.support.iter().copied().map(Node::Call));
        if function.kind == FunctionKind::Aggregate {
            return Ok(());
        }
        match function.language {
            Language::Sql | Language::PlPgSql => {
                self.follow(self.effects.bodies.get(&id).and_then(Option::as_ref))
            }
            Language::C | Language::Internal if sets(function) => {
                self.sets = true;
                Ok(())
            }
            Language::C | Language::Internal if is_pure(function) => Ok(()),
            Language::C | Language::Internal | Language::Foreign => {
                self.foreign = true;
                Err(Anything)
            }
        }
    }

    fn follow(&mut self, reach: Option<&Reach>) -> Result<(), Anything> {
        let Reach { nodes, sets } = reach.ok_or(Anything)?;
        self.open.extend(nodes);
        self.sets |= sets;
        Ok(())
    }
}

/// What a foreign key does to referencing rows when something happens to the referenced ones.
fn actions(key: &Constraint, event: Event) -> &'static [Event] {
    let writes = ForeignKeyAction::Writes;
    let (update, delete) = (key.on_update == writes, key.on_delete == writes);
    match event {
        Event::Update if update => &[Event::Update],
        Event::Delete if delete => &[Event::Update, Event::Delete],
        Event::Truncate => &[Event::Truncate],
        Event::Insert | Event::Update | Event::Delete => &[],
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
        nodes.extend(relations(snapshot, name).map(|id| Node::Write(id, event)));
        if nodes.len() == before {
            return None;
        }
    }
    for &name in &found.mentions {
        nodes.extend(relations(snapshot, name).map(Node::Read));
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
fn relations(snapshot: &Snapshot, name: Name<'_>) -> impl Iterator<Item = RelationId> {
    let schema = name
        .schema
        .map(|schema| snapshot.schema_by_name(schema).map(|schema| schema.id));
    snapshot
        .relations_named(name.name)
        .filter(move |relation| schema.is_none_or(|schema| schema == Some(relation.schema)))
        .filter(|relation| !relation.temporary)
        .map(|relation| relation.id)
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

fn builtin(function: &Function) -> Builtin {
    known::builtin(&function.name, function.volatility == Volatility::Volatile)
}

/// Whether a function in C changes a setting and does nothing else.
fn sets(function: &Function) -> bool {
    let extension = function.extension.as_deref();
    extension.is_some_and(|extension| known::sets(extension, &function.name))
}

/// Whether a function in C writes nothing.
fn is_pure(function: &Function) -> bool {
    let known = function
        .extension
        .as_deref()
        .is_some_and(known::is_harmless_extension);
    known || function.volatility == Volatility::Immutable
}

#[cfg(test)]
mod tests;
