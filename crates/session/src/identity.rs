//! Who a session is and how it sees the database: what a reply depends on besides its text.

use bytes::BytesMut;
use cache::{Digest, DigestBuilder};
use catalog::{DatabaseId, RoleId, SchemaId, SearchPath};
use wire::{backend, frontend};

use sql::Temporary;

use crate::{Knowledge, folds, mirror::Asked, temporary};

/// The state of a session that shapes what it reads, as the server itself reported it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Digest over what every reply depends on: part of every key.
    pub(crate) digest: Digest,
    /// Digest over all that was reported. What later statements make of the session follows from
    /// it, and from what it returns to when it is reset.
    pub(crate) state: Digest,
    /// Settings of the application that only some replies depend on, with their values; sorted.
    pub(crate) settings: Box<[Setting]>,
    /// Those of them that the session may have set itself, which count for every reply but where views
    /// and policies read them; sorted.
    pub(crate) own: Box<[Box<str>]>,
    /// The role that has logged in.
    pub(crate) login: RoleId,
    /// The effective role.
    pub(crate) role: RoleId,
    /// The search path in effect.
    pub(crate) path: SearchPath,
    /// What its temporary objects may do besides shadowing any name; `None` if it has none.
    pub(crate) temporary: Option<Temporary>,
    /// Digest over the settings that shape every reply.
    pub(crate) shaping: Digest,
    /// Of those, the ones by which literals are read and values written.
    pub(crate) forms: Digest,
    /// Of those, the ones by which the planner writes constants.
    pub(crate) folds: Digest,
    /// Of those, the ones by which the server decides whether it accepts a text, what it says
    /// meanwhile, and how it spells the names of columns.
    pub(crate) reading: Digest,
    /// What the setting `search_path` lists.
    pub(crate) names: Box<[u8]>,
    /// The first words of settings that libraries have defined, and of those that are asked for by
    /// name; sorted.
    pub(crate) libraries: Box<[Box<str>]>,
    /// `default_transaction_isolation` is READ COMMITTED.
    pub(crate) read_committed: bool,
    /// `default_transaction_isolation`.
    pub(crate) isolation: Box<[u8]>,
    /// Settings as the server listed them, see [`put_probe`].
    pub(crate) listed: Box<[u8]>,
    /// Those of extensions that are not loaded, in the same form.
    pub(crate) unloaded: Box<[u8]>,
}

/// The name of a setting, and its value if it has one.
type Setting = (Box<str>, Option<Box<[u8]>>);

/// Asks the server for the state of this very session in one row; see [`put_probe`].
///
/// Every name is qualified, operators included: the session's search path must not decide what the
/// question means. The settings are those that shape output or meaning whatever their source, and
/// all others that are not the server's defaults, save those known to change neither. Values have
/// their length before them, so that none can pass for two. Settings of extensions that are not
/// loaded yet are not listed by the server, and have to be asked for by name.
///
/// `current_schemas` makes the temporary schema if it is not there and comes first in the path.
/// That would be seen: a transaction that has made it cannot be prepared, and a standby cannot make
/// it. So it is not called where it might; such a session has no use for the path.
pub(crate) const WHO: &str = "SELECT \
(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) current_user), \
(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) session_user), \
CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0 \
AND pg_catalog.current_setting('search_path') OPERATOR(pg_catalog.~~*) '%pg_temp%' THEN '' \
ELSE pg_catalog.array_to_string(pg_catalog.current_schemas(true), pg_catalog.chr(31)) END, ";

