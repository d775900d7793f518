//! What may be done with an analysed statement in one database.

use std::sync::Arc;

use catalog::Snapshot;

use crate::{Analysis, Context, Effects, FunctionRule, Plan, Reason, SettingsEffect, Writes};

/// A catalog snapshot with what was derived from it.
#[derive(Debug)]
pub struct Schema {
    snapshot: Arc<Snapshot>,
}

impl Schema {
    /// Derives view contents and write effects from a snapshot. `rules` vouch for user functions.
    pub fn new(snapshot: Arc<Snapshot>, _rules: &[FunctionRule]) -> Self {
        Self { snapshot }
    }

    /// The snapshot it was derived from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What may be done with a statement string under this search path and role.
    pub fn plan(&self, analysis: &Analysis, _context: &Context<'_>) -> Plan {
        plan_without_catalog(analysis)
    }
}

/// What may be done with a statement string while nothing is known about the database.
pub fn plan_without_catalog(_analysis: &Analysis) -> Plan {
    Plan {
        read: Err(Reason::NoCatalog),
        writes: Writes::Everything,
        effects: Effects {
            settings: SettingsEffect::Unknown,
            temporary: true,
            names: true,
            commits: true,
            tag_judges: true,
            pins: true,
            ..Effects::default()
        },
    }
}
