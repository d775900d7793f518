use std::sync::Arc;

use session::Lane;
use sql::Reason;

use super::*;
use crate::fake::Fake;

fn page_of(fake: Fake) -> String {
    written(&Shown::new(Arc::new(fake)))
}

#[test]
fn the_page_says_what_the_console_says() {
    let fake = Fake::default();
    let tally = fake
        .statistics
        .of(b"select \"<b onload='x'>\" from t where a = 'secret'");
    fake.statistics.hit(tally.as_ref(), Lane::here());
    fake.statistics.bypass(tally.as_ref(), Reason::Clock);
    fake.telemetry.hits.inc();
    fake.telemetry.bypass(Reason::Clock).inc();
    let page = page_of(fake);
    for expected in [
        "select &quot;&lt;b onload=&#39;x&#39;&gt;&quot; from t where a = ?",
        "<dd>50.0 %</dd>",
        "<td>clock 1</td>",
        &escaped(Reason::Clock.remedy()),
        "<li class=\"ready\">upstream ready</li>",
        "<td>stock</td>",
        "aria-label=\"Hit rate, last 5 minutes, from 0 to 100 %\"",
    ] {
        assert!(page.contains(expected), "{expected} is not in\n{page}");
    }
    assert!(
        !page.contains("secret") && !page.contains("<b onload"),
        "{page}"
    );
}

#[test]
fn a_page_of_nothing_is_whole() {
    let page = page_of(Fake::default());
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>"));
    for tag in ["section", "table", "figure", "svg", "main", "header", "ul"] {
        let opened = page.matches(&format!("<{tag}")).count();
        let closed = page.matches(&format!("</{tag}>")).count();
        // `<header` begins like `<head`, but not the other way round.
        assert_eq!(opened, closed, "{tag}");
    }
}

#[test]
fn every_column_of_the_page_exists() {
    for section in SECTIONS {
        for (name, _) in section.columns {
            let mut columns = section.topic.columns().iter();
            assert!(columns.any(|column| column.0 == *name), "{name}");
        }
    }
}
