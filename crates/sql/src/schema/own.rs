//! Temporary tables of the session's own: which names mean them, and what defines them.

use catalog::{SearchPath, Snapshot, TypeKind};
use foldhash::HashSet;

use super::Schema;
use crate::facts::{Lexical, Name, Own};
use crate::{Effects, SettingsEffect, Temporary, Writes};

impl Schema {
    /// Whether there are targets that are no permanent relations, and all of these are tables of the
    /// session's own that hold rows and do no more.
    pub(super) fn is_own(
        &self,
        lexical: &Lexical,
        path: Option<&SearchPath>,
        temporary: &Temporary,
    ) -> bool {
        let targets = lexical.targets.iter().map(|target| &target.name);
        let mut unknown = targets
            .filter(|name| self.meant(path, name).is_empty())
            .peekable();
        unknown.peek().is_some() && unknown.all(|name| self.is_held(name, path, temporary))
    }

    /// Whether a name means such a table, and nothing else that is known.
    pub(super) fn is_held(
        &self,
        name: &Name,
        path: Option<&SearchPath>,
        temporary: &Temporary,
    ) -> bool {
        path.is_some() && temporary.holds(name) && self.meant(path, name).is_empty()
    }

    /// Whether a definition is one of the session's own relations alone, and runs no more than it says.
    pub(super) fn keeps_apart(
        &self,
        own: &Own,
        path: Option<&SearchPath>,
        temporary: &Temporary,
    ) -> bool {
        let mut tables = own.tables.iter();
        // A column that is added may be of a domain, whose default runs for each row.
        let computes = !own.tables.is_empty() && own.runs.is_some();
        self.snapshot.event_triggers().is_empty()
            && !(computes && self.has_domains)
            && tables.all(|name| self.is_held(name, path, temporary))
    }

    /// What such a definition changes that lasts.
    pub(super) fn own_definition(
        &self,
        own: &Own,
        path: Option<&SearchPath>,
        temporary: &Temporary,
        effects: &mut Effects,
    ) -> Writes {
        effects.temporary = true;
        effects.settings = SettingsEffect::Untouched;
        if own.drops {
            // No other name comes to mean anything by it.
            effects.makes = own.tables.first().map(|table| table.name.clone());
        }
        // Event triggers may be there that are not known yet.
        let mut writes = Writes::Code;
        if let Some(lexical) = &own.runs {
            effects.calls_unknown = self.calls_unknown(lexical, path);
            writes.add(&self.lexical(lexical, path, temporary, effects));
        }
        // A default of a domain may be anything.
        let simple = !self.has_domains && !writes.is_unbounded();
        effects.founds = own.founds.clone().filter(|_| simple);
        writes
    }
}

/// Whether users have made domains, or what is not told from them. Each type has one array; whatever
/// else is made of it is none, whatever it is called.
pub(super) fn has_domains(snapshot: &Snapshot) -> bool {
    let mut arrays = HashSet::default();
    let made = snapshot.all_types().filter(|it| !it.id.is_builtin());
    made.filter_map(|it| match it.kind {
        TypeKind::Of(inner) => Some((it.id, inner)),
        TypeKind::Base | TypeKind::Enum(_) => None,
    })
    .any(|(id, inner)| {
        let of_rows = snapshot.relation_of_row(inner).is_some();
        let array = if of_rows {
            snapshot.relation_of_rows(id).is_some()
        } else {
            !inner.is_builtin() && arrays.insert(inner)
        };
        !array
    })
}
