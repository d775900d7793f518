//! Several clients of one database: what is acknowledged is seen by all, and time does not run
//! backwards for anybody.

use std::fmt;

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    message::{Fields, Message, frames},
    world::{Client, Dice, World},
};

/// One thing that one of the clients does, once it has done what it did before.
#[derive(Clone, Copy)]
struct Step {
    client: usize,
    act: Act,
    style: Style,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Act {
    Read(usize),
    Write(usize),
    /// Both, without waiting in between.
    WriteRead(usize),
    Begin,
    Commit,
    Rollback,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Style {
    Simple,
    Unnamed,
    Named,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ["a", "b", "c"][self.client];
        match self.act {
            Act::Read(table) => write!(f, "{name}: read {} ({:?})", TABLES[table].0, self.style),
            Act::Write(table) => write!(f, "{name}: write {} ({:?})", TABLES[table].0, self.style),
            Act::WriteRead(table) => write!(
                f,
                "{name}: write and read {} ({:?})",
                TABLES[table].0, self.style
            ),
            Act::Begin | Act::Commit | Act::Rollback => write!(f, "{name}: {:?}", self.act),
        }
    }
}

/// What is read; writes of the first are counted in the last.
const TABLES: [(&str, i64); 3] = [("t", 100), ("u", 1100), ("log", 2100)];

type Counts = [i64; 3];

/// What a client waits for.
struct Waiting {
    act: Act,
    /// How much of each table's writes its reads must show.
    floor: Counts,
}

struct Player {
    client: Client,
    waiting: Option<Waiting>,
    in_block: bool,
    /// Written in the open block.
    own: Counts,
    named: Vec<String>,
}

struct Play {
    world: World,
    players: Vec<Player>,
    /// Writes that were acknowledged.
    acknowledged: Counts,
    /// The most that anybody has read of those.
    seen: Counts,
    dice: Dice,
}

impl Play {
    fn new(chaos: Option<u64>, seed: u64) -> Self {
        let world = World::new(chaos);
        let players = ["a", "b", "c"].map(|name| Player {
            client: Client::new(&world, name),
            waiting: None,
            in_block: false,
            own: [0; 3],
            named: Vec::new(),
        });
        Self {
            players: players.into(),
            world,
            acknowledged: [0; 3],
            seen: [0; 3],
            dice: Dice::new(seed),
        }
    }

    fn run(&mut self, steps: &[Step]) {
        let mut rest: Vec<Vec<Step>> = (0..3)
            .map(|n| {
                let mine = steps.iter().filter(|step| step.client == n);
                mine.rev().copied().collect()
            })
            .collect();
        while rest.iter().any(|steps| !steps.is_empty())
            || self.players.iter().any(|player| player.waiting.is_some())
        {
            let n = self.dice.roll(3);
            let player = &mut self.players[n];
            if player.waiting.is_some() {
                player.client.step(&mut self.world, Some(&mut self.dice));
                self.hear(n);
            } else if let Some(step) = rest[n].pop() {
                self.send(n, step);
            }
        }
    }

    fn send(&mut self, n: usize, step: Step) {
        let player = &mut self.players[n];
        let known = |table: usize| self.acknowledged[table].max(self.seen[table]);
        let mut floor = [0, 1, 2].map(|table| known(table) + player.own[table]);
        let read = |table: usize| format!("select v from {} where id = 1", TABLES[table].0);
        let write = |table: usize| {
            let name = TABLES[table].0;
            format!("update {name} set v = v + 1 where id = 1")
        };
        let texts = match step.act {
            Act::Read(table) => vec![read(table)],
            Act::Write(table) => vec![write(table)],
            Act::WriteRead(table) => {
                floor[table] += 1;
                vec![write(table), read(table)]
            }
            Act::Begin => vec!["begin".to_owned()],
            Act::Commit => vec!["commit".to_owned()],
            Act::Rollback => vec!["rollback".to_owned()],
        };
        player.say(&texts, step.style);
        let act = step.act;
        player.waiting = Some(Waiting { act, floor });
    }

    fn hear(&mut self, n: usize) {
        let player = &mut self.players[n];
        let Some(Waiting { act, floor }) = player.waiting.take_if(|waiting| {
            let simple_pair = usize::from(player.named.last().is_some_and(|it| it == "simple"));
            let wanted = match waiting.act {
                Act::WriteRead(_) => 1 + simple_pair,
                _ => 1,
            };
            let frames = frames(&player.client.received);
            frames
                .iter()
                .filter(|frame| frame.len() == 6 && frame[0] == b'Z')
                .count()
                >= wanted
        }) else {
            return;
        };
        let received = player.client.received.split();
        assert!(
            frames(&received).iter().all(|frame| frame[0] != b'E'),
            "no statement fails"
        );
        self.judge(n, act, floor, &received);
        let player = &mut self.players[n];
        match act {
            Act::Read(_) => {}
            Act::Write(table) | Act::WriteRead(table) => {
                player.own[table] += 1;
                player.own[2] += i64::from(table == 0);
            }
            Act::Begin => player.in_block = true,
            Act::Commit => player.in_block = false,
            Act::Rollback => {
                player.in_block = false;
                player.own = [0; 3];
            }
        }
        if !player.in_block {
            let own = std::mem::take(&mut player.own);
            for (acknowledged, own) in self.acknowledged.iter_mut().zip(own) {
                *acknowledged += own;
            }
            assert!(
                player.client.is_unmarked(),
                "marks outlive what they stand for"
            );
        }
    }

