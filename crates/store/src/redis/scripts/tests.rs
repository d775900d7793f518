//! Holds the scripts of the ledger to the model that the protocol is explored with.

#[path = "../../../tests/server/mod.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod server;

use super::*;
use crate::lease::{Answer, Order, Peer, Posted, tests::ledger::Ledger};
use server::Server;

const LEDGER_KEY: &str = "l";
const TERM_KEY: &str = "t";
const SERVER: &str = "server";

/// Names that a shell can write.
fn name(n: u8) -> [u8; 16] {
    [b'a' + n % 26; 16]
}

fn text(name: &[u8; 16]) -> &str {
    str::from_utf8(name).unwrap()
}

/// A small generator: which numbers does not matter, only that they are always the same.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

fn eval(server: &Server, script: &str, arguments: &[&str]) -> Vec<String> {
    let mut words = vec!["EVAL", script, "2", LEDGER_KEY, TERM_KEY];
    words.extend(arguments);
    let answer = server.cli(&words);
    answer
        .lines()
        .map(str::to_owned)
        .filter(|line| !line.is_empty() || answer.len() > 1)
        .collect()
}

/// What the script answers to an order.
fn order(server: &Server, order: Order, fresh: &[u8; 16]) -> Answer {
    let lines = match order {
        Order::Join { member } => {
            let arguments = ["join", SERVER, "60000", text(&member), text(fresh), "64"];
            eval(server, LEDGER.text, &arguments)
        }
        Order::Beat {
            ledger,
            member,
            applied,
            ripe,
        } => {
            let (applied, ripe) = (applied.to_string(), if ripe { "1" } else { "0" });
            let (ledger, member) = (text(&ledger), text(&member));
            let arguments = [
                "beat", SERVER, "60000", ledger, member, &applied, ripe, "channel",
            ];
            eval(server, LEDGER.text, &arguments)
        }
    };
    match lines.as_slice() {
        [id, sequence] => Answer::Member {
            ledger: id.as_bytes().try_into().unwrap(),
            sequence: sequence.parse().unwrap(),
        },
        _ => Answer::Stranger,
    }
}

/// For how many milliseconds a key stands.
fn lasts(server: &Server, key: &str) -> i64 {
    server.cli(&["PTTL", key]).trim().parse().unwrap()
}

/// What the script answers to who posts a mark.
fn posts(server: &Server, own: &[u8; 16]) -> Vec<String> {
    let script = [
        include_str!("legible.lua"),
        include_str!("post.lua"),
        "return post(KEYS[1], unpack(ARGV))",
    ]
    .concat();
    eval(server, &script, &[SERVER, text(own), "channel", "notice"])
}

fn post(server: &Server, own: &[u8; 16]) -> Posted {
    let lines = posts(server, own);
    let [id, sequence, others @ ..] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    let mut others: Vec<_> = others
        .chunks(3)
        .map(|peer| Peer {
            member: peer[0].as_bytes().try_into().unwrap(),
            applied: peer[1].parse().unwrap(),
            beats: peer[2].parse().unwrap(),
        })
        .collect();
    others.sort_unstable_by_key(|peer| peer.member);
    Posted {
        ledger: id.as_bytes().try_into().ok(),
        sequence: sequence.parse().unwrap(),
        others: others.into(),
    }
}

/// A server with a database that is claimed.
fn claimed() -> Server {
    let server = Server::start(&[]);
    server.cli(&["SET", TERM_KEY, "term"]);
    server
}

