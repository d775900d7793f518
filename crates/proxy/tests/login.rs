//! Logins through the relay, judged by a real server.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::{
    io::{Read, Write},
    net::SocketAddr,
    process::Command,
    sync::Arc,
    time::Duration,
};

use config::{ClientCertificate, TlsMode};
use pgmemo_proxy::{
    Server,
    greeting::{Encryption, Greeting, greet},
    login::{LoginError, LoginRules, Sasl, Trust, relay_login, unreachable},
    upstream::{Upstream, UpstreamError},
};
use support::{PASSWORD, Postgres, bin, watched};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, NoTls, error::SqlState};
use tokio_util::sync::CancellationToken;

/// The least of a proxy: greets, logs in, and then moves bytes.
struct Relay {
    address: SocketAddr,
    /// How each login ended: the process that serves it.
    logins: mpsc::UnboundedReceiver<Result<Option<i32>, LoginError>>,
}

impl Relay {
    async fn start(upstream: &config::Upstream, trust: Trust) -> Self {
        let upstream = Arc::new(Upstream::new(upstream).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, logins) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&upstream), trust, sender.clone()));
            }
        });
        Self { address, logins }
    }

    async fn connect(&self, user: &str, password: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.address.port())
            .user(user)
            .dbname("postgres");
        config.password(password);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn login(&mut self) -> Result<Option<i32>, LoginError> {
        timeout(Duration::from_secs(20), self.logins.recv())
            .await
            .unwrap()
            .unwrap()
    }
}

async fn serve(
    mut client: TcpStream,
    upstream: Arc<Upstream>,
    trust: Trust,
    logins: mpsc::UnboundedSender<Result<Option<i32>, LoginError>>,
) {
    let greeting = greet(
        &mut client,
        Encryption::Declined,
        Instant::now() + Duration::from_secs(20),
    )
    .await;
    let (startup, ahead) = match greeting {
        Ok(Greeting::Startup(startup, ahead)) => (startup, ahead),
        Ok(Greeting::Cancel(packet)) => {
            return upstream
                .cancel(&packet, None, async { Some(()) })
                .await
                .unwrap();
        }
        Ok(Greeting::Encrypt | Greeting::Foreign(_) | Greeting::Gone) | Err(_) => return,
    };
    let mut server = match upstream.connect().await {
        Ok(server) => server,
        Err(error) => return client.write_all(&unreachable(&error)).await.unwrap(),
    };
    let rules = LoginRules {
        trust,
        sasl: if server.is_tls() {
            Sasl::Unbound
        } else {
            Sasl::Relay
        },
        over_tls: false,
        timeout: Duration::from_secs(20),
    };
    let login = relay_login(&mut client, &mut server, &startup.raw, ahead, rules).await;
    match login {
        Ok(login) => {
            server.write_all(&login.leftover_client).await.unwrap();
            client.write_all(&login.leftover_server).await.unwrap();
            logins.send(Ok(login.process)).unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
        Err(error) => {
            let _ = logins.send(Err(error));
        }
    }
}

async fn current_user(client: &Client) -> String {
    client
        .query_one("SELECT current_user::text", &[])
        .await
        .unwrap()
        .get(0)
}

#[tokio::test]
async fn every_method_works_with_and_without_tls_to_the_server() {
    let server = Postgres::shared();
    for tls in [TlsMode::Disable, TlsMode::Prefer, TlsMode::Require] {
        let mut relay = Relay::start(&server.upstream(tls), Trust::Passes).await;
        for user in ["trusted", "clear", "md5", "scram"] {
            let client = relay.connect(user, PASSWORD).await.unwrap();
            assert_eq!(current_user(&client).await, user, "{tls:?}");
            let process: i32 = client
                .query_one("SELECT pg_backend_pid()", &[])
                .await
                .unwrap()
                .get(0);
            assert_eq!(relay.login().await.unwrap(), Some(process));
        }
    }
}

#[tokio::test]
async fn a_unix_socket_works() {
    let server = Postgres::shared();
    let mut upstream = server.upstream(TlsMode::VerifyFull);
    upstream.host = server.socket_directory();
    let relay = Relay::start(&upstream, Trust::Passes).await;
    let client = relay.connect("scram", PASSWORD).await.unwrap();
    assert_eq!(current_user(&client).await, "scram");
}

#[tokio::test]
async fn the_servers_refusals_reach_the_client() {
    let server = Postgres::shared();
    for tls in [TlsMode::Disable, TlsMode::Require] {
        let mut relay = Relay::start(&server.upstream(tls), Trust::Passes).await;
        for user in ["clear", "md5", "scram", "nobody"] {
            let error = relay.connect(user, "wrong").await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INVALID_PASSWORD), "{user}");
            let refused = relay.login().await;
            assert!(
                matches!(refused, Err(LoginError::Refused { sqlstate }) if sqlstate == "28P01")
            );
        }
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(relay.address.port())
            .user("scram")
            .password(PASSWORD);
        let error = config.dbname("nowhere").connect(NoTls).await.err().unwrap();
        assert_eq!(error.code(), Some(&SqlState::UNDEFINED_DATABASE));
    }
}

