//! What stands around a session: store, marks, knowledge, and the way to the server.

use std::{
    collections::{HashMap, VecDeque},
    io::IoSlice,
    sync::Arc,
};

use bytes::BytesMut;
use cache::{CacheKey, DigestBuilder, Entry, Scope, Stamp, Version};
use session::{Answer, Knowledge, Limits, Login, Need, Outcome, Output, Session, Shared, Texts};
use sql::{Reason, Writes};

use crate::{
    WORLD,
    messages::{self, DATABASE},
    server::Server,
};

pub(crate) struct Shell {
    session: Session,
    pub(crate) server: Server,
    from_client: BytesMut,
    /// Read from the server, not handled yet.
    from_server: BytesMut,
    /// On their way.
    to_server: BytesMut,
    to_session: BytesMut,
    /// What has reached the server of a message.
    at_server: BytesMut,
    pub(crate) heard: Vec<u8>,
    entries: HashMap<CacheKey, (Stamp, Entry)>,
    versions: HashMap<Scope, u64>,
    next_version: u64,
    marks: VecDeque<Mark>,
    generation: u64,
}

struct Mark {
    ticket: u64,
    writes: Writes,
    planned: Option<Version>,
}

impl Shell {
    pub(crate) fn new() -> Self {
        let limits = Limits {
            analysis_bytes_max: 1024 * 1024,
            entry_bytes_max: 4096,
            statements_max: 4,
        };
        let login = Login {
            digest: DigestBuilder::default().finish(),
            texts: Texts::default(),
            primary: false,
            generation: Some(1),
            secret: None,
        };
        let mut shell = Self {
            session: Session::new(Arc::new(Shared::new(limits, Arc::default())), &login),
            server: Server::new(),
            from_client: BytesMut::new(),
            from_server: BytesMut::new(),
            to_server: BytesMut::new(),
            to_session: BytesMut::new(),
            at_server: BytesMut::new(),
            heard: Vec::new(),
            entries: HashMap::new(),
            versions: HashMap::new(),
            next_version: 1,
            marks: VecDeque::new(),
            generation: 1,
        };
        shell.learn();
        shell
    }