#[test]
fn scripts_do_as_the_model_does() {
    let server = claimed();
    let mut model: Option<Ledger> = None;
    let mut numbers = Numbers(7);
    let (mut names, mut strangers, mut posts) = (0, 0, 0);
    for step in 0..400 {
        // Members 0 to 5 join, renew and post, now and then under a ledger that is gone.
        let member = name(u8::try_from(numbers.below(6)).unwrap());
        match numbers.below(20) {
            0 => {
                server.cli(&["DEL", LEDGER_KEY]);
                model = None;
            }
            1..6 => {
                let known = model
                    .as_ref()
                    .is_some_and(|ledger| ledger.members.iter().any(|peer| peer.member == member));
                if !known {
                    names += 1;
                    let fresh = name(10 + names % 16);
                    let joined = order(&server, Order::Join { member }, &fresh);
                    let expected = Ledger::order(&mut model, Order::Join { member }, fresh);
                    assert_eq!(joined, expected, "step {step}");
                }
            }
            6..12 => {
                let current = model.as_ref().map_or(name(9), |ledger| ledger.id);
                // Nobody has heard more than was posted.
                let posted = model.as_ref().map_or(0, |ledger| ledger.sequence);
                let beat = Order::Beat {
                    ledger: if numbers.below(8) == 0 {
                        name(8)
                    } else {
                        current
                    },
                    member,
                    applied: numbers.below(posted + 1),
                    ripe: numbers.below(3) == 0,
                };
                let answer = order(&server, beat, &name(0));
                assert_eq!(
                    answer,
                    Ledger::order(&mut model, beat, name(0)),
                    "step {step}"
                );
                strangers += u32::from(answer == Answer::Stranger);
            }
            12..17 => {
                let posted = post(&server, &member);
                let mut expected = Ledger::post(&mut model, Some(member));
                expected.others.sort_unstable_by_key(|peer| peer.member);
                assert_eq!(posted, expected, "step {step}");
                posts += u32::from(!posted.others.is_empty());
            }
            _ => {
                if let Some(ledger) = &mut model
                    && let Some(mut peer) = ledger.members.first().copied()
                {
                    peer.beats += numbers.below(2);
                    let (id, beats) = (ledger.id, peer.beats.to_string());
                    let (id_text, member) = (text(&id), text(&peer.member));
                    let arguments = ["strike", SERVER, "60000", id_text, member, &beats];
                    eval(&server, LEDGER.text, &arguments);
                    ledger.evict(&id, &peer);
                }
            }
        }
    }
    assert!(
        strangers > 10 && posts > 20,
        "{strangers} strangers, {posts} posts"
    );
}

/// Another server's ledger, say one that came with a snapshot, is not believed.
#[test]
fn a_ledger_of_another_server_is_dropped() {
    let server = claimed();
    let join = Order::Join { member: name(0) };
    order(&server, join, &name(1));
    server.cli(&["HSET", LEDGER_KEY, "ripe", "1"]);
    assert_eq!(post(&server, &name(2)).ledger, Some(name(1)));
    server.cli(&["HSET", LEDGER_KEY, "server", "another"]);
    for _ in 0..2 {
        // Who finds it, and who comes next, knows of leases.
        assert_eq!(posts(&server, &name(2))[0], "?");
        assert_eq!(post(&server, &name(2)), Posted::default());
    }
    assert!(lasts(&server, LEDGER_KEY) <= 3000);
}

#[test]
fn who_joins_again_takes_the_former_name_off() {
    let server = claimed();
    order(&server, Order::Join { member: name(0) }, &name(1));
    let (former, ledger, member) = (name(0), name(1), name(2));
    let (former, ledger, member) = (text(&former), text(&ledger), text(&member));
    let arguments = ["join", SERVER, "60000", member, ledger, "64", former];
    eval(&server, LEDGER.text, &arguments);
    let others = post(&server, &name(9)).others;
    assert_eq!(
        others.iter().map(|peer| peer.member).collect::<Vec<_>>(),
        [name(2)]
    );
}

/// Who cannot be heard of any more may be writing.
#[test]
fn without_a_term_nobody_is_granted_anything() {
    let server = claimed();
    let (member, ledger) = (name(0), name(1));
    let beat = Order::Beat {
        ledger,
        member,
        applied: 0,
        ripe: false,
    };
    let granted = |told| matches!(order(&server, told, &ledger), Answer::Member { .. });
    assert!(granted(Order::Join { member }) && granted(beat));
    server.cli(&["DEL", TERM_KEY]);
    assert!(!granted(Order::Join { member }) && !granted(beat));
}