    fn judge(&mut self, n: usize, act: Act, floor: Counts, received: &BytesMut) {
        let (table, more) = match act {
            Act::Read(table) => (table, 0),
            Act::WriteRead(table) => (table, 1),
            Act::Write(_) | Act::Begin | Act::Commit | Act::Rollback => return,
        };
        let player = &self.players[n];
        let (name, first) = TABLES[table];
        let found = value(received) - first;
        let committed = {
            let table = format!("public.{name}");
            let rows = self.world.database.borrow();
            let row = rows
                .iter()
                .find(|((owner, id), _)| *owner == table && *id == 1);
            row.expect("a row").1 - first
        };
        let own = player.own[table];
        let pending = own + if player.in_block { more } else { 0 };
        let events = self.world.events.borrow();
        let last = &events[events.len().saturating_sub(30)..];
        assert!(
            found >= floor[table] && found <= committed + pending,
            "{} reads {found} writes of {name}; {} were known when it asked, {committed} are committed, \
             {pending} its own\nwhat happened last: {last:#?}",
            ["a", "b", "c"][n],
            floor[table],
        );
        self.seen[table] = self.seen[table].max(found - pending);
    }
}

impl Player {
    fn say(&mut self, texts: &[String], style: Style) {
        let mut messages = Vec::new();
        self.named.retain(|name| name != "simple");
        for text in texts {
            if style == Style::Simple {
                messages.push(Message::Query(text.clone()));
                continue;
            }
            let name = match style {
                Style::Named => text.replace(' ', "_"),
                Style::Simple | Style::Unnamed => String::new(),
            };
            if !self.named.contains(&name) {
                messages.push(Message::Parse {
                    name: name.clone(),
                    text: text.clone(),
                    types: vec![],
                });
                if !name.is_empty() {
                    self.named.push(name.clone());
                }
            }
            messages.push(Message::Bind {
                portal: String::new(),
                statement: name,
                values: vec![],
                formats: vec![],
            });
            messages.push(Message::Execute {
                portal: String::new(),
                rows: 0,
            });
        }
        if style == Style::Simple {
            self.named.push("simple".to_owned());
        } else {
            messages.push(Message::Sync);
        }
        messages
            .iter()
            .for_each(|message| self.client.send(message));
    }
}

/// The only value that was read.
fn value(received: &[u8]) -> i64 {
    let mut frames = frames(received).into_iter();
    let row = frames.rfind(|frame| frame[0] == b'D').expect("a row");
    let mut body = Fields(&row[5..]);
    body.u16();
    let text = body.value().expect("no null");
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        6 => (0..3_usize).prop_map(Act::Read),
        2 => (0..2_usize).prop_map(Act::Write),
        1 => (0..2_usize).prop_map(Act::WriteRead),
        1 => Just(Act::Begin),
        1 => Just(Act::Commit),
        1 => Just(Act::Rollback),
    ];
    let style = select(&[Style::Simple, Style::Unnamed, Style::Named][..]);
    (0..3_usize, act, style).prop_map(|(client, act, style)| Step { client, act, style })
}

/// Leaves out transaction control that would only bring a warning.
fn sensible(steps: Vec<Step>) -> Vec<Step> {
    let mut blocks = [false; 3];
    let sensible = steps.into_iter().filter(|step| {
        let block = &mut blocks[step.client];
        match step.act {
            Act::Begin => !std::mem::replace(block, true),
            Act::Commit | Act::Rollback => std::mem::replace(block, false),
            Act::Read(_) | Act::Write(_) | Act::WriteRead(_) => true,
        }
    });
    sensible.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_client_reads_what_was_before_its_last_news(
        steps in vec(step(), 1..40).prop_map(sensible),
        chaos in proptest::option::of(any::<u64>()),
        seed in any::<u64>(),
    ) {
        Play::new(chaos, seed).run(&steps);
    }
}

/// The test above would say nothing if nothing were ever served.
#[test]
fn clients_are_served_what_others_have_read() {
    let read = |client| Step {
        client,
        act: Act::Read(0),
        style: Style::Simple,
    };
    let mut play = Play::new(None, 1);
    play.run(&[read(0)]);
    play.run(&[read(1), read(2)]);
    assert_eq!(play.world.hits(), 2);
}