#[tokio::test]
async fn a_login_without_a_challenge_is_refused_unless_allowed() {
    let server = Postgres::shared();
    let mut relay = Relay::start(&server.upstream(TlsMode::Disable), Trust::ByAddress).await;
    let error = relay.connect("trusted", "").await.unwrap_err();
    let answer = error.as_db_error().unwrap();
    assert_eq!(
        *answer.code(),
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION
    );
    assert!(answer.hint().unwrap().contains("allow_trust_relay"));
    assert!(matches!(
        relay.login().await,
        Err(LoginError::Unchallenged { by_user: false })
    ));
    assert!(relay.connect("scram", PASSWORD).await.is_ok());
}

/// The user that a server sees behind a Unix-domain socket is ours, whoever is in front of us.
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_no_proof_of_who_a_client_is() {
    let server = Postgres::shared();
    for allowed in [false, true] {
        let mut config = watched::config(&server, Duration::from_secs(60));
        config.upstream.host = server.socket_directory();
        config.limits.clients_max = 10;
        config.limits.login_timeout = Duration::from_secs(20);
        config.limits.allow_trust_relay = allowed;
        let limits = store::Limits {
            bytes_max: 1 << 20,
            entry_bytes_max: 1 << 16,
            jitter_percent: 0,
        };
        let proxy = Server::bind(Arc::new(config), store::Store::memory(limits)).unwrap();
        let proxy = Arc::new(proxy);
        let (stop, running) = (CancellationToken::new(), Arc::clone(&proxy));
        let told = stop.clone();
        let run = tokio::spawn(async move { running.run(told).await });
        let mut login = tokio_postgres::Config::new();
        login
            .host("127.0.0.1")
            .port(proxy.local_addr().port())
            .user("trusted")
            .dbname("postgres");
        match login.connect(NoTls).await {
            Ok(_) => assert!(allowed),
            Err(error) => {
                let answer = error.as_db_error().unwrap();
                assert!(
                    !allowed && answer.message().contains("Unix-domain"),
                    "{answer}"
                );
            }
        }
        stop.cancel();
        run.await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_of_ours_lets_us_in() {
    let server = Postgres::shared();
    let mut config = server.upstream(TlsMode::Require);
    let relay = Relay::start(&config, Trust::Passes).await;
    assert!(relay.connect("certified", "").await.is_err());
    config.client_certificate = Some(ClientCertificate {
        certificate: server.file("certified.crt"),
        key: server.file("certified.key"),
    });
    let relay = Relay::start(&config, Trust::Passes).await;
    let client = relay.connect("certified", "").await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();
    config.client_certificate = Some(ClientCertificate {
        certificate: server.file("certified.key"),
        key: server.file("certified.key"),
    });
    let error = Upstream::new(&config).unwrap_err().to_string();
    assert!(error.contains("certified.key"), "{error}");
}

#[tokio::test]
async fn certificates_are_checked_as_the_mode_says() {
    let server = Postgres::shared();
    let (root, leaf, other) = ("root.crt", "server.crt", "other.crt");
    for (tls, certificate, host, accepted) in [
        (TlsMode::Require, None, "127.0.0.1", true),
        (TlsMode::Require, Some(root), "127.0.0.1", true),
        (TlsMode::Require, Some(other), "localhost", false),
        (TlsMode::VerifyCa, Some(root), "127.0.0.1", true),
        (TlsMode::VerifyCa, Some(leaf), "127.0.0.1", true),
        (TlsMode::VerifyCa, Some(other), "localhost", false),
        (TlsMode::VerifyFull, Some(root), "localhost", true),
        (TlsMode::VerifyFull, Some(root), "127.0.0.1", false),
        (TlsMode::VerifyFull, Some(leaf), "localhost", true),
        (TlsMode::VerifyFull, Some(leaf), "127.0.0.1", false),
        (TlsMode::VerifyFull, Some(other), "localhost", false),
    ] {
        let mut config = server.upstream(tls);
        config.root_certificate = certificate.map(|name| server.file(name));
        config.host = host.to_owned();
        let outcome = Upstream::new(&config).unwrap().connect().await;
        let case = format!("{tls:?} {certificate:?} {host}: {outcome:?}");
        match outcome {
            Ok(stream) => assert!(accepted && stream.is_tls(), "{case}"),
            Err(error) => {
                assert!(
                    !accepted && matches!(error, UpstreamError::Handshake(_)),
                    "{case}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_cancel_request_finds_its_statement() {
    let server = Postgres::shared();
    for tls in [TlsMode::Disable, TlsMode::Require] {
        let relay = Relay::start(&server.upstream(tls), Trust::Passes).await;
        let client = relay.connect("scram", PASSWORD).await.unwrap();
        let watcher = relay.connect("scram", PASSWORD).await.unwrap();
        let cancel = client.cancel_token();
        let asleep = client.query_one("SELECT pg_sleep(60)", &[]);
        let awake = async {
            let running = "SELECT count(*) FROM pg_stat_activity \
                WHERE query = 'SELECT pg_sleep(60)' AND state = 'active' AND usename = 'scram'";
            while watcher
                .query_one(running, &[])
                .await
                .unwrap()
                .get::<_, i64>(0)
                == 0
            {}
            cancel.cancel_query(NoTls).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(asleep, awake);
        assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replication_protocol_passes() {
    let server = Postgres::shared();
    let relay = Relay::start(&server.upstream(TlsMode::Require), Trust::Passes).await;
    let port = relay.address.port();
    let psql = move || {
        Command::new(bin().join("psql"))
            .args(["-X", "-At", "-c", "IDENTIFY_SYSTEM"])
            .arg(format!(
                "host=127.0.0.1 port={port} user=postgres replication=yes"
            ))
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(psql).await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        output.stdout.iter().filter(|&&byte| byte == b'|').count(),
        3
    );
}

#[tokio::test]
async fn a_server_that_is_down_is_an_error_the_client_understands() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Postgres::shared().upstream(TlsMode::Disable);
    config.port = listener.local_addr().unwrap().port();
    drop(listener);
    let relay = Relay::start(&config, Trust::Passes).await;
    let error = relay.connect("scram", PASSWORD).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::CANNOT_CONNECT_NOW));
}

/// What a server sends back to some first bytes.
fn answer(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_greeting_is_answered_as_the_server_does() {
    let server = Postgres::shared();
    let relay = Relay::start(&server.upstream(TlsMode::Disable), Trust::Passes).await;
    for bytes in [
        &b"\0\0\0\x0d\0\x03\0\0user\0"[..],
        b"\0\0\0\x09\0\x03\0\0\0",
        b"\0\0\0\x04",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        // Length and place in the source differ. Severity, code and text do not.
        let essence = |answer: Vec<u8>| {
            let text = String::from_utf8_lossy(&answer);
            let from = text.find("FATAL").unwrap_or_default();
            text[from..]
                .split(['\0', ':'])
                .take(4)
                .collect::<Vec<_>>()
                .join("|")
        };
        let port = relay.address.port();
        let (ours, theirs) = (answer(port, bytes), answer(server.port, bytes));
        assert_eq!(essence(ours), essence(theirs), "{bytes:?}");
    }
}
