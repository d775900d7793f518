use tokio::io::{DuplexStream, duplex};

use super::*;

const RULES: LoginRules = LoginRules {
    trust: Trust::ByAddress,
    sasl: Sasl::Relay,
    over_tls: false,
    timeout: Duration::from_secs(60),
};

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(4 + body.len()).unwrap();
    [&[tag][..], &length.to_be_bytes(), body].concat()
}

fn authentication(code: u8, rest: &[u8]) -> Vec<u8> {
    frame(b'R', &[&[0, 0, 0, code], rest].concat())
}

fn ready() -> Vec<u8> {
    frame(b'Z', b"I")
}

async fn expect(stream: &mut DuplexStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(read, bytes);
}

/// Runs a login between two scripts, each of which is handed its end.
async fn relay<T>(
    rules: LoginRules,
    ahead: &[u8],
    script: impl AsyncFnOnce(DuplexStream, DuplexStream) -> T,
) -> (Result<Login, LoginError>, T) {
    let (mut client, client_end) = duplex(256 * 1024);
    let (mut server, server_end) = duplex(256 * 1024);
    let login = async move {
        relay_login(
            &mut client,
            &mut server,
            b"startup",
            BytesMut::from(ahead),
            rules,
        )
        .await
    };
    tokio::join!(login, script(client_end, server_end))
}

#[tokio::test]
async fn messages_pass_both_ways_and_the_rest_is_kept() {
    let (login, ()) = relay(RULES, b"", async |mut client, mut server| {
        expect(&mut server, b"startup").await;
        let challenge = authentication(5, b"salt");
        server.write_all(&challenge).await.unwrap();
        expect(&mut client, &challenge).await;
        let answer = frame(b'p', b"md5\0");
        client.write_all(&answer).await.unwrap();
        client.write_all(b"ahead").await.unwrap();
        expect(&mut server, &answer).await;
        let accepted = [
            frame(b'v', b"\0\x03\0\0\0\0\0\0"),
            authentication(0, b""),
            frame(b'S', b"TimeZone\0UTC\0"),
            frame(b'K', b"\0\0\0\x07secret"),
            frame(b'N', b"SNOTICE\0\0"),
            ready(),
        ]
        .concat();
        server.write_all(&accepted).await.unwrap();
        server.write_all(b"more").await.unwrap();
        expect(&mut client, &accepted).await;
    })
    .await;
    let login = login.unwrap();
    let zone = (Bytes::from_static(b"TimeZone"), Bytes::from_static(b"UTC"));
    assert_eq!(login.parameters, [zone]);
    assert_eq!(
        (login.process, login.cancel_key.as_deref()),
        (Some(7), Some(&b"secret"[..]))
    );
    assert_eq!(login.status, Status::Idle);
    assert_eq!(
        (&login.leftover_client[..], &login.leftover_server[..]),
        (&b"ahead"[..], &b"more"[..])
    );
}

#[tokio::test]
async fn a_server_without_a_cancel_key_is_fine() {
    let rules = LoginRules {
        trust: Trust::Passes,
        ..RULES
    };
    let (login, ()) = relay(rules, b"Q\0\0\0\x05\0", async |_client, mut server| {
        server
            .write_all(&[authentication(0, b""), ready()].concat())
            .await
            .unwrap();
        expect(&mut server, b"startup").await;
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"", "a query sent ahead waits for the session");
    })
    .await;
    let login = login.unwrap();
    assert_eq!((login.process, login.cancel_key), (None, None));
    assert_eq!(login.leftover_client, &b"Q\0\0\0\x05\0"[..]);
}

#[tokio::test]
async fn a_login_without_a_challenge_is_refused_with_a_remedy() {
    let (login, told) = relay(RULES, b"", async |mut client, mut server| {
        server
            .write_all(&[authentication(0, b""), ready()].concat())
            .await
            .unwrap();
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        String::from_utf8_lossy(&told).into_owned()
    })
    .await;
    assert!(matches!(
        login,
        Err(LoginError::Unchallenged { by_user: false })
    ));
    assert!(told.starts_with('E') && told.contains("C28000") && told.contains("allow_trust_relay"));
}

