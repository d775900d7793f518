//! `pgmemo check`: everything that can be wrong, before it matters.

use config::{Config, Problem, Problems};

use crate::{
    cli::Invocation, descriptors, failure::Failure, residence, serve::runtime, summary::caching,
};

/// Checks the settings, then what they name: the server, its tables, the store.
pub(crate) fn check(invocation: &Invocation) -> Result<(), Failure> {
    for problem in invocation.sources.environment.misspelt() {
        eprintln!("{problem}");
    }
    let config = invocation.sources.load().map_err(Failure::Settings)?;
    if let Some(short) = descriptors::raise(&config) {
        eprintln!("{short}");
    }
    let problems = runtime(&config)?.block_on(ask(&config));
    if !problems.is_empty() {
        return Err(Failure::Settings(Problems(problems)));
    }
    println!("no problems; {}", caching(&config));
    Ok(())
}

/// Asks the server and the store at the same time.
async fn ask(config: &Config) -> Vec<Problem> {
    let (mut problems, store) = tokio::join!(
        proxy::control::check::check(config),
        residence::check(config)
    );
    problems.extend(store);
    problems
}
