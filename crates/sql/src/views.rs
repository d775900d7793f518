//! What views read, whoever looks.

use catalog::{RelationId, RelationKind, SearchPath, Snapshot};
use foldhash::HashMap;

use crate::Reason;
use crate::analysis::analyze;
use crate::facts::Bound;
use crate::resolve::{Trust, Viewer};

/// The relations behind each view, or why it is not looked up.
pub(crate) type Views = HashMap<RelationId, Result<Box<[RelationId]>, Reason>>;

/// Reads the queries of all views of a snapshot.
///
/// They were printed under an empty search path, and run with the rights of their owners: what
/// they lead to is the same for everybody.
pub(crate) fn views(snapshot: &Snapshot, trust: &Trust) -> Views {
    let mut builder = Builder {
        snapshot,
        trust,
        path: snapshot.schema_by_name("pg_catalog").map_or_else(
            || SearchPath([].into()),
            |system| SearchPath([system.id].into()),
        ),
        views: Views::default(),
    };
    for relation in snapshot.relations() {
        if relation.kind == RelationKind::View && !snapshot.is_system_schema(relation.schema) {
            builder.view(relation.id, DEPTH_MAX);
        }
    }
    builder.views
}

struct Builder<'a> {
    snapshot: &'a Snapshot,
    trust: &'a Trust,
    path: SearchPath,
    views: Views,
}

impl Builder<'_> {
    /// Notes what a view reads, views below it first.
    fn view(&mut self, id: RelationId, depth: usize) {
        if self.views.contains_key(&id) {
            return;
        }
        let below: Vec<RelationId> = self.snapshot.depends(id).collect();
        for &relation in &below {
            let kind = self
                .snapshot
                .relation(relation)
                .map(|relation| relation.kind);
            if kind == Some(RelationKind::View) && relation != id {
                match depth.checked_sub(1) {
                    Some(depth) => self.view(relation, depth),
                    // Absent here means refused above.
                    None => return,
                }
            }
        }
        let read = self.read(id, &below);
        self.views.insert(id, read);
    }

    fn read(&self, id: RelationId, below: &[RelationId]) -> Result<Box<[RelationId]>, Reason> {
        let definition = self
            .snapshot
            .relation(id)
            .and_then(|view| view.definition.as_deref())
            .ok_or(Reason::UnknownRelation)?;
        let analysis = analyze(definition.as_bytes());
        let [sentence] = analysis.sentences() else {
            return Err(Reason::Unreadable);
        };
        let Bound::Lexical(lexical) = &sentence.writes else {
            return Err(Reason::Unsupported);
        };
        let viewer = Viewer {
            snapshot: self.snapshot,
            trust: self.trust,
            views: &self.views,
            path: &self.path,
            role: None,
        };
        let read = sentence.read.as_ref().map_err(|reason| *reason)?;
        viewer.read(read, lexical, below)
    }
}

/// Views over views deeper than this are left alone.
const DEPTH_MAX: usize = 32;
