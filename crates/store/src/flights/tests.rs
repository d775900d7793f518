use bytes::Bytes;
use cache::{DigestBuilder, Version};
use catalog::{DatabaseId, RelationId, SystemId};
use proptest::{collection::vec, prelude::*};

use super::*;

const DATABASE: DatabaseId = DatabaseId {
    system: SystemId(1),
    oid: 2,
};
const TTL: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(60);

fn key(n: u64) -> CacheKey {
    let mut key = DigestBuilder::default();
    key.number(n);
    key.into_key().0
}

fn stamp(n: u8) -> Stamp {
    Stamp::new([Version::from_bytes([n; 16])])
}

fn entry(n: u8) -> Entry {
    Entry::new(Bytes::from(vec![n; 8]), 0, 4, 0).unwrap()
}

fn relation(n: u64) -> RelationId {
    RelationId::from_oid(u32::try_from(n).unwrap() + 1)
}

/// Key `n` reads relation `n`.
fn join(flights: &Arc<Flights>, n: u64, version: u8, may: (bool, bool)) -> Role {
    let question = Question {
        key: &key(n),
        database: DATABASE,
        epoch: Version::from_bytes([0; 16]),
        scopes: &[Scope::Relation(DATABASE, relation(n))],
        ttl: TTL,
    };
    flights.join(&question, &stamp(version), may)
}

fn flights() -> Arc<Flights> {
    Arc::new(Flights::new(Some(WAIT)))
}

const ANY: (bool, bool) = (true, true);

#[track_caller]
fn lead(role: Role) -> Lead {
    match role {
        Role::Lead(lead) => lead,
        other @ (Role::Follow(_) | Role::Alone) => panic!("{other:?}"),
    }
}

#[track_caller]
fn follow(role: Role) -> Follower {
    match role {
        Role::Follow(follower) => follower,
        other @ (Role::Lead(_) | Role::Alone) => panic!("{other:?}"),
    }
}

#[track_caller]
fn alone(role: Role) {
    assert!(matches!(role, Role::Alone), "{role:?}");
}

/// How a wait has ended, without waiting.
fn ended(follower: &Follower) -> Option<Ending> {
    follower.ending.borrow().clone()
}

#[test]
fn one_leads_the_others_follow_and_get_its_reply() {
    let flights = flights();
    let first = lead(join(&flights, 1, 1, ANY));
    let others: Vec<_> = (0..3).map(|_| follow(join(&flights, 1, 1, ANY))).collect();
    assert!(ended(&others[0]).is_none());
    first.land(&stamp(1), &entry(7), TTL);
    for other in &others {
        let Some(Ending::Landed(landed)) = ended(other) else {
            panic!("not landed");
        };
        assert_eq!(landed.under(&stamp(1), &[], TTL), Some(&entry(7)));
        assert_eq!(
            landed.under(&stamp(2), &[], TTL),
            None,
            "T19: other versions"
        );
        assert_eq!(landed.under(&stamp(1), &[], Duration::ZERO), None);
    }
    assert_eq!(flights.len(), 0);
}

#[test]
fn other_versions_are_another_flight_and_end_the_first() {
    let flights = flights();
    let first = lead(join(&flights, 1, 1, ANY));
    let waiting = follow(join(&flights, 1, 1, ANY));
    let second = lead(join(&flights, 1, 2, ANY));
    assert!(matches!(ended(&waiting), Some(Ending::Over)));
    let later = follow(join(&flights, 1, 2, ANY));
    // What the first brings is nothing to those who follow the second.
    first.land(&stamp(1), &entry(1), TTL);
    assert!(ended(&later).is_none());
    second.land(&stamp(2), &entry(2), TTL);
    assert!(matches!(ended(&later), Some(Ending::Landed(_))));
}

#[test]
fn a_write_frees_those_who_wait_for_what_it_changes() {
    let flights = flights();
    let leads = [1, 2].map(|n| lead(join(&flights, n, 1, ANY)));
    let waiting = [1, 2].map(|n| follow(join(&flights, n, 1, ANY)));
    flights.outdate(&[Scope::Relation(DATABASE, relation(1))]);
    assert!(matches!(ended(&waiting[0]), Some(Ending::Over)));
    assert!(ended(&waiting[1]).is_none());
    flights.outdate(&[Scope::Epoch(DATABASE)]);
    assert!(matches!(ended(&waiting[1]), Some(Ending::Over)));
    drop(leads);
    // That is nobody's fault.
    drop(lead(join(&flights, 1, 1, ANY)));
    lead(join(&flights, 1, 1, ANY));
}

