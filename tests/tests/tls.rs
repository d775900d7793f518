//! Clients that encrypt: how they get in, what they read, and what they are spared.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use pgmemo_tests::{
    Pgmemo, Postgres, Redis, Store, Version, env,
    net::{SOON, eventually},
    postgres::PASSWORD,
    server::Signal,
    wire::Frontend,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, config::SslMode, config::SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

const READ: &str = "SELECT v FROM t WHERE id = 1";

/// The arguments that make a certificate for `localhost`, and its key, in the working directory.
const MAKE: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost \
    -addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.crt";

/// A directory with `server.crt` and `server.key`.
struct Certificate(TempDir);

impl Certificate {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let made = Command::new("openssl")
            .args(MAKE.split_whitespace())
            .current_dir(dir.path())
            .output()
            .context("openssl")?;
        ensure!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        Ok(Self(dir))
    }

    /// Has a server make one, and encrypt with it from now on.
    fn of_server(postgres: &Postgres) -> Result<Self> {
        let mut conn = postgres.connect("postgres")?;
        conn.run("CREATE TEMP TABLE said (line text)")?;
        conn.run(&format!("COPY said FROM PROGRAM 'openssl {MAKE} 2>&1'"))?;
        conn.run("ALTER SYSTEM SET ssl = on")?;
        conn.run("SELECT pg_reload_conf()")?;
        eventually("TLS of the server", SOON, || {
            let mut conn = postgres.connect("postgres").ok()?;
            (conn.value("SHOW ssl").ok()? == "on").then_some(())
        })?;
        let dir = tempfile::tempdir()?;
        for file in ["server.crt", "server.key"] {
            let pem = conn.value(&format!("SELECT pg_read_file('{file}')"))?;
            fs::write(dir.path().join(file), pem)?;
        }
        Ok(Self(dir))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("server.crt")
    }

    /// The settings that show it to clients.
    fn settings(&self) -> String {
        let dir = self.0.path().display();
        format!("[tls]\ncertificate = '{dir}/server.crt'\nkey = '{dir}/server.key'\n")
    }

    /// What a client that trusts nothing else connects with.
    fn connector(&self) -> Result<MakeRustlsConnect> {
        Ok(MakeRustlsConnect::new(self.trusting()?))
    }

    fn trusting(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(self.file())? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(config)
    }
}

/// A server with one table, of its own because its settings are changed.
fn server() -> Result<Postgres> {
    let postgres = Postgres::start(Version::System)?;
    let mut conn = postgres.connect("postgres")?;
    conn.run("CREATE TABLE t (id int PRIMARY KEY, v text)")?;
    conn.run("INSERT INTO t VALUES (1, 'a')")?;
    conn.run("GRANT SELECT ON t TO PUBLIC")?;
    Ok(postgres)
}

/// pgmemo that encrypts towards a server with a password.
fn behind_tls(postgres: &Postgres, file: &str) -> Result<Pgmemo> {
    let upstream = format!(
        "postgres://postgres@{}/postgres?sslmode=require",
        postgres.address()
    );
    Pgmemo::start_upstream(&upstream, Store::Memory, &[], file)
}

/// A server that does not encrypt, and pgmemo that does; nothing without pgmemo.
struct Ground {
    certificate: Certificate,
    pgmemo: Pgmemo,
    postgres: Postgres,
}

impl Ground {
    /// With these lines below the settings of the certificate.
    fn new(more: &str) -> Result<Option<Self>> {
        if env::direct() {
            return Ok(None);
        }
        let (postgres, certificate) = (server()?, Certificate::new()?);
        let file = certificate.settings() + more;
        Ok(Some(Self {
            pgmemo: Pgmemo::start_with(&postgres, Store::Memory, &[], &file)?,
            certificate,
            postgres,
        }))
    }
}

/// What psql prints, or what it says about an error.
fn psql(
    pgmemo: &Pgmemo,
    user: &str,
    settings: &str,
) -> Result<std::result::Result<String, String>> {
    let address = pgmemo.address();
    let output = Command::new("psql")
        .args(["-X", "-A", "-t", "-c", READ, "-c", READ, "-c", READ])
        .arg(format!(
            "host=localhost hostaddr={} port={} dbname=postgres user={user} {settings}",
            address.ip(),
            address.port()
        ))
        .env("PGPASSWORD", PASSWORD)
        .output()
        .context("psql")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    })
}

