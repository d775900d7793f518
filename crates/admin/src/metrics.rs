//! What `/metrics` shows, read from plain atomics at the moment of the scrape.
//!
//! Every label has a fixed set of values, so the page has a bounded size whatever clients do.

use std::{fmt, sync::Arc, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};
use session::{Histogram, RefusedFill, Renewal, Telemetry};
use sql::Reason;
use store::{State, Trouble};

use crate::Observed;

/// All metrics of one process.
pub(crate) fn registry(observed: Arc<dyn Observed>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures {
        observed,
        started: Instant::now(),
    }));
    registry
}

struct Figures {
    observed: Arc<dyn Observed>,
    started: Instant,
}

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures")
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let telemetry = self.observed.telemetry();
        lookups(&mut page, telemetry)?;
        fills(&mut page, telemetry)?;
        flights(&mut page, telemetry)?;
        renewals(&mut page, telemetry)?;
        connections(&mut page, telemetry)?;
        store(&mut page, self.observed.store())?;
        let ready = self.observed.readiness().is_ready();
        page.gauge(
            "pgmemo_ready",
            "Whether /readyz says yes",
            alone(i64::from(ready)),
        )?;
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.gauge(
            "pgmemo_build_info",
            "Always 1, the version as a label",
            [(&version[..], 1)],
        )?;
        page.seconds("pgmemo_uptime_seconds", "Time since start", self.started)
    }
}

fn lookups(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let bypasses = Reason::ALL.map(|reason| {
        (
            [("result", "bypass"), ("reason", reason.code())],
            telemetry.bypass(reason).value(),
        )
    });
    let (hits, misses) = ([("result", "hit")], [("result", "miss")]);
    let answered = [
        (&hits[..], telemetry.hits.value()),
        (&misses[..], telemetry.misses.value()),
    ];
    page.counter(
        "pgmemo_lookups",
        "Statements that could have been reads, by what became of them",
        answered
            .into_iter()
            .chain(bypasses.iter().map(|(labels, count)| (&labels[..], *count))),
    )?;
    page.histogram(
        "pgmemo_lookup_duration_seconds",
        "Time from the arrival of a statement to its reply",
        [
            (&hits[..], &telemetry.hit_latency),
            (&misses[..], &telemetry.miss_latency),
        ],
    )
}

fn fills(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let fills = telemetry.fills.value();
    page.counter("pgmemo_fills", "Replies handed to the store", alone(fills))?;
    let refused = RefusedFill::ALL.map(|why| ([("reason", why.code())], telemetry.refused(why)));
    page.counter(
        "pgmemo_fills_refused",
        "Replies that were recorded and not kept",
        refused
            .iter()
            .map(|(labels, count)| (&labels[..], count.value())),
    )?;
    page.counter(
        "pgmemo_invalidations",
        "Changes seen: of one table, or of everything in a database",
        [
            (&[("kind", "row")][..], telemetry.row_bumps.value()),
            (&[("kind", "table")], telemetry.table_bumps.value()),
            (&[("kind", "everything")], telemetry.epoch_bumps.value()),
        ],
    )
}

fn flights(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let flights = &telemetry.flights;
    page.gauge(
        "pgmemo_flight_waiting",
        "Statements that wait now for a reply somebody else has asked for",
        alone(flights.waiting.value()),
    )?;
    page.counter(
        "pgmemo_flight_waits",
        "Statements that waited for a reply somebody else had asked for, by what became of them",
        [
            (&[("result", "served")][..], flights.served.value()),
            (&[("result", "vain")], flights.vain.value()),
            (&[("result", "late")], flights.late.value()),
            (&[("result", "cancelled")], flights.cancelled.value()),
        ],
    )?;
    page.counter(
        "pgmemo_flight_claims",
        "Replies claimed among all instances before the server was asked, by who had the claim",
        [
            (&[("holder", "self")][..], flights.claims.value()),
            (&[("holder", "other")], flights.claimed.value()),
        ],
    )
}

fn renewals(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let renewals = Renewal::ALL.map(|it| ([("result", it.code())], telemetry.renewal(it)));
    page.counter(
        "pgmemo_refreshes",
        "Replies that were to be read again in the background, by what became of it",
        renewals
            .iter()
            .map(|(labels, count)| (&labels[..], count.value())),
    )?;
    page.counter(
        "pgmemo_write_refreshes",
        "Replies that were to be read again because a write made them worthless",
        alone(telemetry.rewritten.value()),
    )?;
    page.counter(
        "pgmemo_stale_served",
        "Replies served after the end of their TTL while they were being renewed",
        alone(telemetry.stale.value()),
    )
}

