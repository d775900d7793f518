//! Two masters at once, which both take writes, as after a failover without fencing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use cache::Scope;
use pgmemo_store::{Found, Store};

use super::{DATABASE, Reader, eventually, ready, ready_by, scope, settings, write};
use crate::{server::Server, threads::Threads, way::Way};

/// A store that reaches a server by a way of its own.
async fn distant(server: &Server, way: &Way) -> Store {
    let mut settings = settings(server);
    (settings.url, settings.connections) = (way.url(), 1);
    ready_by(settings).await
}

/// Verified connections that lead to a server.
fn lines(server: &Server) -> usize {
    let list = server.cli(&["CLIENT", "LIST"]);
    list.matches("name=pgmemo-").count()
}

/// Ends the verified connection that has been there for longest.
fn kill_the_first(server: &Server) {
    let list = server.cli(&["CLIENT", "LIST"]);
    let first = list.lines().find(|line| line.contains("name=pgmemo-"));
    let id = first.unwrap().split(['=', ' ']).nth(1).unwrap();
    server.cli(&["CLIENT", "KILL", "ID", id]);
}

/// The thread's line has lost nothing, and is the first to be asked by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_stays_with_an_old_master_when_another_has_moved() {
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let way = Way::to(old.port()).await;
    let store = distant(&old, &way).await;
    let before = lines(&old);
    let threads = Threads::start(1);
    store.serve_from(&threads.handles());
    eventually(async || lines(&old) == before + 1).await;
    let stays = ready(&new).await;
    let reader = Reader::new(&stays, 1);
    for scopes in [[scope(1)], [Scope::Epoch(DATABASE)]] {
        way.lead_to(old.port());
        way.hang_up();
        eventually(async || lines(&old) == before + 1).await;
        reader.warm("old").await;
        let epoch = reader.epoch().await;
        way.lead_to(new.port());
        kill_the_first(&old);
        eventually(async || lines(&old) == 0).await;
        let store = store.clone();
        let marks = threads
            .first()
            .spawn(async move { store.mark(&scopes).await });
        let mark = marks.await.unwrap();
        let found = reader.ask_under(epoch).await;
        assert!(
            !matches!(found, Found::Hit(_)),
            "{found:?} while {scopes:?}"
        );
        mark.bump().await;
        reader.never_again("old", "new").await;
    }
}

#[tokio::test]
async fn an_instance_goes_where_new_connections_lead() {
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let way = Way::to(old.port()).await;
    let store = distant(&old, &way).await;
    let (all, stays) = (lines(&old), ready(&new).await);
    let (reader, others) = (Reader::new(&stays, 1), lines(&new));
    reader.warm("old").await;
    write(&store, 1).await.bump().await;
    way.lead_to(new.port());
    eventually(async || lines(&new) == others + all && lines(&old) == 0).await;
    write(&store, 1).await.bump().await;
    reader.never_again("old", "new").await;
}

/// One instance has moved; what another still tells the old master is outdated by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_moved_records_nothing_before_all_have_followed() {
    static COMMITTED: AtomicU64 = AtomicU64::new(1);
    static ACKNOWLEDGED: AtomicU64 = AtomicU64::new(1);
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let (fast, slow) = (Way::to(old.port()).await, Way::to(old.port()).await);
    let (reads, writes) = (distant(&old, &fast).await, distant(&old, &slow).await);
    let reader = Reader::new(&reads, 1);
    reader.warm("1").await;
    let end = Instant::now() + Duration::from_secs(10);
    let writing = async {
        while Instant::now() < end {
            let mark = write(&writes, 1).await;
            let row = COMMITTED.fetch_add(1, Ordering::SeqCst) + 1;
            mark.bump().await;
            ACKNOWLEDGED.store(row, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let reading = async {
        for way in [&fast, &slow] {
            way.lead_to(new.port());
        }
        fast.hang_up();
        let mut hits = 0;
        while Instant::now() < end {
            let floor = ACKNOWLEDGED.load(Ordering::SeqCst);
            match reader.look_up().await {
                Found::Hit(entry) => {
                    let seen = str::from_utf8(entry.frames()).unwrap().parse::<u64>();
                    assert!(seen.unwrap() >= floor, "{entry:?} after {floor}");
                    hits += 1;
                }
                Found::Miss(stamp) => {
                    let row = COMMITTED.load(Ordering::SeqCst);
                    reader.fill(stamp, &row.to_string());
                }
                Found::InFlight | Found::Outdated | Found::Unavailable => {}
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        hits
    };
    let ((), hits) = tokio::join!(writing, reading);
    assert!(hits > 10, "{hits}");
}
