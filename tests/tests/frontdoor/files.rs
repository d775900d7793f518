//! Configuration files, and what `pgmemo check` says of them and of what they name.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Version, env,
    net::{SOON, accepts, eventually, free_port, local},
    server::Signal,
};

use super::{READ, ground};

#[test]
fn a_bad_configuration_ends_with_status_2_and_names_every_problem() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("pgmemo.toml");
    fs::write(
        &path,
        "listn = 'x'\n[cache]\ndefault_ttl = 'soon'\nbytes_max = '-1'\n",
    )?;
    for command in ["serve", "check"] {
        let output = Command::new(env::pgmemo_bin()?)
            .args([command, "--upstream", "http://nowhere", "--config"])
            .arg(&path)
            .output()?;
        ensure!(
            output.status.code() == Some(2),
            "{command}: {}",
            output.status
        );
        let text = String::from_utf8_lossy(&output.stderr);
        for part in [
            "listn",
            "listen",
            "default_ttl",
            "bytes_max",
            "upstream",
            ":1:",
            ":3:",
        ] {
            ensure!(
                text.contains(part),
                "{command} does not mention {part}:\n{text}"
            );
        }
    }
    Ok(())
}

#[test]
fn sighup_takes_a_good_file_and_keeps_the_old_one_if_it_is_bad() -> Result<()> {
    let on = "[cache]\ndefault_ttl = '60s'\n";
    let Some((database, mut pgmemo)) = ground(on)? else {
        return Ok(());
    };
    let file = pgmemo.dir()?.join("pgmemo.toml");
    let mut client = pgmemo.connect(database.name())?;
    let mut hits = |pgmemo: &Pgmemo| -> Result<bool> {
        let before = pgmemo.hits()?;
        for _ in 0..3 {
            client.run(READ)?;
        }
        Ok(pgmemo.hits()? > before)
    };
    eventually("hits", SOON, || hits(&pgmemo).ok()?.then_some(()))?;

    fs::write(&file, "[cache]\ndefault_ttl = 'off'\n")?;
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("no hits after the reload", SOON, || {
        (!hits(&pgmemo).ok()?).then_some(())
    })?;

    fs::write(&file, on)?;
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("hits after the second reload", SOON, || {
        hits(&pgmemo).ok()?.then_some(())
    })?;

    fs::write(&file, "[cache]\ndefault_ttl = 'off'\nnonsense = 1\n")?;
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("a complaint", SOON, || {
        let log = pgmemo.server().ok()?.log_tail();
        log.contains("nonsense").then_some(())
    })?;
    ensure!(hits(&pgmemo)?, "a bad file was taken in part");
    Ok(())
}

#[test]
fn check_says_what_is_wrong_with_server_and_store() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::shared(Version::System);
    let redis = Redis::start()?;
    let check = |upstream: &str, store: &str| {
        Command::new(env::pgmemo_bin()?)
            .args(["check", "--upstream", upstream, "--store", store])
            .output()
            .context("pgmemo check")
    };
    let good = check(&postgres.url("postgres"), &redis.url())?;
    ensure!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    let nobody = local(free_port()?);
    ensure!(!accepts(nobody), "somebody listens on a free port");
    let bad = check(
        &format!("postgres://postgres@{nobody}/postgres"),
        &format!("redis://{nobody}"),
    )?;
    ensure!(!bad.status.success(), "what is not there was found good");
    // And the words of those who refuse.
    for (store, words) in [
        (format!("redis://{nobody}"), "refused"),
        (format!("{}/99", redis.url()), "out of range"),
    ] {
        let told = check(&postgres.url("postgres"), &store)?;
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        ensure!(
            told.contains("the store is not up") && told.contains(words),
            "{store}: {told}"
        );
    }
    Ok(())
}
