//! Those who are told no more than why they cannot be served.

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{Front, REFUSAL_MAX, Refusal, tell};
use crate::{
    counted::Counted,
    greeting::{Greeting, unsupported},
    reserve::Reserve,
    stream::ClientStream,
};

impl Front {
    /// Tells a client that there is no room, for want of files to be opened. `reserve` is given back for
    /// the connection by which a cancel request is delivered.
    pub(crate) async fn turn_away(&self, stream: TcpStream, reserve: Reserve) {
        let deadline = Instant::now() + REFUSAL_MAX;
        match Box::pin(self.greet(stream, deadline)).await {
            Ok((mut client, _, Greeting::Startup(..))) => Refusal::CRAMPED.tell(&mut client).await,
            Ok((client, _, Greeting::Cancel(packet))) => {
                drop(reserve);
                _ = timeout_at(deadline, Box::pin(self.cancel(&packet, client))).await;
            }
            Ok((mut client, _, Greeting::Foreign(packet))) => {
                tell(&mut client, &unsupported(version(&packet))).await;
            }
            Ok((_, _, Greeting::Gone | Greeting::Encrypt)) => {}
            Err(error) => tracing::debug!(%error, "no startup"),
        }
    }

    /// Has the server say which versions of the protocol it speaks to a client that speaks another.
    pub(super) async fn judge(&self, packet: &[u8], mut client: ClientStream) {
        let telemetry = &self.services.sessions.telemetry;
        let _counted = Counted::new(telemetry, |it| &it.clients);
        let config = self.config.load_full();
        let mut told = BytesMut::new();
        if self.admit(true, &config).is_ok() {
            let asked = async {
                let mut server = self.upstream.connect().await.ok()?;
                server.write_all(packet).await.ok()?;
                server.flush().await.ok()?;
                // It may speak that one, which we do not: then it waits for more, and has said no error.
                while told.first().is_none_or(|&first| first == ERROR) && told.len() < TOLD_MAX {
                    let read = server.read_buf(&mut told).await;
                    read.ok().filter(|&bytes| bytes > 0)?;
                }
                Some(())
            };
            _ = timeout(REFUSAL_MAX, asked).await;
        }
        if told.first() != Some(&ERROR) {
            told = unsupported(version(packet));
        }
        tell(&mut client, &told).await;
    }
}

/// The version in a startup packet.
fn version(packet: &[u8]) -> u32 {
    let version = packet.get(4..).and_then(<[u8]>::first_chunk);
    version.copied().map_or(0, u32::from_be_bytes)
}

/// How long what the server says of a version may be.
const TOLD_MAX: usize = 8 * 1024;

/// How an error begins, in all versions.
const ERROR: u8 = wire::backend::tag::ERROR;
