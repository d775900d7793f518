//! Dialogues chosen by a seed: mostly what drivers say, often bent, sometimes nonsense.

use super::{
    Burst, Dialogue, Say,
    pool::{self, Kind, Text},
};
use crate::{random::Random, wire::Format};

/// Bursts of one dialogue, at most.
const BURSTS_MAX: u64 = 14;

/// Names of statements and portals: few, so that they meet; SQL knows some of them too.
const NAMES: [&str; 5] = ["", "", "s", "t", "p"];

/// Types declared for parameters: unknown, `int4`, `int8`, `text`.
const INT_TYPES: [u32; 4] = [0, 23, 23, 20];
const TEXT_TYPES: [u32; 2] = [0, 25];

/// A dialogue.
pub fn dialogue(random: &mut Random) -> Dialogue {
    let speakers = [1, 1, 2, 3][random.index(4)];
    // What is prepared holds its locks, for which a hit does not wait.
    let prepares = random.chance(20);
    let mut writer = Writer {
        sessions: vec![Session::default(); speakers],
        lonely: speakers == 1 && !prepares,
        schema: !prepares && random.chance(35),
        prepares,
        temporary: random.chance(35),
        random,
    };
    let bursts = 2 + writer.random.below(BURSTS_MAX - 1);
    Dialogue((0..bursts).map(|_| writer.burst()).collect())
}

/// What a session has probably prepared and bound.
#[derive(Clone, Debug, Default)]
struct Session {
    statements: Vec<(&'static str, &'static [Kind])>,
    portals: Vec<&'static str>,
}

struct Writer<'a> {
    sessions: Vec<Session>,
    /// There is but one session, and nobody else holds locks.
    lonely: bool,
    /// Definitions change.
    schema: bool,
    /// Transactions are committed in two phases.
    prepares: bool,
    /// Temporary objects come and go.
    temporary: bool,
    random: &'a mut Random,
}