/// Has psql read the row three times, two of which are hits.
fn reads(pgmemo: &Pgmemo, user: &str, settings: &str) -> Result<()> {
    let before = pgmemo.metrics()?;
    let read = psql(pgmemo, user, settings)?;
    ensure!(
        read == Ok("a\na\na\n".to_owned()),
        "{user} {settings}: {read:?}"
    );
    pgmemo
        .expect_hits_since(&before, 2.0)
        .with_context(|| format!("{user} {settings}"))
}

fn is_refused(pgmemo: &Pgmemo, user: &str, settings: &str, text: &str) -> Result<()> {
    match psql(pgmemo, user, settings)? {
        Err(said) if said.contains(text) => Ok(()),
        other => bail!("{user} {settings}: {other:?}, expected {text:?}"),
    }
}

fn trusting(file: &Path) -> String {
    format!("sslmode=verify-full sslrootcert={}", file.display())
}

#[test]
fn every_login_works_over_tls() -> Result<()> {
    let Some(Ground {
        certificate,
        pgmemo,
        postgres: _postgres,
    }) = Ground::new("")?
    else {
        return Ok(());
    };
    for user in ["alice", "scram_user", "md5_user", "clear_user"] {
        reads(&pgmemo, user, &trusting(&certificate.file()))?;
        reads(&pgmemo, user, "sslmode=disable")?;
    }
    // The server has no channel to bind to.
    is_refused(
        &pgmemo,
        "scram_user",
        "sslmode=require channel_binding=require",
        "channel binding",
    )?;
    let stranger = Certificate::new()?;
    is_refused(
        &pgmemo,
        "alice",
        &trusting(&stranger.file()),
        "certificate verify failed",
    )
}

#[test]
fn a_server_with_tls_of_its_own_takes_the_password_from_us() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let (postgres, certificate) = (server()?, Certificate::new()?);
    let servers = Certificate::of_server(&postgres)?;
    let pgmemo = behind_tls(&postgres, &certificate.settings())?;
    for user in ["alice", "scram_user", "md5_user", "clear_user"] {
        reads(&pgmemo, user, &trusting(&certificate.file()))?;
        reads(&pgmemo, user, "sslmode=disable")?;
    }
    let wrong = "sslmode=require password=wrong";
    is_refused(
        &pgmemo,
        "scram_user",
        wrong,
        "password authentication failed",
    )?;
    is_refused(
        &pgmemo,
        "scram_user",
        "sslmode=require channel_binding=require",
        "channel binding required",
    )?;
    // The same certificate on both legs: what is bound to one is bound to the other.
    let pgmemo = behind_tls(&postgres, &servers.settings())?;
    let bound = format!("{} channel_binding=require", trusting(&servers.file()));
    reads(&pgmemo, "scram_user", &bound)?;
    reads(&pgmemo, "md5_user", &trusting(&servers.file()))?;
    let wrong = "sslmode=require password=wrong";
    is_refused(
        &pgmemo,
        "scram_user",
        wrong,
        "password authentication failed",
    )
}

#[test]
fn a_server_that_has_tls_and_wants_none_is_reached_without() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let postgres = server()?;
    let _certificate = Certificate::of_server(&postgres)?;
    let mut conn = postgres.connect("postgres")?;
    let hba = conn.value("SHOW hba_file")?;
    conn.run("CREATE TEMP TABLE hba (line text)")?;
    conn.run(&format!("COPY hba FROM '{hba}'"))?;
    conn.run(&format!(
        "COPY (SELECT 'hostssl all all all reject' UNION ALL SELECT line FROM hba) TO '{hba}'"
    ))?;
    conn.run("SELECT pg_reload_conf()")?;
    let address = postgres.address();
    let upstream = |mode| format!("postgres://postgres@{address}/postgres?sslmode={mode}");
    eventually("a server that refuses TLS", SOON, || {
        let refused = Command::new("psql")
            .args(["-Atc", "SELECT 1", &upstream("require")])
            .output();
        (!refused.ok()?.status.success()).then_some(())
    })?;
    let pgmemo = Pgmemo::start_upstream(&upstream("prefer"), Store::Memory, &[], "")?;
    for user in ["alice", "scram_user", "md5_user"] {
        reads(&pgmemo, user, "sslmode=disable")?;
    }
    let wrong = "sslmode=disable password=wrong";
    is_refused(
        &pgmemo,
        "scram_user",
        wrong,
        "password authentication failed",
    )
}

