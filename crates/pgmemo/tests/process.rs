//! The program from outside: arguments, exit status, signals.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

fn pgmemo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgmemo"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PGMEMO_") {
            command.env_remove(name);
        }
    }
    command.args(arguments);
    command
}

fn finished(arguments: &[&str]) -> (Output, String, String) {
    let output = pgmemo(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    (output, out, err)
}

/// A running process that is not left behind.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts on free ports. Nothing listens upstream.
    fn start(arguments: &[&str]) -> Self {
        let mut command = pgmemo(&["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        let mut child = command
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads the log up to the line that contains `part`.
    fn log_line(&mut self, part: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(
                self.log.read_line(&mut line).unwrap() > 0,
                "{part} is not in {seen}"
            );
            if line.contains(part) {
                return line;
            }
            seen += &line;
        }
    }

    fn admin_address(&mut self) -> String {
        let line = self.log_line("http://");
        line.split_once("http://").unwrap().1.trim().to_owned()
    }

    fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &process])
                .status()
                .unwrap()
                .success()
        );
    }
}

const UPSTREAM: [&str; 2] = ["--upstream", "postgres://127.0.0.1:1"];

#[test]
fn prints_version_and_reference() {
    let (output, out, _) = finished(&["--version"]);
    assert!(output.status.success());
    assert_eq!(out.trim(), concat!("pgmemo ", env!("CARGO_PKG_VERSION")));
    let (output, out, _) = finished(&["config-reference"]);
    assert!(output.status.success());
    assert_eq!(out, include_str!("../../../docs/configuration.md"));
}

#[test]
fn wrong_settings_end_with_status_2_and_all_problems() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("wrong.toml");
    std::fs::write(&path, "lisen = 'x'\n[cache]\ndefault_ttl = 'soon'\n").unwrap();
    for call in ["serve", "check"] {
        let (output, _, err) = finished(&[
            call,
            "--config",
            path.to_str().unwrap(),
            "--threads",
            "none",
        ]);
        assert_eq!(output.status.code(), Some(2), "{err}");
        for part in [
            "wrong.toml:1:1: unknown key `lisen`",
            "wrong.toml:3:15: cache.default_ttl = \"soon\" is not a duration",
            "--threads: limits.threads = \"none\" is not a whole number",
            "upstream is missing",
            "4 problems",
        ] {
            assert!(err.contains(part), "{part} is not in {err}");
        }
    }
}

#[test]
fn wrong_arguments_end_with_status_2() {
    for arguments in [&["serve", "--nonsense"][..], &["dance"], &[]] {
        assert_eq!(
            finished(arguments).0.status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
}

#[test]
fn an_address_in_use_is_named_with_a_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let check = |key: &str, other: &str, purpose: &str| {
        let [flag, url] = UPSTREAM;
        let (output, _, err) = finished(&["serve", flag, url, key, &address, other, "127.0.0.1:0"]);
        // Whoever had it may be gone when it is tried again.
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(
            err.contains(&format!("cannot listen on {address} for {purpose}")),
            "{err}"
        );
        assert!(
            err.contains(&format!("pass {key} with another port")),
            "{err}"
        );
    };
    check("--listen", "--admin", "clients");
    check("--admin", "--listen", "metrics and health");
}

#[test]
fn serves_health_and_stops_on_a_signal() {
    let mut running = Running::start(&UPSTREAM);
    let address = running.admin_address();
    let summary = running.log_line("listening on");
    assert!(
        summary.contains("every table cached for 1m in memory (256MiB)"),
        "{summary}"
    );
    let mut health = TcpStream::connect(address).unwrap();
    health.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut reply = String::new();
    health.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.0 200 OK"), "{reply}");
    running.signal("TERM");
    running.log_line("stopped");
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn a_bad_file_does_not_replace_good_settings() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgmemo.toml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("upstream = 'postgres://127.0.0.1:1'\n");
    let mut running = Running::start(&["--config", path.to_str().unwrap(), "--log-format", "json"]);
    running.log_line("http://");
    write("upstream = 'postgres://127.0.0.1:1'\n[cache]\ndefault_ttl = 'soon'\n");
    running.signal("HUP");
    let problem = running.log_line("default_ttl");
    assert!(
        problem.contains("pgmemo.toml:3:15") && problem.contains("\"ERROR\""),
        "{problem}"
    );
    running.log_line("not reloaded; the old settings stay");
    write("upstream = 'postgres://127.0.0.1:2'\n[cache]\ndefault_ttl = '5m'\n");
    running.signal("HUP");
    assert!(running.log_line("restart_required").contains("upstream"));
    assert!(
        running
            .log_line("reloaded")
            .contains("every table cached for 5m")
    );
    running.signal("INT");
    running.log_line("stopped");
}
