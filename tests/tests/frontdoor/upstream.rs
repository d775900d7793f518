//! Servers that want a password, are away, or are pgmemo itself.

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Store, Version, env,
    gate::Gate,
    net::{SOON, eventually},
    wire::{Conn, Login},
};

use super::{READ, ready};

#[test]
fn a_client_is_told_when_the_server_is_away() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::start(Version::System)?;
    let pgmemo = Pgmemo::start(&postgres, Store::Memory, &[])?;
    let mut client = pgmemo.connect("postgres")?;
    drop(postgres);
    ensure!(client.ends(), "the client was left hanging");
    let login = Login::default();
    let refused = Conn::greet(pgmemo.address(), &login)?;
    let last = refused
        .greeting()
        .last()
        .context("no word for the client")?;
    ensure!(last.tag == b'E', "the client was told {last:?}");
    let text = format!("{last:?}");
    ensure!(
        !text.contains("127.0.0.1"),
        "the client was told where the server is: {text}"
    );
    Ok(())
}

/// By a name, or by a port that somebody forwards: no address tells.
#[test]
fn a_pgmemo_in_front_of_itself_says_so_and_does_not_spin() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    type Url = fn(std::net::SocketAddr) -> Result<String>;
    let named: Url = |address| Ok(format!("postgres://postgres@localhost:{}", address.port()));
    let forwarded: Url = |address| {
        let gate = Gate::close(address, "nowhere")?;
        gate.open();
        Ok(gate.url())
    };
    for url in [named, forwarded] {
        let pgmemo = Pgmemo::start_before_itself(url)?;
        eventually("a word of it", SOON, || {
            pgmemo.log_tail().contains("leads back").then_some(())
        })?;
        for _ in 0..3 {
            let refused = Conn::greet(pgmemo.address(), &Login::to("postgres"))?;
            let last = refused.greeting().last().context("no word")?;
            ensure!(format!("{last:?}").contains("leads back"), "{last:?}");
        }
        ensure!(!ready(&pgmemo), "it says that it is ready");
        let log = pgmemo.log_tail();
        ensure!(
            log.matches("leads back to this pgmemo:").count() == 1,
            "{log}"
        );
        ensure!(log.lines().count() < 20, "{log}");
    }
    Ok(())
}

#[test]
fn a_server_with_a_password_is_reached_by_clients_and_by_us() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = Postgres::shared(Version::System);
    let database = postgres.database()?;
    database
        .connect()?
        .run("CREATE TABLE t (id int PRIMARY KEY, v text)")?;
    database
        .connect()?
        .run("INSERT INTO t VALUES (1, 'a'); GRANT SELECT ON t TO PUBLIC")?;
    let upstream = format!(
        "postgres://scram_user:open%20sesame@{}/{}?sslmode=disable",
        postgres.address(),
        database.name()
    );
    let pgmemo = Pgmemo::start_upstream(&upstream, Store::Memory, &[], "")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for user in ["scram_user", "md5_user", "clear_user"] {
        let before = pgmemo.metrics()?;
        let through = |password: &str| {
            let url = format!(
                "postgres://{user}:{password}@{}/{}?sslmode=disable",
                pgmemo.address(),
                database.name()
            );
            runtime.block_on(async move {
                let (client, connection) =
                    tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
                let driving = tokio::spawn(connection);
                for _ in 0..4 {
                    client.simple_query(READ).await?;
                }
                drop(client);
                Ok::<_, anyhow::Error>(driving.await??)
            })
        };
        through("open%20sesame").with_context(|| user.to_owned())?;
        pgmemo
            .expect_hits_since(&before, 1.0)
            .with_context(|| user.to_owned())?;
        let refused = through("wrong")
            .err()
            .context("a wrong password was accepted")?;
        let code = refused
            .downcast_ref::<tokio_postgres::Error>()
            .and_then(|error| error.code());
        ensure!(
            code == Some(&tokio_postgres::error::SqlState::INVALID_PASSWORD),
            "{user}: {refused:#}"
        );
    }
    Ok(())
}
