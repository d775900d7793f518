//! Where dialogues are played: at PostgreSQL, through pgmemo, and through one that forgets.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{Burst, Dialogue, Say, oracle::Oracle, pool};
use crate::{
    Pgmemo, Postgres, Store, Version,
    net::{SOON, eventually},
    postgres::Database,
    wire::{Conn, Login, Message},
};

/// How long a missing reply is waited for.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Stands for the end of the connection where messages are compared.
const CLOSED: u8 = 0;

/// How a dialogue goes through pgmemo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// As it comes; what was read before may be remembered.
    Plain,
    /// Each burst in small pieces.
    InPieces,
    /// Half of the hits are refused.
    Forgetful,
}

/// What dialogues go through pgmemo in turn; the second time it is warm.
pub const WAYS: [Way; 4] = [Way::Plain, Way::Plain, Way::InPieces, Way::Forgetful];

/// Where PostgreSQL and pgmemo part.
#[derive(Debug)]
pub struct Difference {
    /// How it went.
    pub way: Way,
    /// What differs.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.way, self.what)
    }
}

/// A server with a database for itself and for either pgmemo.
///
/// Nobody else works with it: a server that is told of more changed definitions than it can remember,
/// in whichever database, plans all that is prepared anew, with the settings of that moment
/// (`sinvaladt.c`), and names of prepared transactions are the cluster's.
#[derive(Debug)]
pub struct Stage {
    oracle: Oracle,
    /// The server loses its way where protocols are mixed: PostgreSQL 18 believes that a transaction
    /// is still to be begun behind the Sync that has ended one, and refuses what comes (XX000).
    keeps_apart: bool,
    direct: Scene,
    plain: (Scene, Pgmemo),
    forgetful: (Scene, Pgmemo),
    _postgres: Postgres,
}

/// What was said to each burst, in order, and what sessions were told by others meanwhile: that
/// comes when it comes.
#[derive(Debug, Default)]
struct Heard {
    bursts: Vec<Vec<Message>>,
    notes: BTreeMap<char, Vec<Message>>,
}

impl Stage {
    /// Starts PostgreSQL, and pgmemo twice. The seed says which hits are refused.
    pub fn new(version: Version, seed: u64) -> Result<Self> {
        let postgres = Postgres::start(version)?;
        let direct = Scene::new(&postgres)?;
        let plain = Pgmemo::start(&postgres, Store::Memory, &[])?;
        let forgetful = Pgmemo::start_forgetful(&postgres, Store::Memory, seed)?;
        let version = direct
            .database
            .connect()?
            .value("SHOW server_version_num")?;
        Ok(Self {
            oracle: Oracle::new(&direct.database)?,
            keeps_apart: version.parse::<u32>()? >= 180_000,
            direct,
            plain: (Scene::new(&postgres)?, plain),
            forgetful: (Scene::new(&postgres)?, forgetful),
            _postgres: postgres,
        })
    }

    /// Why reads were not looked up.
    pub fn bypasses(&self) -> Result<String> {
        let since = crate::Metrics::default();
        let reasons = self.plain.1.metrics()?.bypass_reasons_since(&since);
        Ok(format!("{reasons:?}"))
    }

    /// Hits so far, plain and forgetful.
    pub fn hits(&self) -> Result<(f64, f64)> {
        Ok((self.plain.1.hits()?, self.forgetful.1.hits()?))
    }

    /// Plays it at PostgreSQL, then in these ways through pgmemo, up to the first difference.
    pub fn compare(&mut self, dialogue: &Dialogue, ways: &[Way]) -> Result<Option<Difference>> {
        let dialogue = with_end(dialogue);
        if self.keeps_apart && dialogue.mixes_protocols() {
            return Ok(None);
        }
        let (expected, left) = self.direct(&dialogue)?;
        for &way in ways {
            let (scene, pgmemo) = match way {
                Way::Plain | Way::InPieces => &mut self.plain,
                Way::Forgetful => &mut self.forgetful,
            };
            scene.restore(Some(pgmemo))?;
            let (name, address) = (scene.database.name(), pgmemo.address());
            let mut what = through(name, address, way, &dialogue, &expected)?;
            scene.forget_prepared()?;
            if what.is_none() {
                let found = scene.signature()?;
                what = (found != left)
                    .then(|| format!("it left\n  {left:?}\n  through pgmemo {found:?}"));
            }
            if let Some(what) = what {
                return Ok(Some(Difference { way, what }));
            }
        }
        Ok(None)
    }

