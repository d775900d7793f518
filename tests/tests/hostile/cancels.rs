//! Cancel requests with keys of nobody, and at any moment.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use pgmemo_tests::{
    random::{Random, seed},
    wire::Frontend,
};

use super::Ground;

#[test]
fn cancel_requests_with_wrong_keys_cancel_nothing() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut sleeper = ground.session()?;
    let (pid, key) = sleeper.cancel_key()?;
    sleeper.send(Frontend::new().query("SELECT pg_sleep(1)").bytes())?;
    let wrong: Vec<u8> = key.iter().map(|byte| byte ^ 0xff).collect();
    for (pid, key) in [
        (pid, wrong.as_slice()),
        (1, key.as_slice()),
        (0, &[]),
        (pid, &[0; 300]),
    ] {
        let mut socket = ground.socket()?;
        socket.send(Frontend::new().cancel(pid, key).bytes())?;
        ensure!(socket.ends(), "a cancel request was not closed");
    }
    ensure!(
        sleeper.read_until(b'Z')?.error().is_none(),
        "the wrong statement was cancelled"
    );
    ground.check()
}

/// Whatever a request hits, either nothing of a transaction is done, or all that was acknowledged.
#[test]
fn a_cancel_request_never_leaves_half_a_transaction() -> Result<()> {
    let ground = Ground::new()?;
    let mut conn = ground.session()?;
    let mut random = Random::new(seed());
    let mut control = ground.database.connect()?;
    let mut expected = 0;
    control.run("CREATE TABLE counted (n int); INSERT INTO counted VALUES (0)")?;
    let [mut cancelled, mut done] = [0, 0];
    for round in 0..300 {
        conn.run("BEGIN")?;
        let other = conn.another_end()?;
        let pause = Duration::from_micros(random.below(400));
        let request = thread::spawn(move || {
            thread::sleep(pause);
            other.cancel()
        });
        conn.send(
            Frontend::new()
                .query("UPDATE counted SET n = n + 1")
                .bytes(),
        )?;
        let answer = conn.read_until(b'Z')?;
        request.join().expect("it does not panic")?;
        let last = answer.0.last().map(|message| message.body.clone());
        match answer.error() {
            Some(error) => {
                ensure!(error.contains("57014"), "round {round}: {error}");
                ensure!(last.as_deref() == Some(b"E"), "round {round}: {answer:?}");
                cancelled += 1;
                conn.run("ROLLBACK")?;
            }
            None => {
                ensure!(last.as_deref() == Some(b"T"), "round {round}: {answer:?}");
                done += 1;
                expected += 1;
                // It may come this late.
                if conn.query("COMMIT")?.error().is_some() {
                    expected -= 1;
                    conn.run("ROLLBACK")?;
                }
            }
        }
        let found = control.value("SELECT n FROM counted")?;
        ensure!(
            found == expected.to_string(),
            "round {round}: {found}, {expected}"
        );
    }
    eprintln!("{cancelled} cancelled, {done} done");
    Ok(())
}
