//! From file, environment and flags to one [`Config`].

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use crate::{
    ClientTls, Config, FunctionRule, Place, Problem, Problems, RedisSettings, StoreChoice,
    TableRule,
    file::{self, Contents, Source},
    form::{Draft, TlsDraft, Written},
    nearest::nearest,
    registry::{DefaultValue, SETTINGS, Setting, VARIABLE_PREFIX},
    units::size_text,
};

/// The variables whose names start with `PGMEMO_`. An empty one counts as not set.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

/// Variables that are not settings of the file.
const OTHER_VARIABLES: [&str; 3] = ["PGMEMO_CONFIG", "PGMEMO_LOG", "PGMEMO_LOG_FORMAT"];

/// See [`Config::testing_forget`].
const FORGET: &str = "PGMEMO_TESTING_FORGET";

/// See [`Config::testing_delay`].
const DELAY: &str = "PGMEMO_TESTING_DELAY";

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect()
    }

    /// The value of one variable.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Variables that nobody reads but that look like a misspelt one. They are no reason not to
    /// start: an orchestrator may set `PGMEMO_PORT` and others for a service of that name.
    pub fn misspelt(&self) -> Vec<Problem> {
        let known: Vec<String> = SETTINGS
            .iter()
            .map(Setting::variable)
            .chain(OTHER_VARIABLES.map(str::to_owned))
            .collect();
        let suffixes = || {
            known
                .iter()
                .filter_map(|name| name.strip_prefix(VARIABLE_PREFIX))
        };
        self.0
            .keys()
            .filter(|name| !known.contains(name))
            .filter_map(|name| {
                let suffix = nearest(name.strip_prefix(VARIABLE_PREFIX)?, suffixes())?;
                Some(Problem {
                    place: Place::Variable(name.clone()),
                    what: "is not read".to_owned(),
                    remedy: format!("did you mean `{VARIABLE_PREFIX}{suffix}`?"),
                })
            })
            .collect()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        let ours = |(name, value): &(String, String)| {
            name.starts_with(VARIABLE_PREFIX) && !value.is_empty()
        };
        Self(variables.into_iter().filter(ours).collect())
    }
}

/// Where settings come from. Kept for as long as the process runs, so that a reload reads the
/// file anew under the same variables and flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// Flags without their dashes, with their values.
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// Reads the file and puts everything together.
    ///
    /// # Errors
    ///
    /// All problems at once, if there are any.
    pub fn load(&self) -> Result<Config, Problems> {
        let Some(path) = &self.file else {
            return self.load_with(Path::new(""), "");
        };
        let text = std::fs::read(path).map_err(|error| unreadable(path, &error.to_string()))?;
        let text = String::from_utf8(text).map_err(|error| unreadable(path, &error.to_string()))?;
        self.load_with(path, &text)
    }

    fn load_with(&self, path: &Path, text: &str) -> Result<Config, Problems> {
        let source = Source { path, text };
        let (tree, syntax) = file::parse(source);
        let mut loading = Loading::default();
        loading.defaults();
        let (tables, functions) = loading.file(tree.get_ref(), source, syntax);
        for setting in SETTINGS {
            let variable = setting.variable();
            if let Some(value) = self.environment.value(&variable) {
                loading.set(setting, &Written::Untyped(value), Place::Variable(variable));
            }
        }
        for (flag, value) in &self.flags {
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.flag == Some(*flag)) {
                loading.set(setting, &Written::Untyped(value), Place::Flag(flag));
            }
        }
        loading.check_together(&tables);
        let seed = |name| self.environment.value(name)?.parse().ok();
        match loading.draft.finish() {
            Some(config) if loading.problems.is_empty() => Ok(Config {
                tables,
                functions,
                testing_forget: seed(FORGET),
                testing_delay: seed(DELAY),
                ..config
            }),
            _ => Err(Problems(loading.problems)),
        }
    }
}

impl Config {
    /// Reads the text of a file called `pgmemo.toml`, without environment and flags.
    ///
    /// # Errors
    ///
    /// All problems at once, if there are any.
    pub fn from_toml(text: &str) -> Result<Self, Problems> {
        Sources::default().load_with(Path::new("pgmemo.toml"), text)
    }
}

/// What has been read so far, and from where.
#[derive(Default)]
struct Loading {
    draft: Draft,
    places: HashMap<&'static str, Place>,
    problems: Vec<Problem>,
    /// Whether the file has syntax errors, behind which anything may have been written.
    syntax: bool,
}

impl Loading {
    fn file(
        &mut self,
        tree: &DeTable<'_>,
        source: Source<'_>,
        syntax: Vec<Problem>,
    ) -> (Vec<TableRule>, Vec<FunctionRule>) {
        let contents = Contents::read(tree, source);
        self.problems = contents.problems;
        for (setting, written, place) in contents.settings {
            self.set(setting, &written, place);
        }
        // Where the syntax is wrong, the tree holds a guess; what is wrong with a guess is noise.
        let lines: Vec<_> = syntax.iter().filter_map(line).collect();
        self.problems
            .retain(|problem| line(problem).is_none_or(|line| !lines.contains(&line)));
        self.syntax = !syntax.is_empty();
        self.problems.extend(syntax);
        self.problems.sort_by_key(position);
        (contents.tables, contents.functions)
    }

    fn defaults(&mut self) {
        for setting in SETTINGS {
            if let DefaultValue::Text(text) = setting.default {
                self.set(setting, &Written::Untyped(text), Place::Nowhere);
            }
        }
    }

    fn set(&mut self, setting: &'static Setting, written: &Written<'_>, place: Place) {
        if let Err(refusal) = setting.form.read(&mut self.draft, written) {
            let shown = setting.form.shown(written);
            self.problems
                .push(refusal.of(setting.key, &shown, place.clone()));
        }
        self.places.insert(setting.key, place);
    }

