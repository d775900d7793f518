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
    /// The same, and that is made sure of: this many keys, one after the other.
    Filled(u32),
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
    /// pgmemo alone, with replies in memory.
    Memory,
}

/// Which chart shows a workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Chapter {
    /// What is answered from the store.
    Hits,
    /// What the server answers, or some of it.
    Passing,
}

/// One workload.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// Workloads with the same group are measured in turn, so that they can be compared.
    pub(crate) group: &'static str,
    pub(crate) chapter: Chapter,
    pub(crate) database: &'static str,
    /// What the database needs besides.
    pub(crate) setup: Option<&'static str>,
    /// Further arguments of pgmemo.
    pub(crate) arguments: &'static [&'static str],
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
    /// Statements whose answers must be PostgreSQL's before and after, with `:key` for a number.
    pub(crate) checks: &'static [&'static str],
}

/// A script with its weight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Script(pub(crate) u32, pub(crate) &'static str);

impl Workload {
    /// Whether each contender has a database of its own: nobody would tell one of the others'
    /// writes.
    pub(crate) fn writes(&self) -> bool {
        self.database == WRITES
    }
}

use Protocol::{Extended, Prepared, Simple};

const POINT: &str = "\\set aid random(1, 2000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
";
const POINT_SAMPLE: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = 7";
const POINT_CHECK: &str = "SELECT abalance FROM pgbench_accounts WHERE aid = :key";
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

const MISS: &str = "\\set aid random(1, 100000)
\\set nonce random(3000000000, 9000000000000000000)
SELECT abalance FROM pgbench_accounts WHERE aid = :aid AND :nonce > 2500000000;
";
const MISS_CHECK: &str =
    "SELECT abalance FROM pgbench_accounts WHERE aid = :key AND 3000000000 > 2500000000";
const MANY: &str = "CREATE TABLE IF NOT EXISTS many AS SELECT id, repeat('x', 80) AS text \
                    FROM generate_series(1, 1000000) AS id; \
                    CREATE UNIQUE INDEX IF NOT EXISTS many_id ON many (id); \
                    ALTER TABLE many ALTER COLUMN id SET NOT NULL; VACUUM ANALYZE many";
const MANY_CHECK: &str = "SELECT text FROM many WHERE id = :key";

const BASE: Workload = Workload {
    name: "",
    group: "",
    chapter: Chapter::Passing,
    database: READS,
    setup: None,
    arguments: &[],
    scripts: &[],
    protocols: &[Prepared],
    clients: &[16],
    state: State::Cold,
    field: Field::All,
    connects: false,
    long: false,
    sample: None,
    checks: &[],
};

/// All workloads, in the order in which they are reported.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "point",
        scripts: &[Script(1, POINT)],
        protocols: &[Simple, Extended, Prepared],
        state: State::Warm,
        chapter: Chapter::Hits,
        sample: Some(POINT_SAMPLE),
        checks: &[POINT_CHECK],
        ..BASE
    },
    Workload {
        name: "point, 1 client",
        scripts: &[Script(1, POINT)],
        protocols: &[Simple, Extended, Prepared],
        clients: &[1],
        state: State::Warm,
        chapter: Chapter::Hits,
        sample: Some(POINT_SAMPLE),
        checks: &[POINT_CHECK],
        ..BASE
    },
    Workload {
        name: "point, 64 clients",
        scripts: &[Script(1, POINT)],
        clients: &[64],
        state: State::Warm,
        long: true,
        chapter: Chapter::Hits,
        sample: Some(POINT_SAMPLE),
        checks: &[POINT_CHECK],
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
        chapter: Chapter::Hits,
        sample: Some(
            "SELECT count(*), sum(abalance), avg(aid) FROM pgbench_accounts WHERE aid > 7",
        ),
        checks: &["SELECT count(*), sum(abalance), avg(aid) FROM pgbench_accounts WHERE aid > 7"],
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
        chapter: Chapter::Hits,
        sample: Some("SELECT id, text FROM wide WHERE part = 7"),
        checks: &["SELECT id, text FROM wide WHERE part = :key"],
        ..BASE
    },
    Workload {
        name: "pass-through",
        group: "server",
        checks: &["SELECT abalance FROM pgbench_accounts WHERE aid = :key AND random() >= 0"],
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
        group: "server",
        scripts: &[Script(1, MISS)],
        checks: &[MISS_CHECK],
        protocols: &[Simple, Prepared],
        field: Field::Forwarding,
        ..BASE
    },
    Workload {
        name: "miss, 1 client",
        scripts: &[Script(1, MISS)],
        checks: &[MISS_CHECK],
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
        chapter: Chapter::Hits,
        checks: &[
            POINT_CHECK,
            "SELECT bid FROM pgbench_accounts WHERE aid = :key",
        ],
        ..BASE
    },
    Workload {
        name: "mixed 95/5",
        database: WRITES,
        scripts: &[Script(95, POINT), Script(5, UPDATE)],
        checks: &[POINT_CHECK],
        ..BASE
    },
    Workload {
        name: "mixed 50/50",
        database: WRITES,
        scripts: &[Script(50, POINT), Script(50, UPDATE)],
        checks: &[POINT_CHECK],
        ..BASE
    },
    Workload {
        name: "TPC-B",
        database: WRITES,
        scripts: &[Script(1, TPC_B)],
        checks: &[
            POINT_CHECK,
            "SELECT tid, tbalance FROM pgbench_tellers ORDER BY tid",
            "SELECT count(*), sum(delta) FROM pgbench_history",
        ],
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
        checks: &[POINT_CHECK],
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
        checks: &["SELECT bid FROM pgbench_accounts WHERE aid = :key"],
        long: true,
        ..BASE
    },
    Workload {
        name: "10^3 entries",
        scripts: &[Script(
            1,
            "\\set id random(1, 1000)
SELECT text FROM many WHERE id = :id;
",
        )],
        state: State::Filled(1_000),
        ..ENTRIES
    },
    Workload {
        name: "10^6 entries",
        scripts: &[Script(
            1,
            "\\set id random(1, 1000000)
SELECT text FROM many WHERE id = :id;
",
        )],
        state: State::Filled(1_000_000),
        ..ENTRIES
    },
];

const ENTRIES: Workload = Workload {
    group: "entries",
    chapter: Chapter::Hits,
    setup: Some(MANY),
    arguments: &["--bytes-max=4GiB"],
    field: Field::Memory,
    long: true,
    checks: &[MANY_CHECK],
    ..BASE
};

/// Asks for each of the keys in turn: this many clients, each with a range of its own.
pub(crate) const FILLERS: u32 = 8;

/// What a filler runs, with `:share` keys for each.
pub(crate) const FILL: &str = "\\set n :n + 1
\\set id :client_id * :share + :n
SELECT text FROM many WHERE id = :id;
";