    fn direct(&mut self, dialogue: &Dialogue) -> Result<(Heard, Signature)> {
        self.direct.restore(None)?;
        let (name, address) = (self.direct.database.name(), self.direct.database.address());
        let mut cast = Cast::new(name, address, dialogue)?;
        let mut heard = Heard::default();
        for burst in &dialogue.0 {
            let conn = cast.conn(burst.who)?;
            let asked = self.oracle.ask(conn, &burst.bytes());
            let (mut messages, closed) = asked.with_context(|| dialogue.to_string())?;
            if closed && cast.close(burst.who) {
                messages.push(Message {
                    tag: CLOSED,
                    body: Vec::new(),
                });
            }
            let (told, messages) = cast.split(burst.who, messages);
            heard.notes.entry(burst.who).or_default().extend(told);
            heard.bursts.push(cast.normal(burst.who, messages));
        }
        cast.leave();
        self.direct.forget_prepared()?;
        Ok((heard, self.direct.signature()?))
    }
}

/// Brings everybody's last words in: no transaction, no lock, no portal outlives a dialogue. And who
/// is followed by somebody else asks for an answer, or it would be open who is heard first.
fn with_end(dialogue: &Dialogue) -> Dialogue {
    let mut whole = dialogue.clone();
    if dialogue.sessions().len() > 1 {
        for burst in &mut whole.0 {
            if !matches!(
                burst.says.last(),
                Some(Say::Sync | Say::Flush | Say::Query(_))
            ) {
                burst.says.push(Say::Flush);
            }
        }
    }
    for who in dialogue.sessions() {
        let query = |text: &str| Say::Query(text.to_owned());
        let says = vec![
            Say::CopyFail(String::new()),
            Say::Sync,
            query("ROLLBACK"),
            query("SELECT 'over'"),
        ];
        whole.0.push(Burst { who, says });
    }
    whole
}

/// Plays it through pgmemo; what differs, if anything.
fn through(
    database: &str,
    address: SocketAddr,
    way: Way,
    dialogue: &Dialogue,
    expected: &Heard,
) -> Result<Option<String>> {
    let mut cast = Cast::new(database, address, dialogue)?;
    let mut notes: BTreeMap<char, Vec<Message>> = BTreeMap::new();
    let bursts = dialogue.0.iter().zip(&expected.bursts);
    for (number, (burst, expected)) in bursts.enumerate() {
        let conn = cast.conn(burst.who)?;
        match way {
            Way::InPieces => conn.send_in_pieces(&burst.bytes(), 7)?,
            Way::Plain | Way::Forgetful => conn.send(&burst.bytes())?,
        }
        let mut heard = Vec::new();
        let mut broken = None;
        while heard.len() < expected.len() && broken.is_none() {
            match cast.conn(burst.who)?.try_read() {
                Ok(Some(message)) => {
                    let (told, answer) = cast.split(burst.who, vec![message]);
                    notes.entry(burst.who).or_default().extend(told);
                    heard.extend(answer);
                }
                Ok(None) => {
                    heard.push(Message {
                        tag: CLOSED,
                        body: Vec::new(),
                    });
                    break;
                }
                Err(error) => broken = Some(error),
            }
        }
        let heard = cast.normal(burst.who, heard);
        let differs = expected.iter().zip(&heard).position(|(a, b)| a != b);
        let differs = differs.or((heard.len() < expected.len()).then_some(heard.len()));
        // What was on its way to a client that goes on sending is lost when the connection ends.
        let lost = |index: usize| {
            heard
                .get(index)
                .is_some_and(|message| message.tag == CLOSED)
        };
        let closes = expected.last().is_some_and(|last| last.tag == CLOSED);
        if way == Way::InPieces && closes && differs.is_some_and(lost) {
            continue;
        }
        if let Some(index) = differs {
            let said = &burst.says;
            return Ok(Some(format!(
                "burst {number} of {}, message {index} of {}\n  PostgreSQL: {:?}\n  pgmemo:     {:?} {}\n  before: {:?}\n  said: {said:?}",
                burst.who,
                expected.len(),
                expected.get(index),
                heard.get(index),
                broken.map(|error| format!("{error:#}")).unwrap_or_default(),
                &expected[..index],
            )));
        }
    }
    cast.leave();
    // Who was cut off was not told everything.
    let whole = |who: &char| !ends(expected, dialogue, *who);
    let told = |notes: &BTreeMap<char, Vec<Message>>| -> Vec<_> {
        let all = notes.iter().filter(|(who, _)| whole(who));
        all.flat_map(|(who, notes)| notes.iter().map(|note| (*who, note.clone())))
            .collect()
    };
    let (expected, heard) = (told(&expected.notes), told(&notes));
    Ok((expected != heard)
        .then(|| format!("told by others\n  PostgreSQL: {expected:?}\n  pgmemo:     {heard:?}")))
}