impl Writer<'_> {
    fn burst(&mut self) -> Burst {
        let session = self.random.index(self.sessions.len());
        let mut says = Vec::new();
        loop {
            self.round(session, &mut says);
            if !self.random.chance(25) {
                break;
            }
        }
        self.bend(session, &mut says);
        let who = char::from(b'a' + session as u8);
        Burst { who, says }
    }

    /// Something that makes sense by itself.
    fn round(&mut self, session: usize, says: &mut Vec<Say>) {
        match self.random.below(20) {
            0..=5 => {
                let (text, kinds) = self.text(session, true);
                if kinds.is_empty() || self.random.chance(5) {
                    says.push(Say::Query(text.to_owned()));
                    self.sessions[session]
                        .statements
                        .retain(|(name, _)| !name.is_empty());
                } else {
                    self.unnamed(session, (text, kinds), says);
                }
            }
            6..=9 => {
                let text = self.text(session, false);
                self.unnamed(session, text, says);
            }
            10..=12 => self.prepare(session, says),
            13..=16 => self.run(session, says),
            17 => self.copy(says),
            18 => {
                let message = self.any(session);
                says.push(message);
            }
            _ => {
                // Functions that are called by their number: lower(text), nextval(regclass), which
                // writes, and none.
                let (function, arguments) =
                    [(870, "Fast"), (1574, "q"), (1574, "missing"), (1, "")][self.random.index(4)];
                says.push(Say::Call(function, vec![arguments.to_owned()]));
            }
        }
    }

    /// A statement; `alone` if it travels in a simple query.
    fn text(&mut self, session: usize, alone: bool) -> Text {
        let own = self.schema && session == 0;
        let pool = match self.random.below(100) {
            30..=37 if self.prepares => pool::TWO_PHASES,
            0..=37 => pool::READS,
            38..=52 => pool::WRITES,
            53..=60 if self.temporary => pool::TEMPORARY,
            53..=69 => pool::CONTROL,
            70..=75 => pool::SETTINGS,
            76..=81 => pool::NAMES,
            82..=87 => pool::ODD,
            88..=90 if alone => pool::STRINGS,
            91 | 92 => pool::NOTES,
            88..=94 if own => pool::OWN,
            95..=99 if own => pool::SCHEMA,
            _ => pool::READS,
        };
        let text = pool[self.random.index(pool.len())];
        // Others would wait for its lock, which a hit does not take.
        let exclusive = text.0 == "TRUNCATE w" && !self.lonely;
        // Portals that were bound here see what was there when the server hears of them.
        let late = !self.lonely && (text.0.contains("FROM p") || text.0.contains("pg_cursors"));
        if exclusive || late {
            pool::READS[0]
        } else {
            text
        }
    }

    fn unnamed(&mut self, session: usize, (text, kinds): Text, says: &mut Vec<Say>) {
        let parse = self.parse(session, "", (text, kinds));
        says.push(parse);
        if self.random.chance(20) {
            says.push(Say::DescribeStatement(String::new()));
        }
        let portal = self.name();
        self.bind_and_run(session, portal, "", kinds, says);
    }

    fn prepare(&mut self, session: usize, says: &mut Vec<Say>) {
        let (name, text) = (self.name(), self.text(session, false));
        if self.random.chance(40) {
            says.push(Say::CloseStatement(name.to_owned()));
        }
        let parse = self.parse(session, name, text);
        says.push(parse);
        if self.random.chance(70) {
            says.push(Say::DescribeStatement(name.to_owned()));
        }
        says.push(if self.random.chance(80) {
            Say::Sync
        } else {
            Say::Flush
        });
    }

    /// Runs what was prepared, or goes on with what was bound.
    fn run(&mut self, session: usize, says: &mut Vec<Say>) {
        let Session {
            statements,
            portals,
        } = &self.sessions[session];
        if !portals.is_empty() && self.random.chance(25) {
            let portal = portals[self.random.index(portals.len())];
            self.execute(portal, says);
            return self.end(says);
        }
        if statements.is_empty() {
            return self.prepare(session, says);
        }
        let (name, kinds) = statements[self.random.index(statements.len())];
        let portal = self.name();
        self.bind_and_run(session, portal, name, kinds, says);
    }

    fn bind_and_run(
        &mut self,
        session: usize,
        portal: &'static str,
        statement: &str,
        kinds: &[Kind],
        says: &mut Vec<Say>,
    ) {
        let bind = self.bind(portal, statement, kinds);
        says.push(bind);
        self.sessions[session]
            .portals
            .retain(|known| *known != portal);
        self.sessions[session].portals.push(portal);
        if self.random.chance(60) {
            says.push(Say::DescribePortal(portal.to_owned()));
        }
        self.execute(portal, says);
        if self.random.chance(10) {
            says.push(Say::ClosePortal(portal.to_owned()));
        }
        self.end(says);
    }

    fn execute(&mut self, portal: &str, says: &mut Vec<Say>) {
        loop {
            let rows = [0, 0, 0, 0, 1, 2, 3, 5, 100][self.random.index(9)];
            says.push(Say::Execute {
                portal: portal.to_owned(),
                rows,
            });
            if !self.random.chance(if rows == 0 { 5 } else { 45 }) {
                return;
            }
        }
    }

    fn end(&mut self, says: &mut Vec<Say>) {
        match self.random.below(20) {
            0 | 1 => {}
            2 | 3 => says.push(Say::Flush),
            _ => says.push(Say::Sync),
        }
    }

    fn copy(&mut self, says: &mut Vec<Say>) {
        let extended = self.random.chance(40);
        let texts = [
            "COPY w FROM STDIN",
            "COPY w FROM STDIN",
            "COPY w FROM STDIN",
            "COPY wv FROM STDIN",
            "COPY w FROM STDIN; COPY w FROM STDIN; SELECT count(*) FROM w",
            "COPY r (id, v) TO STDOUT",
        ];
        let text = texts[self.random.index(texts.len())];
        if extended {
            let parse = Say::Parse {
                name: String::new(),
                text: text.to_owned(),
                types: Vec::new(),
            };
            says.push(parse);
            says.push(self.bind("", "", &[]));
            says.push(Say::Execute {
                portal: String::new(),
                rows: 0,
            });
            if self.random.chance(50) {
                says.push(Say::Sync);
            }
        } else {
            says.push(Say::Query(text.to_owned()));
        }
        if text.contains("STDIN") {
            let copies = text.matches("STDIN").count();
            (0..copies).for_each(|_| self.copy_data(says));
        }
        if extended {
            says.push(Say::Sync);
        }
    }

    /// Copy data, some of which are refused: at once, or at their end.
    fn copy_data(&mut self, says: &mut Vec<Say>) {
        let lines = [
            "11\televen\n",
            "12\t\\N\n13\tx\n",
            "15\t\n",
            "1\ttwice\n",
            "x\tbad\n",
        ];
        for _ in 0..self.random.below(4) {
            says.push(Say::CopyData(
                lines[self.random.index(lines.len())].to_owned(),
            ));
            match self.random.below(10) {
                0 => says.push(Say::Sync),
                1 => says.push(Say::Flush),
                _ => {}
            }
        }
        match self.random.below(10) {
            0..=7 => says.push(Say::CopyDone),
            8 => says.push(Say::CopyFail("enough".to_owned())),
            _ => {}
        }
    }

    /// Drops, adds, doubles or swaps messages, now and then.
    fn bend(&mut self, session: usize, says: &mut Vec<Say>) {
        while self.random.chance(12) {
            let at = self.random.index(says.len() + 1);
            match self.random.below(4) {
                0 if says.len() > 1 && at < says.len() => drop(says.remove(at)),
                1 if at < says.len() => says.insert(at, says[at].clone()),
                2 if at > 1 && at < says.len() => says.swap(at - 1, at),
                _ => {
                    let message = self.any(session);
                    says.insert(at, message);
                }
            }
        }
    }

    fn any(&mut self, session: usize) -> Say {
        let name = self.name();
        match self.random.below(16) {
            0 => Say::DescribeStatement(name.to_owned()),
            1 => Say::DescribePortal(name.to_owned()),
            2 => Say::CloseStatement(name.to_owned()),
            3 => Say::ClosePortal(name.to_owned()),
            4 | 5 => Say::Sync,
            6 | 7 => Say::Flush,
            8 => Say::Execute {
                portal: name.to_owned(),
                rows: self.random.below(3) as u32,
            },
            9 => {
                let kinds = [&[][..], &[Kind::Int], &[Kind::Text]][self.random.index(3)];
                let statement = self.name();
                self.bind(name, statement, kinds)
            }
            10 | 11 => {
                let text = self.text(session, false);
                self.parse(session, name, text)
            }
            12 => Say::CopyDone,
            13 => Say::CopyData("14\tstray\n".to_owned()),
            _ => Say::Query(self.text(session, true).0.to_owned()),
        }
    }

    fn parse(&mut self, session: usize, name: &'static str, (text, kinds): Text) -> Say {
        let declared = self.random.chance(35);
        let types = kinds.iter().map(|kind| match kind {
            Kind::Int => INT_TYPES[self.random.index(4)],
            Kind::Text => TEXT_TYPES[self.random.index(2)],
        });
        let mut types: Vec<_> = if declared {
            types.collect()
        } else {
            Vec::new()
        };
        if self.random.chance(3) {
            types.push(23);
        }
        let statements = &mut self.sessions[session].statements;
        statements.retain(|(known, _)| *known != name);
        statements.push((name, kinds));
        Say::Parse {
            name: name.to_owned(),
            text: text.to_owned(),
            types,
        }
    }

    fn bind(&mut self, portal: &str, statement: &str, kinds: &[Kind]) -> Say {
        let mut values = Vec::new();
        let mut formats = Vec::new();
        for kind in kinds {
            let binary = *kind == Kind::Int && self.random.chance(20);
            formats.push(if binary { Format::Binary } else { Format::Text });
            let text = match kind {
                Kind::Int => ["1", "2", "3", "0", "7", "x"][self.random.index(6)],
                Kind::Text => ["a", "", "b", "ü", "now"][self.random.index(5)],
            };
            values.push(match (binary, self.random.chance(8)) {
                (_, true) => None,
                (true, false) => Some((1 + self.random.below(4) as u32).to_be_bytes().to_vec()),
                (false, false) => Some(text.as_bytes().to_vec()),
            });
        }
        if formats.iter().all(|format| *format == Format::Text) {
            formats.clear();
        }
        if self.random.chance(3) {
            values.push(Some(b"more".to_vec()));
        }
        let results = match self.random.below(10) {
            0..=5 => Vec::new(),
            6 => vec![Format::Text],
            7 => vec![Format::Binary],
            8 => vec![Format::Text, Format::Binary],
            _ => {
                let columns = 2 + self.random.index(3);
                let each = (0..columns).map(|_| self.random.chance(50));
                let format = |binary| if binary { Format::Binary } else { Format::Text };
                each.map(format).collect()
            }
        };
        Say::Bind {
            portal: portal.to_owned(),
            statement: statement.to_owned(),
            formats,
            values,
            results,
        }
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.random.index(NAMES.len())]
    }
}
