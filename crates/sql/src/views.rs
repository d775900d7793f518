//! What views and policies read, whoever looks.

use catalog::{Relation, RelationId, RelationKind, RowSecurity, Snapshot};
use foldhash::{HashMap, HashSet};

use crate::Reason;
use crate::analysis::analyze;
use crate::facts::Bound;
use crate::needs::{Found, Needs};
use crate::resolve::{self, Kept, Memo, Trust, Viewer};

/// What is read behind the relations of a database.
#[derive(Debug, Default)]
pub(crate) struct Views {
    /// By each view, or why it is not looked up.
    pub(crate) queries: HashMap<RelationId, Result<Needs, Reason>>,
    /// By the policies of each relation that has row-level security, or why they are not known.
    pub(crate) policies: HashMap<RelationId, Result<Needs, Reason>>,
    /// The settings of the application that occur among them, sorted; no more than
    /// [`SETTINGS_MAX`].
    pub(crate) settings: Box<[Box<str>]>,
}

/// Reads the queries of all views of a snapshot, and the conditions of all policies.
///
/// They were printed under an empty search path: what they name is the same for everybody, while the
/// functions that they call find their own names along the path of whoever looks. So these count as
/// all that they could mean. Views
/// run with the rights of their owners or of who reads them; the policies of all tables behind them
/// count in either case.
pub(crate) fn views(snapshot: &Snapshot, trust: &Trust) -> Views {
    let mut builder = Builder {
        snapshot,
        trust,
        views: Views::default(),
        open: HashSet::default(),
    };
    // What functions read is not known to be below a view or policy: what was refused for want of it
    // is looked at once more.
    for _ in 0..2 {
        builder.views.queries.retain(|_, needs| needs.is_ok());
        builder.views.policies.retain(|_, needs| needs.is_ok());
        for relation in snapshot.relations() {
            builder.relation(relation.id, DEPTH_MAX);
        }
    }
    let Views {
        queries, policies, ..
    } = &builder.views;
    let known = queries.values().chain(policies.values()).flatten();
    let mut settings: Vec<Box<str>> = known.flat_map(|needs| needs.settings.clone()).collect();
    settings.sort_unstable();
    settings.dedup();
    settings.truncate(SETTINGS_MAX);
    builder.views.settings = settings.into();
    builder.views
}

struct Builder<'a> {
    snapshot: &'a Snapshot,
    trust: &'a Trust,
    views: Views,
    /// What is being looked at: circles are refused.
    open: HashSet<RelationId>,
}

impl Builder<'_> {
    /// Notes what is behind a relation, relations below it first. What stays unknown is refused by
    /// whoever asks for it.
    fn relation(&mut self, id: RelationId, depth: usize) {
        let Some(relation) = self.snapshot.relation(id) else {
            return;
        };
        let known = self.views.queries.contains_key(&id) || self.views.policies.contains_key(&id);
        if known || self.snapshot.is_system_schema(relation.schema) {
            return;
        }
        let view = relation.kind == RelationKind::View;
        if !view && relation.row_security == RowSecurity::Off {
            return;
        }
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        if !self.open.insert(id) {
            return;
        }
        let below: Vec<RelationId> = match view {
            true => self.snapshot.depends(id).collect(),
            false => {
                let policies = self.snapshot.policies(id);
                policies
                    .flat_map(|policy| policy.depends.iter().copied())
                    .collect()
            }
        };
        for &relation in &below {
            self.relation(relation, depth);
        }
        if view {
            let needs = self.view(relation, &below);
            self.views.queries.insert(id, needs);
        } else {
            let needs = self.policies(relation);
            self.views.policies.insert(id, needs);
        }
        self.open.remove(&id);
    }

    fn view(&self, view: &Relation, below: &[RelationId]) -> Result<Needs, Reason> {
        let definition = view.definition.as_deref().ok_or(Reason::UnknownRelation)?;
        let kept = Kept::of_view(self.snapshot, view.id);
        self.read(definition, below, None, &kept)
    }

    /// Each condition as the query that it is part of.
    fn policies(&self, relation: &Relation) -> Result<Needs, Reason> {
        let schema = self.snapshot.schema(relation.schema);
        let schema = schema.ok_or(Reason::UnknownRelation)?;
        let table = format!("{}.{}", quoted(&schema.name), quoted(&relation.name));
        let kept = Kept::of_policies(self.snapshot, relation.id);
        let mut found = Found::default();
        for policy in self.snapshot.policies(relation.id) {
            let text = format!("SELECT 1 FROM {table} WHERE {}", policy.condition);
            found.add(&self.read(&text, &policy.depends, Some(relation.id), &kept)?);
        }
        Ok(found.needs())
    }

    fn read(
        &self,
        text: &str,
        below: &[RelationId],
        within: Option<RelationId>,
        kept: &Kept,
    ) -> Result<Needs, Reason> {
        let analysis = analyze(text.as_bytes());
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
            path: &self.trust.printed,
            anywhere: false,
            // Whoever looks, his path is that of the functions that are called.
            caller: None,
            role: None,
            within,
            given: &[],
            returned: None,
            kept,
            immutable: false,
            depth: resolve::DEPTH_MAX,
            memo: &Memo::default(),
        };
        let read = sentence.read.as_ref().map_err(|reason| *reason)?;
        viewer.read(read, lexical, below)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Views over views deeper than this are left alone.
const DEPTH_MAX: usize = 32;

/// Settings that every session is asked for, at most. What reads others is not looked up.
const SETTINGS_MAX: usize = 64;
