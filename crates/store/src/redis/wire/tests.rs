use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    join,
};

use super::{
    super::{clock, resp::command},
    *,
};

/// A connection, and its other end.
fn wire() -> (Arc<Wire>, DuplexStream, broadcast::Receiver<Message>) {
    let (near, far) = duplex(1 << 16);
    let (messages, heard) = broadcast::channel(16);
    let wire = Wire::start(Box::pin(near), Some(messages), clock::now());
    (wire, far, heard)
}

fn get(key: &'static str) -> Command {
    command("GET", [key.into()])
}

async fn ask(wire: &Wire, commands: &[Command]) -> Result<Vec<Result<Value, Fault>>, Fault> {
    wire.ask(commands, Duration::from_secs(10)).await
}

fn text(text: &'static str) -> Result<Value, Fault> {
    Ok(Value::Bytes(text.into()))
}

/// What has been sent, as soon as anything has.
async fn sent(far: &mut DuplexStream) -> String {
    let mut buffer = vec![0; 1 << 16];
    let count = far.read(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

#[tokio::test]
async fn what_several_ask_at_once_travels_together_and_each_gets_his_own() {
    let (wire, mut far, _) = wire();
    let (one, two) = ([get("a"), get("b")], [get("c")]);
    let (first, second, ()) = join!(ask(&wire, &one), ask(&wire, &two), async {
        let sent = sent(&mut far).await;
        assert_eq!(sent.matches("GET").count(), 3, "{sent:?}");
        // An answer may come in pieces.
        far.write_all(b"$1\r\nA\r\n-ERR b\r\n+").await.unwrap();
        tokio::task::yield_now().await;
        far.write_all(b"C\r\n").await.unwrap();
    });
    let refused = Err(Fault::Said("ERR b".to_owned()));
    assert_eq!(first.unwrap(), [text("A"), refused]);
    assert_eq!(second.unwrap(), [text("C")]);
}

#[tokio::test]
async fn who_waits_and_who_comes_later_hear_that_a_connection_is_lost() {
    let (wire, mut far, _) = wire();
    let one = [get("a"), get("b")];
    let (first, ()) = join!(ask(&wire, &one), async {
        sent(&mut far).await;
        // One of two is none.
        far.write_all(b"+A\r\n").await.unwrap();
        drop(far);
    });
    assert_eq!(first, Err(Fault::Lost));
    wire.lost().await;
    assert!(!wire.fell_silent());
    assert_eq!(ask(&wire, &one).await, Err(Fault::Lost));
}

#[tokio::test]
async fn nonsense_and_answers_that_nobody_wants_end_a_connection() {
    for nonsense in ["what?\r\n", "+unasked\r\n"] {
        let (wire, mut far, _) = wire();
        far.write_all(nonsense.as_bytes()).await.unwrap();
        wire.lost().await;
    }
}

#[tokio::test]
async fn who_has_given_up_does_not_disturb_those_behind() {
    let (wire, mut far, _) = wire();
    let late = wire.ask(&[get("a")], Duration::from_millis(1)).await;
    assert_eq!(late, Err(Fault::Timeout));
    let one = [get("b")];
    let (answer, ()) = join!(ask(&wire, &one), async {
        sent(&mut far).await;
        far.write_all(b"+A\r\n+B\r\n").await.unwrap();
    });
    assert_eq!(answer.unwrap(), [text("B")]);
}

#[tokio::test]
async fn who_waits_behind_a_large_answer_is_told_so() {
    let (near, mut far) = duplex(1 << 20);
    let wire = Wire::start(Box::pin(near), None, clock::now());
    let one = [get("large")];
    let (late, ()) = join!(wire.ask(&one, Duration::from_millis(300)), async {
        sent(&mut far).await;
        let part = "x".repeat(200_000);
        let begun = format!("$900000\r\n{part}");
        far.write_all(begun.as_bytes()).await.unwrap();
    });
    assert_eq!(late, Err(Fault::Behind));
}

#[tokio::test]
async fn a_connection_on_which_an_answer_is_overdue_is_given_up() {
    let (wire, far, _) = wire();
    let late = wire.ask(&[get("a")], Duration::from_millis(1)).await;
    assert_eq!(late, Err(Fault::Timeout));
    wire.lost().await;
    assert!(wire.fell_silent());
    drop(far);
}

#[tokio::test]
async fn a_connection_takes_so_many_commands_and_no_more() {
    let (wire, mut far, _) = wire();
    let many: Vec<_> = (0..COMMANDS_MAX).map(|_| command("PING", [])).collect();
    let (first, (), ()) = join!(
        ask(&wire, &many),
        async {
            assert_eq!(ask(&wire, &[get("a")]).await, Err(Fault::Full));
        },
        async {
            sent(&mut far).await;
            let answers = b"+P\r\n".repeat(COMMANDS_MAX);
            far.write_all(&answers).await.unwrap();
        }
    );
    assert_eq!(first.unwrap().len(), COMMANDS_MAX);
}

#[tokio::test]
async fn what_is_published_comes_before_the_answers_behind_it() {
    let (wire, mut far, mut heard) = wire();
    let asked = [command("SUBSCRIBE", ["c".into()]), get("a")];
    let (answers, ()) = join!(ask(&wire, &asked), async {
        sent(&mut far).await;
        let told = b">3\r\n+message\r\n+b\r\n+before\r\n\
            >3\r\n$9\r\nsubscribe\r\n+c\r\n:1\r\n\
            >3\r\n+message\r\n+c\r\n+news\r\n+A\r\n";
        far.write_all(told).await.unwrap();
    });
    assert_eq!(answers.unwrap(), [Ok(Value::Null), text("A")]);
    for news in ["before", "news"] {
        assert_eq!(heard.try_recv().unwrap().value, news);
    }
    let refused = [command("SUBSCRIBE", ["c".into()])];
    let (answers, ()) = join!(ask(&wire, &refused), async {
        sent(&mut far).await;
        far.write_all(b"-NOPERM no\r\n").await.unwrap();
    });
    assert_eq!(answers.unwrap(), [Err(Fault::Said("NOPERM no".to_owned()))]);
}