/// The rest of the question.
const HOW: &str = "pg_catalog.current_setting('default_transaction_isolation'), \
(SELECT pg_catalog.string_agg(pg_catalog.concat(s.name, pg_catalog.chr(30), pg_catalog.octet_length(s.setting), \
pg_catalog.chr(30), s.setting), pg_catalog.chr(31) ORDER BY s.name) \
FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY (ARRAY['timezone', 'datestyle', \
'intervalstyle', 'client_encoding', 'bytea_output', 'extra_float_digits', 'lc_messages', 'lc_monetary', \
'lc_numeric', 'lc_time', 'standard_conforming_strings', 'xmlbinary', 'xmloption', 'array_nulls', \
'backslash_quote', 'default_text_search_config', 'transform_null_equals', 'quote_all_identifiers', \
'row_security', 'timezone_abbreviations', 'gin_fuzzy_search_limit', 'escape_string_warning']) \
OR (NOT (s.source OPERATOR(pg_catalog.=) ANY (ARRAY['default', 'environment variable', 'configuration file', \
'command line', 'override'])) \
AND NOT (pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) ANY (ARRAY['application_name', 'search_path', 'role', \
'session_authorization', 'statement_timeout', 'lock_timeout', 'idle_session_timeout', \
'idle_in_transaction_session_timeout', 'transaction_timeout', 'work_mem', 'maintenance_work_mem', \
'temp_buffers', 'synchronous_commit', 'jit', 'default_transaction_isolation', \
'default_transaction_read_only', 'default_transaction_deferrable', 'transaction_isolation', \
'transaction_read_only', 'transaction_deferrable', 'tcp_keepalives_idle', 'tcp_keepalives_interval', \
'tcp_keepalives_count', 'tcp_user_timeout', 'default_tablespace', 'temp_tablespaces', \
'check_function_bodies', 'effective_cache_size', \
'random_page_cost', 'seq_page_cost', 'max_parallel_workers_per_gather', 'commit_delay', \
'client_connection_check_interval'])))), \
pg_catalog.current_setting('search_path'), \
(SELECT pg_catalog.string_agg(pg_catalog.concat(n, pg_catalog.chr(30), pg_catalog.octet_length(pg_catalog.current_setting(n, true)), \
pg_catalog.chr(30), pg_catalog.current_setting(n, true)), pg_catalog.chr(31) ORDER BY n) \
FROM pg_catalog.unnest(ARRAY['h3.extend_antimeridian', 'h3.strict', 'hnsw.ef_search', 'hnsw.iterative_scan', 'hnsw.max_scan_tuples', \
'hnsw.scan_mem_multiplier', 'ivfflat.iterative_scan', 'ivfflat.max_probes', 'ivfflat.probes', \
'pg_bigm.enable_recheck', 'pg_bigm.gin_key_limit', 'pg_bigm.similarity_limit', \
'pg_trgm.similarity_threshold', 'pg_trgm.strict_word_similarity_threshold', \
'pg_trgm.word_similarity_threshold', 'pgcrypto.builtin_crypto_enabled', 'postgis.backend', 'postgis.enable_outdb_rasters', \
'postgis.gdal_datapath', 'postgis.gdal_enabled_drivers', 'postgis.gdal_vsi_options']) n \
WHERE pg_catalog.current_setting(n, true) OPERATOR(pg_catalog.<>) '' AND NOT EXISTS \
(SELECT FROM pg_catalog.pg_settings s WHERE pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) n)), \
(SELECT pg_catalog.string_agg(DISTINCT pg_catalog.lower(pg_catalog.split_part(s.name, '.', 1)), pg_catalog.chr(31)) \
FROM pg_catalog.pg_settings s WHERE pg_catalog.strpos(s.name, '.') OPERATOR(pg_catalog.>) 0)";

/// Settings that change neither the rows of a read nor their form; `SET` of these is no change.
const HARMLESS: [&str; 29] = [
    "application_name",
    "check_function_bodies",
    "client_connection_check_interval",
    "commit_delay",
    "default_tablespace",
    "default_transaction_deferrable",
    "default_transaction_read_only",
    "effective_cache_size",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "jit",
    "lock_timeout",
    "maintenance_work_mem",
    "max_parallel_workers_per_gather",
    "random_page_cost",
    "seq_page_cost",
    "statement_timeout",
    "synchronous_commit",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_user_timeout",
    "temp_buffers",
    "temp_tablespaces",
    "transaction_deferrable",
    "transaction_read_only",
    "transaction_timeout",
    "vacuum_cost_delay",
    "work_mem",
];

/// Whether `SET` of this (lower-case) name leaves every read as it was.
pub(crate) fn is_harmless(name: &str) -> bool {
    HARMLESS.binary_search(&name).is_ok()
}

/// Whether a name may stand in the question as it is.
pub(crate) fn may_be_asked(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    name.bytes().all(plain)
}

/// Appends the question, with the values of further settings in columns of their own, in order;
/// each must be one that [`may_be_asked`]. `details` are asked of temporary objects. It has a name, which
/// is ours, so as not to touch the client's unnamed statement. The server answers with CloseComplete,
/// ParseComplete, BindComplete, one DataRow, CommandComplete, CloseComplete and ReadyForQuery.
pub(crate) fn put_probe(out: &mut BytesMut, own: &[u8], settings: &[Box<str>], details: bool) {
    let temporary = match details {
        true => temporary::DETAILS,
        false => temporary::BRIEF,
    };
    let mut text = [WHO, temporary::EXISTENCE, temporary, HOW].concat();
    for name in settings {
        text.push_str(", pg_catalog.current_setting('");
        text.push_str(name);
        text.push_str("', true)");
    }
    // A question that failed amid has left its statement behind.
    frontend::put_close(out, frontend::Target::Statement, own);
    frontend::put_parse(out, own, text.as_bytes());
    frontend::put_bind(out, own, own);
    frontend::put_execute(out, own);
    frontend::put_close(out, frontend::Target::Statement, own);
    out.extend_from_slice(frontend::SYNC);
}

