//! The walk from what happens to all that it leads to.

use catalog::{
    Constraint, Event, ForeignKeyAction, Function, FunctionId, FunctionKind, Language, Moment,
    Relation, RelationId, RelationKind, Volatility,
};
use foldhash::HashSet;

use super::{Anything, Effects, Node, Outcome, Reach, known, known::Builtin};
use crate::{Temporary, Writes};

/// The effects of everything in one snapshot, in a session with certain temporary objects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<'a> {
    pub(super) effects: &'a Effects,
    pub(super) temporary: &'a Temporary,
}

impl Within<'_> {
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
        let snapshot = &*self.effects.snapshot;
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
        let uses = uses.chain(self.effects.former.of_write(id));
        let outcome = self.walk(actions.chain(uses).chain([Node::Read(id)]));
        let apart = match &outcome.writes {
            Writes::Nothing | Writes::Code => true,
            Writes::Relations(others) => !others.contains(&id),
            Writes::Rows(_) | Writes::Everything | Writes::Cluster => false,
        };
        apart.then_some(outcome)
    }

    pub(super) fn walk(&self, start: impl IntoIterator<Item = Node>) -> Outcome {
        let mut walk = self.begin(start.into_iter().chain(self.effects.implicit()).collect());
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
        let writes = match (touched.is_empty(), walk.code) {
            (true, false) => Writes::Nothing,
            (true, true) => Writes::Code,
            (false, _) => Writes::Relations(touched.into()),
        };
        Outcome {
            writes,
            sets: walk.sets,
            foreign: false,
        }
    }
}

impl<'a> Within<'a> {
    fn begin(&self, open: Vec<Node>) -> Walk<'a> {
        Walk {
            effects: self.effects,
            temporary: self.temporary,
            open,
            seen: HashSet::default(),
            touched: HashSet::default(),
            code: false,
            sets: false,
            foreign: false,
        }
    }

    /// Whether something changes by this itself, and what it leads to.
    pub(super) fn step(&self, node: Node) -> (bool, Vec<Node>) {
        let mut walk = self.begin(Vec::new());
        let bounded = walk.visit(node).is_ok();
        (!bounded || !walk.touched.is_empty(), walk.open)
    }
}

/// One walk over the graph.
struct Walk<'a> {
    effects: &'a Effects,
    temporary: &'a Temporary,
    open: Vec<Node>,
    seen: HashSet<Node>,
    touched: HashSet<RelationId>,
    /// A function runs that its owner may replace.
    code: bool,
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
                // Behind a view of nothing that can be written are the server's own catalogs.
                let instead = self.effects.rules.contains_key(&id)
                    || snapshot.triggers(id).any(|it| it.events.contains(&event));
                if !instead && snapshot.depends(id).next().is_none() {
                    return Err(Anything);
                }
                self.open
                    .extend(snapshot.depends(id).map(|base| Node::Write(base, event)));
            }
            // What stands behind it is not in the catalog.
            RelationKind::ForeignTable => return Err(Anything),
            // Cannot be written, and no name leads here.
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
            for rule in snapshot.rules(id) {
                self.keep_to_lasting(&rule.definition)?;
            }
        }
        self.open
            .extend(snapshot.uses(id).map(|uses| Node::Call(uses.function)));
        self.open.extend(self.effects.former.of_write(id));
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
        let policies = snapshot.policies(id);
        self.open
            .extend(policies.flat_map(|policy| policy.depends.iter().copied().map(Node::Read)));
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
        // Those of extensions stay what they are until all of the extension is replaced.
        self.code |= function.extension.is_none();
        if function.kind == FunctionKind::Aggregate {
            return Ok(());
        }
        match function.language {
            Language::Sql | Language::PlPgSql => {
                self.keep_to_lasting(function.body.as_deref().unwrap_or_default())?;
                self.follow(self.effects.bodies.get(&id).and_then(Option::as_ref))
            }
            Language::C | Language::Internal | Language::Foreign if is_foreign(function) => {
                self.foreign = true;
                Err(Anything)
            }
            Language::C | Language::Internal | Language::Foreign => {
                self.sets |= sets(function);
                Ok(())
            }
        }
    }

    /// A name in a body means a temporary relation first.
    fn keep_to_lasting(&self, body: &str) -> Result<(), Anything> {
        match self.temporary.may_occur(body) {
            true => Err(Anything),
            false => Ok(()),
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

pub(super) fn builtin(function: &Function) -> Builtin {
    known::builtin(&function.name, function.volatility == Volatility::Volatile)
}

/// Whether a function in C changes a setting and does nothing else.
fn sets(function: &Function) -> bool {
    let extension = function.extension.as_deref();
    extension.is_some_and(|extension| known::sets(extension, &function.name))
}

/// Whether a function runs code that may do anything, through a connection of its own perhaps.
pub(super) fn is_foreign(function: &Function) -> bool {
    match function.language {
        Language::Sql | Language::PlPgSql => false,
        Language::C | Language::Internal => !sets(function) && !is_pure(function),
        Language::Foreign => true,
    }
}

/// Whether a function in C writes nothing.
fn is_pure(function: &Function) -> bool {
    let known = function.extension.as_deref().is_some_and(|extension| {
        known::is_harmless_extension(extension)
            || known::is_harmless_function(extension, &function.name)
    });
    known || function.volatility == Volatility::Immutable
}
