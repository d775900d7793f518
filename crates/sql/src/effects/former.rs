//! What is gone from the catalog, and may run all the same.
//!
//! A server looks at casts, and at the defaults of domains, when it analyses something, and is not told
//! when they go: prepared statements and the plans of PL/pgSQL go on calling their functions. Whatever
//! else goes has it analyse them anew, functions included.

use catalog::{FunctionId, Moment, RelationId, Snapshot};
use foldhash::HashSet;

use super::{Effects, Node};

/// Functions that are there, while that by which they were called is gone.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// Of casts: any statement may run them.
    pub(super) casts: Box<[FunctionId]>,
    /// Of defaults, of relations with columns of users' types; sorted.
    defaults: Box<[(RelationId, FunctionId)]>,
}

impl Former {
    /// What changes of a relation's rows may run.
    pub(super) fn of_write(&self, id: RelationId) -> impl Iterator<Item = Node> {
        let begin = self.defaults.partition_point(|&(it, _)| it < id);
        let all = self.defaults.get(begin..).unwrap_or_default().iter();
        let all = all.take_while(move |&&(it, _)| it == id);
        all.map(|&(_, function)| Node::Call(function))
    }
}

impl Effects {
    /// What there is, or was before, as far as its functions are there `now`.
    pub(super) fn former_in(&self, now: &Snapshot) -> Former {
        let snapshot = &*self.snapshot;
        let casts: HashSet<_> = snapshot.casts().iter().map(|it| it.function).collect();
        let run = snapshot.implicit_functions().iter();
        let run = run.map(|it| it.function).filter(|it| casts.contains(it));
        let casts = run.chain(self.former.casts.iter().copied());
        let casts = casts.filter(|&id| now.function(id).is_some());

        let custom = now.relations().filter(|relation| {
            let mut kinds = relation.columns.iter().map(|(_, kind)| kind);
            kinds.any(|kind| !kind.is_builtin())
        });
        let custom: HashSet<_> = custom.map(|relation| relation.id).collect();
        let uses = custom.iter().flat_map(|&id| snapshot.uses(id));
        let uses = uses.filter(|uses| uses.moment == Moment::Write);
        let uses = uses.map(|uses| (uses.relation, uses.function));
        let defaults = uses.chain(self.former.defaults.iter().copied());
        let defaults = defaults
            .filter(|(relation, id)| custom.contains(relation) && now.function(*id).is_some());
        Former {
            casts: sorted(casts.collect()),
            defaults: sorted(defaults.collect()),
        }
    }
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Box<[T]> {
    all.sort_unstable();
    all.dedup();
    all.into()
}
