//! What makes the process end with a status other than 0.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    process::ExitCode,
};

use config::{Place, Problem, Problems};

/// Why it ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The settings are wrong, or name what is not there.
    #[error("the settings cannot be used\n{0}")]
    Settings(Problems),

    /// A second signal came while transactions were still running.
    #[error("stopped at once, transactions were cut")]
    Cut,

    /// An address cannot be bound.
    #[error("cannot listen on {address} for {purpose}: {error}\n    {remedy}")]
    Bind {
        address: SocketAddr,
        purpose: &'static str,
        error: io::Error,
        remedy: String,
    },

    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Failure {
    /// An address that cannot be bound, which is set by `key`.
    pub(crate) fn bind(address: SocketAddr, key: &'static str, error: io::Error) -> Self {
        let (purpose, off) = if key == "admin" {
            ("metrics and health", ", or off")
        } else {
            ("clients", "")
        };
        let kind = error.kind();
        let remedy = if kind == ErrorKind::AddrInUse {
            format!(
                "another process listens there; stop it, or pass --{key} with another port{off}"
            )
        } else if kind == ErrorKind::AddrNotAvailable {
            format!("this machine does not have that address; pass --{key} with one it has{off}")
        } else if kind == ErrorKind::PermissionDenied {
            format!("ports below 1024 need a privilege; pass --{key} with a higher port{off}")
        } else {
            format!("pass --{key} with another address{off}")
        };
        Self::Bind {
            address,
            purpose,
            error,
            remedy,
        }
    }

    /// A value that was only found to be wrong when it was used.
    pub(crate) fn setting(key: &str, error: &dyn std::error::Error) -> Self {
        Self::Settings(Problems(vec![Problem {
            place: Place::Nowhere,
            what: format!("{key}: {error}"),
            remedy: format!("docs/configuration.md describes what {key} may be"),
        }]))
    }

    /// 2 if another start would fail as well, 1 otherwise: an address may be there in a moment.
    pub(crate) fn status(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::from(2),
            Self::Bind { .. } | Self::Cut | Self::Other(_) => ExitCode::FAILURE,
        }
    }
}
