//! What is known of statements that SQL has prepared.
//!
//! The server alone has them. A name is forgotten when something leaves that may give it away, and known
//! when the server has said that it was prepared: so what is known here, the server has.

use std::sync::Arc;

use sql::{Effects, Plan, Sight};

use super::{Name, Registry, kept, minded, strangers::Strangers};
use crate::prepared::Prepared;

/// By name.
#[derive(Debug, Default)]
pub(super) struct BySql {
    known: Strangers,
    /// The last that was sent, if nothing was under way then and nothing has been sent since: the next
    /// confirmation is of this one.
    sent: Option<(Name, Arc<Prepared>)>,
}

impl BySql {
    /// What was sent, to be told what has become of it.
    pub(super) const fn take_sent(&mut self) -> Option<(Name, Arc<Prepared>)> {
        self.sent.take()
    }

    /// The server has prepared a statement of this name.
    pub(super) fn succeed(&mut self, name: &str, sent: Option<(Name, Arc<Prepared>)>) {
        let name = kept(name.as_bytes());
        match sent {
            // In another encoding the same name has other bytes.
            Some((sent, prepared)) if sent == name && name.is_ascii() => {
                self.known.put(&name, &prepared);
            }
            Some(_) | None => self.known.remove(&name),
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        self.known.remove(minded(name));
        self.sent = None;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Registry {
    /// A statement is about to leave that may give names to others.
    pub(crate) fn note_names_given(&mut self, plan: &Plan) {
        let Effects { names, sight, .. } = &plan.effects;
        self.by_sql.sent = None;
        match sight {
            // Code that is not known.
            _ if plan.writes.is_unbounded() => self.by_sql.clear(),
            _ if !names => {}
            Sight::Name(name) => self.by_sql.remove(name.as_bytes()),
            Sight::All | Sight::Nothing => self.by_sql.clear(),
            Sight::Statement(_) | Sight::Portals => {}
        }
    }

    /// It is PREPARE.
    pub(crate) fn note_prepare_sent(&mut self, name: &str, prepared: Arc<Prepared>) {
        self.by_sql.sent = Some((kept(name.as_bytes()), prepared));
    }

    /// What a statement does that SQL has prepared in this context.
    pub(crate) fn prepared_by_sql(&self, name: &str, context: u64) -> Option<Prepared> {
        self.by_sql.known.get(minded(name.as_bytes()), context)
    }
}
