//! What of users' code changes anything at all, whoever runs it.
//!
//! One walk over the whole graph, backwards from what changes something: to ask of each function by
//! itself would take as many walks as there are functions.

use catalog::{FunctionId, RelationId, RowSecurity, TypeId};
use foldhash::{HashMap, HashSet};

use super::{Effects, Node};
use crate::Temporary;

/// What changes something when it is called or read.
#[derive(Debug, Default)]
pub(crate) struct Writers {
    /// Functions of users that a statement may call.
    pub(crate) functions: Vec<FunctionId>,
    /// Relations that a statement may read.
    pub(crate) relations: Vec<RelationId>,
    /// Whatever a statement does.
    pub(crate) any: bool,
}

impl Effects {
    /// Finds them.
    pub(crate) fn writers(&self) -> Writers {
        let snapshot = &*self.snapshot;
        let callable = |kind: TypeId| !TRIGGERS.contains(&kind.oid());
        let functions = snapshot.all_functions();
        let functions = functions.filter(|it| !it.id.is_builtin() && callable(it.returns));
        let functions = functions.filter(|it| !snapshot.is_temporary_schema(it.schema));
        let functions: Vec<_> = functions.map(|it| it.id).collect();
        let relations = snapshot.relations().filter(|it| !it.temporary);
        let relations = relations.filter(|relation| {
            relation.definition.is_some()
                || relation.row_security != RowSecurity::Off
                || snapshot.uses(relation.id).next().is_some()
        });
        let relations: Vec<_> = relations.map(|it| it.id).collect();
        let implicit: Vec<_> = self.implicit().collect();

        let calls = functions.iter().copied().map(Node::Call);
        let reads = relations.iter().copied().map(Node::Read);
        let roots = calls.chain(reads).chain(implicit.iter().copied());
        let writing = self.writing(roots.collect());
        Writers {
            functions: kept(functions, |&id| writing.contains(&Node::Call(id))),
            relations: kept(relations, |&id| writing.contains(&Node::Read(id))),
            any: implicit.iter().any(|node| writing.contains(node)),
        }
    }

    /// Of everything that these lead to, what leads to a change.
    fn writing(&self, mut open: Vec<Node>) -> HashSet<Node> {
        let within = self.within(&Temporary::Plain);
        let mut causes: HashMap<Node, Vec<Node>> = HashMap::default();
        let mut seen = HashSet::default();
        let mut found = Vec::new();
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            let (changes, next) = within.step(node);
            if changes {
                found.push(node);
            }
            for next in next {
                causes.entry(next).or_default().push(node);
                open.push(next);
            }
        }
        let mut writing = HashSet::default();
        while let Some(node) = found.pop() {
            if writing.insert(node) {
                found.extend(causes.get(&node).into_iter().flatten());
            }
        }
        writing
    }
}

fn kept<T>(mut all: Vec<T>, keep: impl FnMut(&T) -> bool) -> Vec<T> {
    all.retain(keep);
    all
}

/// `trigger` and `event_trigger`: no statement calls what returns these.
const TRIGGERS: [u32; 2] = [2_279, 3_838];
