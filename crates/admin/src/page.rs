//! The dashboard: one page that says what the console says, drawn here, so that it needs no script to
//! be read. A script of a few lines draws it anew.

mod chart;
mod html;

use std::fmt::Write as _;

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

use self::{
    chart::{Chart, Series},
    html::{escaped, grouped, put_table},
};
use crate::{
    history::{SAMPLE_EVERY, Sample, Sums},
    show::{Shown, Topic},
    table::Value,
};

/// Rows of each table: a page is to be read at a glance, and the console shows all.
const ROWS_MAX: usize = 25;

/// The page as it is now.
pub(crate) fn page(shown: &Shown) -> Response {
    served("text/html; charset=utf-8", written(shown))
}

/// Its style.
pub(crate) async fn style() -> Response {
    served("text/css; charset=utf-8", include_str!("page/page.css"))
}

/// Its script.
pub(crate) async fn script() -> Response {
    served(
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    )
}

/// With what keeps a browser from taking anything else in, or from showing the page in another.
fn served(kind: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let headers = [
        (header::CONTENT_TYPE, kind),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let headers: [(HeaderName, &'static str); 5] = headers;
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn written(shown: &Shown) -> String {
    let mut out = String::from(HEAD);
    put_readiness(&mut out, shown);
    out.push_str("</header><main>");
    put_figures(&mut out, shown);
    put_charts(&mut out, &shown.history.samples());
    for section in SECTIONS {
        section.put(&mut out, shown);
    }
    out.push_str(FOOT);
    out
}

fn put_readiness(out: &mut String, shown: &Shown) {
    out.push_str("<ul class=\"parts\">");
    for part in shown.observed.readiness().parts {
        let (name, state) = (part.name, part.state.code());
        let reason = part.reason.map(|reason| format!(": {}", escaped(&reason)));
        let reason = reason.unwrap_or_default();
        _ = write!(out, "<li class=\"{state}\">{name} {state}{reason}</li>");
    }
    out.push_str("</ul>");
}

fn put_figures(out: &mut String, shown: &Shown) {
    let telemetry = shown.observed.telemetry();
    let (sums, store) = (Sums::of(telemetry), shown.observed.store());
    let count = |count: u64| grouped(i64::try_from(count).unwrap_or(i64::MAX));
    let known = |level: Option<u64>| level.map_or("–".to_owned(), count);
    let figures = [
        (
            "hit rate since the start",
            percent(sums.hits, sums.lookups()),
        ),
        ("hits", count(sums.hits)),
        ("misses", count(sums.misses)),
        ("not looked up", count(sums.bypasses)),
        ("clients", grouped(telemetry.clients.value())),
        ("replies kept here", known(store.entries)),
        ("bytes of them", known(store.bytes)),
    ];
    out.push_str("<dl class=\"figures\">");
    for (name, value) in figures {
        _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>");
}

fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "–".to_owned(),
        whole => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    }
}

fn put_charts(out: &mut String, samples: &[Sample]) {
    let seconds = SAMPLE_EVERY.as_secs_f64();
    let line = |name, class, value: &dyn Fn(&Sums) -> Option<f64>| Series {
        name,
        class,
        values: samples.iter().map(|sample| value(&sample.counts)).collect(),
    };
    let rate = |count: u64| Some(count as f64 / seconds);
    let mean = |(sum, count): (u64, u64)| (count > 0).then(|| sum as f64 / count as f64 / 1000.0);
    let share = |sums: &Sums| {
        let lookups = sums.lookups();
        (lookups > 0).then(|| 100.0 * sums.hits as f64 / lookups as f64)
    };
    let charts = [
        Chart {
            title: "Hit rate",
            unit: " %",
            top: Some(100.0),
            series: vec![line("hits", "hit", &share)],
        },
        Chart {
            title: "Reads per second",
            unit: "/s",
            top: None,
            series: vec![
                line("hits", "hit", &|sums| rate(sums.hits)),
                line("misses", "miss", &|sums| rate(sums.misses)),
                line("not looked up", "bypass", &|sums| rate(sums.bypasses)),
            ],
        },
        Chart {
            title: "Mean time to the reply",
            unit: " ms",
            top: None,
            series: vec![
                line("hits", "hit", &|sums| mean(sums.hit_us)),
                line("misses", "miss", &|sums| mean(sums.miss_us)),
            ],
        },
    ];
    out.push_str("<div class=\"charts\">");
    charts.iter().for_each(|chart| chart.put(out));
    out.push_str("</div>");
}

/// A table of the page.
struct Section {
    topic: Topic,
    heading: &'static str,
    /// Columns of the topic, and what they are called here.
    columns: &'static [(&'static str, &'static str)],
}

impl Section {
    fn put(&self, out: &mut String, all: &Shown) {
        let (heading, name) = (self.heading, self.topic.name());
        let mut table = self.topic.table(all, ROWS_MAX);
        let share = table
            .columns
            .iter()
            .position(|column| column.0 == "hit_ratio");
        for row in &mut table.rows {
            if let Some(value) = share.and_then(|at| row.get_mut(at))
                && let Value::Number(share) = value
            {
                *value = Value::from(format!("{:.1} %", 100.0 * *share));
            }
        }
        _ = write!(out, "<section><h2>{heading}</h2>");
        if table.rows.is_empty() {
            out.push_str("<p>Nothing yet.</p>");
        } else {
            put_table(out, &table, self.columns);
        }
        _ = write!(
            out,
            "<p class=\"more\"><a href=\"/api/{name}\">as JSON</a>, or <code>SHOW {}</code></p></section>",
            name.to_ascii_uppercase()
        );
    }
}

const SECTIONS: [Section; 5] = [
    Section {
        topic: Topic::Statements,
        heading: "Statements used most",
        columns: &[
            ("statement", "statement"),
            ("calls", "calls"),
            ("hits", "hits"),
            ("misses", "misses"),
            ("bypasses", "not looked up"),
            ("writes", "writes"),
            ("hit_ratio", "hit rate"),
            ("miss_ms", "ms of a miss"),
            ("reasons", "why not"),
            ("advice", "what to do"),
        ],
    },
    Section {
        topic: Topic::Reasons,
        heading: "Why statements are not looked up",
        columns: &[
            ("reason", "reason"),
            ("count", "count"),
            ("the_statement", "the statement, or its session"),
            ("remedy", "what to do"),
        ],
    },
    Section {
        topic: Topic::Tables,
        heading: "Tables written most",
        columns: &[
            ("database", "database"),
            ("schema", "schema"),
            ("table", "table"),
            ("ttl_seconds", "TTL in seconds"),
            ("reason", "why it is not cached"),
            ("writes_to_rows", "writes to rows"),
            ("writes_to_all", "writes to all rows"),
        ],
    },
    Section {
        topic: Topic::Store,
        heading: "Store",
        columns: &[
            ("state", "state"),
            ("entries", "replies"),
            ("bytes", "bytes"),
            ("evictions", "evicted"),
            ("owed", "invalidations owed"),
            ("near_hits", "hits without Redis"),
            ("errors", "errors"),
        ],
    },
    Section {
        topic: Topic::Databases,
        heading: "Databases",
        columns: &[
            ("database", "database"),
            ("state", "state"),
            ("reason", "reason"),
        ],
    },
];

const HEAD: &str = concat!(
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>pgmemo</title>",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    "<meta name=\"color-scheme\" content=\"light dark\">",
    "<link rel=\"stylesheet\" href=\"/page.css\">",
    "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>",
    "<script src=\"/page.js\" defer></script></head><body><header><h1>pgmemo <small>",
    env!("CARGO_PKG_VERSION"),
    "</small></h1>"
);

const FOOT: &str = "</main></body></html>";

#[cfg(test)]
mod tests;