#[test]
fn clients_without_tls_are_refused_where_it_is_required() -> Result<()> {
    let Some(Ground {
        pgmemo,
        postgres: _postgres,
        ..
    }) = Ground::new("required = true\n")?
    else {
        return Ok(());
    };
    reads(&pgmemo, "alice", "sslmode=prefer")?;
    is_refused(
        &pgmemo,
        "alice",
        "sslmode=disable",
        "encrypted connections only",
    )
}

#[test]
fn a_reload_shows_the_new_certificate_or_keeps_the_old() -> Result<()> {
    let Some(Ground {
        certificate,
        mut pgmemo,
        postgres: _postgres,
    }) = Ground::new("")?
    else {
        return Ok(());
    };
    let old = tempfile::tempdir()?;
    let old = old.path().join("old.crt");
    fs::copy(certificate.file(), &old)?;
    reads(&pgmemo, "alice", &trusting(&old))?;

    fs::write(certificate.file(), "nothing of the kind")?;
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("a complaint", SOON, || {
        let log = pgmemo.server().ok()?.log_tail();
        log.contains("cannot read certificates").then_some(())
    })?;
    reads(&pgmemo, "alice", &trusting(&old))?;

    let new = Certificate::new()?;
    for file in ["server.crt", "server.key"] {
        fs::copy(new.0.path().join(file), certificate.0.path().join(file))?;
    }
    pgmemo.server()?.signal(Signal::Hup)?;
    eventually("the new certificate", SOON, || {
        reads(&pgmemo, "alice", &trusting(&new.file())).ok()
    })?;
    is_refused(
        &pgmemo,
        "alice",
        &trusting(&old),
        "certificate verify failed",
    )
}

#[test]
fn a_bad_certificate_ends_with_a_remedy() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let (one, other) = (Certificate::new()?, Certificate::new()?);
    fs::copy(
        other.0.path().join("server.key"),
        one.0.path().join("server.key"),
    )?;
    let file = one.0.path().join("pgmemo.toml");
    let upstream = Postgres::shared(Version::System).url("postgres");
    fs::write(
        &file,
        format!("upstream = '{upstream}'\n{}", one.settings()),
    )?;
    for command in ["serve", "check"] {
        let output = Command::new(env::pgmemo_bin()?)
            .arg(command)
            .arg("--config")
            .arg(&file)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.code() == Some(2),
            "{command}: {}",
            output.status
        );
        ensure!(said.contains("do not go together"), "{command}: {said}");
    }
    Ok(())
}

/// Connects over TLS and runs `work`.
fn over_tls<T>(
    pgmemo: &Pgmemo,
    certificate: &Certificate,
    negotiation: SslNegotiation,
    work: impl AsyncFnOnce(&Client, MakeRustlsConnect) -> Result<T>,
) -> Result<T> {
    let mut config = Config::new();
    config
        .host("localhost")
        .hostaddr(pgmemo.address().ip())
        .port(pgmemo.address().port())
        .user("postgres")
        .dbname("postgres")
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(negotiation);
    Runtime::new()?.block_on(async {
        let connector = certificate.connector()?;
        let (client, connection) = config.connect(connector.clone()).await?;
        let driving = tokio::spawn(connection);
        let done = tokio::time::timeout(SOON, work(&client, connector)).await;
        drop(client);
        driving.abort();
        done.context("a client was left hanging")?
    })
}

#[test]
fn a_client_may_begin_with_tls() -> Result<()> {
    let Some(Ground {
        certificate,
        pgmemo,
        postgres: _postgres,
    }) = Ground::new("")?
    else {
        return Ok(());
    };
    for negotiation in [SslNegotiation::Direct, SslNegotiation::Postgres] {
        let before = pgmemo.metrics()?;
        over_tls(&pgmemo, &certificate, negotiation, async |client, _| {
            for _ in 0..3 {
                let rows = client.query(READ, &[]).await?;
                ensure!(rows[0].get::<_, &str>(0) == "a");
            }
            Ok(())
        })?;
        pgmemo.expect_hits_since(&before, 2.0)?;
    }
    Ok(())
}

