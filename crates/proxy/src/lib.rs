//! Not yet written.

pub mod greeting;
pub mod login;
pub mod options;
mod tls;
pub mod upstream;
