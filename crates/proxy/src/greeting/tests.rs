use std::time::Duration;

use tokio::io::duplex;

use super::*;

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + body.len()).unwrap();
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn startup(body: &[u8]) -> Vec<u8> {
    packet(3 << 16, body)
}

/// What came of a greeting, and what the client was told.
struct Outcome {
    greeting: Result<Greeting, GreetError>,
    told: Vec<u8>,
}

/// Plays a client that sends `pieces`, waiting for one answer byte after each but the last, and
/// then leaves.
async fn play(pieces: &[&[u8]]) -> Outcome {
    play_under(Encryption::Declined, pieces).await
}

async fn play_under(encryption: Encryption, pieces: &[&[u8]]) -> Outcome {
    let (mut near, far) = duplex(64 * 1024);
    let client = async {
        let mut told = Vec::new();
        let mut pieces = pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            near.write_all(piece).await.unwrap();
            if pieces.peek().is_some() {
                told.push(near.read_u8().await.unwrap());
            }
        }
        near.shutdown().await.unwrap();
        near.read_to_end(&mut told).await.unwrap();
        told
    };
    let server = async {
        let mut far = far;
        greet(
            &mut far,
            encryption,
            Instant::now() + Duration::from_secs(5),
        )
        .await
    };
    let (told, greeting) = tokio::join!(client, server);
    Outcome { greeting, told }
}

