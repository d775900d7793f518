//! Settings, parsed and checked once.
//!
//! Flag beats environment beats file beats default. All problems are reported at once, each with
//! its place, the value and a remedy.
//!
//! Invariant: a [`Config`] that exists is valid in itself. Whether its tables, certificates and
//! servers exist is for those to say who can ask them.
//!
//! One registry, [`SETTINGS`], drives file, environment, flags and `docs/configuration.md`.

mod file;
mod form;
mod load;
mod nearest;
mod problem;
mod redis;
mod reference;
mod registry;
mod reload;
mod rules;
mod settings;
mod shown;
mod units;
mod upstream;
mod url;

pub use load::{Environment, Sources};
pub use problem::{Place, Problem, Problems};
pub use reference::reference;
pub use registry::{DefaultValue, SETTINGS, Setting};
pub use settings::{
    CacheSettings, ClientTls, Config, FunctionRule, Limits, OnOutage, RedisMode, RedisSettings,
    Secret, StoreChoice, TableRule,
};
pub use shown::ShownSetting;
pub use units::{duration_text, size_text};
pub use upstream::{ChannelBinding, ClientCertificate, Liveness, TlsMode, Upstream};
