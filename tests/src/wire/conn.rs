//! One connection.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use super::{Answer, Frontend, Message};

/// How long one read may take before the test fails.
const READ_DEADLINE: Duration = Duration::from_secs(20);

/// Version 3.0 of the protocol.
const VERSION_3_0: u32 = 3 << 16;

/// What the startup packet says.
#[derive(Clone, Debug)]
pub struct Login {
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// The version of the protocol.
    pub version: u32,
    /// Further parameters.
    pub parameters: Vec<(String, String)>,
    /// Sent when the server asks for one in clear text.
    pub password: Option<String>,
}

impl Default for Login {
    fn default() -> Self {
        Self::to("postgres")
    }
}

impl Login {
    /// The superuser in this database.
    pub fn to(database: &str) -> Self {
        Self::of("postgres", database)
    }

    /// A role in a database.
    pub fn of(user: &str, database: &str) -> Self {
        Self {
            user: user.to_owned(),
            database: database.to_owned(),
            version: VERSION_3_0,
            parameters: Vec::new(),
            password: None,
        }
    }

    /// With one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a minor version of protocol 3.
    #[must_use]
    pub const fn minor(mut self, minor: u32) -> Self {
        self.version = VERSION_3_0 | minor;
        self
    }

    fn packet(&self) -> Frontend {
        let mut parameters = vec![("user", &*self.user), ("database", &*self.database)];
        parameters.extend(
            self.parameters
                .iter()
                .map(|(name, value)| (&**name, &**value)),
        );
        Frontend::new().startup(self.version, &parameters)
    }
}

/// A connection with everything the server has said about it.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    address: SocketAddr,
    unread: Vec<u8>,
    greeting: Vec<Message>,
}