#[test]
fn a_cancel_request_may_be_encrypted() -> Result<()> {
    const SLEEPERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let Some(Ground {
        certificate,
        pgmemo,
        postgres,
    }) = Ground::new("")?
    else {
        return Ok(());
    };
    let mut control = postgres.connect("postgres")?;
    over_tls(
        &pgmemo,
        &certificate,
        SslNegotiation::Postgres,
        async |client, connector| {
            let token = client.cancel_token();
            let cancel = async {
                while control.value(SLEEPERS).is_ok_and(|count| count == "0") {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                token.cancel_query(connector).await
            };
            let (slept, cancelled) =
                tokio::join!(client.simple_query("SELECT pg_sleep(60)"), cancel);
            cancelled?;
            let code = slept.err().context("it was not cancelled")?.code().cloned();
            ensure!(
                code == Some(tokio_postgres::error::SqlState::QUERY_CANCELED),
                "{code:?}"
            );
            Ok(())
        },
    )
}

/// Whoever reads to the end is told that it is one: libpq takes a cancel request for failed otherwise.
#[test]
fn connections_that_come_to_no_session_end_as_tls_wants_it() -> Result<()> {
    let Some(Ground {
        certificate,
        pgmemo,
        ..
    }) = Ground::new("")?
    else {
        return Ok(());
    };
    let cancel = Frontend::new().cancel(7, &[7; 4]).into_bytes();
    let lost = [("user", "postgres"), ("database", "is_not_there")];
    let lost = Frontend::new().startup(3 << 16, &lost).into_bytes();
    for said in [cancel, lost] {
        let mut socket = TcpStream::connect(pgmemo.address())?;
        socket.set_read_timeout(Some(SOON))?;
        let request = [8_u32.to_be_bytes(), 80_877_103_u32.to_be_bytes()].concat();
        socket.write_all(&request)?;
        let mut word = [0];
        socket.read_exact(&mut word)?;
        ensure!(word == *b"S");
        let client =
            ClientConnection::new(certificate.trusting()?.into(), "localhost".try_into()?)?;
        let mut stream = StreamOwned::new(client, socket);
        stream.write_all(&said)?;
        stream.read_to_end(&mut Vec::new())?;
    }
    Ok(())
}

/// What TLS has taken and the socket has not is sent when there is room, though nothing follows.
#[test]
fn large_messages_arrive_whole_in_both_directions() -> Result<()> {
    const BYTES: usize = 24 << 20;
    if env::direct() {
        return Ok(());
    }
    let (postgres, certificate) = (server()?, Certificate::new()?);
    Certificate::of_server(&postgres)?;
    let pgmemo = behind_tls(&postgres, &certificate.settings())?;
    over_tls(
        &pgmemo,
        &certificate,
        SslNegotiation::Postgres,
        async |client, _| {
            for _ in 0..3 {
                let text = "x".repeat(BYTES);
                let row = client
                    .query_one("SELECT $1::text || random()", &[&text])
                    .await?;
                ensure!(row.get::<_, &str>(0).starts_with(&text));
            }
            Ok(())
        },
    )
}

/// What is stored, and who hears of writes, does not depend on who can listen to the wire.
#[test]
fn a_redis_that_encrypts_is_shared_as_any_other() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let (postgres, certificate) = (server()?, Certificate::new()?);
    let redis = Redis::start_encrypted(certificate.0.path())?;
    let (url, file) = redis.encrypted()?;
    let store = Store::Encrypted(&url, &file);
    let leases = "[redis]\nmode = \"leases\"\n";
    for file in ["", leases] {
        let first = Pgmemo::start_with(&postgres, store, &[], file)?;
        let second = Pgmemo::start_with(&postgres, store, &[], file)?;
        let (mut writer, mut reader) = (first.connect("postgres")?, second.connect("postgres")?);
        for n in 1..=5 {
            writer.run(&format!("UPDATE t SET v = '{n}' WHERE id = 1"))?;
            let before = second.hits()?;
            eventually("a hit", SOON, || {
                assert_eq!(reader.value(READ).ok()?, n.to_string());
                (second.hits().ok()? > before).then_some(())
            })?;
        }
    }
    Ok(())
}

/// Nothing is told to whom nobody trusts, and nobody waits for it.
#[test]
fn a_redis_with_a_strange_certificate_is_not_used() -> Result<()> {
    if env::direct() {
        return Ok(());
    }
    let (postgres, certificate, other) = (server()?, Certificate::new()?, Certificate::new()?);
    let redis = Redis::start_encrypted(certificate.0.path())?;
    let (url, _) = redis.encrypted()?;
    let pgmemo = Pgmemo::start_unready(&postgres, Store::Encrypted(&url, &other.file()))?;
    let mut client = pgmemo.connect("postgres")?;
    for _ in 0..5 {
        assert_eq!(client.value(READ)?, "a");
    }
    let up = pgmemo
        .metrics()?
        .sum("pgmemo_store_state", &[r#"state="up""#]);
    assert!(up < 1.0);
    ensure!(redis.command("DBSIZE")? == ":0", "something was stored");
    Ok(())
}
