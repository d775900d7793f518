use super::*;

use cache::Scopes;
use catalog::{RelationId, SystemId};
use proptest::prelude::*;

mod rows;

const DATABASE: DatabaseId = DatabaseId {
    system: SystemId(7),
    oid: 5,
};
const TTL: Duration = Duration::from_secs(60);

fn memory() -> Memory {
    Memory::new(Limits {
        bytes_max: 1 << 20,
        entry_bytes_max: 1 << 14,
        jitter_percent: 0,
    })
}

fn key(n: u64) -> CacheKey {
    let mut fields = cache::DigestBuilder::default();
    fields.number(n);
    fields.into_key().0
}

fn scopes(oids: &[u32]) -> Scopes {
    oids.iter().map(|&oid| scope(oid)).collect()
}

fn scope(oid: u32) -> Scope {
    Scope::Relation(DATABASE, RelationId::from_oid(oid))
}

fn entry(bytes: usize) -> Entry {
    Entry::new(vec![b'x'; bytes].into(), 0, 0, 0).unwrap()
}

/// One client's view: a key that depends on some relations.
struct Reader<'a> {
    memory: &'a Memory,
    key: CacheKey,
    scopes: Scopes,
    start: Instant,
}

impl<'a> Reader<'a> {
    fn new(memory: &'a Memory, n: u64, oids: &[u32]) -> Self {
        Self {
            memory,
            key: key(n),
            scopes: scopes(oids),
            start: Instant::now(),
        }
    }

    fn ask(&self, after: Duration, ttl: Duration) -> Found {
        let Some(epoch) = self.memory.epoch(DATABASE) else {
            return Found::InFlight;
        };
        let question = Question {
            key: &self.key,
            database: DATABASE,
            epoch,
            scopes: &self.scopes,
            ttl,
        };
        self.memory.look_up_at(&question, self.start + after)
    }

    fn look_up(&self) -> Found {
        self.ask(Duration::ZERO, TTL)
    }

    fn stamp(&self) -> Stamp {
        let found = self.look_up();
        let Found::Miss(stamp) = found else {
            panic!("{found:?}")
        };
        stamp
    }

    fn fill(&self, stamp: Stamp) {
        self.fill_bytes(stamp, 10);
    }

    fn fill_bytes(&self, stamp: Stamp, bytes: usize) {
        self.memory
            .fill_at(self.reply(stamp, bytes, TTL), self.start);
    }

    fn reply(&self, stamp: Stamp, bytes: usize, ttl: Duration) -> Fill {
        Fill {
            key: self.key,
            database: DATABASE,
            scopes: self.scopes.clone(),
            stamp,
            entry: entry(bytes),
            ttl,
            beyond: Duration::ZERO,
        }
    }
}

#[test]
fn a_reply_is_as_old_as_its_stamp() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    let (stamp, took) = (reader.stamp(), Duration::from_millis(20));
    std::thread::sleep(took);
    memory.fill(reader.reply(stamp.clone(), 10, took / 2));
    assert_eq!(memory.status().entries, Some(0));
    memory.fill(reader.reply(stamp.clone(), 10, TTL));
    let taken = stamp.taken() - reader.start;
    assert!(matches!(reader.ask(taken, TTL), Found::Hit(_)));
    assert!(matches!(reader.ask(taken + TTL, TTL), Found::Miss(_)));
}

#[test]
fn a_filled_reply_is_a_hit_until_a_relation_changes() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1, 2]);
    reader.fill(reader.stamp());
    assert!(matches!(reader.look_up(), Found::Hit(_)));

    let other = memory.mark(&[scope(3)]);
    assert!(matches!(reader.look_up(), Found::Hit(_)));
    drop(other);

    let hold = memory.mark(&[scope(2)]);
    assert!(matches!(reader.look_up(), Found::InFlight));
    drop(hold);
    assert!(matches!(reader.look_up(), Found::Miss(_)));
}

#[test]
fn a_rollback_brings_the_version_back() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    reader.fill(reader.stamp());
    memory.mark(&[scope(1), scope(1)]).clear();
    assert!(matches!(reader.look_up(), Found::Hit(_)));
}

