//! Who comes: what it is told, and how it is looked after.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Postgres, Version,
    net::{SOON, eventually},
    wire::{Conn, Frontend},
};

use super::{READ, ground};

/// As PostgreSQL's sockets are: a client whose host is gone must not hold its locks for ever.
#[test]
fn the_system_looks_after_clients() -> Result<()> {
    let Some((database, pgmemo)) = ground("[limits]\nclient_gone_after = '20s'\n")? else {
        return Ok(());
    };
    let _client = pgmemo.connect(database.name())?;
    let port = format!(":{:04X}", pgmemo.address().port());
    let sockets = fs::read_to_string("/proc/net/tcp")?;
    let timers: Vec<_> = sockets
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|it| it.len() > 5 && it[1].ends_with(&port) && it[3] == "01")
        .map(|it| it[5].to_owned())
        .collect();
    ensure!(!timers.is_empty(), "no connection of ours in {sockets}");
    for timer in timers {
        // A timer of the second kind, in hundredths of a second.
        let (kind, left) = timer.split_once(':').context("no timer")?;
        let left = u64::from_str_radix(left, 16)?;
        ensure!(kind == "02" && left <= 1000, "{timer}");
    }
    Ok(())
}

/// The server says which versions of the protocol it speaks.
#[test]
fn another_version_of_the_protocol_is_refused_by_the_server() -> Result<()> {
    let Some((_database, pgmemo)) = ground("")? else {
        return Ok(());
    };
    let postgres = Postgres::shared(Version::System);
    for (major, minor) in [(0_u16, 0_u16), (1, 0), (2, 0), (4, 0), (99, 9)] {
        let mut packet = [0, 0, 0, 31].to_vec();
        packet.extend([major.to_be_bytes(), minor.to_be_bytes()].concat());
        packet.extend(b"user\0postgres\0extra\0x\0\0");
        packet[3] = u8::try_from(packet.len())?;
        let said = |address| -> Result<String> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(SOON))?;
            stream.write_all(&packet)?;
            let mut said = Vec::new();
            stream.read_to_end(&mut said)?;
            Ok(String::from_utf8_lossy(&said).into_owned())
        };
        let (directly, through) = (said(postgres.address())?, said(pgmemo.address())?);
        ensure!(directly.contains("unsupported"), "{directly:?}");
        ensure!(directly == through, "{directly:?} is not {through:?}");
    }
    Ok(())
}

/// Who comes when no more files can be opened does not wait for somebody to leave.
#[test]
fn who_comes_when_no_file_can_be_opened_is_told_so() -> Result<()> {
    let Some((database, mut pgmemo)) = ground("")? else {
        return Ok(());
    };
    let mut conn = pgmemo.connect(database.name())?;
    conn.value(READ)?;
    let process = pgmemo.server()?.pid();
    let open = || -> Result<Vec<u64>> {
        let files = fs::read_dir(format!("/proc/{process}/fd"))?;
        let numbers = files.map(|file| Ok(file?.file_name().to_string_lossy().parse()?));
        numbers.collect()
    };
    let numbers = open()?;
    let limit = 4 + numbers.iter().max().context("no file is open")?;
    let set = Command::new("prlimit")
        .args([format!("--pid={process}"), format!("--nofile={limit}:")])
        .status()?;
    ensure!(set.success());
    let room = limit - numbers.len() as u64;
    let silent: Vec<_> = (0..room)
        .map(|_| Conn::raw(pgmemo.address()))
        .collect::<Result<_>>()?;
    eventually("no more files", SOON, || {
        (open().ok()?.len() as u64 == limit).then_some(())
    })?;
    for _ in 0..3 {
        let start = Instant::now();
        let error = pgmemo.connect(database.name()).err().context("let in")?;
        ensure!(format!("{error:?}").contains("53300"), "{error:?}");
        let took = start.elapsed();
        ensure!(took < Duration::from_secs(2), "{took:?}");
    }
    conn.send(Frontend::new().query("SELECT pg_sleep(20)").bytes())?;
    thread::sleep(Duration::from_millis(300));
    conn.cancel()?;
    let error = conn.read_until(b'Z')?.error();
    ensure!(error.is_some_and(|error| error.contains("57014")));
    drop(silent);
    eventually("a client is let in", SOON, || {
        pgmemo.connect(database.name()).ok()
    })?;
    Ok(())
}