/// Whether the server ends the connection of a session.
fn ends(heard: &Heard, dialogue: &Dialogue, who: char) -> bool {
    let mut bursts = dialogue.0.iter().zip(&heard.bursts);
    let closed = |message: &Message| message.tag == CLOSED;
    bursts.any(|(burst, heard)| burst.who == who && heard.iter().any(closed))
}

/// The connections of one performance.
struct Cast {
    conns: BTreeMap<char, Conn>,
    pids: Vec<u32>,
    /// Object ids of users by session, in order of appearance.
    ids: BTreeMap<char, Vec<u32>>,
    closed: Vec<char>,
}

impl Cast {
    fn new(database: &str, address: SocketAddr, dialogue: &Dialogue) -> Result<Self> {
        let login = Login::to(database).with("lock_timeout", "250ms");
        let mut cast = Self {
            conns: BTreeMap::new(),
            pids: Vec::new(),
            ids: BTreeMap::new(),
            closed: Vec::new(),
        };
        for who in dialogue.sessions() {
            let conn = Conn::connect(address, &login)?;
            conn.set_deadline(SILENCE_MAX)?;
            cast.pids.push(conn.cancel_key()?.0);
            cast.conns.insert(who, conn);
        }
        Ok(cast)
    }

    fn conn(&mut self, who: char) -> Result<&mut Conn> {
        self.conns.get_mut(&who).context("no such session")
    }

    /// Notes that a connection has ended; whether that is news.
    fn close(&mut self, who: char) -> bool {
        let news = !self.closed.contains(&who);
        self.closed.push(who);
        news
    }

    /// Parts what another session has told this one from the answers.
    fn split(&mut self, who: char, messages: Vec<Message>) -> (Vec<Message>, Vec<Message>) {
        let own = self.conns.get(&who).and_then(|conn| conn.cancel_key().ok());
        let own = own.map(|(pid, _)| pid.to_be_bytes());
        let foreign = |message: &Message| {
            message.tag == b'A' && message.body.get(..4) != own.as_ref().map(|pid| &pid[..])
        };
        let (notes, answers) = messages.into_iter().partition(foreign);
        (self.normal(who, notes), answers)
    }

    fn leave(self) {
        for mut conn in self.conns.into_values() {
            let _ = conn.send(crate::wire::Frontend::new().terminate().bytes());
        }
    }

    fn normal(&mut self, who: char, mut messages: Vec<Message>) -> Vec<Message> {
        let ids = self.ids.entry(who).or_default();
        for message in &mut messages {
            match message.tag {
                b'A' => number_pid(&mut message.body, &self.pids),
                b'T' => number_ids(&mut message.body, ids),
                b'E' => {
                    match &*message.sqlstate() {
                        "25P02" | "0A000" => hide(&mut message.body, b"LR"),
                        // It names the place of a row in its table.
                        "55P03" => hide(&mut message.body, b"W"),
                        _ => {}
                    }
                    if message.body.windows(9).any(|part| part == b"\0spg_temp") {
                        // Which temporary schema it is differs from session to session.
                        hide(&mut message.body, b"s");
                    }
                }
                _ => {}
            }
        }
        messages
    }
}

fn number_pid(body: &mut [u8], pids: &[u32]) {
    let Some(place) = body.get_mut(..4) else {
        return;
    };
    let pid = u32::from_be_bytes([place[0], place[1], place[2], place[3]]);
    if let Some(index) = pids.iter().position(|&known| known == pid) {
        place.copy_from_slice(&(index as u32).to_be_bytes());
    }
}

