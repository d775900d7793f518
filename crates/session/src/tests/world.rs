//! The shell in small: a store, what is known of the database, and clients whose bytes arrive in
//! whatever pieces a test wants.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, BytesMut};
use cache::{CacheKey, DigestBuilder, Entry, Policy, Scope, Stamp, Version};
use catalog::{DatabaseId, Event, RelationId, Snapshot, SystemId, fixture::Fixture};
use sql::{Reason, Writes};

use super::{
    message::{Message, put, show_client},
    model::{self, Database, Server},
};
use crate::{
    Answer, Knowledge, Limits, Login, Need, Outcome, RefusedFill, Session, Shared, Tally, Telemetry,
};

/// A sequence of arbitrary numbers that repeats for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bounded = (mixed ^ (mixed >> 31)) % sides as u64;
        usize::try_from(bounded).expect("it is below `sides`")
    }
}

const DATABASE: DatabaseId = DatabaseId {
    system: SystemId(1),
    oid: 5,
};

/// Replies and versions.
#[derive(Default)]
struct Store {
    /// How often a scope was changed.
    changes: HashMap<Scope, u64>,
    /// Marks that are set on it.
    marks: HashMap<Scope, u32>,
    entries: HashMap<CacheKey, (Stamp, Entry)>,
}

impl Store {
    fn current(&self, scope: Scope) -> Option<Version> {
        match self.marks.get(&scope) {
            None | Some(0) => Some(self.version(scope)),
            Some(_) => None,
        }
    }

    fn version(&self, scope: Scope) -> Version {
        let mut bytes = [0; 16];
        let changes = self.changes.get(&scope).copied().unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        scope.hash(&mut hasher);
        bytes[..8].copy_from_slice(&hasher.finish().to_be_bytes());
        bytes[8..].copy_from_slice(&changes.to_be_bytes());
        Version::from_bytes(bytes)
    }

    fn end(&mut self, scope: Scope, committed: bool) {
        *self.marks.entry(scope).or_default() -= 1;
        if committed {
            *self.changes.entry(scope).or_default() += 1;
        }
    }
}

/// Everything that clients share.
pub(crate) struct World {
    pub(super) database: Database,
    store: Store,
    shared: Arc<Shared>,
    snapshot: Arc<Snapshot>,
    knowledge: Arc<Knowledge>,
    /// Makes some hits misses, and some misses nothing.
    chaos: Option<Dice>,
    pub(super) events: Rc<RefCell<Vec<String>>>,
}

impl World {
    pub(crate) fn new(chaos: Option<u64>) -> Self {
        let snapshot = snapshot();
        let limits = Limits {
            analysis_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 16,
            statements_max: 100,
        };
        let store = Store::default();
        Self {
            database: model::database(),
            shared: Arc::new(Shared::new(limits, Arc::new(Telemetry::default()))),
            knowledge: Arc::new(knowledge(&snapshot, &store, 1)),
            snapshot,
            store,
            chaos: chaos.map(Dice::new),
            events: Rc::default(),
        }
    }

    pub(crate) const fn knowledge(&self) -> &Arc<Knowledge> {
        &self.knowledge
    }

    pub(super) fn hits(&self) -> u64 {
        self.shared.telemetry.hits.value()
    }

    /// What was counted of each statement is what was counted of all.
    pub(super) fn assert_counts_add_up(&self) {
        let (all, tallies) = (&self.shared.telemetry, self.shared.statistics.tallies());
        let sum = |of: &dyn Fn(&Tally) -> u64| tallies.iter().map(|it| of(it)).sum::<u64>();
        assert_eq!(all.hits.value(), sum(&Tally::hits), "hits");
        assert_eq!(all.misses.value(), sum(&Tally::misses), "misses");
        for reason in Reason::ALL {
            let expected = all.bypass(reason).value();
            assert_eq!(expected, sum(&|it| it.bypasses(reason)), "{reason:?}");
        }
        for why in RefusedFill::ALL {
            assert_eq!(
                all.refused(why).value(),
                sum(&|it| it.refused(why)),
                "{why:?}"
            );
        }
    }