/// Runs `keep` for an instance; the milliseconds for which the term stands.
fn keep(server: &Server, instance: &[u8; 16], sent: &str) -> i64 {
    let fresh = name(5);
    let (fresh, instance) = (text(&fresh), text(instance));
    let arguments = [
        fresh, "0", instance, "5000", "60000", "channel", "notice", sent,
    ];
    let mut words = vec!["EVAL", KEEP.text, "3", TERM_KEY, "i", LEDGER_KEY];
    words.extend(arguments);
    server.cli(&words);
    lasts(server, TERM_KEY)
}

#[test]
fn the_term_ends_with_the_first_membership() {
    let server = Server::start(&[]);
    assert!(keep(&server, &name(0), "") > 4000);
    let term = server.cli(&["GET", TERM_KEY]);
    server.cli(&["ZINCRBY", "i", "-3000", text(&name(0))]);
    for _ in 0..3 {
        let lasts = keep(&server, &name(1), "");
        assert!(0 < lasts && lasts <= 2000, "{lasts}");
    }
    assert_eq!(server.cli(&["GET", TERM_KEY]), term);
    assert!(keep(&server, &name(0), "") > 4000);
    assert_eq!(server.cli(&["GET", TERM_KEY]), term);
}

/// It may have been on its way for so long that its sender has given itself up.
#[test]
fn a_membership_counts_from_when_its_renewal_was_sent() {
    let server = Server::start(&[]);
    let time = server.cli(&["TIME"]);
    let seconds: i64 = time.lines().next().unwrap().parse().unwrap();
    let sent = ((seconds - 3) * 1000).to_string();
    let lasts = keep(&server, &name(0), &sent);
    assert!(0 < lasts && lasts <= 2000, "{lasts}");
    let later = ((seconds + 3000) * 1000).to_string();
    let lasts = keep(&server, &name(0), &later);
    assert!(4000 < lasts && lasts <= 5000, "{lasts}");
}

#[test]
fn a_ledger_that_nobody_has_called_ripe_is_soon_gone() {
    let server = claimed();
    let (member, ledger, applied) = (name(0), name(1), 0);
    order(&server, Order::Join { member }, &ledger);
    assert!(lasts(&server, LEDGER_KEY) <= 10_000);
    for (ripe, stays) in [(false, false), (true, true), (false, true)] {
        let beat = Order::Beat {
            ledger,
            member,
            applied,
            ripe,
        };
        order(&server, beat, &name(0));
        assert_eq!(lasts(&server, LEDGER_KEY) > 10_000, stays);
    }
    order(&server, Order::Join { member: name(2) }, &ledger);
    assert!(lasts(&server, LEDGER_KEY) > 10_000);
}

/// Runs an operation of a mark; what is answered.
fn told(server: &Server, operation: &str) -> String {
    let (mark, fresh) = (name(3), name(4));
    let mut words = vec!["EVAL", VERSIONS.text, "4", "v", "e", TERM_KEY, LEDGER_KEY];
    words.extend([operation, text(&mark), "10000", "60000", SERVER]);
    words.extend(["", "channel", "notice", text(&fresh)]);
    server.cli(&words)
}

/// The first letter of the object behind an operation.
fn operate(server: &Server, operation: &str) -> Option<char> {
    told(server, operation);
    server.cli(&["GET", "v"]).chars().next()
}

#[test]
fn a_bump_tells_epoch_and_term() {
    let server = claimed();
    server.cli(&["SET", "e", "epoch"]);
    assert!(!told(&server, "mark").contains("epoch"));
    assert!(told(&server, "bump").ends_with("epoch\nterm\n"));
    server.cli(&["DEL", "e", TERM_KEY]);
    server.cli(&["RPUSH", TERM_KEY, "term"]);
    assert!(!told(&server, "bump").contains("term"));
}

#[test]
fn a_renewal_sets_a_mark_that_was_lost() {
    let server = Server::start(&[]);
    for looked in [false, true] {
        assert_eq!(operate(&server, "mark"), Some('M'));
        server.cli(&["DEL", "v"]);
        if looked {
            assert_eq!(operate(&server, "look"), Some('C'));
        }
        assert_eq!(operate(&server, "renew"), Some('M'));
        assert_eq!(operate(&server, "bump"), Some('C'));
    }
}
