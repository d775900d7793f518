//! What faults mean for us.

use super::wire::Fault;
use crate::Trouble;

/// What a fault means for us.
pub(super) fn classify(fault: &Fault) -> Trouble {
    tracing::debug!(?fault, "redis did not do as asked");
    match fault {
        Fault::Timeout | Fault::Behind | Fault::Full => Trouble::Timeout,
        Fault::Lost | Fault::Unreached(_) => Trouble::Disconnected,
        Fault::Said(details) if is_refusal(details) => Trouble::Refused,
        Fault::Said(_) => Trouble::Reply,
    }
}

/// Whether a command was refused, or one of a script: what that met, Redis wraps before version 7.
fn is_refusal(details: &str) -> bool {
    let refused = |text: &str| REFUSALS.iter().any(|word| text.starts_with(word));
    let wrapped = details.starts_with("ERR Error running script");
    refused(details) || wrapped && details.split('-').any(refused)
}

/// How Redis says that it would, but may not.
const REFUSALS: [&str; 14] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "OOM",
    "NOPERM",
    "NOREPLICAS",
    "BUSY",
    "EXECABORT",
    "NOAUTH",
    "WRONGPASS",
    "MOVED",
    "ASK",
    "CLUSTERDOWN",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_from_errors() {
        for details in [
            "MISCONF Redis is configured to save RDB snapshots",
            "ERR Error running script (call to f_0a): @user_script:63: @user_script: 63: -MISCONF Redis is",
        ] {
            assert!(is_refusal(details), "{details}");
        }
        for details in [
            "ERR unknown command",
            "ERR Error running script: -ERR wrong number",
            "",
        ] {
            assert!(!is_refusal(details), "{details}");
        }
    }
}
