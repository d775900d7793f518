//! What a key costs: `cargo bench -p pgmemo-cache`.
//!
//! The numbers are those of one core, the best of five rounds.

#[path = "../../sql/benches/timing/mod.rs"]
mod timing;

use std::{cell::RefCell, hint::black_box};

use pgmemo_cache::DigestBuilder;
use timing::best;

fn main() {
    let digest = DigestBuilder::default().field(b"a session").finish();
    for bytes in [0, 16, 256, 4096] {
        let arguments = vec![7; bytes];
        let buffer = RefCell::new(Vec::new());
        let spent = best(|| {
            let mut key = DigestBuilder::reusing(buffer.take());
            key.digest(&digest).digest(&digest).number(2);
            key.field(&[]).field(black_box(&arguments));
            let (key, used) = key.into_key();
            black_box(key);
            buffer.replace(used);
        });
        println!("two digests and {bytes:>4} bytes of arguments {spent:>12.1?}");
    }
}
