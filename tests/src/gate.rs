//! A gate in front of PostgreSQL that holds back the connection by which pgmemo gets to know a
//! database, until it is opened. All other connections pass.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use anyhow::{Result, ensure};

use crate::net::local;

/// How pgmemo names itself on that connection.
const CONTROL: &[u8] = b"application_name\0pgmemo control ";

/// The longest startup packet that a server accepts.
const STARTUP_BYTES_MAX: usize = 10_000;

/// The gate; it serves until the test's process ends.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// A closed gate for who wants to know this database.
    pub fn close(server: SocketAddr, database: &str) -> Result<Self> {
        let listener = TcpListener::bind(local(0))?;
        let gate = Self {
            address: listener.local_addr()?,
            open: Arc::default(),
        };
        let database = [b"database\0", database.as_bytes(), b"\0"].concat();
        let open = Arc::clone(&gate.open);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (database, open) = (database.clone(), Arc::clone(&open));
                thread::spawn(move || pass(client, server, &database, &open));
            }
        });
        Ok(gate)
    }

    /// The server behind it, for the superuser.
    pub fn url(&self) -> String {
        format!(
            "postgres://postgres@{}/postgres?sslmode=disable",
            self.address
        )
    }

    /// Holds nobody back any more.
    pub fn open(&self) {
        let (open, opened) = &*self.open;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}

fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    database: &[u8],
    (open, opened): &(Mutex<bool>, Condvar),
) -> Result<()> {
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let bytes = u32::from_be_bytes(length) as usize;
    ensure!((8..=STARTUP_BYTES_MAX).contains(&bytes), "no startup");
    let mut startup = length.to_vec();
    startup.resize(bytes, 0);
    client.read_exact(&mut startup[4..])?;
    let has = |part: &[u8]| startup.windows(part.len()).any(|window| window == part);
    if has(CONTROL) && has(database) {
        drop(
            opened
                .wait_while(open.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
    }
    let mut server = TcpStream::connect(server)?;
    server.write_all(&startup)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut up, mut down) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || relay(&mut up, &mut down));
    relay(&mut server, &mut client)?;
    Ok(())
}

fn relay(from: &mut TcpStream, to: &mut TcpStream) -> io::Result<()> {
    io::copy(from, to)?;
    to.shutdown(std::net::Shutdown::Write)
}
