//! The threads that serve clients, each with a runtime of its own.
//!
//! A client is seated once, with the worker that has the fewest, and stays: its sockets wake that
//! thread and no other. What a runtime shared by all threads would cost, and what is given up, is
//! in `docs/adr/0012-a-client-stays-on-its-thread.md`.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// All workers. Dropped, they end, and what still runs on them is cut off.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Box<[Worker]>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    clients: Arc<AtomicUsize>,
}

/// A client's place with a worker; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    runtime: Handle,
    clients: Arc<AtomicUsize>,
}

/// The parser recurses, and what it builds is dropped by recursion.
const STACK_BYTES: usize = 8 << 20;

impl Workers {
    /// How many there are where nobody says: one for every core.
    pub(crate) fn usual_count() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    /// Starts this many, at least one.
    ///
    /// # Errors
    ///
    /// When the system gives no thread, or no way to wait for sockets.
    pub(crate) fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let workers = (0..count.max(1)).map(|number| Worker::start(number, stop.clone()));
        let workers = workers.collect::<io::Result<_>>();
        if workers.is_err() {
            stop.cancel();
        }
        Ok(Self {
            workers: workers?,
            stop,
        })
    }

    /// Their runtimes.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        let runtimes = self.workers.iter().map(|worker| worker.runtime.clone());
        runtimes.collect()
    }

    /// A seat with the worker that has the fewest clients; the first of equals.
    pub(crate) fn seat(&self) -> Seat {
        let least = self
            .workers
            .iter()
            .min_by_key(|worker| worker.clients.load(Ordering::Relaxed));
        let worker = least.expect("at least one worker was started");
        worker.clients.fetch_add(1, Ordering::Relaxed);
        Seat {
            runtime: worker.runtime.clone(),
            clients: Arc::clone(&worker.clients),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::Builder::new()
            .name(format!("pgmemo-{number}"))
            .stack_size(STACK_BYTES)
            .spawn(move || {
                runtime.block_on(stop.cancelled_owned());
                // Nobody waits for this thread, so it must not wait for others.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            runtime: handle,
            clients: Arc::default(),
        })
    }
}

impl Seat {
    /// The runtime of the worker.
    pub(crate) const fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_spread_and_seats_given_back() {
        let workers = Workers::start(3).unwrap();
        let counts = || {
            let count = |worker: &Worker| worker.clients.load(Ordering::Relaxed);
            workers.workers.iter().map(count).collect::<Vec<_>>()
        };
        let mut seats: Vec<_> = (0..6).map(|_| workers.seat()).collect();
        assert_eq!(counts(), [2, 2, 2]);
        drop(seats.remove(1));
        assert_eq!(counts(), [2, 1, 2]);
        seats.push(workers.seat());
        assert_eq!(counts(), [2, 2, 2]);
    }

    #[test]
    fn tasks_run_until_the_workers_are_dropped() {
        let workers = Workers::start(1).unwrap();
        let seat = workers.seat();
        let (sent, received) = std::sync::mpsc::channel();
        seat.runtime().spawn(async move {
            let name = thread::current().name().map(str::to_owned);
            sent.send(name).unwrap();
            std::future::pending::<()>().await;
            drop(sent);
        });
        assert_eq!(received.recv().unwrap().as_deref(), Some("pgmemo-0"));
        drop(workers);
        // The task is cut off, and with it goes its end of the channel.
        assert!(received.recv().is_err());
    }
}
