//! One run of one script.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Stage,
    script::{Act, Heat, Line, Mode},
};
use crate::{
    Pgmemo,
    net::{SOON, eventually},
    wire::{Answer, Conn, Frontend, Login},
};

/// What one line brought.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Heard {
    pub(super) line: String,
    pub(super) answer: Vec<String>,
    pub(super) failed: bool,
}

impl Stage<'_> {
    /// Runs it at the server, or through pgmemo where it is known what the server says.
    pub(super) fn run(
        &self,
        template: &str,
        lines: &[Line],
        mode: Mode,
        expected: Option<&[Heard]>,
    ) -> Result<Vec<Heard>> {
        let mut run = Run::new(self, template, lines, mode, expected.is_none())?;
        let heard = lines.iter().enumerate().map(|(place, line)| {
            let heard = run.hear(line)?;
            match expected.and_then(|all| all.get(place)) {
                Some(expected) if line.act == Act::Run(Heat::Soon) => {
                    run.hear_until(line, heard, expected)
                }
                _ => Ok(heard),
            }
        });
        heard.collect()
    }
}

struct Run<'a> {
    stage: &'a Stage<'a>,
    mode: Mode,
    direct: bool,
    control: Conn,
    /// Placeholder and what it stands for; databases and roles of this run.
    names: Vec<(&'static str, String)>,
    startup: HashMap<String, Vec<(String, String)>>,
    sessions: HashMap<String, Conn>,
}