    /// Checks that nothing is missing, and what one value says about another.
    fn check_together(&mut self, tables: &[TableRule]) {
        // Behind a syntax error, or a value that was refused, there is one.
        if !self.syntax && !self.places.contains_key("upstream") {
            self.problems.push(missing_upstream());
        }
        let cache = &self.draft.cache;
        if cache.entry_bytes_max > cache.bytes_max {
            let place = self
                .places
                .get("cache.entry_bytes_max")
                .cloned()
                .unwrap_or(Place::Nowhere);
            self.problems.push(Problem {
                place,
                what: format!(
                    "cache.entry_bytes_max = {} is larger than cache.bytes_max = {}",
                    size_text(cache.entry_bytes_max),
                    size_text(cache.bytes_max),
                ),
                remedy: "lower the first or raise the second".to_owned(),
            });
        }
        self.check_tls();
        self.check_loop();
        let off = self.draft.cache.default_ttl.is_none();
        let unkept = tables
            .iter()
            .filter(|rule| off && rule.cache && rule.ttl.is_none());
        self.problems.extend(unkept.map(without_ttl));
    }

    /// The server is not looked for where clients are awaited. Names may lead there as well, which only
    /// a connection shows.
    fn check_loop(&mut self) {
        let (Some(listen), Some(upstream)) = (self.draft.listen, &self.draft.upstream) else {
            return;
        };
        let same = listen.port() == upstream.port
            && upstream
                .host
                .parse()
                .is_ok_and(|host| is_heard_at(host, listen.ip()));
        if !same {
            return;
        }
        let place = self.places.get("upstream").cloned();
        self.problems.push(Problem {
            place: place.unwrap_or(Place::Nowhere),
            what: format!("upstream leads to {listen}, which is where pgmemo itself listens"),
            remedy: "name the PostgreSQL server in `upstream`, or another address in `listen`"
                .to_owned(),
        });
    }

    /// TLS takes a certificate and its key.
    fn check_tls(&mut self) {
        let tls = &self.draft.tls;
        let (said, missing) = match (&tls.certificate, &tls.key) {
            (Some(_), Some(_)) => return,
            (Some(_), None) => ("tls.certificate", "tls.key"),
            (None, Some(_)) => ("tls.key", "tls.certificate"),
            (None, None) if tls.required => ("tls.required", "tls.certificate and tls.key"),
            (None, None) => return,
        };
        // If it was refused, that has been said.
        if missing
            .split(" and ")
            .any(|key| self.places.contains_key(key))
        {
            return;
        }
        let place = self.places.get(said).cloned().unwrap_or(Place::Nowhere);
        self.problems.push(Problem {
            place,
            what: format!("{said} is set without {missing}"),
            remedy: "write tls.certificate and tls.key, the paths of two PEM files, or none of \
                `[tls]`"
                .to_owned(),
        });
    }
}

impl Draft {
    /// `None` if something without a default is missing.
    fn finish(self) -> Option<Config> {
        let store = self.store.map_or(StoreChoice::Memory, |url| {
            StoreChoice::Redis(RedisSettings { url, ..self.redis })
        });
        Some(Config {
            listen: self.listen?,
            upstream: self.upstream?,
            store,
            admin: self.admin,
            cache: self.cache,
            limits: self.limits,
            tls: self.tls.finish(),
            tables: Vec::new(),
            functions: Vec::new(),
            testing_forget: None,
            testing_delay: None,
        })
    }
}

impl TlsDraft {
    fn finish(self) -> Option<ClientTls> {
        Some(ClientTls {
            certificate: self.certificate?,
            key: self.key?,
            required: self.required,
        })
    }
}

/// `cache = true` promises something that only a default TTL can keep.
fn without_ttl(rule: &TableRule) -> Problem {
    Problem {
        place: rule.place.clone(),
        what: format!(
            "tables.\"{}\" has cache = true without a ttl, and cache.default_ttl is off",
            rule.pattern.escape_debug()
        ),
        remedy: "write ttl = \"5m\" in the rule".to_owned(),
    }
}

/// Whether who listens at one address of a port takes all that comes for another.
fn is_heard_at(host: IpAddr, listens: IpAddr) -> bool {
    match (host.to_canonical(), listens) {
        (host, listens) if listens.is_unspecified() => {
            (host.is_loopback() || host.is_unspecified()) && (host.is_ipv4() || listens.is_ipv6())
        }
        (host, listens) if host.is_unspecified() => {
            listens.is_loopback() && host.is_ipv4() == listens.is_ipv4()
        }
        (host, listens) => host == listens.to_canonical(),
    }
}

fn missing_upstream() -> Problem {
    Problem {
        place: Place::Nowhere,
        what: "upstream is missing".to_owned(),
        remedy: "write upstream = \"postgres://host:5432\" in the file, set PGMEMO_UPSTREAM, or \
            pass --upstream"
            .to_owned(),
    }
}

fn unreadable(path: &Path, error: &str) -> Problems {
    Problems(vec![Problem {
        place: Place::Path(path.to_owned()),
        what: format!("cannot be read: {error}"),
        remedy: "check the path and its permissions; the file is UTF-8".to_owned(),
    }])
}

fn line(problem: &Problem) -> Option<usize> {
    position(problem).map(|(line, _)| line)
}

fn position(problem: &Problem) -> Option<(usize, usize)> {
    match problem.place {
        Place::File { line, column, .. } => Some((line, column)),
        Place::Path(_) | Place::Variable(_) | Place::Flag(_) | Place::Nowhere => None,
    }
}

#[cfg(test)]
mod tests;
