//! `SHOW REASONS`: why statements are not looked up, those reasons first that were given most.

use std::cmp::Reverse;

use sql::Reason;

use crate::{
    Observed,
    table::{Column, Kind, Value},
};

pub(super) const COLUMNS: &[Column] = &[
    Column("reason", Kind::Text),
    Column("count", Kind::Integer),
    Column("the_statement", Kind::Text),
    Column("remedy", Kind::Text),
];

/// Those that were never given are left out.
pub(super) fn rows(observed: &dyn Observed, rows: &mut Vec<Vec<Value>>) {
    let telemetry = observed.telemetry();
    let counted = Reason::ALL.map(|reason| (reason, telemetry.bypass(reason).value()));
    let mut given: Vec<_> = counted
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    given.sort_by_key(|(_, count)| Reverse(*count));
    rows.extend(given.into_iter().map(|(reason, count)| {
        vec![
            reason.code().into(),
            count.into(),
            reason.meaning().into(),
            reason.remedy().into(),
        ]
    }));
}