async fn parsed(bytes: &[u8]) -> StartupPacket {
    match play(&[bytes]).await.greeting {
        Ok(Greeting::Startup(packet, _)) => *packet,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reads_names_and_values() {
    let bytes = startup(
        b"user\0ann\0database\0shop\0options\0-c geqo=off\0application_name\0\xff\0_pq_.x\0y\0\0",
    );
    let packet = parsed(&bytes).await;
    assert_eq!(packet.raw, bytes);
    assert_eq!(
        (&packet.user[..], &packet.database[..]),
        (&b"ann"[..], &b"shop"[..])
    );
    let application = (
        Bytes::from_static(b"application_name"),
        Bytes::from_static(b"\xff"),
    );
    assert_eq!(packet.parameters, [application]);
    let setting = (b"geqo".to_vec(), b"off".to_vec());
    assert_eq!(packet.startup_options().settings, [setting]);
    assert_eq!(packet.replication, Replication::None);
}

#[tokio::test]
async fn the_database_defaults_to_the_user() {
    assert_eq!(parsed(&startup(b"user\0ann\0\0")).await.database, "ann");
    assert_eq!(
        parsed(&startup(b"user\0ann\0database\0\0\0"))
            .await
            .database,
        "ann"
    );
    assert_eq!(parsed(&startup(b"\0")).await.user, "");
}

#[tokio::test]
async fn replication_is_any_spelling_of_true() {
    for (value, expected) in [
        ("database", Replication::Logical),
        ("DATABASE", Replication::None),
        ("true", Replication::Physical),
        ("TR", Replication::Physical),
        ("y", Replication::Physical),
        ("On", Replication::Physical),
        ("1", Replication::Physical),
        ("o", Replication::None),
        ("off", Replication::None),
        ("0", Replication::None),
        ("f", Replication::None),
        ("", Replication::None),
    ] {
        let body = format!("user\0a\0replication\0{value}\0\0");
        assert_eq!(
            parsed(&startup(body.as_bytes())).await.replication,
            expected,
            "{value}"
        );
    }
}

#[tokio::test]
async fn newer_minor_versions_are_the_servers_affair() {
    for minor in [2, 9999] {
        assert_eq!(
            parsed(&packet(3 << 16 | minor, b"user\0a\0\0"))
                .await
                .protocol,
            3 << 16 | minor
        );
    }
}

#[tokio::test]
async fn requests_for_encryption_are_declined_in_either_order() {
    let (tls, gss, last) = (
        packet(TLS_REQUEST, b""),
        packet(GSS_REQUEST, b""),
        startup(b"user\0a\0\0"),
    );
    for pieces in [[&tls, &gss, &last], [&gss, &tls, &last]] {
        let outcome = play(&pieces.map(Vec::as_slice)).await;
        assert!(matches!(outcome.greeting, Ok(Greeting::Startup(..))));
        assert_eq!(outcome.told, b"NN");
    }
}

#[tokio::test]
async fn offered_encryption_begins_after_the_answer() {
    let (tls, gss) = (packet(TLS_REQUEST, b""), packet(GSS_REQUEST, b""));
    let outcome = play_under(Encryption::Offered, &[&gss, &tls]).await;
    assert!(matches!(outcome.greeting, Ok(Greeting::Encrypt)));
    assert_eq!(outcome.told, b"NS");
    let early = [&tls[..], b"\x16"].concat();
    let outcome = play_under(Encryption::Offered, &[&early]).await;
    assert!(matches!(outcome.greeting, Err(GreetError::EarlyData)));
    assert_eq!(outcome.told, b"");
}

#[tokio::test]
async fn nothing_is_encrypted_twice() {
    for (request, minor) in [(TLS_REQUEST, 5679), (GSS_REQUEST, 5680)] {
        let outcome = play_under(Encryption::InForce, &[&packet(request, b"")]).await;
        assert!(matches!(
            outcome.greeting,
            Err(GreetError::Unsupported { major: 1234, minor: told }) if told == minor
        ));
    }
}

#[tokio::test]
async fn asking_twice_is_an_unknown_version() {
    let tls = packet(TLS_REQUEST, b"");
    let outcome = play(&[&tls, &tls]).await;
    assert!(matches!(
        outcome.greeting,
        Err(GreetError::Unsupported {
            major: 1234,
            minor: 5679
        })
    ));
    assert!(outcome.told.starts_with(b"NE"));
}

#[tokio::test]
async fn data_behind_a_request_for_encryption_closes_the_connection() {
    let bytes = [packet(TLS_REQUEST, b""), startup(b"user\0a\0\0")].concat();
    let outcome = play(&[&bytes]).await;
    assert!(matches!(outcome.greeting, Err(GreetError::EarlyData)));
    assert_eq!(outcome.told, b"");
}

#[tokio::test]
async fn data_behind_the_startup_packet_is_kept() {
    let bytes = [startup(b"user\0a\0\0"), b"Q\0\0\0\x05\0".to_vec()].concat();
    let Ok(Greeting::Startup(_, rest)) = play(&[&bytes]).await.greeting else {
        panic!()
    };
    assert_eq!(rest, &b"Q\0\0\0\x05\0"[..]);
}

#[tokio::test]
async fn a_cancel_request_is_kept_whole() {
    for key in [4, 256] {
        let bytes = packet(CANCEL_REQUEST, &vec![7; 4 + key]);
        let Ok(Greeting::Cancel(raw)) = play(&[&bytes]).await.greeting else {
            panic!()
        };
        assert_eq!(raw, bytes);
    }
}

#[tokio::test]
async fn strangers_are_closed_without_a_word() {
    let long = packet(3 << 16, &vec![0; 9_997]);
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"\0\0\0\x07",
        &long,
    ] {
        let outcome = play(&[bytes]).await;
        assert!(
            matches!(outcome.greeting, Err(GreetError::Length { .. })),
            "{bytes:?}"
        );
        assert_eq!(outcome.told, b"");
    }
}

#[tokio::test]
async fn who_leaves_early_is_gone() {
    for bytes in [&b""[..], b"\0", b"\0\0\0\x08\0"] {
        assert!(matches!(play(&[bytes]).await.greeting, Ok(Greeting::Gone)));
    }
    let outcome = play(&[&packet(TLS_REQUEST, b""), b""]).await;
    assert!(matches!(outcome.greeting, Ok(Greeting::Gone)));
}

#[tokio::test]
async fn malformed_packets_are_refused_as_the_server_does() {
    for body in [
        &b"user\0a"[..],
        b"user\0a\0",
        b"user\0",
        b"user\0a\0\0x",
        b"",
    ] {
        let outcome = play(&[&startup(body)]).await;
        assert!(
            matches!(outcome.greeting, Err(GreetError::Layout)),
            "{body:?}"
        );
        assert!(outcome.told.windows(6).any(|text| text == b"C08P01"));
    }
}

#[tokio::test]
async fn other_major_versions_are_for_the_server_to_judge() {
    for major in [0, 2, 4, 99] {
        let packet = packet(major << 16, b"");
        let outcome = play(&[&packet]).await;
        assert!(matches!(outcome.greeting, Ok(Greeting::Foreign(it)) if it == packet));
        assert_eq!(outcome.told, b"");
    }
    let said = unsupported(2 << 16);
    assert!(said.starts_with(b"EFATAL:  unsupported frontend protocol 2.0"));
    let said = unsupported(4 << 16);
    assert!(said.windows(6).any(|text| text == b"C0A000"));
}

#[tokio::test]
async fn the_largest_packet_may_arrive_in_pieces() {
    let body = [&b"user\0"[..], &vec![b'u'; 9_989], b"\0\0"].concat();
    let bytes = startup(&body);
    assert_eq!(bytes.len(), 10_004);
    let (mut near, mut far) = duplex(7);
    let send = async { near.write_all(&bytes).await.unwrap() };
    let deadline = Instant::now() + Duration::from_secs(5);
    let ((), greeting) = tokio::join!(send, greet(&mut far, Encryption::Declined, deadline));
    let Ok(Greeting::Startup(packet, rest)) = greeting else {
        panic!("{greeting:?}")
    };
    assert_eq!((packet.raw.len(), rest.len()), (bytes.len(), 0));
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let (_near, mut far) = duplex(64);
    let outcome = greet(
        &mut far,
        Encryption::Declined,
        Instant::now() + Duration::from_millis(20),
    )
    .await;
    assert!(matches!(outcome, Err(GreetError::Timeout)));
}