impl Conn {
    /// A socket on which nothing has been said.
    pub fn raw(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_DEADLINE))?;
        stream.set_write_timeout(Some(READ_DEADLINE))?;
        Ok(Self {
            stream,
            address,
            unread: Vec::new(),
            greeting: Vec::new(),
        })
    }

    /// A session that is ready for its first query.
    pub fn connect(address: SocketAddr, login: &Login) -> Result<Self> {
        let mut conn = Self::greet(address, login)?;
        if let Some(refusal) = conn.greeting.iter().find(|message| message.tag == b'E') {
            bail!("{} refuses {}: {refusal:?}", address, login.user);
        }
        ensure!(
            conn.greeting.last().is_some_and(|last| last.tag == b'Z'),
            "the login broke off"
        );
        conn.unread.clear();
        Ok(conn)
    }

    /// Logs in as far as the server lets us; what it said is in [`Self::greeting`].
    pub fn greet(address: SocketAddr, login: &Login) -> Result<Self> {
        let mut conn = Self::raw(address)?;
        conn.send(login.packet().bytes())?;
        while let Some(message) = conn.try_read()? {
            let asks_password = message.tag == b'R' && message.body == 3_u32.to_be_bytes();
            let over = matches!(message.tag, b'Z' | b'E');
            conn.greeting.push(message);
            if asks_password {
                let password = login.password.clone().unwrap_or_default();
                let body = [password.as_bytes(), b"\0"].concat();
                conn.send(Frontend::new().message(b'p', &body).bytes())?;
            }
            if over {
                break;
            }
        }
        Ok(conn)
    }

    /// Whom we speak with.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything from the first message to the first `ReadyForQuery`.
    pub fn greeting(&self) -> &[Message] {
        &self.greeting
    }

    /// A setting as the greeting reported it.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.greeting
            .iter()
            .filter(|message| message.tag == b'S')
            .find_map(|message| {
                let mut parts = message.body.split(|&byte| byte == 0);
                (parts.next()? == name.as_bytes())
                    .then(|| String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned())
            })
    }

    /// Process id and key for cancel requests.
    pub fn cancel_key(&self) -> Result<(u32, Vec<u8>)> {
        let message = self.greeting.iter().find(|message| message.tag == b'K');
        let body = &message.context("no BackendKeyData")?.body;
        let (pid, key) = body.split_at_checked(4).context("a short BackendKeyData")?;
        Ok((u32::from_be_bytes(pid.try_into()?), key.to_vec()))
    }

    /// Asks the server, on a connection of its own, to cancel what this one runs.
    pub fn cancel(&self) -> Result<()> {
        let (pid, key) = self.cancel_key()?;
        let mut other = Self::raw(self.address)?;
        other.send(Frontend::new().cancel(pid, &key).bytes())?;
        ensure!(
            other.try_read()?.is_none(),
            "a cancel request has no answer"
        );
        Ok(())
    }

    /// Sends any bytes. If the server has closed, reading will tell, with its last words.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        match self.stream.write_all(bytes) {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Sends them in pieces of this size, each in a segment of its own.
    pub fn send_in_pieces(&mut self, bytes: &[u8], size: usize) -> Result<()> {
        bytes.chunks(size).try_for_each(|piece| self.send(piece))
    }

    /// Whether nothing has come that was not read.
    pub fn is_silent(&mut self) -> Result<bool> {
        self.stream.set_nonblocking(true)?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false)?;
        match peeked {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(self.unread.is_empty()),
            Err(error) => Err(error.into()),
        }
    }

    /// The next message, or `None` when the server has closed the connection.
    pub fn try_read(&mut self) -> Result<Option<Message>> {
        loop {
            if let Some(message) = self.next_unread()? {
                return Ok(Some(message));
            }
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    ensure!(
                        self.unread.is_empty(),
                        "closed amid a message: {:?}",
                        self.unread
                    );
                    return Ok(None);
                }
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("no answer within the deadline"),
            }
        }
    }

    /// The messages that have arrived, without waiting, and whether the server has closed.
    pub fn take_arrived(&mut self) -> Result<(Vec<Message>, bool)> {
        self.stream.set_nonblocking(true)?;
        let mut buffer = [0; 64 * 1024];
        let closed = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break true,
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break true,
            }
        };
        self.stream.set_nonblocking(false)?;
        let mut messages = Vec::new();
        while let Some(message) = self.next_unread()? {
            messages.push(message);
        }
        Ok((messages, closed))
    }

    /// The next message.
    pub fn read(&mut self) -> Result<Message> {
        self.try_read()?
            .context("the server has closed the connection")
    }

    /// Everything up to and with the next message of this type, or with the error that ends the
    /// connection.
    pub fn read_until(&mut self, tag: u8) -> Result<Answer> {
        let answer = self.read_until_or_end(tag)?;
        let last = answer.0.last().map(|message| message.tag);
        if last == Some(tag) || last == Some(b'E') {
            return Ok(answer);
        }
        let lost = io::Error::from(io::ErrorKind::UnexpectedEof);
        Err(lost).with_context(|| format!("the server has closed the connection behind {answer:?}"))
    }

    /// Everything up to and with the next message of this type, or the end.
    pub fn read_until_or_end(&mut self, tag: u8) -> Result<Answer> {
        let mut messages = Vec::new();
        while let Some(message) = self.try_read()? {
            let last = message.tag == tag;
            messages.push(message);
            if last {
                break;
            }
        }
        Ok(Answer(messages))
    }

    /// The answer to a simple query.
    pub fn query(&mut self, sql: &str) -> Result<Answer> {
        self.send(Frontend::new().query(sql).bytes())?;
        self.read_until(b'Z')
    }

    /// The answer to one statement by the extended protocol, everything unnamed and as text.
    pub fn extended(&mut self, sql: &str, parameters: &[&str]) -> Result<Answer> {
        let batch = Frontend::new()
            .parse("", sql, &[])
            .bind("", "", parameters)
            .describe_portal("")
            .execute("", 0)
            .sync();
        self.send(batch.bytes())?;
        self.read_until(b'Z')
    }

    /// Runs statements that must succeed.
    pub fn run(&mut self, sql: &str) -> Result<Answer> {
        let answer = self.query(sql)?;
        match answer.0.iter().find(|message| message.tag == b'E') {
            Some(error) => bail!("{sql}: {error:?}"),
            None => Ok(answer),
        }
    }

    /// The first value of the first row of a query that must succeed.
    pub fn value(&mut self, sql: &str) -> Result<String> {
        self.run(sql)?
            .value()
            .with_context(|| format!("{sql}: no value"))
    }

    /// Whether the server closes the connection, saying whatever it likes before, even what is no
    /// message.
    pub fn ends(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// How long one read may take.
    pub fn set_deadline(&self, deadline: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(deadline))?)
    }

    /// The same connection once more, to send while this one reads.
    pub fn another_end(&self) -> Result<Self> {
        let stream = self.stream.try_clone()?;
        stream.set_write_timeout(Some(READ_DEADLINE * 3))?;
        Ok(Self {
            stream,
            address: self.address,
            unread: Vec::new(),
            greeting: self.greeting.clone(),
        })
    }

    /// Breaks the connection off, as when the client's process has died with something unread.
    pub fn reset(self) -> Result<()> {
        let socket = socket2::SockRef::from(&self.stream);
        Ok(socket.set_linger(Some(Duration::ZERO))?)
    }

    /// Closes the sending half.
    pub fn shutdown(&self) -> Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    fn next_unread(&mut self) -> Result<Option<Message>> {
        let Some((head, rest)) = self.unread.split_at_checked(5) else {
            return Ok(None);
        };
        let declared = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        ensure!(declared >= 4, "the server sent a length of {declared}");
        let length = declared - 4;
        if rest.len() < length {
            return Ok(None);
        }
        let message = Message {
            tag: head[0],
            body: rest[..length].to_vec(),
        };
        self.unread.drain(..5 + length);
        Ok(Some(message))
    }
}
