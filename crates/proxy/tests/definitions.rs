//! What is read again after a change is what a first reading shows, whatever has changed.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::fmt::Debug;

use cache::Scope;
use catalog::Snapshot;
use config::{Config, TlsMode};
use support::{
    Postgres,
    watched::{NEVER, Watched, config},
};
use tokio_postgres::Client;

/// A server of its own, a session that changes definitions, and somebody who watches.
struct Stage {
    config: Config,
    client: Client,
    watched: Watched,
    /// Stops at the end.
    _server: Postgres,
}

impl Stage {
    async fn set() -> Self {
        let server = Postgres::start();
        let client = server.session("postgres").await;
        let mut config = config(&server, NEVER);
        config.upstream.tls = TlsMode::Disable;
        let watched = Watched::ready(&config, "postgres").await;
        Self {
            config,
            client,
            watched,
            _server: server,
        }
    }

    /// Compares what is known after a change, of which a session has told, with what a newcomer
    /// reads.
    async fn compare(&self, change: &str) {
        let database = self.watched.knowledge().database;
        let mark = self.watched.store.mark(&[Scope::Epoch(database)]).await;
        mark.bump().await;
        assert!(self.watched.fresh().await, "{change}");
        let newcomer = Watched::start(&self.config, "postgres");
        assert!(
            newcomer.fresh().await,
            "{change}: {:?}",
            newcomer.database.state()
        );
        let (known, first) = (self.watched.knowledge(), newcomer.knowledge());
        let (known, first) = (known.schema.snapshot(), first.schema.snapshot());
        assert!(known == first, "{change}: {}", difference(known, first));
        newcomer.databases.shutdown().await;
    }
}

/// The first difference, if it is one of objects.
fn difference(known: &Snapshot, first: &Snapshot) -> String {
    fn apart<T: Debug>(
        known: impl Iterator<Item = T>,
        first: impl Iterator<Item = T>,
    ) -> Option<String> {
        let (mut known, mut first) = (known.fuse(), first.fuse());
        loop {
            let (known, first) = (known.next(), first.next());
            if known.is_none() && first.is_none() {
                return None;
            }
            let (known, first) = (format!("{known:?}"), format!("{first:?}"));
            if known != first {
                return Some(format!("{known} is {first} in fact"));
            }
        }
    }
    let uses = |of: &Snapshot| {
        let uses = of.relations().flat_map(|it| of.uses(it.id).cloned());
        uses.collect::<Vec<_>>()
    };
    apart(known.all_functions(), first.all_functions())
        .or_else(|| apart(known.relations(), first.relations()))
        .or_else(|| apart(known.schemas().iter(), first.schemas().iter()))
        .or_else(|| apart(known.roles().iter(), first.roles().iter()))
        .or_else(|| apart(known.databases().iter(), first.databases().iter()))
        .or_else(|| apart(known.methods().iter(), first.methods().iter()))
        .or_else(|| apart(uses(known).iter(), uses(first).iter()))
        .unwrap_or_else(|| "something else".to_owned())
}

/// The statements of a file, one a line.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("--"))
}

#[tokio::test]
async fn what_is_read_again_is_what_a_first_reading_shows() {
    let stage = Stage::set().await;
    for change in statements(include_str!("definitions/changes.sql")) {
        let done = stage.client.batch_execute(change).await;
        assert!(done.is_ok(), "{change}: {done:?}");
        stage.compare(change).await;
    }
}

#[tokio::test]
async fn so_it_is_in_any_order() {
    let stage = Stage::set().await;
    let changes: Vec<_> = statements(include_str!("definitions/random.sql")).collect();
    let seed = pgmemo_tests::random::seed();
    let mut last = seed;
    let mut below = |bound: usize| {
        last = last
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(last >> 33).unwrap() % bound
    };
    let mut done = Vec::new();
    while done.len() < CHANGES {
        let mut change = String::new();
        let template = changes[below(changes.len())];
        for part in template.split_inclusive('?') {
            change.push_str(part.trim_end_matches('?'));
            if part.ends_with('?') {
                change.push(NAMES[below(NAMES.len())]);
            }
        }
        if stage.client.batch_execute(&change).await.is_ok() {
            done.push(change);
            stage.compare(&format!("{done:#?}")).await;
        }
    }
}

/// How many random changes are made.
const CHANGES: usize = 40;

/// What stands for `?` in a random statement.
const NAMES: [char; 3] = ['a', 'b', 'c'];
