//! All lines of an instance lead to one server.
//!
//! After a failover an old master may go on for those who are connected to it, and take their marks,
//! while all others look things up in the new one. So no line is used that leads elsewhere than the
//! connection that was begun last: where the name, or the sentinels, lead now is where everybody
//! goes. When one line learns of another master, all others are given up before anything is asked by
//! it; and somebody looks now and then where a new connection leads, though none was lost.
//!
//! Invariant: while [`Agreement`] is not locked, all lines that are trusted, or slow, lead to the
//! server that it names.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    dial::Dialer,
    line::Line,
    shared::Shared,
    verify::{Server, Verified, look_up_server},
};
use crate::{Trouble, lease::Moment};

/// The server to which all lines lead.
#[derive(Debug, Default)]
pub(super) struct Agreement(Mutex<Option<Agreed>>);

#[derive(Debug)]
struct Agreed {
    server: Server,
    /// When the last connection was begun that has shown it.
    begun: Moment,
}

impl Agreement {
    /// Whether this is the server.
    pub(super) fn is_on(&self, server: Server) -> bool {
        let agreed = self.lock();
        agreed.as_ref().is_some_and(|it| it.server == server)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Agreed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Believes a line from now on, unless others have come to lead elsewhere meanwhile.
    pub(super) fn believe(&self, line: &Line, verified: Verified) -> Result<(), Trouble> {
        let (server, begun) = (verified.trust.server, verified.trust.wire.begun());
        let mut agreed = self.agreement.lock();
        if !self.agree(&mut agreed, server, begun) {
            line.hang_up();
            return Err(Trouble::Disconnected);
        }
        if verified.fast {
            // Before anything is asked by it.
            self.doubt(line);
        }
        let slow = !verified.fast;
        line.believe(verified);
        if slow {
            return Err(Trouble::Timeout);
        }
        Ok(())
    }

    /// Gives up all lines that lead elsewhere than a connection that was begun later. Whether there was
    /// none that was begun later than this one, and has shown another server.
    fn agree(&self, agreed: &mut Option<Agreed>, server: Server, begun: Moment) -> bool {
        match agreed {
            Some(known) if known.server == server => known.begun = begun.max(known.begun),
            Some(known) if known.begun > begun => return false,
            known => {
                let moved = known.replace(Agreed { server, begun }).is_some();
                if moved {
                    self.move_to(server);
                }
            }
        }
        true
    }

    fn move_to(&self, server: Server) {
        for line in self.lines.all().chain(self.ear()) {
            line.leave_all_but(server);
        }
        for database in self.databases() {
            // Whoever is still connected to the one before tells it what he writes.
            database.settle_for(MOVING);
            database.doubt();
        }
    }
}

/// Looks now and then, until `stop`, whether a new connection would lead elsewhere.
pub(super) async fn look_around(shared: Arc<Shared>, dialer: Arc<Dialer>, stop: CancellationToken) {
    loop {
        let looked = async {
            sleep(LOOK_EVERY).await;
            look_up_server(&dialer).await
        };
        let looked = tokio::select! {
            () = stop.cancelled() => return,
            looked = looked => looked,
        };
        // If no connection can be made, or it leads to a replica, those that exist are the best.
        if let Ok((server, begun)) = looked {
            let mut agreed = shared.agreement.lock();
            if agreed.is_some() {
                shared.agree(&mut agreed, server, begun);
            }
        }
    }
}

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long nothing is recorded once all lines lead to another server: as long as others may take to
/// look around, and to follow.
const MOVING: Duration = Duration::from_secs(3);