    /// The catalog may be another one.
    fn refresh(&mut self) {
        let generation = self.knowledge.generation + 1;
        self.knowledge = Arc::new(knowledge(&self.snapshot, &self.store, generation));
    }

    fn note(&self, event: impl FnOnce() -> String) {
        self.events.borrow_mut().push(event());
    }

    fn name(&self, scope: Scope) -> String {
        match scope {
            Scope::Epoch(_) | Scope::Drops(_) => "everything".to_owned(),
            Scope::Relation(_, id) => self.relation_name(id),
            Scope::Bulk(_, id) => format!("bulk of {}", self.relation_name(id)),
            Scope::Row(_, id, class) => {
                format!("row {:05x} of {}", class.number(), self.relation_name(id))
            }
            Scope::Insert(_, id) => format!("inserts into {}", self.relation_name(id)),
        }
    }

    fn relation_name(&self, id: RelationId) -> String {
        let relation = self.snapshot.relation(id).expect("a known relation");
        let schema = self.snapshot.schema(relation.schema).expect("its schema");
        match &*schema.name {
            "public" => relation.name.to_string(),
            schema => format!("{schema}.{}", relation.name),
        }
    }

    fn names(&self, scopes: &[Scope]) -> String {
        let names: Vec<_> = scopes.iter().map(|&scope| self.name(scope)).collect();
        names.join(", ")
    }

    fn look_up(&mut self, session: &Session) -> Answer {
        let question = session.question().expect("a question");
        let answer = self.find(question, &question.scopes);
        self.note(|| {
            let names = self.names(&question.scopes);
            match &answer {
                Answer::Hit(_) => format!("look up {names}: hit"),
                Answer::Miss(_) => format!("look up {names}: miss"),
                Answer::Nothing(reason) => format!("look up {names}: {}", reason.code()),
                Answer::Done => unreachable!("no answer to a question"),
            }
        });
        answer
    }

    fn find(&mut self, question: &crate::Question, scopes: &[Scope]) -> Answer {
        let epoch = Scope::Epoch(DATABASE);
        let all = [epoch].into_iter().chain(scopes.iter().copied());
        let current: Vec<Version> = all.map_while(|scope| self.store.current(scope)).collect();
        if current.is_empty() || !cache::suffices(current.len() - 1, scopes) {
            return Answer::Nothing(Reason::BeingWritten);
        }
        if question.knowledge.epoch != current[0] {
            self.refresh();
            return Answer::Nothing(Reason::NoCatalog);
        }
        let stamp = Stamp::new(current.iter().copied());
        let mut roll = || self.chaos.as_mut().map_or(1, |dice| dice.roll(4));
        match self.store.entries.get(&question.key) {
            Some((known, entry)) if stamp.admits(known, scopes) && roll() > 0 => {
                Answer::Hit(entry.clone())
            }
            _ if roll() > 0 => Answer::Miss(stamp),
            _ => Answer::Nothing(Reason::StoreUnavailable),
        }
    }

    fn mark(&mut self, writes: &Writes) -> Vec<Scope> {
        let scopes = crate::written(writes, DATABASE);
        for &scope in &scopes {
            *self.store.marks.entry(scope).or_default() += 1;
        }
        self.note(|| format!("mark {}", self.names(&scopes)));
        scopes
    }

    fn end(&mut self, scopes: &[Scope], committed: bool) {
        for &scope in scopes {
            self.store.end(scope, committed);
        }
        if committed && scopes.contains(&Scope::Epoch(DATABASE)) {
            self.refresh();
        }
    }

    fn keep(&mut self, record: crate::Record) {
        self.note(|| format!("record {}", self.names(&record.question.scopes)));
        let kept = (record.stamp, record.entry);
        self.store.entries.insert(record.question.key, kept);
    }
}

thread_local! {
    static SNAPSHOT: Arc<Snapshot> = Arc::new(describe());
}

/// What the catalog of the model says.
fn snapshot() -> Arc<Snapshot> {
    SNAPSHOT.with(Arc::clone)
}

