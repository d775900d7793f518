//! What is asked.

use crate::{READS, WRITES};

/// A way of asking, as pgbench names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Simple,
    Extended,
    Prepared,
}

impl Protocol {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Extended => "extended",
            Self::Prepared => "prepared",
        }
    }
}

/// How a workload is brought into the state in which it is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// Everything that is asked has been asked before.
    Warm,
    /// As it comes.
    Cold,
}

/// Which contenders are worth the time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    /// All: who can answer by himself, does.
    All,
    /// Those that pass everything on, and pgmemo.
    Forwarding,
    /// pgmemo alone.
    Own,
}

/// One workload.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) database: &'static str,
    pub(crate) scripts: &'static [Script],
    pub(crate) protocols: &'static [Protocol],
    pub(crate) clients: &'static [u32],
    pub(crate) state: State,
    pub(crate) field: Field,
    /// A new connection for each transaction.
    pub(crate) connects: bool,
    /// Left out of the quick form.
    pub(crate) long: bool,
    /// A statement of the workload, whose reply the canned responder gives.
    pub(crate) sample: Option<&'static str>,
}

/// A script with its weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script(pub(crate) u32, pub(crate) &'static str);

use Protocol::{Extended, Prepared, Simple};

const POINT: &str = "\\set aid random(1, 2000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
";
const POINT_SAMPLE: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 7";
const UPDATE: &str = "\\set aid random(1, 2000)
UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :aid;
";
const TPC_B: &str = "\\set aid random(1, 100000)
\\set bid random(1, 1)
\\set tid random(1, 10)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = :bid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, :bid, :aid, :delta, CURRENT_TIMESTAMP);
END;
";

const BASE: Workload = Workload {
    name: "",
    database: READS,
    scripts: &[],
    protocols: &[Prepared],
    clients: &[16],
    state: State::Cold,
    field: Field::All,
    connects: false,
    long: false,
    sample: None,
};

/// All workloads, in the order in which they are reported.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "point",
        scripts: &[Script(1, POINT)],
        protocols: &[Simple, Extended, Prepared],
        state: State::Warm,
        sample: Some(POINT_SAMPLE),
        ..BASE
    },
    Workload {
        name: "point, 1 client",
        scripts: &[Script(1, POINT)],
        protocols: &[Simple, Extended, Prepared],
        clients: &[1],
        state: State::Warm,
        sample: Some(POINT_SAMPLE),
        ..BASE
    },
    Workload {
        name: "point, 64 clients",
        scripts: &[Script(1, POINT)],
        clients: &[64],
        state: State::Warm,
        long: true,
        sample: Some(POINT_SAMPLE),
        ..BASE
    },
    Workload {
        name: "aggregate",
        scripts: &[Script(
            1,
            "\\set low random(1, 50)
SELECT count(*), sum(abalance), avg(aid) FROM pgbench_accounts WHERE aid > :low;
",
        )],
        state: State::Warm,
        sample: Some(
            "SELECT count(*), sum(abalance), avg(aid) FROM pgbench_accounts WHERE aid > 7",
        ),
        ..BASE
    },
    Workload {
        name: "wide",
        scripts: &[Script(
            1,
            "\\set part random(1, 10)
SELECT id, text FROM wide WHERE part = :part;
",
        )],
        protocols: &[Simple, Prepared],
        state: State::Warm,
        sample: Some("SELECT id, text FROM wide WHERE part = 7"),
        ..BASE
    },
    Workload {
        name: "pass-through",
        scripts: &[Script(
            1,
            "\\set aid random(1, 2000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid AND random() >= 0;
",
        )],
        protocols: &[Simple, Extended, Prepared],
        field: Field::Forwarding,
        ..BASE
    },
    Workload {
        name: "miss",
        scripts: &[Script(
            1,
            "\\set aid random(1, 100000)
\\set nonce random(3000000000, 9000000000000000000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid AND :nonce > 2500000000;
",
        )],
        protocols: &[Simple, Prepared],
        field: Field::Forwarding,
        ..BASE
    },
    Workload {
        name: "miss, 1 client",
        scripts: &[Script(
            1,
            "\\set aid random(1, 100000)
\\set nonce random(3000000000, 9000000000000000000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid AND :nonce > 2500000000;
",
        )],
        protocols: &[Simple, Prepared],
        clients: &[1],
        field: Field::Forwarding,
        ..BASE
    },
    Workload {
        name: "transaction",
        scripts: &[Script(
            1,
            "\\set aid random(1, 2000)
BEGIN;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT bid FROM pgbench_accounts WHERE aid = :aid;
COMMIT;
",
        )],
        protocols: &[Simple, Prepared],
        state: State::Warm,
        ..BASE
    },
    Workload {
        name: "mixed 95/5",
        database: WRITES,
        scripts: &[Script(95, POINT), Script(5, UPDATE)],
        ..BASE
    },
    Workload {
        name: "mixed 50/50",
        database: WRITES,
        scripts: &[Script(50, POINT), Script(50, UPDATE)],
        ..BASE
    },
    Workload {
        name: "TPC-B",
        database: WRITES,
        scripts: &[Script(1, TPC_B)],
        protocols: &[Simple, Prepared],
        field: Field::Forwarding,
        ..BASE
    },
    Workload {
        name: "connect",
        scripts: &[Script(1, POINT)],
        protocols: &[Simple],
        field: Field::Forwarding,
        connects: true,
        ..BASE
    },
    Workload {
        name: "zipfian, cold",
        scripts: &[Script(
            1,
            "\\set aid random_zipfian(1, 100000, 1.1)
SELECT bid FROM pgbench_accounts WHERE aid = :aid;
",
        )],
        long: true,
        ..BASE
    },
    Workload {
        name: "10^3 entries",
        scripts: &[Script(
            1,
            "\\set aid random(1, 1000)
SELECT filler FROM pgbench_accounts WHERE aid = :aid;
",
        )],
        state: State::Warm,
        field: Field::Own,
        long: true,
        ..BASE
    },
    Workload {
        name: "10^5 entries",
        scripts: &[Script(
            1,
            "\\set aid random(1, 100000)
SELECT filler FROM pgbench_accounts WHERE aid = :aid;
",
        )],
        state: State::Warm,
        field: Field::Own,
        long: true,
        ..BASE
    },
];
