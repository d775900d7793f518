//! What a statement is and what may be done with it.
//!
//! Laws: any bytes are analysed, in time and memory that grow with their length; a read writes
//! nothing; nothing that is read or written is unknown to the catalog; whitespace, comments and
//! their absence change no plan; significant text has no text of its own that is more significant.

#![no_main]

#[path = "fixture.rs"]
mod fixture;

use std::sync::LazyLock;

use catalog::{RelationId, RoleId, SearchPath};
use libfuzzer_sys::fuzz_target;
use sql::{Context, Plan, Schema, Temporary, Writes};

use self::fixture::World;

/// Analysis may use this many bytes per byte of text, and as many in any case.
const BYTES_PER_BYTE_MAX: usize = 4096;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|text: &[u8]| {
    check(text);
    // Deep nesting: no stack is deep enough for a reader that follows it blindly.
    if let Some((&depth, unit)) = text.split_first()
        && depth >= b'\x80'
        && (1..=16).contains(&unit.len())
    {
        check(&unit.repeat(usize::from(depth) * 4));
    }
});

fn check(text: &[u8]) {
    let analysis = sql::analyze(text);
    assert!(analysis.statements() <= text.len());
    assert!(analysis.bytes() <= BYTES_PER_BYTE_MAX * (text.len() + 1));
    assert!(!analysis.is_candidate() || analysis.statements() == 1);

    let blind = sql::plan_without_catalog(&analysis);
    assert!(blind.read.is_err());
    for (path, role) in [(&WORLD.path, WORLD.alice), (&WORLD.other_path, WORLD.owner)] {
        let plan = plan(&analysis, path, role);
        judge(&plan, &WORLD.schema);
        assert!(blind.writes.any() || !plan.writes.any());
        assert!(plan.read.is_err() || analysis.is_candidate());
    }

    assert!(sql::shown(text).len() <= sql::SHOWN_BYTES_MAX);
    let significant = sql::significant_text(text);
    assert!(significant.len() <= text.len());
    assert_eq!(sql::significant_text(&significant), significant);
    if significant.len() != text.len() {
        let stripped = sql::analyze(&significant);
        assert_eq!(stripped.statements(), analysis.statements());
        let (mine, theirs) = (
            plan(&analysis, &WORLD.path, WORLD.alice),
            plan(&stripped, &WORLD.path, WORLD.alice),
        );
        if let (Ok(mine), Ok(theirs)) = (mine.read, theirs.read) {
            assert_eq!(mine, theirs);
        }
    }
    sql::has_nocache_hint(text);
    sql::names_clock(text);
    sql::tag_clears(text);
}

fn plan(analysis: &sql::Analysis, path: &SearchPath, role: RoleId) -> Plan {
    let context = Context {
        path,
        role,
        temporary: &Temporary::Plain,
    };
    WORLD.schema.plan(analysis, &context)
}

fn judge(plan: &Plan, schema: &Schema) {
    if let Ok(relations) = &plan.read {
        assert!(!plan.writes.any());
        assert!(plan.effects.control.is_none() && !plan.effects.commits);
        assert!(!plan.effects.temporary && !plan.effects.tag_judges);
        known(relations, schema);
    }
    if let Writes::Relations(relations) = &plan.writes {
        known(relations, schema);
    }
}

/// Sorted, no relation twice, all of them there.
fn known(relations: &[RelationId], schema: &Schema) {
    assert!(relations.is_sorted_by(|a, b| a < b));
    let snapshot = schema.snapshot();
    assert!(relations.iter().all(|&id| snapshot.relation(id).is_some()));
}