#[tokio::test]
async fn channel_binding_is_hidden_only_where_it_cannot_work() {
    let offer = authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0OAUTHBEARER\0\0");
    let without = authentication(10, b"SCRAM-SHA-256\0OAUTHBEARER\0\0");
    for (sasl, expected) in [(Sasl::Unbound, &without), (Sasl::Relay, &offer)] {
        let rules = LoginRules { sasl, ..RULES };
        let (login, ()) = relay(rules, b"", async |mut client, mut server| {
            server.write_all(&offer).await.unwrap();
            expect(&mut client, expected).await;
        })
        .await;
        assert!(matches!(
            login,
            Err(LoginError::ServerGone | LoginError::ClientGone)
        ));
    }
}

#[tokio::test]
async fn the_servers_final_word_in_sasl_asks_for_nothing() {
    let (login, ()) = relay(RULES, b"", async |mut client, mut server| {
        expect(&mut server, b"startup").await;
        for (challenge, answer, early) in [
            (
                authentication(10, b"SCRAM-SHA-256\0\0"),
                frame(b'p', b"first"),
                vec![],
            ),
            (
                authentication(11, b"first"),
                frame(b'p', &[b'x'; 60_000]),
                frame(b'Q', b"early\0"),
            ),
        ] {
            server.write_all(&challenge).await.unwrap();
            expect(&mut client, &challenge).await;
            client
                .write_all(&[&answer[..], &early].concat())
                .await
                .unwrap();
            expect(&mut server, &answer).await;
        }
        server
            .write_all(&authentication(12, b"v=final"))
            .await
            .unwrap();
        server.write_all(&authentication(0, b"")).await.unwrap();
        server.write_all(&ready()).await.unwrap();
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    })
    .await;
    assert_eq!(login.unwrap().leftover_client, &frame(b'Q', b"early\0")[..]);
}

/// A login that is vouched for, up to the client's answer to the request for its password.
async fn vouched(
    answer: &[u8],
    script: impl AsyncFnOnce(&mut DuplexStream, &mut DuplexStream),
) -> Result<Login, LoginError> {
    let rules = LoginRules {
        sasl: Sasl::Vouch,
        ..RULES
    };
    let (login, ()) = relay(rules, b"", async |mut client, mut server| {
        expect(&mut server, b"startup").await;
        let offer = authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        server.write_all(&offer).await.unwrap();
        expect(&mut client, &authentication(3, b"")).await;
        client.write_all(answer).await.unwrap();
        script(&mut client, &mut server).await;
    })
    .await;
    login
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_not_believed() {
    for early in [authentication(0, b""), authentication(12, b"v=AAAA")] {
        let login = vouched(&frame(b'p', b"secret\0"), async |client, server| {
            let mut first = [0; 23];
            server.read_exact(&mut first).await.unwrap();
            assert_eq!(&first[5..19], b"SCRAM-SHA-256\0");
            // Bound to no channel, and not for want of trying.
            let mut message = [0; 3];
            server.read_exact(&mut message).await.unwrap();
            assert_eq!(&message, b"n,,");
            server
                .write_all(&[early.clone(), ready()].concat())
                .await
                .unwrap();
            let mut told = Vec::new();
            client.read_to_end(&mut told).await.unwrap();
            assert!(String::from_utf8_lossy(&told).contains("C08006"));
        })
        .await;
        assert!(matches!(login, Err(LoginError::Scram(_))), "{login:?}");
    }
}

#[tokio::test]
async fn no_password_is_no_login() {
    let login = vouched(&frame(b'Q', b"SELECT 1\0"), async |client, _server| {
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert!(String::from_utf8_lossy(&told).contains("C08P01"));
    })
    .await;
    assert!(
        matches!(login, Err(LoginError::NoPassword { tag: b'Q' })),
        "{login:?}"
    );
}

#[tokio::test]
async fn the_servers_refusal_reaches_the_client_byte_for_byte() {
    let refusal = frame(b'E', b"SFATAL\0VFATAL\0C28P01\0Mno\0\0");
    let (login, ()) = relay(RULES, b"", async |mut client, mut server| {
        server.write_all(&refusal).await.unwrap();
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, refusal);
    })
    .await;
    assert!(matches!(login, Err(LoginError::Refused { sqlstate }) if sqlstate == "28P01"));
}

#[tokio::test]
async fn a_client_that_vanishes_ends_the_login() {
    let (login, ()) = relay(RULES, b"", async |client, mut server| {
        server.write_all(&authentication(3, b"")).await.unwrap();
        drop(client);
        expect(&mut server, b"startup").await;
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    })
    .await;
    assert!(matches!(
        login,
        Err(LoginError::ClientGone | LoginError::Client(_))
    ));
}