/// In a failed block the server refuses to parse a statement that it has not seen, where it would
/// have refused to bind it: with the same words, from another line of its source. And of the
/// refusal to run a stale plan, pgmemo does not know the line.
fn hide(body: &mut Vec<u8>, hidden: &[u8]) {
    let fields = body.split(|&byte| byte == 0);
    let kept = fields.filter(|field| field.first().is_none_or(|kind| !hidden.contains(kind)));
    *body = kept.collect::<Vec<_>>().join(&0);
}

/// Tables that are made anew have another id each time: what counts is which are the same.
fn number_ids(body: &mut [u8], ids: &mut Vec<u32>) {
    let columns = u16::from_be_bytes([body[0], body[1]]);
    let mut at = 2;
    for _ in 0..columns {
        at += body[at..].iter().position(|&byte| byte == 0).unwrap_or(0) + 1;
        let id = u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        if id >= 16384 {
            let index = ids
                .iter()
                .position(|&known| known == id)
                .unwrap_or_else(|| {
                    ids.push(id);
                    ids.len() - 1
                });
            body[at..at + 4].copy_from_slice(&(index as u32).to_be_bytes());
        }
        at += 18;
    }
}

/// A database with what dialogues are about.
#[derive(Debug)]
struct Scene {
    database: Database,
    control: Conn,
    pristine: Signature,
}

/// What dialogues change: definitions, and rows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Signature {
    definitions: Vec<String>,
    content: Vec<String>,
}

impl Scene {
    fn new(postgres: &Postgres) -> Result<Self> {
        let database = postgres.database()?;
        let mut control = database.connect()?;
        control.run("SET lock_timeout = '10s'")?;
        control.run(pool::CONSTANT)?;
        control.run(pool::CHANGING)?;
        let mut scene = Self {
            database,
            control,
            pristine: Signature::default(),
        };
        scene.pristine = scene.signature()?;
        Ok(scene)
    }

    fn signature(&mut self) -> Result<Signature> {
        let definitions = self.control.query(pool::DEFINITIONS)?.shown();
        let content = self.control.query(pool::CONTENT)?.shown();
        Ok(Signature {
            definitions,
            content,
        })
    }

    /// What was prepared and not committed is rolled back, around pgmemo.
    fn forget_prepared(&mut self) -> Result<()> {
        let sql = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
        for row in self.control.run(sql)?.rows() {
            let gid = row.into_iter().flatten().next().unwrap_or_default();
            self.control.run(&format!("ROLLBACK PREPARED '{gid}'"))?;
        }
        Ok(())
    }

    /// Brings back what the last dialogue has changed, the same way as it was changed.
    fn restore(&mut self, pgmemo: Option<&Pgmemo>) -> Result<()> {
        let now = self.signature()?;
        let name = self.database.name();
        let mut conn = match pgmemo {
            Some(pgmemo) => pgmemo.connect(name)?,
            None => self.database.connect()?,
        };
        conn.run("SET lock_timeout = '10s'")?;
        if now.definitions != self.pristine.definitions {
            let statements = pool::CHANGING
                .split_inclusive(';')
                .filter(|text| text.contains(';'));
            statements
                .map(|statement| conn.run(statement))
                .collect::<Result<Vec<_>>>()?;
        } else if now.content != self.pristine.content {
            conn.run(pool::ROWS)?;
        }
        if let Some(pgmemo) = pgmemo.filter(|pgmemo| pgmemo.is_real()) {
            await_catalog(&mut conn, pgmemo)?;
        }
        let restored = self.signature()?;
        ensure!(
            restored == self.pristine,
            "the data did not come back: {restored:?}"
        );
        Ok(())
    }
}

/// Waits until pgmemo has read the definitions that it saw change, so that it answers again.
fn await_catalog(conn: &mut Conn, pgmemo: &Pgmemo) -> Result<()> {
    let before = pgmemo.hits()?;
    eventually("the catalog is known", SOON, || {
        conn.run("SELECT count(*) FROM s").ok()?;
        conn.run("SELECT count(*) FROM s").ok()?;
        pgmemo.hits().is_ok_and(|hits| hits > before).then_some(())
    })
}