    /// The client sends.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.from_client.extend_from_slice(bytes);
        self.pump();
    }

    /// The catalog has been read.
    pub(crate) fn learn(&mut self) {
        let knowledge = Knowledge {
            database: DATABASE,
            epoch: self.version(EPOCH),
            drops: Version::from_bytes([0; 16]),
            generation: self.generation,
            code: self.generation,
            schema: Arc::clone(&WORLD.schema),
            policy: messages::policy(),
            asked: Arc::default(),
            served: 0,
        };
        self.session.know(Some(Arc::new(knowledge)));
        self.pump();
    }

    /// Another client has written, and its mark has come and gone.
    pub(crate) fn others_write(&mut self, city: bool) {
        let name = if city { "city" } else { "log" };
        let relation = WORLD
            .schema
            .snapshot()
            .resolve_relation(&WORLD.path, None, name)
            .expect("it is there")
            .id;
        self.server.write(|content| {
            if city {
                content.city += 1;
            } else {
                content.log += 1;
            }
        });
        self.bump(Scope::Relation(DATABASE, relation));
    }

    /// Whether nothing is on its way and no mark is left.
    pub(crate) fn is_done(&self) -> bool {
        self.from_client.is_empty()
            && self.at_server.is_empty()
            && self.from_server.is_empty()
            && !self.session.is_owed()
            && self.marks.is_empty()
    }

    /// Carries at most so many bytes each way; with no limit, until nothing moves.
    pub(crate) fn carry(&mut self, bytes: usize) {
        loop {
            let up = bytes.min(self.to_server.len());
            let arrived = self.to_server.split_to(up);
            self.at_server.extend_from_slice(&arrived);
            crate::tell(&mut self.server, &mut self.at_server);
            self.to_session.extend_from_slice(&self.server.out.split());
            let down = bytes.min(self.to_session.len());
            let arrived = self.to_session.split_to(down);
            self.from_server.extend_from_slice(&arrived);
            self.pump();
            if bytes != usize::MAX || up + down == 0 {
                return;
            }
        }
    }

    /// What the task of a client does each time something has arrived.
    fn pump(&mut self) {
        let mut needs = 0;
        loop {
            let need = self.session.server(&mut self.from_server);
            match need.expect("this server answers what was asked") {
                Need::Input => break,
                need => self.perform(need),
            }
            needs += 1;
            assert!(needs < NEEDS_MAX, "it asks for ever");
        }
        for record in self.session.records.drain(..) {
            self.entries
                .insert(record.question.key, (record.stamp, record.entry));
        }
        loop {
            let need = self.session.client(&mut self.from_client);
            match need.expect("this client sends messages") {
                Need::Input => break,
                need => self.perform(need),
            }
            needs += 1;
            assert!(needs < NEEDS_MAX, "it asks for ever");
        }
        take(&mut self.session.to_client, |part| {
            self.heard.extend_from_slice(part)
        });
        take(&mut self.session.to_server, |part| {
            self.to_server.extend_from_slice(part)
        });
    }

    fn perform(&mut self, need: Need) {
        let answer = match need {
            Need::Input => return,
            Need::LookUp => self.look_up(),
            Need::Mark(ticket, writes) => {
                let planned = self.session.knowledge().map(|known| known.epoch);
                self.marks.push_back(Mark {
                    ticket,
                    writes,
                    planned,
                });
                Answer::Done
            }
            Need::Dropped => Answer::Done,
            Need::End(ticket, outcome) => {
                self.end(ticket, outcome);
                Answer::Done
            }
        };
        self.session.answer(answer);
    }

    fn look_up(&mut self) -> Answer {
        let Some(question) = self.session.question() else {
            panic!("a look-up without a question");
        };
        let (key, epoch) = (question.key, question.knowledge.epoch);
        let scopes: Vec<Scope> = std::iter::once(EPOCH)
            .chain(question.scopes.iter().copied())
            .collect();
        if self.version(EPOCH) != epoch {
            self.session.know(None);
            return Answer::Nothing(Reason::NoCatalog);
        }
        if self.marks.iter().any(|mark| mark.covers(&scopes)) {
            return Answer::Nothing(Reason::BeingWritten);
        }
        let current = || scopes.iter().map(|&scope| self.version(scope));
        match self.entries.get(&key) {
            Some((stamp, entry))
                if cache::suffices(stamp.versions().len() - 1, &scopes[1..])
                    && stamp.holds(current().map(Some).take(stamp.versions().len())) =>
            {
                Answer::Hit(entry.clone())
            }
            _ => Answer::Miss(Stamp::new(current())),
        }
    }

    fn end(&mut self, ticket: u64, outcome: Outcome) {
        let epoch = self.version(EPOCH);
        while let Some(mark) = self.marks.pop_front_if(|mark| mark.ticket <= ticket) {
            if outcome != Outcome::Committed {
                continue;
            }
            match mark.writes {
                // It was told from definitions that are not those of now.
                Writes::Code | Writes::Relations(_) | Writes::Rows(_)
                    if mark.planned != Some(epoch) =>
                {
                    self.redefine();
                }
                Writes::Relations(_) | Writes::Rows(_) => {
                    for scope in session::written(&mark.writes, DATABASE) {
                        self.bump(scope);
                    }
                }
                Writes::Everything | Writes::Cluster => self.redefine(),
                Writes::Nothing | Writes::Code => {}
            }
        }
    }

    fn redefine(&mut self) {
        self.bump(EPOCH);
        self.generation += 1;
        self.session.know(None);
    }

    fn bump(&mut self, scope: Scope) {
        self.versions.insert(scope, self.next_version);
        self.next_version += 1;
    }

    fn version(&self, scope: Scope) -> Version {
        let number = self.versions.get(&scope).copied().unwrap_or(0);
        Version::from_bytes(u128::from(number).to_be_bytes())
    }
}

impl Mark {
    fn covers(&self, scopes: &[Scope]) -> bool {
        match &self.writes {
            Writes::Nothing | Writes::Code => false,
            Writes::Relations(_) | Writes::Rows(_) => session::written(&self.writes, DATABASE)
                .iter()
                .any(|scope| scopes.contains(scope)),
            Writes::Everything | Writes::Cluster => true,
        }
    }
}

/// Everything that is to be written.
fn take(output: &mut Output, mut write: impl FnMut(&[u8])) {
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let filled = output.slices(&mut slices);
        let mut written = 0;
        for slice in &slices[..filled] {
            write(slice);
            written += slice.len();
        }
        output.advance(written);
    }
}

const EPOCH: Scope = Scope::Epoch(DATABASE);

/// Nothing that fits into an input needs this much of the shell at once.
const NEEDS_MAX: usize = 16 * 1024;