#[tokio::test]
async fn what_has_no_place_in_a_login_ends_it() {
    for (bytes, expected) in [
        (
            frame(b'T', b"\0\0"),
            "unexpected message 0x54 from the server during login",
        ),
        (
            frame(b'R', b""),
            "unexpected message 0x52 from the server during login",
        ),
        (
            frame(b'N', &vec![0; 65_537]),
            "message of 65542 bytes during login; the limit is 65541",
        ),
        (
            b"S\0\0\0\x03".to_vec(),
            "message `S` declares 3 bytes; the least is 4",
        ),
        (frame(b'S', b"name"), "malformed `S` message"),
    ] {
        let (login, ()) = relay(RULES, b"", async |_client, mut server| {
            server.write_all(&bytes).await.unwrap();
            let _ = server.read_to_end(&mut Vec::new()).await;
        })
        .await;
        assert_eq!(login.unwrap_err().to_string(), expected);
    }
}

#[tokio::test]
async fn a_login_that_is_refused_over_tls_may_be_tried_again() {
    let rules = LoginRules {
        over_tls: true,
        ..RULES
    };
    let refusal = |code: &str| frame(b'E', format!("SFATAL\0C{code}\0\0").as_bytes());
    let again = |login| match login {
        Err(LoginError::OverTls { ahead }) => Some(ahead),
        Ok(_) | Err(_) => None,
    };
    for (rules, said, retried) in [
        (rules, refusal("28000"), true),
        (RULES, refusal("28000"), false),
        (rules, refusal("57P03"), false),
        (
            rules,
            [authentication(0, b""), refusal("28000")].concat(),
            false,
        ),
    ] {
        let (login, heard) = relay(rules, b"ahead", async |mut client, mut server| {
            expect(&mut server, b"startup").await;
            server.write_all(&said).await.unwrap();
            let mut heard = [0; 1];
            // Nothing, where it goes on elsewhere.
            let read = client.read(&mut heard);
            matches!(timeout(Duration::from_millis(200), read).await, Ok(Ok(1..)))
        })
        .await;
        assert_eq!(again(login).as_deref(), retried.then_some(&b"ahead"[..]));
        assert_eq!(heard, !retried);
    }
}

#[tokio::test]
async fn silence_ends_at_the_timeout() {
    let rules = LoginRules {
        timeout: Duration::from_millis(20),
        ..RULES
    };
    let (login, _ends) = relay(rules, b"", async |client, server| (client, server)).await;
    assert!(matches!(login, Err(LoginError::Timeout(_))));
}

#[test]
fn what_the_client_reads_names_no_host() {
    let error = UpstreamError::NoAddress("db.internal".to_owned());
    let told = unreachable(&error);
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("C08006") && !told.contains("db.internal"));
}

/// How much work a proof is, the server's verifier decides; others are served on the same thread.
#[tokio::test]
async fn a_proof_that_takes_long_holds_nobody_up() {
    let login = vouched(&frame(b'p', b"secret\0"), async |client, server| {
        let mut first = [0; 23 + 3];
        server.read_exact(&mut first).await.unwrap();
        let mut rest = [0; 512];
        let count = server.read(&mut rest).await.unwrap();
        let bare = String::from_utf8_lossy(&rest[..count]).into_owned();
        let nonce = bare.split("r=").nth(1).expect("a nonce");
        let challenge = format!("r={nonce}x,s=c2FsdA==,i=30000");
        let challenge = authentication(11, challenge.as_bytes());
        server.write_all(&challenge).await.unwrap();
        // The runtime has one thread: were the proof made on it, there would be no turn at all.
        let mut turns = 0;
        let mut answer = [0; 16];
        while tokio::time::timeout(Duration::from_millis(1), server.read_exact(&mut answer))
            .await
            .is_err()
        {
            turns += 1;
        }
        if answer[0] != b'p' {
            // The outcome says why.
            return;
        }
        assert!(turns > 0, "the proof has held its thread up");
        let refusal = frame(b'E', b"SFATAL\0VFATAL\0C28P01\0Mno\0\0");
        server.write_all(&refusal).await.unwrap();
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, refusal);
    })
    .await;
    assert!(
        matches!(login, Err(LoginError::Refused { .. })),
        "{login:?}"
    );
}
