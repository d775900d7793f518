//! Scopes of rows: what each kind of write leaves alone, and that no history serves an old row.

use super::*;

use catalog::RowClass;

const KEYS: usize = 3;

fn bulk() -> Scope {
    Scope::Bulk(DATABASE, RelationId::from_oid(1))
}

fn row(n: usize) -> Scope {
    let class = RowClass::from_digest((n as u64) << 44);
    Scope::Row(DATABASE, RelationId::from_oid(1), class)
}

fn insert() -> Scope {
    Scope::Insert(DATABASE, RelationId::from_oid(1))
}

/// A reader of the rows under these keys.
fn point<'a>(memory: &'a Memory, name: u64, keys: &[usize]) -> Reader<'a> {
    let rows = keys.iter().map(|&key| row(key));
    Reader {
        scopes: [bulk()].into_iter().chain(rows).chain([insert()]).collect(),
        ..Reader::new(memory, name, &[])
    }
}

impl Reader<'_> {
    /// Records a reply that lacks no row.
    fn fill_complete(&self, mut stamp: Stamp) {
        let mut scopes = self.scopes.clone();
        scopes.pop();
        stamp.truncate(scopes.len());
        let (key, entry) = (self.key, entry(10));
        self.memory.fill_at(
            Fill {
                key,
                database: DATABASE,
                scopes,
                stamp,
                entry,
                ttl: TTL,
                beyond: Duration::ZERO,
            },
            self.start,
        );
    }

    fn is_hit(&self) -> bool {
        matches!(self.look_up(), Found::Hit(_))
    }
}

#[test]
fn a_row_stays_while_others_are_written() {
    let memory = memory();
    let (first, second) = (point(&memory, 1, &[1]), point(&memory, 2, &[2]));
    let all = Reader::new(&memory, 3, &[1]);
    for reader in [&first, &second, &all] {
        reader.fill(reader.stamp());
    }
    let hold = memory.mark(&[scope(1), row(1)]);
    assert!(matches!(first.look_up(), Found::InFlight));
    assert!(matches!(all.look_up(), Found::InFlight));
    assert!(second.is_hit());
    drop(hold);
    assert!(matches!(first.look_up(), Found::Miss(_)));
    assert!(matches!(all.look_up(), Found::Miss(_)));
    assert!(second.is_hit());

    drop(memory.mark(&[scope(1), bulk()]));
    assert!(!second.is_hit());
}

#[test]
fn what_lacks_no_row_stays_while_rows_come() {
    let memory = memory();
    let (there, lacking) = (point(&memory, 1, &[1]), point(&memory, 2, &[1]));
    there.fill_complete(there.stamp());
    lacking.fill(lacking.stamp());
    let hold = memory.mark(&[scope(1), insert()]);
    assert!(there.is_hit());
    assert!(!lacking.is_hit());

    // A reply to a query that is sent now may be recorded if it turns out to lack nothing.
    let late = point(&memory, 3, &[2]);
    let stamp = late.stamp();
    assert_eq!(stamp.versions().len(), 3);
    late.fill(stamp.clone());
    assert!(!late.is_hit());
    late.fill_complete(stamp);
    assert!(late.is_hit());

    drop(hold);
    assert!(there.is_hit() && late.is_hit());
    assert!(!lacking.is_hit());
    drop(memory.mark(&[scope(1), row(1)]));
    assert!(!there.is_hit());
}

#[test]
fn only_a_last_insert_may_be_left_out() {
    let memory = memory();
    let reader = point(&memory, 1, &[1, 2]);
    let mut stamp = reader.stamp();
    stamp.truncate(2);
    let scopes = Scopes::from_slice(&reader.scopes[..2]);
    memory.fill(Fill {
        key: reader.key,
        database: DATABASE,
        scopes,
        stamp,
        entry: entry(10),
        ttl: TTL,
        beyond: Duration::ZERO,
    });
    assert!(!reader.is_hit(), "recorded for one of two rows");
}

#[derive(Clone, Debug)]
enum Step {
    /// A reader asks; on a miss its query starts and sees the database as it is.
    Ask(usize),
    /// Its query ends and the reply is filled in.
    Fill(usize),
    /// A writer marks what it is about to write.
    Mark(Change),
    /// Its transaction commits, not acknowledged yet.
    Commit(usize),
    Bump(usize),
    Clear(usize),
}

/// What a transaction does, as far as the rows that are there let it.
#[derive(Clone, Copy, Debug)]
enum Change {
    Update(usize),
    Delete(usize),
    /// The key was given by the client.
    Insert(usize),
    /// The key was found by the server.
    Arrive(usize),
    /// Two rows change places: keys are written.
    Swap(usize, usize),
}

impl Change {
    fn scopes(self) -> Vec<Scope> {
        match self {
            Self::Update(key) | Self::Delete(key) | Self::Insert(key) => vec![scope(1), row(key)],
            Self::Arrive(_) => vec![scope(1), insert()],
            Self::Swap(..) => vec![scope(1), bulk()],
        }
    }