impl Identity {
    /// Adds the values of these settings to a key; false if one of them is not known.
    pub(crate) fn put(&self, key: &mut DigestBuilder, settings: &[Box<str>]) -> bool {
        let value = |name: &str| {
            let (name, value) = self.setting(name)?;
            Some((&**name, value.as_deref()))
        };
        let values: Option<Vec<_>> = settings.iter().map(|name| value(name)).collect();
        if let Some(values) = &values {
            put_settings(key, values);
        }
        values.is_some()
    }

    fn setting(&self, name: &str) -> Option<&Setting> {
        let found = self
            .settings
            .binary_search_by(|(known, _)| (**known).cmp(name));
        self.settings.get(found.ok()?)
    }

    /// Whether it is known what a setting of the application is, or that it is not set.
    pub(crate) fn has_setting(&self, name: &str) -> bool {
        self.setting(name).is_some()
    }

    /// The same with one more temporary table, which holds rows and does no more; `None` if that cannot
    /// be told.
    pub(crate) fn with_table(&self, name: &str) -> Option<Self> {
        let found = self.temporary().with_table(name)?;
        (!names_temporary(&self.names)).then(|| Self {
            temporary: Some(found),
            ..self.clone()
        })
    }

    /// What its temporary objects may do to what lasts.
    pub(crate) fn temporary(&self) -> &Temporary {
        self.temporary.as_ref().unwrap_or(&Temporary::Plain)
    }

    /// Reads of such a row only what it says of temporary objects; `None` if it says nothing.
    pub(crate) fn read_temporary(row: &[u8]) -> Option<Option<Temporary>> {
        let columns = backend::columns(row).ok()?;
        let [_, _, _, temporary, _, _, names, ..] = &columns[..] else {
            return None;
        };
        Some(temporary_of((*temporary)?, (*names)?))
    }

    /// Reads the row that answers a question about these settings; `None` if it is not what the
    /// question promises, or names a schema that the snapshot does not know.
    pub(crate) fn read(row: &[u8], knowledge: &Knowledge, asked: &Asked) -> Option<Self> {
        let columns = backend::columns(row).ok()?;
        let [
            role,
            login,
            schemas,
            temporary,
            isolation,
            settings,
            names,
            unloaded,
            libraries,
            values @ ..,
        ] = &columns[..]
        else {
            return None;
        };
        if values.len() != asked.names.len() {
            return None;
        }
        let oid = |text: &Option<&[u8]>| std::str::from_utf8((*text)?).ok()?.parse::<u32>().ok();
        let (role, login) = (oid(role)?, oid(login)?);
        let path = path((*schemas)?, knowledge)?;
        let (names, temporary, isolation) = ((*names)?, (*temporary)?, (*isolation)?);
        let (login, role) = (RoleId::from_oid(login), RoleId::from_oid(role));
        let mut forms = DigestBuilder::default();
        forms.field(settings.unwrap_or_default());
        forms.field(unloaded.unwrap_or_default());
        let forms = forms.finish();
        let listed = settings.unwrap_or_default();
        let mut shaping = DigestBuilder::default();
        shaping.digest(&forms);
        let (all, some) = asked.part(values, knowledge.schema.settings());
        put_settings(&mut shaping, &all);
        let shaping = shaping.finish();
        let digest = digest(knowledge.database, (login, role), &path, &shaping);
        // The path in effect hides what the names in it would mean to another role, or after
        // another schema has been made.
        let mut state = DigestBuilder::default();
        state.digest(&digest).field(names);
        put_settings(&mut state, &some);
        state.field(temporary).field(isolation);
        Some(Self {
            digest,
            state: state.finish(),
            settings: (asked.names.iter().zip(values))
                .map(|(name, value)| (name.clone(), value.map(Into::into)))
                .collect(),
            own: asked.own.clone(),
            login,
            role,
            shaping,
            forms,
            folds: folds::folding([listed, unloaded.unwrap_or_default()]),
            reading: reading(listed),
            names: names.into(),
            libraries: words(libraries.unwrap_or_default())?,
            isolation: isolation.into(),
            listed: listed.into(),
            unloaded: unloaded.unwrap_or_default().into(),
            path,
            temporary: temporary_of(temporary, names),
            read_committed: isolation == b"read committed" || isolation == b"read uncommitted",
        })
    }
}

