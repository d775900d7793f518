use proptest::{collection::vec, prelude::*};

use super::*;

/// A portal of the server's, by the segment in which it was bound.
fn portal(segment: u64, ours: bool) -> Portal {
    let source = match ours {
        true => Source::Control { done: false },
        false => Source::Server {
            recording: None,
            described: false,
        },
    };
    Portal {
        statement: None,
        types: Default::default(),
        source,
        writes: None,
        settings: None,
        idle: false,
        segment,
        bind: Default::default(),
        weight: 0,
    }
}

/// What a segment does to the unnamed portal, and whether it turns out to have failed.
#[derive(Clone, Debug)]
struct Segment {
    binds: Vec<bool>,
    fails: bool,
}

fn segment() -> impl Strategy<Value = Segment> {
    let binds = vec(any::<bool>(), 1..4);
    (binds, any::<bool>()).prop_map(|(binds, fails)| Segment { binds, fails })
}

/// Binds of one segment, which make portals whose types tell them apart.
fn bind(registry: &mut Registry, number: u64, segment: &Segment) -> Vec<Undo> {
    let made = segment.binds.iter().zip(0_u8..).map(|(&ours, index)| {
        let mut portal = portal(number, ours);
        portal.bind.push(index);
        registry.put_portal(b"", portal)
    });
    let mut undos: Vec<Undo> = made.collect();
    undos.reverse();
    undos
}

fn unnamed(registry: &mut Registry) -> Option<(u64, Option<u8>)> {
    let portal = registry.portal_mut(b"")?;
    Some((portal.segment, portal.bind.first().copied()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Segments are sent one behind the other, and all answers come later.
    #[test]
    fn the_last_portal_that_was_bound_is_there(
        before in any::<bool>(), lost in any::<bool>(), segments in vec(segment(), 1..7),
    ) {
        let mut registry = Registry::default();
        if before {
            registry.put_portal(b"", portal(1, false));
        }
        registry.lost_portal = lost && !before;
        let mut expected = before.then_some((1, None));
        let sent: Vec<_> = (2..)
            .zip(&segments)
            .map(|(number, it)| (number, it, bind(&mut registry, number, it)))
            .collect();
        for (number, segment, undos) in sent {
            if segment.fails {
                registry.undo(undos, number);
            } else {
                let last = u8::try_from(segment.binds.len() - 1).unwrap();
                expected = Some((number, Some(last)));
            }
        }
        prop_assert_eq!(unnamed(&mut registry), expected);
        if expected.is_none() {
            prop_assert_eq!(registry.lost_portal, lost);
        }
    }
}

/// The server's own goes with the transaction, and so does one that would have come back.
#[test]
fn a_portal_of_a_block_that_has_ended_does_not_come_back() {
    let mut registry = Registry::default();
    registry.put_portal(b"p", portal(1, false));
    let undo = registry.put_portal(b"p", portal(2, false));
    registry.end_portals(1);
    registry.undo(vec![undo], 2);
    assert!(registry.portal_mut(b"p").is_none());
}
