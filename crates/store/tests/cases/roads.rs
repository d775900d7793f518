//! Connections of which one fails by itself, while the others and the server do not.

use std::time::{Duration, Instant};

use pgmemo_store::{Found, OnOutage, Store};

use super::{Reader, eventually, ready, ready_by, scope, settings};
use crate::{server::Server, threads::Threads, way::Way};

/// The names of verified connections, which are new with each verification.
fn names(server: &Server) -> Vec<String> {
    let list = server.cli(&["CLIENT", "LIST"]);
    let names = list
        .split(' ')
        .filter(|word| word.starts_with("name=pgmemo-"));
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// A store with one thread, whose own connection falls silent. What is sent on it is lost without a
/// word, as by a firewall that has forgotten it.
struct Broken {
    server: Server,
    threads: Threads,
    store: Store,
    /// The names of the others.
    names: Vec<String>,
    _way: Way,
}

impl Broken {
    async fn start(on_outage: OnOutage, deadline: Duration) -> Self {
        let server = Server::start(&[]);
        let way = Way::to(server.port()).await;
        let mut settings = settings(&server);
        (settings.url, settings.connections) = (way.url(), 1);
        (settings.on_outage, settings.deadline) = (on_outage, deadline);
        let store = ready_by(settings).await;
        let threads = Threads::start(1);
        // They are in use soon after they have their names.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (others, count) = (names(&server), way.count());
        store.serve_from(&threads.handles());
        eventually(async || names(&server).len() == others.len() + 1).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        way.lose_since(count);
        Self {
            server,
            threads,
            store,
            names: others,
            _way: way,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_goes_by_another_line_than_one_that_keeps_silent() {
    let broken = Broken::start(OnOutage::GoOn, Duration::from_millis(50)).await;
    let stays = ready(&broken.server).await;
    let reader = Reader::new(&stays, 1);
    reader.warm("old").await;
    let epoch = reader.epoch().await;
    let (begun, store) = (Instant::now(), broken.store.clone());
    let thread = broken.threads.first();
    let marks = thread.spawn(async move { store.mark(&[scope(1)]).await });
    let mark = marks.await.unwrap();
    let took = begun.elapsed();
    let found = reader.ask_under(epoch).await;
    assert!(!matches!(found, Found::Hit(_)), "{found:?}");
    assert_eq!(broken.store.status().owed, 0, "it has arrived");
    assert!(took < Duration::from_millis(1500), "{took:?}");
    mark.bump().await;
    reader.never_again("old", "new").await;
}

/// Looks replies up on the thread, until it has given its line up; how many of the others have been
/// verified again.
async fn verified_again(broken: &Broken) -> usize {
    let store = broken.store.clone();
    let epoch = Reader::new(&store, 1).epoch().await;
    let looks = async move {
        let (reader, begun) = (Reader::new(&store, 1), Instant::now());
        while begun.elapsed() < Duration::from_secs(1) {
            reader.ask_under(epoch).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    broken.threads.first().spawn(looks).await.unwrap();
    let now = names(&broken.server);
    let gone = broken.names.iter().filter(|it| !now.contains(it));
    gone.count()
}

/// Others may have written without marks meanwhile, which the other lines have not noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_writes_go_on_a_silent_line_has_all_others_verified_again() {
    let broken = Broken::start(OnOutage::GoOn, Duration::from_millis(100)).await;
    eventually(async || verified_again(&broken).await > 0).await;
}

/// One thread that has no time for its line does not hold the others up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_writes_wait_a_silent_line_leaves_the_others_alone() {
    let broken = Broken::start(OnOutage::Wait, Duration::from_millis(100)).await;
    assert_eq!(verified_again(&broken).await, 0);
}