    /// The keys whose rows are other ones afterwards.
    fn apply(self, rows: &mut [Option<u32>; KEYS], next: u32) -> Vec<usize> {
        match self {
            Self::Update(key) if rows[key].is_some() => rows[key] = Some(next),
            Self::Delete(key) if rows[key].is_some() => rows[key] = None,
            Self::Insert(key) | Self::Arrive(key) if rows[key].is_none() => rows[key] = Some(next),
            Self::Swap(one, other) if one != other => {
                rows.swap(one, other);
                return vec![one, other];
            }
            Self::Update(_) | Self::Delete(_) | Self::Insert(_) | Self::Arrive(_) => return vec![],
            Self::Swap(..) => return vec![],
        }
        let (Self::Update(key) | Self::Delete(key) | Self::Insert(key) | Self::Arrive(key)) = self
        else {
            return vec![];
        };
        vec![key]
    }
}

/// A writer, its marks, and once it has committed, which rows it changed and their places in history.
type Writer = (Change, Hold, Option<Vec<(usize, usize)>>);

fn step() -> impl Strategy<Value = Step> {
    let key = 0..KEYS;
    let change = prop_oneof![
        3 => key.clone().prop_map(Change::Update),
        2 => key.clone().prop_map(Change::Delete),
        2 => key.clone().prop_map(Change::Insert),
        3 => key.clone().prop_map(Change::Arrive),
        1 => (key.clone(), key).prop_map(|(one, other)| Change::Swap(one, other)),
    ];
    let some = 0..4_usize;
    prop_oneof![
        5 => (0..READS.len()).prop_map(Step::Ask),
        4 => some.clone().prop_map(Step::Fill),
        2 => change.prop_map(Step::Mark),
        2 => some.clone().prop_map(Step::Commit),
        2 => some.clone().prop_map(Step::Bump),
        1 => some.prop_map(Step::Clear),
    ]
}

/// Which rows readers ask for; the last one asks for all of them without naming any.
const READS: [&[usize]; 5] = [&[0], &[1], &[2], &[0, 1], &[0, 1, 2]];

fn reader(memory: &Memory, n: usize) -> Reader<'_> {
    if n + 1 == READS.len() {
        Reader::new(memory, n as u64, &[1])
    } else {
        point(memory, n as u64, READS[n])
    }
}

/// The rows that a reader asks for, as text.
fn reply(rows: &[Option<u32>; KEYS], n: usize) -> Entry {
    let text: Vec<_> = READS[n]
        .iter()
        .map(|&key| rows[key].map_or_else(|| "-".to_owned(), |n| n.to_string()))
        .collect();
    Entry::new(text.join(" ").into(), 0, 0, 0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Each row of whatever is served is one that it has been at, or after, the last acknowledged
    /// change of it.
    #[test]
    fn no_history_serves_a_row_older_than_an_acknowledged_change(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let memory = memory();
        let (mut rows, mut next) = ([Some(0); KEYS], 0);
        // All that each row has been, and the place of what was acknowledged last.
        let mut history: [Vec<Option<u32>>; KEYS] = std::array::from_fn(|_| vec![Some(0)]);
        let mut acknowledged = [0; KEYS];
        let mut writers: Vec<Writer> = Vec::new();
        let mut queries: Vec<(usize, Stamp, Entry)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask(n) => match reader(&memory, n).look_up() {
                    Found::Hit(entry) => {
                        let text = String::from_utf8(entry.frames().to_vec()).unwrap();
                        for (&key, seen) in READS[n].iter().zip(text.split(' ')) {
                            let fresh = history[key][acknowledged[key]..]
                                .iter()
                                .any(|row| row.map_or("-".to_owned(), |n| n.to_string()) == seen);
                            prop_assert!(fresh, "reader {n} got {seen} of row {key}");
                        }
                    }
                    Found::Miss(stamp) => queries.push((n, stamp, reply(&rows, n))),
                    Found::InFlight => {}
                    found @ (Found::Outdated | Found::Unavailable) => {
                        prop_assert!(false, "{found:?}");
                    }
                },
                Step::Fill(i) if !queries.is_empty() => {
                    let (n, mut stamp, entry) = queries.remove(i % queries.len());
                    let mut scopes = reader(&memory, n).scopes;
                    let complete = !entry.frames().contains(&b'-');
                    if complete && cache::is_optional(scopes.last()) {
                        scopes.pop();
                        stamp.truncate(scopes.len());
                    }
                    let key = key(n as u64);
                    memory.fill(Fill { key, database: DATABASE, scopes, stamp, entry, ttl: TTL, beyond: Duration::ZERO });
                }
                Step::Mark(change) => {
                    writers.push((change, memory.mark(&change.scopes()), None));
                }
                Step::Commit(i) => {
                    let mut open = writers.iter_mut().filter(|(_, _, done)| done.is_none());
                    if let Some((change, _, done)) = open.nth(i) {
                        next += 1;
                        let changed = change.apply(&mut rows, next);
                        let place = |&key: &usize| {
                            history[key].push(rows[key]);
                            (key, history[key].len() - 1)
                        };
                        *done = Some(changed.iter().map(place).collect());
                    }
                }
                Step::Bump(i) if !writers.is_empty() => {
                    let (_, hold, done) = writers.remove(i % writers.len());
                    drop(hold);
                    for (key, place) in done.into_iter().flatten() {
                        acknowledged[key] = place.max(acknowledged[key]);
                    }
                }
                Step::Clear(i) => {
                    let mut open = (0..writers.len()).filter(|&w| writers[w].2.is_none());
                    if let Some(writer) = open.nth(i) {
                        writers.remove(writer).1.clear();
                    }
                }
                Step::Fill(_) | Step::Bump(_) => {}
            }
        }
    }
}
