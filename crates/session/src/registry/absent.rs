//! What the server lacks of that which the client has.

use super::{Name, Portal, Registry};

impl Registry {
    /// Whether there is a name that the server does not have, or may turn out not to have.
    pub(crate) fn has_absent(&self) -> bool {
        if !self.unsure.is_empty() {
            return true;
        }
        self.statements.values().any(|it| !it.on_server)
            || self.portals.values().any(Portal::is_ours)
    }

    /// Whether the server does not have this statement.
    pub(crate) fn is_absent(&self, statement: &[u8]) -> bool {
        self.statement(statement).is_some_and(|it| !it.on_server)
    }

    /// Whether the server has another statement under this name.
    pub(crate) fn is_stale(&self, statement: &[u8]) -> bool {
        self.statement(statement)
            .is_some_and(|it| it.stale.is_some())
    }

    /// Names of statements that the server does not have.
    pub(crate) fn absent_statements(&self) -> Vec<Name> {
        let absent = self
            .statements
            .iter()
            .filter(|(_, statement)| !statement.on_server);
        absent.map(|(name, _)| Name::from_slice(name)).collect()
    }

    /// The same, and of those in whose place it has others.
    pub(crate) fn lacking_statements(&self) -> Vec<Name> {
        let lacking = self
            .statements
            .iter()
            .filter(|(_, statement)| !statement.on_server || statement.stale.is_some());
        lacking.map(|(name, _)| Name::from_slice(name)).collect()
    }

    /// Names of statements that the server does not have, and of which it would read literals.
    pub(crate) fn absent_literals(&self) -> Vec<Name> {
        let literal = |name: &Name| {
            self.statements
                .get(name)
                .is_some_and(|it| it.prepared.literal)
        };
        let mut absent = self.absent_statements();
        absent.retain(literal);
        absent
    }

    /// Names of portals that the server does not have.
    pub(crate) fn absent_portals(&self) -> Vec<Name> {
        let absent = self.portals.iter().filter(|(_, portal)| portal.is_ours());
        absent.map(|(name, _)| Name::from_slice(name)).collect()
    }
}