#[test]
fn a_rollback_beside_a_commit_does_not() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    reader.fill(reader.stamp());
    let (rolled_back, committed) = (memory.mark(&[scope(1)]), memory.mark(&[scope(1)]));
    drop(committed);
    assert!(matches!(reader.look_up(), Found::InFlight));
    rolled_back.clear();
    assert!(matches!(reader.look_up(), Found::Miss(_)));
}

#[test]
fn a_fill_that_was_overtaken_is_refused() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    let stamp = reader.stamp();
    drop(memory.mark(&[scope(1)]));
    reader.fill(stamp);
    assert!(matches!(reader.look_up(), Found::Miss(_)));
    assert_eq!(memory.status().count(Trouble::Outrun), 1);
}

#[test]
fn drops_outlive_the_epoch() {
    let memory = memory();
    let drops = memory.drops(DATABASE);
    drop(memory.mark(&[Scope::Epoch(DATABASE)]));
    assert_eq!(memory.drops(DATABASE), drops);
    let epoch = memory.epoch(DATABASE);
    drop(memory.mark(&[Scope::Drops(DATABASE)]));
    assert_ne!(memory.drops(DATABASE), drops);
    assert_eq!(memory.epoch(DATABASE), epoch);
}

#[test]
fn the_epoch_stands_for_everything() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    let before = memory.epoch(DATABASE).unwrap();
    reader.fill(reader.stamp());
    let hold = memory.mark(&[Scope::Epoch(DATABASE)]);
    assert_eq!(memory.epoch(DATABASE), None);
    assert!(matches!(reader.look_up(), Found::InFlight));
    drop(hold);
    assert!(matches!(reader.look_up(), Found::Miss(_)));

    let question = Question {
        key: &reader.key,
        database: DATABASE,
        epoch: before,
        scopes: &reader.scopes,
        ttl: TTL,
    };
    assert!(matches!(memory.look_up(&question), Found::Outdated));
    // Nor is a reply of the present for a statement that was planned in the past.
    reader.fill(reader.stamp());
    assert!(matches!(reader.look_up(), Found::Hit(_)));
    assert!(matches!(memory.look_up(&question), Found::Outdated));
}

/// T20: age is forgiven, another version is not.
#[test]
fn a_reply_may_be_served_past_its_ttl_but_not_past_a_write() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    reader.fill(reader.stamp());
    let ask = |secs: u64, stale: u64, prefetch: bool| {
        let question = Question {
            key: &reader.key,
            database: DATABASE,
            epoch: memory.epoch(DATABASE).unwrap(),
            scopes: &reader.scopes,
            ttl: TTL,
        };
        let refresh = Refresh {
            stale: Duration::from_secs(stale),
            stale_if_error: Duration::from_secs(20 * stale),
            prefetch,
            on_write: false,
        };
        let now = reader.start + Duration::from_secs(secs);
        match memory.look_up_aging_at(&question, &refresh, now) {
            (Found::Hit(_), age) => Some(age),
            (found, _) => {
                assert!(matches!(found, Found::Miss(_)), "{found:?}");
                None
            }
        }
    };
    assert_eq!(ask(59, 10, false), Some(None));
    assert_eq!(ask(60, 10, false), Some(Some(Age::Stale)));
    assert_eq!(ask(69, 10, false), Some(Some(Age::Stale)));
    assert_eq!(ask(70, 10, false), Some(Some(Age::Expired)));
    assert_eq!(ask(259, 10, false), Some(Some(Age::Expired)));
    assert_eq!(ask(260, 10, false), None);
    assert_eq!(ask(47, 0, true), Some(None));
    assert_eq!(ask(48, 0, true), Some(Some(Age::Due)));
    assert_eq!(ask(60, 0, true), None);
    drop(memory.mark(&[scope(1)]));
    assert_eq!(ask(1, 10, true), None);
    assert_eq!(ask(61, 10, true), None);
}

