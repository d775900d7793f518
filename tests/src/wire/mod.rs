//! A protocol client that hides nothing: it sends any bytes and shows every message.
//!
//! Written apart from the proxy's own `wire` crate on purpose, so that one mistake cannot be made
//! on both sides.

mod conn;
mod frontend;
mod message;

pub use conn::{Conn, Login};
pub use frontend::{Bytes, Format, Frontend};
pub use message::{Answer, Message};
