//! The command line, read off the registry of settings.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, error::ErrorKind};
use config::{DefaultValue, Environment, SETTINGS, Setting, Sources};

use crate::logging::Format;

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Call {
    /// Serve clients.
    Serve(Invocation),
    /// Say what is wrong with the settings.
    Check(Invocation),
    /// Print `docs/configuration.md`.
    Reference,
}

/// Where the settings are, and how to log.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) sources: Sources,
    pub(crate) log_format: Format,
    pub(crate) log_filter: Option<String>,
}

/// Reads arguments and environment.
///
/// The error may also be a request for help or the version; [`clap::Error::exit`] knows.
pub(crate) fn call(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment,
) -> Result<Call, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    match matches.subcommand() {
        Some(("serve", matches)) => Ok(Call::Serve(invocation(matches, environment)?)),
        Some(("check", matches)) => Ok(Call::Check(invocation(matches, environment)?)),
        Some(("config-reference", _)) => Ok(Call::Reference),
        _ => Err(command.error(ErrorKind::MissingSubcommand, "say `serve` or `check`")),
    }
}

fn command() -> Command {
    Command::new("pgmemo")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A transparent caching proxy for PostgreSQL")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("serve")
                .about("Serve clients")
                .args(arguments())
                .after_help(VARIABLES),
        )
        .subcommand(
            Command::new("check")
                .about("List everything that is wrong with file, server and store")
                .args(arguments())
                .after_help(VARIABLES),
        )
        .subcommand(
            Command::new("config-reference")
                .about("Print docs/configuration.md")
                .hide(true),
        )
}

const VARIABLES: &str = "Every setting can also be made in the file and by an environment variable; \
    a flag is stronger than a variable, and a variable stronger than the file. \
    docs/configuration.md lists them all.";

fn arguments() -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("File with settings and rules [env: PGMEMO_CONFIG]");
    let format = Arg::new("log-format")
        .long("log-format")
        .value_name("text|json")
        .value_parser(PossibleValuesParser::new(Format::NAMES))
        .hide_possible_values(true)
        .help("How to write the log [env: PGMEMO_LOG_FORMAT] [default: text]");
    [file]
        .into_iter()
        .chain(SETTINGS.iter().filter_map(argument))
        .chain([format])
        .collect()
}

fn argument(setting: &Setting) -> Option<Arg> {
    let flag = setting.flag?;
    let default = match setting.default {
        DefaultValue::Text(text) => format!(" [default: {text}]"),
        DefaultValue::Derived(text) => format!(" [default: {text}]"),
        DefaultValue::Required => String::new(),
    };
    let help = format!(
        "{} [env: {}]{default}",
        setting.help.replace('`', ""),
        setting.variable()
    );
    let argument = Arg::new(flag)
        .long(flag)
        .value_name(setting.placeholder())
        .action(ArgAction::Set)
        .help(help);
    Some(argument)
}

fn invocation(matches: &ArgMatches, environment: Environment) -> Result<Invocation, clap::Error> {
    let flags = SETTINGS.iter().filter_map(|setting| {
        let flag = setting.flag?;
        Some((flag, matches.get_one::<String>(flag)?.clone()))
    });
    let file = matches.get_one::<PathBuf>("config").cloned();
    let format = matches.get_one::<String>("log-format").map(String::as_str);
    let format = format
        .or(environment.value("PGMEMO_LOG_FORMAT"))
        .unwrap_or("text");
    Ok(Invocation {
        log_format: Format::named(format).ok_or_else(|| {
            let message = format!(
                "PGMEMO_LOG_FORMAT is \"{}\": write text or json\n",
                format.escape_debug()
            );
            clap::Error::raw(ErrorKind::InvalidValue, message)
        })?,
        log_filter: environment.value("PGMEMO_LOG").map(str::to_owned),
        sources: Sources {
            file: file.or_else(|| environment.value("PGMEMO_CONFIG").map(PathBuf::from)),
            flags: flags.collect(),
            environment,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invoked(arguments: &str, variables: &[(&str, &str)]) -> Result<Invocation, String> {
        let arguments = ["pgmemo"].into_iter().chain(arguments.split_whitespace());
        let variables = variables
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        match call(arguments.map(OsString::from), variables) {
            Ok(Call::Serve(invocation) | Call::Check(invocation)) => Ok(invocation),
            Ok(Call::Reference) => Err("reference".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn flags_reach_the_settings() {
        let invocation = invoked(
            "serve --upstream postgres://db --default-ttl 5s --threads 2",
            &[],
        );
        let config = invocation.unwrap().sources.load().unwrap();
        assert_eq!(config.upstream.host, "db");
        assert_eq!(
            config.cache.default_ttl,
            Some(std::time::Duration::from_secs(5))
        );
        assert_eq!(config.limits.threads, Some(2));
    }

    #[test]
    fn the_flag_beats_the_variable() {
        let variables = [("PGMEMO_CONFIG", "a.toml"), ("PGMEMO_LOG_FORMAT", "json")];
        let check = |arguments, file: Option<&str>, format| {
            let invocation = invoked(arguments, &variables).unwrap();
            assert_eq!(invocation.sources.file, file.map(PathBuf::from));
            assert_eq!(invocation.log_format, format);
        };
        check("check", Some("a.toml"), Format::Json);
        check(
            "check --config b.toml --log-format text",
            Some("b.toml"),
            Format::Text,
        );
        assert_eq!(invoked("serve", &[]).unwrap().log_format, Format::Text);
    }

    #[test]
    fn what_is_unknown_is_refused() {
        let check = |arguments, variables: &[(&str, &str)], part: &str| {
            let error = invoked(arguments, variables).unwrap_err();
            assert!(error.contains(part), "{part} is not in {error}");
        };
        check("", &[], "Usage: pgmemo");
        check("serve --lisen x", &[], "--listen");
        check("serve --log-format xml", &[], "xml");
        check(
            "serve",
            &[("PGMEMO_LOG_FORMAT", "xml")],
            "write text or json",
        );
        check("--version", &[], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn negative_values_are_left_to_the_settings() {
        let invocation = invoked("serve --default-ttl=-5s", &[]).unwrap();
        let report = invocation.sources.load().unwrap_err().to_string();
        assert!(
            report.contains("--default-ttl: cache.default_ttl = \"-5s\" is negative"),
            "{report}"
        );
    }
}
