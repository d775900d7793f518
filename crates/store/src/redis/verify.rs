//! Who is at the other end.

use std::sync::Arc;

use bytes::Bytes;
use fred::types::Value;

use super::{
    dial::Dialer,
    line::{BACKGROUND_DEADLINE, Line, Patience},
    names::Token,
    refusal::classify,
    resp::{Command, command},
    scripts::{IDENTITY, KEEP, LEDGER, VERSIONS},
    wire::{Fault, Wire},
};
use crate::{Trouble, lease::Moment};

/// The result of a verification.
#[derive(Debug)]
pub(super) struct Trust {
    /// The connection that was verified.
    pub(super) wire: Arc<Wire>,
    /// What `CLIENT GETNAME` answers on it.
    name: Bytes,
    /// The server it leads to.
    pub(super) server: Server,
}

/// A verification that is to be believed.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) trust: Trust,
    /// It answers as fast as readers need.
    pub(super) fast: bool,
}

/// Names a Redis process and its term as a master: 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Server([u8; 40]);

impl Server {
    /// What the script says that asks for it.
    fn read(reply: &Value) -> Result<Self, Trouble> {
        if reply.is_null() {
            return Err(Trouble::Refused);
        }
        let name = reply.as_bytes().and_then(|name| name.try_into().ok());
        name.map(Self).ok_or(Trouble::Reply)
    }

    /// As an argument.
    pub(super) fn value(&self) -> Value {
        Value::Bytes(Bytes::copy_from_slice(&self.0))
    }

    /// The generation in a term, if the term is this server's.
    pub(super) fn generation(&self, term: Option<&[u8]>) -> Option<Token> {
        term?.strip_prefix(&self.0)?.try_into().ok()
    }
}

/// The server to which a connection leads that is made now, and when that was begun.
///
/// Cancel safe.
pub(super) async fn look_up_server(dialer: &Dialer) -> Result<(Server, Moment), Trouble> {
    let wire = dialer.dial(None).await.map_err(|fault| classify(&fault))?;
    let _used = wire.close_when_dropped();
    let replies = wire.ask(&[IDENTITY.call()], BACKGROUND_DEADLINE).await;
    let reply = replies.map(|mut replies| replies.pop());
    match reply {
        Ok(Some(Ok(reply))) => Ok((Server::read(&reply)?, wire.begun())),
        Ok(Some(Err(fault))) | Err(fault) => Err(classify(&fault)),
        Ok(None) => Err(Trouble::Reply),
    }
}

impl Line {
    /// Finds out who is at the other end, gives the connection `name`, which must never have been
    /// used before, and checks that it answers `GETEX probe` as fast as clients need. It is to be
    /// believed from then on. If only the last fails, those may use it who have to be heard.
    ///
    /// Cancel safe.
    pub(super) async fn verify(&self, name: Bytes, probe: Value) -> Result<Verified, Trouble> {
        let trust = self.identify(name).await;
        let trust = trust.inspect_err(|_| self.endure(None))?;
        let probe = vec![command("GETEX", [probe])];
        match self.ask_trusted(&trust, Patience::Client, probe).await {
            Ok(replies) => {
                for reply in replies {
                    reply.map_err(|error| self.blame(&trust, &error))?;
                }
                Ok(Verified { trust, fast: true })
            }
            Err(Trouble::Timeout) => Ok(Verified { trust, fast: false }),
            Err(trouble) => Err(trouble),
        }
    }

    /// Gives the connection its name, and asks who is at the other end.
    async fn identify(&self, name: Bytes) -> Result<Trust, Trouble> {
        let wire = self.wire().map_err(|fault| self.classify(&fault))?;
        let named = Value::Bytes(name.clone());
        let commands = [
            command("CLIENT", ["SETNAME".into(), named]),
            KEEP.load(),
            VERSIONS.load(),
            LEDGER.load(),
        ];
        let replies = wire.ask(&commands, self.time(Patience::Background)).await;
        for reply in replies.map_err(|fault| self.classify(&fault))? {
            reply.map_err(|fault| self.classify(&fault))?;
        }
        self.answers();
        let mut trust = Trust {
            wire,
            name,
            server: Server([0; 40]),
        };
        trust.server = self.server(&trust).await?;
        Ok(trust)
    }

    /// Looks again whether the server is still what it was; if not, the trust is gone. Cancel safe.
    pub(super) async fn verify_again(&self) -> Result<(), Trouble> {
        let Some(trust) = self.trust() else {
            return Err(Trouble::Disconnected);
        };
        let server = self.server(&trust).await;
        if server != Ok(trust.server) {
            if server == Err(Trouble::Timeout) {
                self.hang();
            }
            self.distrust();
        }
        server.map(drop)
    }

    async fn server(&self, trust: &Trust) -> Result<Server, Trouble> {
        let run = IDENTITY.call();
        let replies = self
            .ask_trusted(trust, Patience::Background, vec![run])
            .await?;
        match replies.into_iter().next() {
            Some(Ok(reply)) => Server::read(&reply),
            Some(Err(error)) => Err(self.blame(trust, &error)),
            None => Err(Trouble::Reply),
        }
    }

    /// As [`Line::ask`], over the verified connection, if it still bears its name.
    async fn ask_trusted(
        &self,
        trust: &Trust,
        patience: Patience,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Value, Fault>>, Trouble> {
        let mut sent = vec![command("CLIENT", ["GETNAME".into()])];
        sent.extend(commands);
        let replies = trust.wire.ask(&sent, self.time(patience)).await;
        let mut replies = replies
            .map_err(|error| self.blame(trust, &error))?
            .into_iter();
        match replies.next() {
            Some(Ok(name)) if name.as_bytes() == Some(&trust.name) => Ok(replies.collect()),
            Some(Ok(_)) | None => Err(self.blame(trust, &Fault::Lost)),
            Some(Err(error)) => Err(self.blame(trust, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// The next connection, and what it was greeted with.
    async fn accept(server: &TcpListener) -> (TcpStream, String) {
        let (mut far, _) = server.accept().await.unwrap();
        let greeting = read(&mut far).await;
        far.write_all(b"+OK\r\n").await.unwrap();
        (far, greeting)
    }

    async fn read(far: &mut TcpStream) -> String {
        let mut sent = vec![0; 1 << 12];
        let count = far.read(&mut sent).await.unwrap();
        String::from_utf8(sent[..count].to_vec()).unwrap()
    }

    /// It may lead to somebody else.
    #[tokio::test]
    async fn a_connection_that_has_replaced_another_is_not_asked_in_its_place() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", server.local_addr().unwrap());
        let dialer = Arc::new(Dialer::new(&url).unwrap());
        let line = Line::new(dialer, Duration::from_secs(1));
        let (connected, _first) = tokio::join!(line.connect(), accept(&server));
        connected.unwrap();
        let trust = Trust {
            wire: line.wire().unwrap(),
            name: Bytes::new(),
            server: Server([0; 40]),
        };
        line.hang_up();
        let (connected, (mut second, _)) = tokio::join!(line.connect(), accept(&server));
        connected.unwrap();
        let get = || command("GET", ["key".into()]);
        let answer = line.ask_one(&trust, Patience::Writer, get()).await;
        assert_eq!(answer, Err(Fault::Lost));
        // Nothing but what is asked by a verification of its own.
        let wire = line.wire().unwrap();
        let asked = [command("PING", [])];
        let (_, sent) = tokio::join!(
            wire.ask(&asked, Duration::from_millis(100)),
            read(&mut second)
        );
        assert!(sent.contains("PING") && !sent.contains("GET"), "{sent:?}");
    }
}