#[test]
fn the_shorter_of_two_ttls_decides() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    reader.fill(reader.stamp());
    let secs = Duration::from_secs;
    assert!(matches!(reader.ask(secs(59), TTL), Found::Hit(_)));
    assert!(matches!(reader.ask(secs(60), TTL), Found::Miss(_)));
    assert!(matches!(reader.ask(secs(59), secs(100)), Found::Hit(_)));
    assert!(matches!(reader.ask(secs(60), secs(100)), Found::Miss(_)));
    assert!(matches!(reader.ask(secs(30), secs(30)), Found::Miss(_)));
    assert!(matches!(reader.ask(secs(0), secs(0)), Found::Miss(_)));
}

#[test]
fn a_reply_about_other_relations_is_a_miss() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    reader.fill(reader.stamp());
    for oids in [&[][..], &[2], &[1, 2]] {
        assert!(matches!(
            Reader::new(&memory, 1, oids).look_up(),
            Found::Miss(_)
        ));
    }
}

#[test]
fn large_entries_are_kept_or_counted() {
    for bytes_max in [1 << 10, 1 << 16, 1 << 20, 1 << 24] {
        let limits = Limits {
            bytes_max,
            entry_bytes_max: 1 << 16,
            jitter_percent: 0,
        };
        let memory = Memory::new(limits);
        for (n, bytes) in [(1, 1 << 16), (2, (1 << 16) + 1), (3, 1 << 10), (4, 500)] {
            let refused = memory.status().count(Trouble::TooLarge);
            let reader = Reader::new(&memory, n, &[1]);
            reader.fill_bytes(reader.stamp(), bytes);
            let kept = matches!(reader.look_up(), Found::Hit(_));
            let counted = memory.status().count(Trouble::TooLarge) > refused;
            assert!(
                kept != counted,
                "{bytes} of {bytes_max}: kept {kept}, counted {counted}"
            );
        }
    }
}

#[test]
fn memory_is_bounded() {
    let memory = memory();
    for n in 0..10_000 {
        let reader = Reader::new(&memory, n, &[1]);
        reader.fill_bytes(reader.stamp(), 1000);
    }
    let status = memory.status();
    assert!(status.bytes.unwrap() <= 1 << 20);
    assert_eq!(status.entries.unwrap() + status.evictions, 10_000);
}

#[test]
fn cells_that_nothing_refers_to_are_forgotten() {
    let memory = memory();
    let reader = Reader::new(&memory, 1, &[1]);
    reader.fill(reader.stamp());
    let hold = memory.mark(&[scope(2)]);
    let early = Reader::new(&memory, 2, &[3]);
    let stamp = early.stamp();
    for oid in 10..200_000 {
        Reader::new(&memory, 3, &[oid]).stamp();
    }
    assert!(memory.cells.len() < 50_000);
    assert!(matches!(reader.look_up(), Found::Hit(_)));
    assert!(matches!(
        Reader::new(&memory, 3, &[2]).look_up(),
        Found::InFlight
    ));
    hold.clear();
    early.fill(stamp);
    assert!(
        matches!(early.look_up(), Found::Miss(_)),
        "its cell has a successor"
    );
}

#[derive(Clone, Debug)]
enum Step {
    /// A reader asks; on a miss its query starts and sees the database as it is.
    Ask(usize),
    /// Its query ends and the reply is filled in.
    Fill(usize),
    Mark(Vec<usize>),
    /// The oldest open mark's transaction commits: visible in the database, not acknowledged yet.
    Commit(usize),
    /// It is acknowledged.
    Bump(usize),
    Clear(usize),
}

const SCOPES: usize = 4;
const READERS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let some = 0..READERS;
    prop_oneof![
        4 => some.clone().prop_map(Step::Ask),
        3 => some.clone().prop_map(Step::Fill),
        2 => prop::collection::vec(0..SCOPES, 1..3).prop_map(Step::Mark),
        2 => some.clone().prop_map(Step::Commit),
        2 => some.clone().prop_map(Step::Bump),
        1 => some.prop_map(Step::Clear),
    ]
}

