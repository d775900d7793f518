//! What a statement is, reads, writes and calls.
//!
//! Two steps. [`analyze`] looks at the text alone and is remembered per text. [`Schema::plan`]
//! resolves the names of an analysis in a catalog snapshot for one search path and role, and says
//! what may be done with the statement. After that nobody inspects query text again.
//!
//! Unknown means bypass when reading and everything when writing.

mod analysis;
mod assign;
mod calls;
mod classes;
mod clock;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "texts are bounded by `lexical`, of_text serves tests"
    )
)]
mod effects;
mod escapes;
mod facts;
mod form;
mod formed;
mod hidden;
mod lexical;
mod needs;
mod own;
mod pin;
mod plain;
mod plan;
mod prepared;
mod read;
mod reason;
mod reports;
mod resolve;
mod scan;
mod schema;
mod setting;
mod shown;
mod skips;
mod statement;
mod tag;
mod temporary;
mod text;
mod tokens;
mod transaction;
mod used;
mod utility;
mod views;
mod walk;

pub use analysis::{Analysis, analyze};
pub use assign::Assignment;
pub use classes::is_believed;
pub use clock::names_clock;
pub use form::{Form, FormLiterals, Literal, Literals, form};
pub use formed::has_formed_literals;
pub use pin::{Arguments, Pinned, Rows, declares};
pub use plan::{
    Begin, Changes, Context, Control, Effects, FunctionRule, Isolation, Meaning, Plan, SetScope,
    SetValue, Setting, SettingsEffect, Sight, Writes,
};
pub use prepared::{executes_with_values, prepared_text};
pub use reason::Reason;
pub use schema::{Schema, plan_without_catalog};
pub use shown::{SHOWN_BYTES_MAX, shown};
pub use skips::Skips;
pub use statement::may_be_shared;
pub use tag::{tag_clears, tag_drops, tag_only_makes};
pub use temporary::{PLAIN_MAX, Reaching, Temporary, may_name};
pub use text::{has_foreign_names, has_nocache_hint, last_parameter, significant_text};
