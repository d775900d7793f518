//! How many files and sockets the process may have open.

use config::Config;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is needed besides clients: listeners, connections to databases and the store, files.
const OTHERS: u64 = 300;

/// Each client has a socket, and another to the server.
const PER_CLIENT: u64 = 2;

/// Takes what the system allows. Shells and container engines often give less at first, so that
/// programs which count on few are not surprised.
///
/// Says so if it is less than `limits.clients_max` needs.
pub(crate) fn raise(config: &Config) -> Option<String> {
    let needed = PER_CLIENT * u64::from(config.limits.clients_max) + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let raised = limit
        .maximum
        .unwrap_or(needed.max(limit.current.unwrap_or(0)));
    let mut current = limit.current;
    if current.is_some_and(|current| current < raised) {
        let wanted = Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        };
        if setrlimit(Resource::Nofile, wanted).is_ok() {
            current = Some(raised);
        }
    }
    short(current, config.limits.clients_max)
}

/// What to say if this many descriptors are too few.
fn short(current: Option<u64>, clients_max: u32) -> Option<String> {
    let current = current?;
    let clients = current.saturating_sub(OTHERS) / PER_CLIENT;
    (clients < u64::from(clients_max)).then(|| {
        format!(
            "the system allows {current} open files, enough for {clients} clients and not for the \
             {clients_max} of limits.clients_max; raise it (`ulimit -n`, LimitNOFILE in a unit, \
             ulimits of a container), or lower limits.clients_max"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_how_many_clients_there_is_room_for() {
        assert_eq!(short(None, 10_000), None);
        assert_eq!(short(Some(20_300), 10_000), None);
        let said = short(Some(1024), 10_000).unwrap();
        assert!(said.contains("enough for 362 clients"), "{said}");
    }
}