#[test]
fn a_leader_that_fails_frees_the_others_and_one_takes_over() {
    let flights = flights();
    let first = lead(join(&flights, 1, 1, ANY));
    let waiting = follow(join(&flights, 1, 1, ANY));
    drop(first);
    assert!(matches!(ended(&waiting), Some(Ending::Over)));
    let second = lead(join(&flights, 1, 1, ANY));
    follow(join(&flights, 1, 1, ANY));
    drop(second);
    // R17: after a while it may be tried again, and one success makes good for all.
    alone(join(&flights, 1, 1, ANY));
    let shard = || flights.shard(&key(1));
    shard().failures.get_mut(&key(1)).unwrap().1 -= UNFIT;
    lead(join(&flights, 1, 1, ANY)).land(&stamp(1), &entry(1), TTL);
    assert!(shard().failures.is_empty());
}

#[test]
fn who_may_not_wait_leads_or_goes_alone() {
    let flights = flights();
    alone(join(&flights, 1, 1, (false, true)));
    let first = lead(join(&flights, 1, 1, (true, false)));
    alone(join(&flights, 1, 1, (true, false)));
    drop(first);
    flights.set_wait_max(None);
    alone(join(&flights, 1, 1, ANY));
}

#[tokio::test]
async fn nobody_waits_beyond_the_bound() {
    let flights = Arc::new(Flights::new(Some(Duration::from_millis(20))));
    let stuck = lead(join(&flights, 1, 1, ANY));
    let waiting = follow(join(&flights, 1, 1, ANY));
    assert!(matches!(waiting.ending().await, Ending::Late));
    // Who comes now does not begin to wait for a flight that is too old.
    let next = lead(join(&flights, 1, 1, ANY));
    drop(stuck);
    follow(join(&flights, 1, 1, ANY));
    drop(next);
    assert_eq!(flights.len(), 0);
}

#[test]
fn failures_that_are_remembered_are_bounded() {
    let flights = flights();
    for n in 0..20_000 {
        let first = lead(join(&flights, n, 1, ANY));
        follow(join(&flights, n, 1, ANY));
        drop(first);
    }
    for shard in &flights.shards {
        assert!(shard.lock().unwrap().failures.len() <= FAILED_KEYS_MAX);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Join(u64, u8, bool, bool),
    Land(usize),
    Drop(usize),
    GiveWay(usize),
    Outdate(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u64, 0..2_u8, any::<bool>(), any::<bool>())
            .prop_map(|(n, version, leads, follows)| Step::Join(n, version, leads, follows)),
        1 => any::<usize>().prop_map(Step::Land),
        1 => any::<usize>().prop_map(Step::Drop),
        1 => any::<usize>().prop_map(Step::GiveWay),
        1 => (0..3_u64).prop_map(Step::Outdate),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nobody is left waiting, nobody gets what was asked
    /// under other versions or for another key, and nothing remains.
    #[test]
    fn nobody_is_left_waiting(steps in vec(step(), 0..60)) {
        let flights = flights();
        let mut leads: Vec<(Lead, u64, u8)> = Vec::new();
        let mut followers: Vec<(Follower, u64, u8)> = Vec::new();
        for step in steps {
            let mut pick = |index: usize| {
                (!leads.is_empty()).then(|| leads.swap_remove(index % leads.len()))
            };
            match step {
                Step::Join(n, version, l, f) => match join(&flights, n, version, (l, f)) {
                    Role::Lead(lead) => leads.push((lead, n, version)),
                    Role::Follow(follower) => followers.push((follower, n, version)),
                    Role::Alone => {}
                },
                Step::Land(index) => if let Some((lead, n, version)) = pick(index) {
                    let told = u8::try_from(n).unwrap() * 16 + version;
                    lead.land(&stamp(version), &entry(told), TTL);
                },
                Step::Drop(index) => drop(pick(index)),
                Step::GiveWay(index) => if let Some((lead, ..)) = pick(index) {
                    lead.give_way();
                },
                Step::Outdate(n) => flights.outdate(&[Scope::Relation(DATABASE, relation(n))]),
            }
        }
        drop(leads);
        for (follower, n, version) in &followers {
            match ended(follower) {
                Some(Ending::Landed(landed)) => {
                    let told = u8::try_from(*n).unwrap() * 16 + version;
                    prop_assert_eq!(landed.under(&stamp(*version), &[], TTL), Some(&entry(told)));
                }
                Some(Ending::Over) => {}
                Some(Ending::Late) | None => prop_assert!(false, "still waiting"),
            }
        }
        prop_assert_eq!(flights.len(), 0);
        prop_assert_eq!(flights.followed.load(Ordering::SeqCst), 0);
    }
}
