use std::mem::size_of;

use config::{TlsMode, Upstream as Settings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn settings(port: u16, tls: TlsMode) -> Settings {
    Settings {
        host: "localhost".to_owned(),
        port,
        user: None,
        password: None,
        database: None,
        tls,
        root_certificate: None,
        client_certificate: None,
        names_host: true,
        channel_binding: config::ChannelBinding::Prefer,
        options: None,
        ignored: Vec::new(),
        connect_timeout: Duration::from_secs(5),
        liveness: config::Liveness::default(),
    }
}

/// Connects to a server that answers the request for TLS with `answer`, once.
async fn connect(tls: TlsMode, answer: &'static [u8]) -> Result<ServerStream, UpstreamError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::new(&settings(listener.local_addr().unwrap().port(), tls)).unwrap();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).await.unwrap();
        assert_eq!(request, SSL_REQUEST);
        socket.write_all(answer).await.unwrap();
        socket.shutdown().await.unwrap();
        socket
    };
    tokio::join!(upstream.connect(), server).0
}

#[tokio::test]
async fn prefer_goes_on_in_plain_text_when_the_server_has_no_tls() {
    assert!(matches!(
        connect(TlsMode::Prefer, b"N").await,
        Ok(ServerStream::Tcp(_))
    ));
}

#[tokio::test]
async fn require_does_not() {
    let outcome = connect(TlsMode::Require, b"N").await;
    assert!(matches!(outcome, Err(UpstreamError::TlsNotOffered)));
}

#[tokio::test]
async fn bytes_behind_the_answer_are_refused() {
    for answer in [&b"N\0"[..], b"SR"] {
        let outcome = connect(TlsMode::Prefer, answer).await;
        assert!(matches!(outcome, Err(UpstreamError::EarlyData)));
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused() {
    let outcome = connect(TlsMode::Prefer, b"H").await;
    assert!(matches!(outcome, Err(UpstreamError::NotPostgres(b'H'))));
    let outcome = connect(TlsMode::Require, b"EFATAL").await;
    assert!(matches!(outcome, Err(UpstreamError::TlsRefused)));
    let outcome = connect(TlsMode::Require, b"").await;
    assert!(matches!(outcome, Err(UpstreamError::Negotiation(_))));
}

#[tokio::test]
async fn a_closed_port_names_the_address_it_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let outcome = Upstream::new(&settings(port, TlsMode::Disable))
        .unwrap()
        .connect()
        .await;
    let Err(UpstreamError::Connect { target, .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(target.ends_with(&format!(":{port}")));
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_the_configured_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(listener.local_addr().unwrap().port(), TlsMode::Require);
    settings.connect_timeout = Duration::from_millis(50);
    let outcome = Upstream::new(&settings).unwrap().connect().await;
    assert!(matches!(outcome, Err(UpstreamError::Timeout(_))));
}

#[test]
fn a_stream_is_not_much_larger_than_a_socket() {
    assert!(size_of::<ServerStream>() <= size_of::<TcpStream>() + 8);
}

#[test]
fn a_directory_is_the_place_of_a_unix_socket() {
    let mut settings = settings(5433, TlsMode::VerifyFull);
    settings.host = "/run/postgresql".to_owned();
    let upstream = Upstream::new(&settings).unwrap();
    assert!(upstream.tls().is_none());
    let Target::Unix(path) = &upstream.target else {
        panic!("{upstream:?}")
    };
    assert_eq!(path, &PathBuf::from("/run/postgresql/.s.PGSQL.5433"));
}

/// Behind a name may be several servers; the one that has accepted is kept to, and a cancel request
/// goes where its session is.
#[tokio::test]
async fn connections_keep_to_one_address() {
    let listen = async |address: &str, port: u16| TcpListener::bind((address, port)).await;
    let first = listen("127.0.0.1", 0).await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = listen("127.0.0.2", port).await.unwrap();
    let upstream = Upstream::new(&settings(port, TlsMode::Disable)).unwrap();
    let there = second.local_addr().unwrap();
    *locked(&upstream.address) = Some(there);
    let own = upstream.addresses("localhost", port).await.unwrap();
    assert!(
        !own.contains(&there),
        "it is not among those of the name any more"
    );
    upstream.connect().await.unwrap();
    assert_ne!(*locked(&upstream.address), Some(there));
    let kept = *locked(&upstream.address);

    let served = async {
        let (mut socket, _) = second.accept().await.unwrap();
        let mut packet = Vec::new();
        socket.read_buf(&mut packet).await.unwrap();
        packet
    };
    let cancel = upstream.cancel(b"cancel", Some(there), async { Some(()) });
    let (sent, packet) = tokio::join!(cancel, served);
    sent.unwrap();
    assert_eq!(packet, b"cancel");
    assert_eq!(
        *locked(&upstream.address),
        kept,
        "it says nothing of the others"
    );

    let served = async {
        let (mut socket, _) = second.accept().await.unwrap();
        socket.read_buf(&mut Vec::new()).await.unwrap()
    };
    let late = upstream.cancel(b"cancel", Some(there), async { None::<()> });
    let (sent, read) = tokio::join!(late, served);
    sent.unwrap();
    assert_eq!(read, 0, "what is not due any more is not sent");
}

/// What the URL says of a host that is gone is done for the sockets to the server.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn sockets_are_looked_after_as_the_url_says() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut settings = settings(listener.local_addr().unwrap().port(), TlsMode::Disable);
    settings.host = "127.0.0.1".to_owned();
    let connect = async |settings: &config::Upstream| {
        let stream = Upstream::new(settings).unwrap().connect().await.unwrap();
        let ServerStream::Tcp(socket) = &stream else {
            panic!("{stream:?}")
        };
        let socket = SockRef::from(socket);
        let kept = socket.keepalive().unwrap();
        let times = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
        let limit = socket.tcp_user_timeout().unwrap();
        (stream, kept, times.0.unwrap(), times.1.unwrap(), limit)
    };
    let seconds = Duration::from_secs;
    let (stream, kept, after, every, limit) = connect(&settings).await;
    assert_eq!((kept, after, every), (true, seconds(60), seconds(10)));
    assert_eq!(limit.unwrap_or_default(), Duration::ZERO);
    // Nobody is left who would wait for longer.
    stream.limit_silence(seconds(60));
    let ServerStream::Tcp(socket) = &stream else {
        panic!("{stream:?}")
    };
    let limit = SockRef::from(socket).tcp_user_timeout().unwrap();
    assert_eq!(limit, Some(seconds(60)));

    settings.liveness.after = seconds(7);
    settings.liveness.every = seconds(3);
    settings.liveness.count = Some(2);
    settings.liveness.unacknowledged_max = Some(seconds(9));
    let (stream, kept, after, every, limit) = connect(&settings).await;
    assert_eq!((kept, after, every), (true, seconds(7), seconds(3)));
    assert_eq!(limit, Some(seconds(9)));
    stream.limit_silence(seconds(60));
    let ServerStream::Tcp(socket) = &stream else {
        panic!("{stream:?}")
    };
    let socket = SockRef::from(socket);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 2);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(seconds(9)));

    settings.liveness.asks = false;
    assert!(!connect(&settings).await.1);
}
