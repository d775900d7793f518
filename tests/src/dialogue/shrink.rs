//! The shortest dialogue that still shows a difference.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Dialogue;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Leaves out bursts, then messages, as long as `differs` says that the rest still does.
pub fn shrink(
    dialogue: Dialogue,
    mut differs: impl FnMut(&Dialogue) -> Result<bool>,
) -> Result<Dialogue> {
    let end = Instant::now() + PATIENCE;
    let mut shortest = dialogue;
    loop {
        let before = shortest.len();
        let mut size = shortest.0.len().div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < shortest.0.len() && Instant::now() < end {
                let mut shorter = shortest.clone();
                let last = (at + size).min(shorter.0.len());
                shorter.0.drain(at..last);
                if differs(&shorter)? {
                    shortest = shorter;
                } else {
                    at += size;
                }
            }
            size /= 2;
        }
        let mut burst = 0;
        while burst < shortest.0.len() {
            let mut at = 0;
            while at < shortest.0[burst].says.len() && Instant::now() < end {
                let mut shorter = shortest.clone();
                shorter.0[burst].says.remove(at);
                shorter.0.retain(|burst| !burst.says.is_empty());
                if differs(&shorter)? {
                    shortest = shorter;
                    if burst >= shortest.0.len() {
                        break;
                    }
                } else {
                    at += 1;
                }
            }
            burst += 1;
        }
        if shortest.len() == before || Instant::now() >= end {
            return Ok(shortest);
        }
    }
}