/// Settings that decide how a statement is parsed and described, whatever its parameters; sorted.
const READING: [&str; 12] = [
    "array_nulls",
    "backslash_quote",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "escape_string_warning",
    "lc_monetary",
    "restrict_nonsystem_relation_kind",
    "row_security",
    "standard_conforming_strings",
    "timezone_abbreviations",
    "xmloption",
];

/// Whether a (lower-case) name is that of a setting which decides how statements are parsed and
/// described.
pub(crate) fn bears_on_reading(name: &str) -> bool {
    READING.binary_search(&name).is_ok()
}

/// Of settings as the server lists them, those that decide how statements are parsed and described.
fn reading(listed: &[u8]) -> Digest {
    let mut digest = DigestBuilder::default();
    let Some(settings) = crate::recipe::listed(listed) else {
        return digest.field(listed).finish();
    };
    for (name, value) in settings {
        let name = name.to_ascii_lowercase();
        if bears_on_reading(&name) {
            digest.field(name.as_bytes()).field(value.as_bytes());
        }
    }
    digest.finish()
}

/// What every reply depends on: where names are resolved, for whom, and the settings.
pub(crate) fn digest(
    DatabaseId { system, oid }: DatabaseId,
    (login, role): (RoleId, RoleId),
    path: &SearchPath,
    shaping: &Digest,
) -> Digest {
    let mut digest = DigestBuilder::default();
    digest.number(KEY_FORMAT);
    digest.number(system.0).number(u64::from(oid));
    digest
        .number(u64::from(login.oid()))
        .number(u64::from(role.oid()))
        .number(path.0.len() as u64);
    for schema in &path.0 {
        digest.number(u64::from(schema.oid()));
    }
    digest.digest(shaping).finish()
}

/// The first words of settings that the server lists, and of those that are asked for by name.
fn words(listed: &[u8]) -> Option<Box<[Box<str>]>> {
    let listed = std::str::from_utf8(listed).ok()?.split('\x1f');
    let mut all: Vec<Box<str>> = listed.chain(ASKED).map(Into::into).collect();
    all.sort_unstable();
    all.dedup();
    Some(all.into())
}

fn put_settings(digest: &mut DigestBuilder, settings: &[(&str, Option<&[u8]>)]) {
    digest.number(settings.len() as u64);
    for (name, value) in settings {
        digest.field(name.as_bytes());
        digest.number(u64::from(value.is_some()));
        digest.field(value.unwrap_or_default());
    }
}

/// A path that begins with temporary objects makes some of any CREATE. One that names them at all may
/// have others before them.
fn temporary_of(answer: &[u8], path: &[u8]) -> Option<Temporary> {
    let told = temporary::read(answer);
    match names_temporary(path) {
        true => Some(told.map_or(Temporary::Plain, Temporary::behind_others)),
        false => told,
    }
}

fn names_temporary(path: &[u8]) -> bool {
    path.windows(7)
        .any(|part| part.eq_ignore_ascii_case(b"pg_temp"))
}

/// Changes whenever equal fields would mean another reply.
const KEY_FORMAT: u64 = 4;

/// The first words of the settings that [`PROBE`] asks for by name.
const ASKED: [&str; 7] = [
    "h3", "hnsw", "ivfflat", "pg_bigm", "pg_trgm", "pgcrypto", "postgis",
];

fn path(schemas: &[u8], knowledge: &Knowledge) -> Option<SearchPath> {
    let snapshot = knowledge.schema.snapshot();
    let mut path: Vec<SchemaId> = Vec::new();
    for name in std::str::from_utf8(schemas).ok()?.split('\x1f') {
        if name.starts_with("pg_temp_") || name.is_empty() {
            continue;
        }
        path.push(snapshot.schema_by_name(name)?.id);
    }
    Some(SearchPath(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_stand_in_the_question() {
        assert!(may_be_asked("app.tenant_1") && may_be_asked("a.b.c$"));
        assert!(!may_be_asked("a.b', true), (select 1)--") && !may_be_asked("a.\u{e9}"));
    }

    #[test]
    fn harmless_settings_are_sorted_for_the_search() {
        assert!(HARMLESS.is_sorted() && READING.is_sorted());
        assert!(is_harmless("application_name") && is_harmless("work_mem"));
        assert!(!is_harmless("timezone") && !is_harmless("search_path"));
    }
}