impl<'a> Run<'a> {
    fn new(
        stage: &'a Stage<'a>,
        template: &str,
        lines: &[Line],
        mode: Mode,
        direct: bool,
    ) -> Result<Self> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let unique = |name: &str| format!("{name}_{}_{number}", std::process::id());
        let names = [
            ("{alice}", "alice"),
            ("{bob}", "bob"),
            ("{db}", "first"),
            ("{db2}", "other"),
        ]
        .into_iter()
        .map(|(placeholder, name)| (placeholder, unique(name)))
        .collect();
        let control = stage.postgres.connect("postgres")?;
        let (startup, sessions) = (HashMap::new(), HashMap::new());
        let mut run = Self {
            stage,
            mode,
            direct,
            control,
            names,
            startup,
            sessions,
        };
        run.create(template, lines)?;
        Ok(run)
    }

    fn create(&mut self, template: &str, lines: &[Line]) -> Result<()> {
        let mentions = |what: &str| {
            let of = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(what));
            lines
                .iter()
                .any(|line| line.sql.contains(what) || of(&line.role) || of(&line.database))
        };
        self.control_run(&format!("CREATE DATABASE {{db}} TEMPLATE {template}"))?;
        if mentions("{db2}") {
            self.control_run(&format!("CREATE DATABASE {{db2}} TEMPLATE {template}"))?;
        }
        for role in ["{alice}", "{bob}"] {
            if mentions(role) {
                self.control_run(&format!("CREATE ROLE {role} LOGIN"))?;
            }
        }
        Ok(())
    }

    fn control_run(&mut self, sql: &str) -> Result<()> {
        let sql = self.filled(sql);
        self.control.run(&sql).map(|_| ())
    }

    fn filled(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (placeholder, name)| {
                text.replace(placeholder, name)
            })
    }

    fn anonymous(&self, answer: Vec<String>) -> Vec<String> {
        let hide = |line: String| {
            self.names.iter().fold(line, |line, (placeholder, name)| {
                line.replace(name, placeholder)
            })
        };
        answer.into_iter().map(hide).collect()
    }

    fn hear(&mut self, line: &Line) -> Result<Heard> {
        let shown = format!("{}: {}", line.session, line.sql);
        let answer = self.perform(line).with_context(|| shown.clone())?;
        let failed = answer.iter().any(|line| line.starts_with("error "));
        Ok(Heard {
            line: shown,
            answer: self.anonymous(answer),
            failed,
        })
    }

    /// Repeats the line until it brings this, or for as long as anything may take.
    fn hear_until(&mut self, line: &Line, first: Heard, expected: &Heard) -> Result<Heard> {
        let (start, mut heard) = (Instant::now(), first);
        while heard != *expected && start.elapsed() < SOON {
            std::thread::sleep(Duration::from_millis(20));
            heard = self.hear(line)?;
        }
        Ok(heard)
    }

    fn perform(&mut self, line: &Line) -> Result<Vec<String>> {
        let sql = self.filled(&line.sql);
        match line.act {
            Act::Startup => {
                let (name, value) = sql.split_once('=').context("startup wants name=value")?;
                let list = self.startup.entry(line.session.clone()).or_default();
                list.push((name.to_owned(), value.to_owned()));
                return Ok(Vec::new());
            }
            Act::Close => {
                self.sessions.remove(&line.session);
                return Ok(Vec::new());
            }
            Act::Run(_) | Act::Send | Act::Wait | Act::Notified => {}
        }
        if let Some(refusal) = self.ensure_session(line)? {
            return Ok(refusal);
        }
        let answer = match line.act {
            Act::Run(heat) => self.heated(line, &sql, heat)?,
            Act::Send => {
                self.send(line, &sql)?;
                self.await_server_waiting()?;
                Answer::default()
            }
            Act::Wait => self.session(line)?.read_until(b'Z')?,
            Act::Notified => self.session(line)?.read_until(b'A')?,
            Act::Startup | Act::Close => Answer::default(),
        };
        Ok(answer.shown())
    }

    fn session(&mut self, line: &Line) -> Result<&mut Conn> {
        self.sessions
            .get_mut(&line.session)
            .context("no such session")
    }

    fn instance(&self, session: &str) -> Result<Option<&'a Pgmemo>> {
        Ok(match session {
            _ if self.direct || session.starts_with('d') => None,
            _ if session.starts_with("p2") => Some(
                self.stage
                    .second
                    .context("this stage has one instance only")?,
            ),
            _ => Some(self.stage.first),
        })
    }

    /// Logs in if this is the session's first line; what the server said if it refused.
    fn ensure_session(&mut self, line: &Line) -> Result<Option<Vec<String>>> {
        if self.sessions.contains_key(&line.session) {
            return Ok(None);
        }
        let instance = self.instance(&line.session)?;
        let address: SocketAddr =
            instance.map_or_else(|| self.stage.postgres.address(), Pgmemo::address);
        let role = self.filled(line.role.as_deref().unwrap_or("postgres"));
        let database = self.filled(line.database.as_deref().unwrap_or("{db}"));
        let parameters = self.startup.get(&line.session).into_iter().flatten();
        let login = parameters.fold(Login::of(&role, &database), |login, (name, value)| {
            login.with(name, value)
        });
        let conn = Conn::greet(address, &login)?;
        if conn.greeting().last().is_none_or(|last| last.tag != b'Z') {
            return Ok(Some(Answer(conn.greeting().to_vec()).shown()));
        }
        self.sessions.insert(line.session.clone(), conn);
        Ok(None)
    }

    fn send(&mut self, line: &Line, sql: &str) -> Result<()> {
        let parameters: Vec<_> = line.parameters.iter().map(String::as_str).collect();
        let batch = match line.mode.unwrap_or(self.mode) {
            Mode::Simple => Frontend::new().query(sql),
            Mode::Extended => Frontend::new()
                .parse("", sql, &[])
                .bind("", "", &parameters)
                .describe_portal("")
                .execute("", 0)
                .sync(),
        };
        self.session(line)?.send(batch.bytes())
    }

    fn once(&mut self, line: &Line, sql: &str) -> Result<Answer> {
        self.send(line, sql)?;
        self.session(line)?.read_until(b'Z')
    }

    fn heated(&mut self, line: &Line, sql: &str, heat: Heat) -> Result<Answer> {
        let real = self
            .instance(&line.session)?
            .filter(|instance| instance.is_real());
        match (heat, real) {
            (Heat::Once | Heat::Soon, _) | (Heat::Hot | Heat::Still, None) => self.once(line, sql),
            (Heat::Warm, _) | (Heat::Cold, None) => self.thrice(line, sql),
            (Heat::Cold, Some(instance)) => {
                let before = instance.hits()?;
                let answer = self.thrice(line, sql)?;
                ensure!(instance.hits()? == before, "answered from the store");
                Ok(answer)
            }
            (Heat::Hot, Some(instance)) => self.until_hit(line, sql, instance),
            (Heat::Still, Some(instance)) => {
                let before = instance.hits()?;
                let answer = self.once(line, sql)?;
                ensure!(
                    instance.hits()? > before,
                    "not answered from the store\n{}",
                    instance.log_tail()
                );
                Ok(answer)
            }
        }
    }

    fn thrice(&mut self, line: &Line, sql: &str) -> Result<Answer> {
        self.once(line, sql)?;
        self.once(line, sql)?;
        self.once(line, sql)
    }

    fn until_hit(&mut self, line: &Line, sql: &str, instance: &Pgmemo) -> Result<Answer> {
        let start = Instant::now();
        let first = instance.metrics()?;
        let mut hits = first.hits();
        loop {
            let answer = self.once(line, sql)?;
            let now = instance.metrics()?;
            if now.hits() > hits {
                return Ok(answer);
            }
            hits = now.hits();
            if start.elapsed() > SOON {
                let reasons = now.bypass_reasons_since(&first);
                bail!("never answered from the store; bypassed for {reasons:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until some backend of our database waits for a lock or a clock.
    fn await_server_waiting(&mut self) -> Result<()> {
        let sql = self.filled(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{db}'
                AND state = 'active' AND wait_event_type IN ('Lock', 'Timeout')",
        );
        eventually("a backend that waits", SOON, || {
            self.control
                .value(&sql)
                .is_ok_and(|count| count != "0")
                .then_some(())
        })
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.sessions.clear();
        for database in ["{db}", "{db2}"] {
            let _ = self.control_run(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)"));
        }
        for role in ["{alice}", "{bob}"] {
            let _ = self.control_run(&format!("DROP ROLE IF EXISTS {role}"));
        }
    }
}
