//! Making a connection: finding the server, encryption, login.

use std::{fmt, io, sync::Arc, time::Duration};

use fred::types::{
    Value,
    config::{Config, Server, ServerConfig, TlsConnector},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    sync::broadcast,
    time::timeout,
};

use super::{
    clock,
    resp::{Command, command},
    wire::{Fault, Message, Socket, Wire},
};
use crate::StoreError;

/// Where Redis is, and how one logs in.
pub(super) struct Dialer(Config);

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There may be a password in it.
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl Dialer {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// When it cannot be used.
    pub(super) fn new(url: &str) -> Result<Self, StoreError> {
        let refused = |error: fred::error::Error| StoreError::Url(error.details().to_owned());
        let config = Config::from_url(url).map_err(refused)?;
        if config.server.is_clustered() {
            return Err(StoreError::Clustered);
        }
        Ok(Self(config))
    }

    /// A new connection, logged in. What is published goes to `messages`.
    ///
    /// Cancel safe: cancelled, there is none.
    pub(super) async fn dial(
        &self,
        messages: Option<&broadcast::Sender<Message>>,
    ) -> Result<Arc<Wire>, Fault> {
        let begun = clock::now();
        let Config {
            server,
            username,
            password,
            database,
            ..
        } = &self.0;
        let socket = match server {
            ServerConfig::Centralized { server } => self.reach(server).await?,
            ServerConfig::Unix { path } => {
                let place = path.display();
                soon(&place, UnixStream::connect(path)).await.map(boxed)?
            }
            ServerConfig::Sentinel { .. } => self.reach(&self.master().await?).await?,
            ServerConfig::Clustered { .. } => return Err(Fault::Lost),
        };
        let wire = Wire::start(socket, messages.cloned(), begun);
        let unused = wire.close_when_dropped();
        let mut greeting = vec![hello(username.as_deref(), password.as_deref())];
        let select = database.map(|number| command("SELECT", [Value::Integer(number.into())]));
        greeting.extend(select);
        for reply in wire.ask(&greeting, CONNECT_TIMEOUT).await? {
            reply?;
        }
        unused.disarm();
        Ok(wire)
    }

    /// Asks the sentinels, one after the other, which server is the master.
    async fn master(&self) -> Result<Server, Fault> {
        let ServerConfig::Sentinel {
            hosts,
            service_name,
            username,
            password,
        } = &self.0.server
        else {
            return Err(Fault::Lost);
        };
        let mut last = Fault::Lost;
        for host in hosts {
            let told = async {
                let begun = clock::now();
                let wire = Wire::start(self.reach(host).await?, None, begun);
                let _used = wire.close_when_dropped();
                let words = [
                    "get-master-addr-by-name".into(),
                    service_name.as_str().into(),
                ];
                let asked = [
                    hello(username.as_deref(), password.as_deref()),
                    command("SENTINEL", words),
                ];
                let mut replies = wire.ask(&asked, CONNECT_TIMEOUT).await?;
                replies.pop().unwrap_or(Err(Fault::Lost))
            };
            match told.await {
                Ok(master) => match address(&master) {
                    Some(server) => return Ok(server),
                    None => {
                        let unknown = format!("{}:{} knows no master", host.host, host.port);
                        last = Fault::Unreached(format!("{unknown} called {service_name}"));
                    }
                },
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn reach(&self, server: &Server) -> Result<Socket, Fault> {
        let host: &str = &server.host;
        let place = format!("{host}:{}", server.port);
        let socket = soon(&place, TcpStream::connect((host, server.port))).await?;
        // Whoever asks waits for it.
        _ = socket.set_nodelay(true);
        let Some(tls) = &self.0.tls else {
            return Ok(boxed(socket));
        };
        let TlsConnector::Rustls(connector) = &tls.connector;
        let name = server.tls_server_name.as_deref().unwrap_or(host);
        let named = ServerName::try_from(name.to_owned());
        let unusable = |error| Fault::Unreached(format!("{place}: {error}"));
        let name = named.map_err(unusable)?;
        soon(&place, connector.connect(name, socket))
            .await
            .map(boxed)
    }
}

fn hello(username: Option<&str>, password: Option<&str>) -> Command {
    let mut words = vec![Value::from("3")];
    if let Some(password) = password {
        words.extend(
            [
                "AUTH",
                username
                    .filter(|name| !name.is_empty())
                    .unwrap_or("default"),
                password,
            ]
            .map(Value::from),
        );
    }
    command("HELLO", words)
}

/// Host and port, as a sentinel names them.
fn address(reply: &Value) -> Option<Server> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let [host, port] = parts.as_slice() else {
        return None;
    };
    let text = |value: &Value| Some(str::from_utf8(value.as_bytes()?).ok()?.to_owned());
    Some(Server::new(text(host)?, text(port)?.parse().ok()?))
}

async fn soon<T>(
    place: &impl fmt::Display,
    step: impl Future<Output = io::Result<T>>,
) -> Result<T, Fault> {
    let unreached = |error: &dyn fmt::Display| Fault::Unreached(format!("{place}: {error}"));
    match timeout(CONNECT_TIMEOUT, step).await {
        Ok(made) => made.map_err(|error| unreached(&error)),
        Err(_) => Err(Fault::Timeout),
    }
}

fn boxed(socket: impl AsyncRead + AsyncWrite + Send + 'static) -> Socket {
    Box::pin(socket)
}

/// How long each step of connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
