//! The shell around the session core: sockets, TLS, server connections, tasks and timers.
//!
//! Invariant: no decision about the protocol or the cache is made here. A client's task reads,
//! writes, waits, and carries out what its session asks for; every wait has a deadline.

mod acceptor;
mod cancels;
mod client;
pub mod control;
mod counted;
pub mod database;
mod flight;
mod front;
pub mod greeting;
mod leave;
mod link;
pub mod login;
mod marks;
mod observed;
pub mod options;
mod place;
mod refresh;
mod reserve;
mod seldom;
mod server;
mod services;
pub mod stream;
mod tls;
pub mod upstream;
mod workers;
mod written;

pub use server::{BindError, Server};
