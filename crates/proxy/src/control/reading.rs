//! Reads the catalog, or as much of it as may have changed.

use std::sync::atomic::Ordering;

use catalog::{
    Builder, Initdb, Snapshot,
    queries::{BEGIN, Kind, QUERIES, Query},
};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::{
    Control, ControlError, READING_TIMEOUT, answered,
    fingerprint::{Fingerprint, statement},
    texts,
};

/// The rows of the catalog queries, not yet looked at.
#[derive(Debug)]
pub(crate) struct Reading {
    rows: Vec<(Kind, Vec<SimpleQueryRow>)>,
    /// What came with `initdb`, if it was not read.
    initdb: Option<Initdb>,
    pub(crate) fingerprint: Fingerprint,
}

impl Reading {
    /// Reads and indexes all rows: milliseconds of computing, for a blocking thread.
    pub(crate) fn snapshot(self) -> Result<Snapshot, ControlError> {
        let mut builder = Builder {
            initdb: self.initdb,
            ..Builder::default()
        };
        for (kind, rows) in self.rows {
            for row in rows {
                builder.push(kind, texts(&row)?)?;
            }
        }
        Ok(builder.finish())
    }
}

impl Control {
    /// Prepares the statements that read the catalog: planning them takes longer than running most
    /// of them. Not cancel safe.
    pub(super) async fn prepare(&self) -> Result<(), ControlError> {
        let mut texts = vec![format!("PREPARE {FINGERPRINT} AS {}", statement())];
        let queries = QUERIES.iter().enumerate();
        texts.extend(
            queries.map(|(number, query)| format!("PREPARE {QUERY}{number} AS {}", query.text)),
        );
        self.execute(&texts.join(";\n")).await
    }

    /// What stands for all definitions, privileges and settings. Not cancel safe.
    pub(crate) async fn fingerprint(&self) -> Result<Fingerprint, ControlError> {
        let rows = self.query(&self.run(FINGERPRINT, &statement())).await?;
        Fingerprint::of(&rows)
    }

    /// Reads the catalog as of one moment: nothing if it is as `known`, else all of it but what came
    /// with `initdb` and is as `known`. Not cancel safe.
    ///
    /// `known` is a fingerprint of the same database at the same server, and what came with `initdb`
    /// at its moment.
    pub(crate) async fn read_catalog(
        &self,
        known: Option<(&Fingerprint, Initdb)>,
    ) -> Result<Option<Reading>, ControlError> {
        let reading = self.read_in_transaction(known).await;
        if matches!(reading, Ok(Some(_))) {
            // The last message has ended the transaction.
            return reading;
        }
        if reading.is_err() {
            // Perhaps for its plans: a statement took too long.
            self.planned_rows.store(0, Ordering::Relaxed);
            self.execute("ROLLBACK; DISCARD PLANS").await?;
        } else {
            self.execute("ROLLBACK").await?;
        }
        reading
    }

    async fn read_in_transaction(
        &self,
        known: Option<(&Fingerprint, Initdb)>,
    ) -> Result<Option<Reading>, ControlError> {
        let begin = format!("{BEGIN}; {}", self.run(FINGERPRINT, &statement()));
        let fingerprint = Fingerprint::of(&self.rows(&begin).await?)?;
        if known
            .as_ref()
            .is_some_and(|(known, _)| known.holds(&fingerprint))
        {
            return Ok(None);
        }
        self.plan_anew(fingerprint.rows()).await?;
        let initdb = known
            .filter(|(known, _)| fingerprint.has_initdb_of(known))
            .map(|(_, initdb)| initdb);
        let queries = (0_usize..)
            .zip(QUERIES)
            .filter(|(_, query)| !query.initdb || initdb.is_none());
        Ok(Some(Reading {
            rows: self.ask(&queries.collect::<Vec<_>>()).await?,
            initdb,
            fingerprint,
        }))
    }

    /// Asks several queries in one string, and ends the transaction: writes wait for a reading when
    /// definitions have changed, and two dozen questions one after the other take longer to travel
    /// than to answer on a busy machine.
    async fn ask(
        &self,
        queries: &[(usize, &Query)],
    ) -> Result<Vec<(Kind, Vec<SimpleQueryRow>)>, ControlError> {
        let texts = queries
            .iter()
            .map(|(number, query)| self.run(&format!("{QUERY}{number}"), query.text));
        let texts: Vec<_> = texts.chain(["ROLLBACK".to_owned()]).collect();
        let texts = texts.join("; ");
        let asked = self.client.simple_query(&texts);
        let mut rows = Vec::with_capacity(queries.len());
        let mut answer = Vec::new();
        let mut done = 0;
        for message in answered(asked, READING_TIMEOUT).await? {
            match message {
                SimpleQueryMessage::Row(row) => answer.push(row),
                SimpleQueryMessage::CommandComplete(_) => {
                    if let Some((_, query)) = queries.get(done) {
                        rows.push((query.kind, std::mem::take(&mut answer)));
                    }
                    done += 1;
                }
                SimpleQueryMessage::RowDescription(_) | _ => {}
            }
        }
        if done != queries.len() + 1 {
            return Err(ControlError::Statement(format!("{done} answers came")));
        }
        Ok(rows)
    }

    /// Forgets plans that were made for catalogs of less than half the size: what suits a few rows
    /// may take for ever with many, and the server has no figures of catalogs that nobody has
    /// analysed.
    async fn plan_anew(&self, rows: u64) -> Result<(), ControlError> {
        if self.lent.is_some() || rows / 2 <= self.planned_rows.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.planned_rows.store(rows, Ordering::Relaxed);
        self.execute("DISCARD PLANS").await
    }
}

/// The name of the prepared statement that takes a fingerprint.
const FINGERPRINT: &str = "pgmemo_fingerprint";

/// The names of those of [`QUERIES`], before their numbers.
const QUERY: &str = "pgmemo_catalog_";