fn describe() -> Snapshot {
    let mut db = Fixture::new();
    let columns = ["id", "v"];
    let [t, u, _log, noisy, _copied] =
        ["t", "u", "log", "noisy", "copied"].map(|name| db.table("public", name, &columns));
    let other = db.table("other", "t", &columns);
    for table in [t, u, noisy, other] {
        db.key(table, &["id"]);
    }
    let count = db.plpgsql(
        "keep_count",
        "begin update log set v = v + 1 where id = 1; return new; end",
    );
    db.trigger(t, count, &[Event::Update]);
    db.finish()
}

fn knowledge(snapshot: &Arc<Snapshot>, store: &Store, generation: u64) -> Knowledge {
    Knowledge {
        database: DATABASE,
        epoch: store.version(Scope::Epoch(DATABASE)),
        drops: Version::from_bytes([0; 16]),
        generation,
        code: generation,
        schema: sql::Schema::new(Arc::clone(snapshot), &[]).into(),
        policy: Arc::new(Policy::new(Some(Duration::from_secs(60)), Vec::new())),
        asked: Arc::default(),
        served: 0,
    }
}

/// A client, its session, and its server.
pub(super) struct Client {
    session: Session,
    server: Server,
    marks: Vec<(u64, Vec<Scope>)>,
    /// Shared with every recording that others may wait for.
    lead: Arc<()>,
    /// Sent by the client, not arrived.
    sent: BytesMut,
    from_client: BytesMut,
    from_server: BytesMut,
    /// What the client has read.
    pub(super) received: BytesMut,
    /// What the server was sent that is not a whole message yet.
    told: BytesMut,
    name: String,
}

impl Client {
    pub(super) fn new(world: &World, name: &str) -> Self {
        let login = Login {
            digest: DigestBuilder::default().finish(),
            texts: crate::Texts::default(),
            primary: false,
            generation: Some(world.knowledge.generation),
            secret: None,
        };
        Self {
            session: Session::new(Arc::clone(&world.shared), &login),
            server: Server::new(&world.database),
            marks: Vec::new(),
            lead: Arc::default(),
            sent: BytesMut::new(),
            from_client: BytesMut::new(),
            from_server: BytesMut::new(),
            received: BytesMut::new(),
            told: BytesMut::new(),
            name: name.to_owned(),
        }
    }

    /// The client writes to its socket.
    pub(super) fn send(&mut self, message: &Message) {
        message.put(&mut self.sent);
    }

    /// One of the things that can happen next happens, and the session does what follows. False
    /// if there was nothing to happen.
    pub(super) fn step(&mut self, world: &mut World, dice: Option<&mut Dice>) -> bool {
        let (choice, size) = match dice {
            Some(dice) => (dice.roll(3), 1 + dice.roll(64)),
            None => (0, usize::MAX),
        };
        let moved = (0..3).any(|turn| match (choice + turn) % 3 {
            0 => {
                let count = self.sent.len().min(size);
                self.from_client.extend_from_slice(&self.sent[..count]);
                self.sent.advance(count);
                count > 0
            }
            1 => {
                let bytes = take(&mut self.session.to_server, size);
                if !bytes.is_empty() {
                    self.tell(world, &bytes);
                    self.server.receive(&bytes);
                }
                !bytes.is_empty()
            }
            _ => {
                let bytes = self.server.take(size);
                self.from_server.extend_from_slice(&bytes);
                !bytes.is_empty()
            }
        });
        if moved {
            self.pump(world);
            let bytes = take(&mut self.session.to_client, usize::MAX);
            self.received.extend_from_slice(&bytes);
        }
        moved
    }

    fn tell(&mut self, world: &World, bytes: &[u8]) {
        self.told.extend_from_slice(bytes);
        let mut whole = 0;
        while let Ok(Some(header)) = wire::header(&self.told[whole..])
            && whole + header.total <= self.told.len()
        {
            whole += header.total;
        }
        let bytes = self.told.split_to(whole);
        if bytes.is_empty() {
            return;
        }
        let mut shown = show_client(&bytes);
        let ours = |shown: &String| shown.contains("_pgmemo_state");
        if let Some(first) = shown.iter().position(ours) {
            shown.retain(|shown| !ours(shown));
            shown.insert(first, "(state of the session)".to_owned());
        }
        world.note(|| format!("{} to server: {}", self.name, shown.join(", ")));
    }