fn connections(page: &mut Page<'_>, telemetry: &Telemetry) -> fmt::Result {
    let clients = telemetry.clients.value();
    page.gauge("pgmemo_clients", "Clients connected now", alone(clients))?;
    page.gauge(
        "pgmemo_server_connections",
        "Connections to PostgreSQL that are open now on behalf of clients",
        alone(telemetry.servers.value()),
    )?;
    let accepted = telemetry.connections.value();
    page.counter(
        "pgmemo_connections",
        "Connections accepted",
        alone(accepted),
    )
}

fn store(page: &mut Page<'_>, status: store::Status) -> fmt::Result {
    let states = [State::Up, State::Down, State::Fenced]
        .map(|state| ([("state", state.code())], i64::from(state == status.state)));
    page.gauge(
        "pgmemo_store_state",
        "1 for the state the store is in",
        states.iter().map(|(labels, holds)| (&labels[..], *holds)),
    )?;
    let troubles = Trouble::ALL.map(|kind| ([("kind", kind.code())], status.count(kind)));
    page.counter(
        "pgmemo_store_errors",
        "What went wrong in the store and cost a hit or an entry",
        troubles.iter().map(|(labels, count)| (&labels[..], *count)),
    )?;
    // What a shared store keeps is not known here, and a zero would be a lie.
    let known =
        |level: Option<u64>| level.map(|level| (&[][..], i64::try_from(level).unwrap_or(i64::MAX)));
    page.gauge(
        "pgmemo_store_entries",
        "Replies kept by this process",
        known(status.entries),
    )?;
    page.gauge(
        "pgmemo_store_bytes",
        "Bytes kept by this process",
        known(status.bytes),
    )?;
    page.counter(
        "pgmemo_store_evictions",
        "Replies that had to leave before their time",
        alone(status.evictions),
    )?;
    page.gauge(
        "pgmemo_store_owed",
        "Invalidations that have not reached the store yet",
        known(Some(status.owed)),
    )?;
    leases(page, &status)
}

fn leases(page: &mut Page<'_>, status: &store::Status) -> fmt::Result {
    page.counter(
        "pgmemo_store_near_hits",
        "Hits from replies kept near, without asking Redis",
        alone(status.near_hits),
    )?;
    page.counter(
        "pgmemo_store_leases_lost",
        "Leases that ran out, or were taken away, before they were renewed",
        alone(status.leases_lost),
    )?;
    page.counter(
        "pgmemo_store_waits",
        "Changes that waited until other instances had forgotten what they outdate",
        [
            (
                &[("end", "heard")][..],
                status.waits.saturating_sub(status.waits_out),
            ),
            (&[("end", "lease")], status.waits_out),
        ],
    )?;
    page.counter(
        "pgmemo_store_wait_microseconds",
        "How long they waited together",
        alone(u64::try_from(status.waited.as_micros()).unwrap_or(u64::MAX)),
    )
}

/// Names and values of labels; none for a metric that stands alone.
type Labels<'a> = &'a [(&'static str, &'static str)];

/// The one sample of a metric without labels.
const fn alone<T: Copy>(value: T) -> [(Labels<'static>, T); 1] {
    [(&[], value)]
}

/// A page that is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// Writes a counter; `_total` is appended to its name.
    fn counter<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, u64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in samples {
            labelled(&mut metric, labels, |metric| {
                metric.encode_counter(&value, None::<&Exemplar<NoLabelSet, u64>>)
            })?;
        }
        Ok(())
    }

    fn gauge<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, i64)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in samples {
            labelled(&mut metric, labels, |metric| metric.encode_gauge(&value))?;
        }
        Ok(())
    }

    fn seconds(&mut self, name: &str, help: &str, since: Instant) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&since.elapsed().as_secs_f64())
    }

    fn histogram<'l>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, &'l Histogram)>,
    ) -> fmt::Result {
        let mut metric = self
            .0
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, histogram) in samples {
            // The counters move while they are read, so the count is the sum of what was read.
            let buckets: Vec<(f64, u64)> = histogram
                .buckets()
                .map(|(bound_us, count)| (bound_us.map_or(f64::INFINITY, seconds), count))
                .collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let sum = seconds(histogram.sum_us());
            labelled(&mut metric, labels, |metric| {
                metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
            })?;
        }
        Ok(())
    }
}

/// Writes one sample, with braces only where there are labels.
fn labelled(
    metric: &mut MetricEncoder<'_>,
    labels: Labels<'_>,
    sample: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
) -> fmt::Result {
    if labels.is_empty() {
        sample(metric)
    } else {
        sample(&mut metric.encode_family(&labels)?)
    }
}

/// Exact below 2^53 µs, which is 285 years.
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
