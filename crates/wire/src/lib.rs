//! Framing and messages of PostgreSQL's frontend/backend protocol, version 3.
//!
//! Client messages are read by checked, borrowing readers of our own: a body must be consumed to
//! its last byte, and what is malformed is an error value. Server messages are cut into frames and
//! mostly passed on unread.
//!
//! Invariant: no reader looks past the end of its frame, and none panics on any bytes.
//!
//! Chapter "Message Formats" of PostgreSQL's manual is the reference.

pub mod backend;
mod frame;
pub mod frontend;
mod read;

pub use frame::{FrameError, HEADER, Header, MESSAGE_MAX, header};
pub use read::BodyError;