    /// Everything happens, until nothing is left to happen.
    pub(super) fn settle(&mut self, world: &mut World, mut dice: Option<&mut Dice>) {
        while self.step(world, dice.as_deref_mut()) {}
        if !self.session.is_owed() {
            let leads = Arc::strong_count(&self.lead) - 1;
            assert_eq!(
                leads, 0,
                "others wait for replies that nobody has asked for"
            );
        }
    }

    /// As `proxy` does it.
    fn pump(&mut self, world: &mut World) {
        if let Err(error) = self.try_pump(world) {
            panic!("{}: {error}", self.name);
        }
    }

    fn try_pump(&mut self, world: &mut World) -> Result<(), crate::SessionError> {
        self.session.know(Some(Arc::clone(&world.knowledge)));
        loop {
            match self.session.server(&mut self.from_server)? {
                Need::Input => break,
                need => self.perform(world, need),
            }
        }
        for record in self.session.records.drain(..) {
            world.keep(record);
        }
        loop {
            match self.session.client(&mut self.from_client)? {
                Need::Input => return Ok(()),
                need => self.perform(world, need),
            }
        }
    }

    fn perform(&mut self, world: &mut World, need: Need) {
        let answer = match need {
            Need::Input => return,
            Need::LookUp => {
                let answer = world.look_up(&self.session);
                if matches!(answer, Answer::Miss(_)) && self.session.may_lead() {
                    self.session.lead(Box::new(Arc::clone(&self.lead)));
                }
                answer
            }
            Need::Mark(ticket, writes) => {
                assert!(self.marks.last().is_none_or(|(last, _)| *last < ticket));
                self.marks.push((ticket, world.mark(&writes)));
                Answer::Done
            }
            Need::Dropped => Answer::Done,
            Need::End(ticket, outcome) => {
                self.end_marks(world, ticket, outcome == Outcome::Committed);
                Answer::Done
            }
        };
        self.session.answer(answer);
    }

    fn end_marks(&mut self, world: &mut World, ticket: u64, committed: bool) {
        let kept = self.marks.partition_point(|(held, _)| *held <= ticket);
        for (_, scopes) in self.marks.drain(..kept) {
            let how = if committed { "written" } else { "unchanged" };
            world.note(|| format!("end {}: {how}", world.names(&scopes)));
            world.end(&scopes, committed);
        }
    }

    /// Whether no mark is held, so that what was written can be read.
    pub(super) fn is_unmarked(&self) -> bool {
        self.marks.is_empty()
    }

    /// The client leaves, and its server ends.
    pub(super) fn leave(&mut self, world: &mut World) {
        self.session.client_left();
        self.settle(world, None);
        self.server.close();
        self.end_marks(world, u64::MAX, true);
    }

    /// The server says that it is no standby any more.
    pub(super) fn promote(&mut self) {
        let mut report = BytesMut::new();
        put(&mut report, b'S', |out| {
            out.extend_from_slice(b"in_hot_standby\0off\0");
        });
        self.interject(&report);
    }

    /// The server refuses to begin a block from now on.
    pub(super) fn refuse_blocks(&mut self) {
        self.server.refuses_blocks = true;
    }

    /// The server says something that nobody has asked for.
    pub(super) fn interject(&mut self, frame: &[u8]) {
        self.from_server.extend_from_slice(frame);
    }

    /// Feeds bytes that need not be messages to the session from both sides.
    pub(super) fn endure(&mut self, world: &mut World, client: &[u8], server: &[u8]) -> bool {
        self.from_client.extend_from_slice(client);
        self.from_server.extend_from_slice(server);
        let ended = self.try_pump(world).is_err();
        take(&mut self.session.to_client, usize::MAX);
        take(&mut self.session.to_server, usize::MAX);
        !ended
    }
}

fn take(output: &mut crate::Output, limit: usize) -> BytesMut {
    let mut taken = BytesMut::new();
    while !output.is_empty() && taken.len() < limit {
        let mut slices = [std::io::IoSlice::new(&[])];
        output.slices(&mut slices);
        let count = slices[0].len().min(limit - taken.len());
        taken.extend_from_slice(&slices[0][..count]);
        output.advance(count);
    }
    taken
}