/// A writer: what it marked, and what the database held just after it committed.
struct Writer {
    scopes: Vec<usize>,
    hold: Hold,
    committed: Option<[u32; SCOPES]>,
}

/// Scope 0 is the epoch; reader `n` depends on the epoch and on two relations.
fn scope_of(index: usize) -> Scope {
    match u32::try_from(index).unwrap() {
        0 => Scope::Epoch(DATABASE),
        oid => scope(oid),
    }
}

fn reads_of(reader: usize) -> [usize; 2] {
    [1 + reader % (SCOPES - 1), 1 + (reader + 1) % (SCOPES - 1)]
}

/// What the database holds of a reader's scopes, as a reply's text: row counts of each.
fn reply(rows: &[u32; SCOPES], reader: usize) -> Entry {
    let [a, b] = reads_of(reader);
    let text = format!("{} {} {}", rows[0], rows[a], rows[b]);
    Entry::new(text.into(), 0, 0, 0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is served contains every acknowledged change, and nothing that did not commit.
    #[test]
    fn no_history_serves_a_reply_older_than_an_acknowledged_bump(
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let memory = memory();
        let (mut rows, mut acknowledged) = ([0_u32; SCOPES], [0_u32; SCOPES]);
        let mut writers: Vec<Writer> = Vec::new();
        let mut queries: Vec<(usize, Stamp, Entry)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask(n) => {
                    let [a, b] = reads_of(n);
                    let oids = [a, b].map(|index| u32::try_from(index).unwrap());
                    let written = |scope: &usize| [0, a, b].contains(scope);
                    let written = writers.iter().any(|w| w.scopes.iter().any(written));
                    let found = Reader::new(&memory, n as u64, &oids).look_up();
                    prop_assert_eq!(matches!(found, Found::InFlight), written);
                    match found {
                        Found::Hit(entry) => {
                            let text = String::from_utf8(entry.frames().to_vec()).unwrap();
                            let seen = text.split(' ').map(|n| n.parse::<u32>().unwrap());
                            for (seen, scope) in seen.zip([0, a, b]) {
                                prop_assert!(seen >= acknowledged[scope]);
                                prop_assert!(seen <= rows[scope]);
                            }
                        }
                        Found::Miss(stamp) => queries.push((n, stamp, reply(&rows, n))),
                        Found::InFlight => {}
                        found @ (Found::Outdated | Found::Unavailable) => {
                            prop_assert!(false, "{found:?}");
                        }
                    }
                }
                Step::Fill(i) if !queries.is_empty() => {
                    let (n, stamp, entry) = queries.remove(i % queries.len());
                    let oids = reads_of(n).map(|index| u32::try_from(index).unwrap());
                    memory.fill(Fill {
                        key: key(n as u64), database: DATABASE, scopes: scopes(&oids),
                        stamp, entry, ttl: TTL, beyond: Duration::ZERO,
                    });
                }
                Step::Mark(scopes) => {
                    let hold = memory.mark(&scopes.iter().map(|&s| scope_of(s)).collect::<Vec<_>>());
                    writers.push(Writer { scopes, hold, committed: None });
                }
                Step::Commit(i) => {
                    let mut open = writers.iter_mut().filter(|w| w.committed.is_none());
                    if let Some(writer) = open.nth(i) {
                        for &scope in &writer.scopes {
                            rows[scope] += 1;
                        }
                        writer.committed = Some(rows);
                    }
                }
                Step::Bump(i) if !writers.is_empty() => {
                    let writer = writers.remove(i % writers.len());
                    drop(writer.hold);
                    if let Some(rows) = writer.committed {
                        for scope in writer.scopes {
                            acknowledged[scope] = rows[scope].max(acknowledged[scope]);
                        }
                    }
                }
                Step::Clear(i) => {
                    let mut open = (0..writers.len()).filter(|&w| writers[w].committed.is_none());
                    if let Some(writer) = open.nth(i) {
                        writers.remove(writer).hold.clear();
                    }
                }
                Step::Fill(_) | Step::Bump(_) => {}
            }
        }
    }
}
