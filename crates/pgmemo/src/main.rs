//! `pgmemo`: arguments, start, signals, stop.

mod check;
mod cli;
mod descriptors;
mod failure;
mod logging;
mod residence;
mod serve;
mod signals;
mod summary;

use std::process::ExitCode;

use cli::Call;
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two providers are in the tree, and without a choice the first use of TLS would panic. It
    // fails only if the choice has been made, and nothing runs before this line.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli::call(std::env::args_os(), config::Environment::of_process()) {
        Ok(Call::Serve(invocation)) => status(serve::serve(&invocation)),
        Ok(Call::Check(invocation)) => status(check::check(&invocation)),
        Ok(Call::Reference) => {
            print!("{}", config::reference());
            ExitCode::SUCCESS
        }
        Err(usage) => usage.exit(),
    }
}

fn status(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("pgmemo: {failure}");
            failure.status()
        }
    }
}
