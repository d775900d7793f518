//! What was read under an epoch.

use cache::Scope;
use pgmemo_store::Print;

use super::{DATABASE, Reader, eventually, ready};
use crate::server::Server;

fn print(kind: u64, n: u8) -> Print {
    let sum = [n; 32];
    Print { kind, sum }
}

#[tokio::test]
async fn who_reads_something_else_under_one_epoch_is_told() {
    let server = Server::start(&[]);
    let (one, other) = (ready(&server).await, ready(&server).await);
    let epoch = Reader::new(&one, 1).epoch().await;
    // Both have joined by now.
    let again = Reader::new(&other, 1).epoch().await;
    let epoch = if again == epoch { epoch } else { again };
    assert!(!one.contradicts(DATABASE, epoch, &print(1, 1)).await);
    assert!(!one.contradicts(DATABASE, epoch, &print(1, 1)).await);
    assert!(!other.contradicts(DATABASE, epoch, &print(1, 1)).await);
    assert!(other.contradicts(DATABASE, epoch, &print(1, 2)).await);
    assert!(other.contradicts(DATABASE, epoch, &print(1, 2)).await);
    assert!(!other.contradicts(DATABASE, epoch, &print(2, 2)).await);
    // What is being written may stay as it is.
    let mark = one.mark(&[Scope::Epoch(DATABASE)]).await;
    assert!(other.contradicts(DATABASE, epoch, &print(1, 2)).await);
    mark.clear().await;
    assert!(other.contradicts(DATABASE, epoch, &print(1, 2)).await);

    // Who is the first under another one is right.
    other.outdate(&[Scope::Epoch(DATABASE)]).await;
    let next = Reader::new(&other, 1).epoch().await;
    assert!(next != epoch);
    assert!(!other.contradicts(DATABASE, next, &print(1, 2)).await);
    assert!(one.contradicts(DATABASE, next, &print(1, 1)).await);
    // Who comes late leaves no word.
    assert!(!one.contradicts(DATABASE, epoch, &print(1, 3)).await);
    assert!(!other.contradicts(DATABASE, next, &print(1, 2)).await);
}

#[tokio::test]
async fn what_was_read_is_kept_once_and_not_for_ever() {
    let server = Server::start(&[]);
    let store = ready(&server).await;
    for _ in 0..5 {
        let epoch = Reader::new(&store, 1).epoch().await;
        assert!(!store.contradicts(DATABASE, epoch, &print(1, 1)).await);
        store.outdate(&[Scope::Epoch(DATABASE)]).await;
    }
    let key = "test:2:{0000000000000abc:5}:p:0000000000000001";
    assert_eq!(server.cli(&["KEYS", "test:*:p:*"]).trim(), key);
    let lasts: i64 = server.cli(&["TTL", key]).trim().parse().unwrap();
    assert!(lasts > 86_000, "{lasts}");

    // What others have made of it is not believed.
    let epoch = Reader::new(&store, 1).epoch().await;
    let damages: [&[&str]; 3] = [
        &["SET", key, "garbage"],
        &["SADD", key, "x"],
        &["SET", key, ""],
    ];
    for damage in damages {
        server.cli(&["DEL", key]);
        server.cli(damage);
        assert!(!store.contradicts(DATABASE, epoch, &print(1, 1)).await);
        assert!(store.contradicts(DATABASE, epoch, &print(1, 2)).await);
    }
}

#[tokio::test]
async fn without_redis_nothing_is_contradicted() {
    let mut server = Server::start(&[]);
    let store = ready(&server).await;
    let epoch = Reader::new(&store, 1).epoch().await;
    assert!(!store.contradicts(DATABASE, epoch, &print(1, 1)).await);
    server.kill();
    assert!(!store.contradicts(DATABASE, epoch, &print(1, 2)).await);
}

#[tokio::test]
async fn drops_have_a_version_of_their_own() {
    let server = Server::start(&[]);
    let (one, other) = (ready(&server).await, ready(&server).await);
    let epoch = Reader::new(&one, 1).epoch().await;
    let drops = one.drops(DATABASE).await.unwrap().unwrap();
    assert_ne!(drops, epoch);
    one.outdate(&[Scope::Epoch(DATABASE)]).await;
    assert_eq!(other.drops(DATABASE).await, Ok(Some(drops)));
    let epoch = Reader::new(&one, 1).epoch().await;
    other.outdate(&[Scope::Drops(DATABASE)]).await;
    let later = one.drops(DATABASE).await.unwrap().unwrap();
    assert_ne!(later, drops);
    assert_eq!(Reader::new(&one, 1).epoch().await, epoch);
    // It does not come back with what Redis has forgotten.
    server.cli(&["FLUSHALL"]);
    eventually(async || {
        let now = one.drops(DATABASE).await;
        matches!(now, Ok(Some(now)) if now != later && now != drops)
    })
    .await;
}
