//! Ports, and waiting for things to become true.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long anything that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Below those that the system gives to whoever asks for any.
const PORTS: Range<u16> = 10_000..32_000;

/// A port nobody listens on, and that no other test is given as long as this process lives: who is
/// told to listen there does so later, and perhaps again after it was killed.
pub fn free_port() -> Result<u16> {
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = std::env::temp_dir().join("pgmemo-ports");
    fs::create_dir_all(&dir)?;
    let width = u32::from(PORTS.end - PORTS.start);
    // Each process begins elsewhere, so that they seldom meet.
    let first = std::process::id().wrapping_mul(7919);
    for _ in 0..width {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + u16::try_from(first.wrapping_add(step) % width)?;
        let file = File::create(dir.join(port.to_string()))?;
        if file.try_lock().is_ok() && TcpListener::bind(local(port)).is_ok() {
            TAKEN
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(file);
            return Ok(port);
        }
    }
    bail!("no port of {PORTS:?} is free")
}

/// The address of a port of this host.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Whether somebody accepts connections there.
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}

/// Asks until the answer is `Some`, or the deadline has passed.
pub fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("{what}: not within {deadline:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
}
