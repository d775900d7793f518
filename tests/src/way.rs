//! A way to Redis that can be cut while others keep theirs.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex},
    thread,
};

use anyhow::Result;

use crate::{Redis, net::local};

/// The way; it leads there until the test's process ends.
#[derive(Debug)]
pub struct Way {
    address: SocketAddr,
    state: Arc<(Mutex<bool>, Condvar)>,
}

impl Way {
    /// One that is open.
    pub fn to(redis: &Redis) -> Result<Self> {
        let listener = TcpListener::bind(local(0))?;
        let way = Self {
            address: listener.local_addr()?,
            state: Arc::default(),
        };
        let (server, state) = (redis.address(), Arc::clone(&way.state));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                thread::spawn(move || lead(client, server, &state));
            }
        });
        Ok(way)
    }

    /// `redis://…`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Holds everything back from now on, in both directions; connections stay.
    pub fn cut(&self) {
        *self.state.0.lock().unwrap() = true;
    }

    /// Delivers everything, also what was held back.
    pub fn mend(&self) {
        *self.state.0.lock().unwrap() = false;
        self.state.1.notify_all();
    }
}

fn lead(
    client: TcpStream,
    server: SocketAddr,
    state: &Arc<(Mutex<bool>, Condvar)>,
) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (up, down) = (client.try_clone()?, server.try_clone()?);
    let there = Arc::clone(state);
    thread::spawn(move || relay(up, down, &there));
    relay(server, client, state)
}

fn relay(
    mut from: TcpStream,
    mut to: TcpStream,
    (cut, mended): &(Mutex<bool>, Condvar),
) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut buffer)?;
        drop(mended.wait_while(cut.lock().unwrap(), |cut| *cut).unwrap());
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..count])?;
    }
}
