//! A real Apache Kafka, from the jars that `scripts/prepare` fetches.
//!
//! `foreign/kafka_server.py` configures and runs it; this starts that and holds the other end of its
//! standard input. Kafka ends when that does: with [`Kafka`], and whichever way the test's process
//! ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use super::tls::{Authority, Identity};

/// A user of every SASL listener, by PLAIN and SCRAM, and the password.
pub const USER: (&str, &str) = ("alice", "alice-secret");

/// The listeners of [`Options::security`], as NAME[:PROTOCOL]. `MTLS` wants a client's certificate.
const SECURE_LISTENERS: &[&str] = &["SSL", "MTLS:SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// How to start it. The default listens on `PLAINTEXT` and advertises that.
#[derive(Clone, Debug, Default)]
pub struct Options {
    settings: Vec<(String, String)>,
    advertised: Option<String>,
    security: bool,
}

impl Options {
    /// Sets an option of the broker.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sends clients of `PLAINTEXT` to this `host:port`, a proxy's.
    pub fn advertise(mut self, address: &str) -> Self {
        self.advertised = Some(address.to_owned());
        self
    }

    /// Adds the listeners `SSL`, `MTLS` (SSL with a client's certificate), `SASL_PLAINTEXT` and
    /// `SASL_SSL`, the last two for [`USER`] by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. The server's
    /// certificate is for `localhost` and 127.0.0.1, and from [`Kafka::authority`].
    pub fn security(mut self) -> Self {
        self.security = true;
        self
    }
}

/// The tools that it needs are not there.
#[derive(Clone, Debug)]
pub struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(what) = self;
        write!(
            out,
            "Apache Kafka: {what} is not there: run scripts/prepare"
        )
    }
}

/// A running Kafka of one node. Dropping it stops it.
pub struct Kafka {
    process: Child,
    /// Kafka runs until this is closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    listeners: BTreeMap<String, String>,
    authority: Option<Authority>,
}

impl Kafka {
    /// The one of this test binary, with all of [`Options::security`]: started by the first who asks,
    /// stopped with the process. Blocks meanwhile; not for tests that hurt it.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn shared() -> Result<&'static Self, Missing> {
        static SHARED: OnceLock<Result<Kafka, Missing>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start(&Options::default().security()));
        shared.as_ref().map_err(Missing::clone)
    }

    /// Starts one and waits until it answers requests; that takes seconds, and blocks.
    ///
    /// # Errors
    /// `scripts/prepare` has not been run. With `CI` set that panics.
    pub fn start(options: &Options) -> Result<Self, Missing> {
        if let Err(missing) = look_for_jars() {
            assert!(std::env::var_os("CI").is_none(), "in CI, {missing}");
            return Err(missing);
        }
        let mut command = Command::new("python3");
        let script = root().join("integration-tests/foreign/kafka_server.py");
        command.arg(script).arg("--stdin");
        // Tests write timestamps of long ago: deletion by time would take them away while they are read.
        command.args(["--set", "log.retention.ms=-1"]);
        for (key, value) in &options.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        if let Some(address) = &options.advertised {
            command
                .arg("--advertise")
                .arg(format!("PLAINTEXT={address}"));
        }
        // Read by Kafka when it starts, and not again.
        let keys = tempfile::tempdir().expect("a temporary directory");
        let authority = options.security.then(|| {
            let (user, password) = USER;
            command.arg("--user").arg(format!("{user}:{password}"));
            for listener in SECURE_LISTENERS {
                command.arg("--listener").arg(listener);
            }
            command.args(["--set", "listener.name.mtls.ssl.client.auth=required"]);
            command.arg("--tls").arg(keys.path());
            certify(keys.path())
        });
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 runs");
        let output = process.stdout.take().expect("it was asked for");
        let mut kafka = Self {
            input: process.stdin.take(),
            output: BufReader::new(output),
            process,
            listeners: BTreeMap::new(),
            authority,
        };
        kafka.wait_until_ready();
        Ok(kafka)
    }

    fn wait_until_ready(&mut self) {
        for line in self.output.by_ref().lines() {
            let line = line.expect("the output can be read");
            if line == "ready" {
                return;
            }
            if let Some((name, address)) = line.split_once(' ') {
                self.listeners.insert(name.to_owned(), address.to_owned());
            }
        }
        panic!("Apache Kafka did not start; what it said is in the standard error output");
    }

    /// Stops it, in order or by a kill, and starts it again on the same data and ports. Blocks until
    /// it answers requests.
    pub fn restart(&mut self, kill: bool) {
        let command = if kill { "kill" } else { "restart" };
        let input = self.input.as_mut().expect("it runs");
        writeln!(input, "{command}").expect("it listens");
        self.wait_until_ready();
    }

    /// `host:port` of `PLAINTEXT`, not of what it advertises.
    pub fn bootstrap(&self) -> &str {
        self.listener("PLAINTEXT")
    }

    /// `host:port` of a listener.
    pub fn listener(&self, name: &str) -> &str {
        let address = self.listeners.get(name);
        address.unwrap_or_else(|| panic!("no listener {name}: {:?}", self.listeners))
    }

    /// Who vouches for its certificate, and must for that of a client.
    pub fn authority(&self) -> &Authority {
        let authority = self.authority.as_ref();
        authority.expect("it was started with Options::security")
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.input = None;
        // The end of its input ends it; there is nothing more to be done for one that has failed.
        let _ = self.process.wait();
    }
}

/// Makes an authority and the files for `--tls`.
fn certify(dir: &Path) -> Authority {
    let authority = Authority::new("Kafka tests");
    let Identity { certificate, key } = authority.issue("kafka", &["localhost", "127.0.0.1"]);
    let write = |name: &str, text: &str| {
        fs::write(dir.join(name), text).unwrap_or_else(|error| panic!("{name}: {error}"));
    };
    write("server.pem", &format!("{key}{certificate}"));
    write("ca.pem", authority.pem());
    authority
}

fn look_for_jars() -> Result<(), Missing> {
    let tools = std::env::var_os("TIDEMARK_TOOLS").filter(|tools| !tools.is_empty());
    let tools = tools.map_or_else(|| root().join(".tools"), PathBuf::from);
    let jars = tools.join("java/jars");
    // Written when the last jar is there.
    let stamp = tools.join("stamps/jars");
    match jars.is_dir() && stamp.is_file() {
        true => Ok(()),
        false => Err(Missing(jars.display().to_string())),
    }
}

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package has a place").into()
}
