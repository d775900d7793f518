//! A way to a server that takes its time, or does not lead there for a while.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Passes everything on. Ends with the runtime.
pub(crate) struct Way {
    port: u16,
    /// How long everything takes in each direction; `None` while nothing arrives.
    takes: watch::Sender<Option<Duration>>,
}

impl Way {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (takes, taken) = watch::channel(Some(Duration::ZERO));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server));
                let (reader, writer) = client.into_split();
                let (answers, questions) = server.await.unwrap().into_split();
                tokio::spawn(pass(reader, questions, taken.clone()));
                tokio::spawn(pass(answers, writer, taken.clone()));
            }
        });
        Self { port, takes }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How long question and answer take together from now on.
    pub(crate) fn takes(&self, both: Duration) {
        self.takes.send_replace(Some(both / 2));
    }

    /// Holds everything back from now on; connections stay.
    pub(crate) fn cut(&self) {
        self.takes.send_replace(None);
    }

    /// Delivers everything, also what was held back.
    pub(crate) fn mend(&self) {
        self.takes(Duration::ZERO);
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut takes: watch::Receiver<Option<Duration>>,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let time = takes.wait_for(Option::is_some).await.map(|time| *time);
        let Ok(Some(time)) = time else { break };
        tokio::time::sleep(time).await;
        let Some(bytes) = buffer.get(..count) else {
            break;
        };
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
}
