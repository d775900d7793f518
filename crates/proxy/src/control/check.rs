//! What only the server can say about a configuration.

use catalog::Snapshot;
use config::{Config, Place, Problem};
use tokio::task::spawn_blocking;

use super::{Control, ControlError, Credentials, MAINTENANCE};
use crate::{acceptor::Acceptor, upstream::Upstream};

/// Connects as pgmemo would, reads the catalog of the URL's database, and compares it with the
/// rules; also reads the certificate for clients. Everything that is wrong is listed; where the
/// server cannot be asked, the rules are not.
pub async fn check(config: &Config) -> Vec<Problem> {
    let mut problems = rules(config).await;
    if let Err(error) = Acceptor::load(config.tls.as_ref()) {
        problems.push(Problem {
            place: Place::Nowhere,
            what: format!("tls: {error}"),
            remedy: "name the PEM files of a certificate and its key, readable for pgmemo"
                .to_owned(),
        });
    }
    problems
}

async fn rules(config: &Config) -> Vec<Problem> {
    match read(config).await {
        Ok(snapshot) => table_rules(config, &snapshot)
            .chain(function_rules(config, &snapshot))
            .chain(function_tables(config, &snapshot))
            .collect(),
        Err(error) => vec![unwatched(config, &error)],
    }
}

fn unwatched(config: &Config, error: &ControlError) -> Problem {
    let remedy = if matches!(error, ControlError::Pooled) {
        "let pgmemo reach PostgreSQL itself; a pooler may stand in front of pgmemo"
    } else {
        "see that the server is up, and that the URL's user may log in and read its catalogs"
    };
    Problem {
        place: Place::Nowhere,
        what: format!("{} cannot be watched: {error}", config.upstream),
        remedy: remedy.to_owned(),
    }
}

async fn read(config: &Config) -> Result<Snapshot, ControlError> {
    let credentials = Credentials::of(&config.upstream)?;
    let upstream = Upstream::new(&config.upstream)?;
    let database = config.upstream.database.as_deref();
    let database = database.unwrap_or(MAINTENANCE);
    let control = Control::connect(&upstream, &credentials, database).await?;
    control
        .identity()
        .await?
        .database_id()
        .ok_or_else(ControlError::anonymous)?;
    let reading = control.read_catalog(None).await?;
    let reading = reading.ok_or(ControlError::Restless)?;
    spawn_blocking(|| reading.snapshot())
        .await
        .map_err(|_| ControlError::unreadable())?
}

/// Table rules without a wildcard that match no relation.
fn table_rules(config: &Config, snapshot: &Snapshot) -> impl Iterator<Item = Problem> {
    config.tables.iter().filter_map(|rule| {
        let pattern = cache::Pattern::parse(&rule.pattern).ok()?;
        let idle = pattern.is_exact() && !matches_any(snapshot, &pattern);
        idle.then(|| Problem {
            place: rule.place.clone(),
            what: format!("table rule `{}` matches nothing", rule.pattern),
            remedy: "write the name as the server stores it, with its schema, or drop the rule"
                .to_owned(),
        })
    })
}

/// Function rules for functions that are not there.
fn function_rules(config: &Config, snapshot: &Snapshot) -> impl Iterator<Item = Problem> {
    config.functions.iter().filter_map(|rule| {
        let schema = snapshot
            .schema_by_name(&rule.schema)
            .map(|schema| schema.id);
        let exists = snapshot
            .functions_named(&rule.name)
            .any(|found| Some(found.schema) == schema);
        (!exists).then(|| Problem {
            place: rule.place.clone(),
            what: format!("there is no function `{}.{}`", rule.schema, rule.name),
            remedy: "write its schema and name as the server stores them, or drop the rule"
                .to_owned(),
        })
    })
}

/// Tables that function rules name and that are not there.
fn function_tables(config: &Config, snapshot: &Snapshot) -> impl Iterator<Item = Problem> {
    config.functions.iter().flat_map(|rule| {
        let missing = rule.reads.iter().filter(|(schema, name)| {
            let schema = snapshot.schema_by_name(schema);
            schema
                .and_then(|schema| snapshot.relation_by_name(schema.id, name))
                .is_none()
        });
        missing.map(|(schema, name)| Problem {
            place: rule.place.clone(),
            what: format!(
                "`{}.{}` is said to read `{schema}.{name}`, which does not exist",
                rule.schema, rule.name
            ),
            remedy: "name the tables that the function reads".to_owned(),
        })
    })
}

/// Whether any relation matches a pattern.
pub(crate) fn matches_any(snapshot: &Snapshot, pattern: &cache::Pattern) -> bool {
    snapshot.relations().any(|relation| {
        let schema = snapshot.schema(relation.schema);
        schema.is_some_and(|schema| pattern.matches(&schema.name, &relation.name))
    })
}
