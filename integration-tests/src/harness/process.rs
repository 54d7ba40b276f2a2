//! The built binary as a child process.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::until;

/// Where the binary is.
///
/// Cargo gives a test of another package no way to ask for it, so it is looked for where Cargo
/// puts it: beside the directory of the running test. `TIDEMARK_BIN` names another one.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("TIDEMARK_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("a test knows where it is");
    let built = test.ancestors().nth(2).map(|dir| dir.join("tidemark"));
    let built = built.expect("a test lies in target/<profile>/deps");
    assert!(
        built.exists(),
        "{} is not there: build it with `cargo build -p tidemark`",
        built.display()
    );
    built
}

/// A broker that is about to be started.
pub struct Launch {
    command: Command,
    out: PathBuf,
    err: PathBuf,
    dir: PathBuf,
    /// Whether the subcommand has been named: options belong to it.
    serve: bool,
}

impl Launch {
    /// The binary with `dir` as its working directory, where its output goes, too. No variable of
    /// the test's own environment configures it.
    pub fn bare(dir: &Path) -> Self {
        let mut command = Command::new(binary());
        command.current_dir(dir).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TIDEMARK_") {
                command.env_remove(name);
            }
        }
        Self {
            command,
            out: dir.join("stdout.txt"),
            err: dir.join("stderr.txt"),
            dir: dir.to_path_buf(),
            serve: false,
        }
    }

    /// [`Launch::bare`] with ports that the system chooses, in the weakest source: the
    /// environment. Data goes to `dir/tidemark-data`.
    pub fn new(dir: &Path) -> Self {
        Self::bare(dir)
            .env("TIDEMARK_LISTENERS", "PLAINTEXT://127.0.0.1:0")
            .env("TIDEMARK_HTTP_LISTENER", "127.0.0.1:0")
    }

    /// Keeps the output apart from that of another broker in the same directory.
    pub fn output(mut self, name: &str) -> Self {
        self.out = self.dir.join(format!("{name}-stdout.txt"));
        self.err = self.dir.join(format!("{name}-stderr.txt"));
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds an argument of `tidemark serve`.
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        if !self.serve {
            self.command.arg("serve");
            self.serve = true;
        }
        self.command.arg(argument);
        self
    }

    /// Adds `--set key=value`.
    pub fn set(self, key: &str, value: &str) -> Self {
        self.arg("--set").arg(format!("{key}={value}"))
    }

    /// Starts it and waits for it to accept connections.
    #[track_caller]
    pub fn start(self) -> Running {
        let mut running = self.spawn();
        let banner = until("the banner", || {
            if let Some(status) = running.exited() {
                panic!("the broker ended with {status}: {}", running.errors());
            }
            // The durability is its last line; listeners accept before the first.
            let text = running.output();
            text.contains("durability").then(|| Banner::parse(&text))
        });
        running.banner = banner;
        running
    }

    /// Starts what is expected to end by itself, and waits for that.
    #[track_caller]
    pub fn run_to_end(self) -> Ended {
        self.spawn().wait()
    }

    /// Starts it and waits for nothing: the banner of what this returns is empty.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        let file = |path: &Path| File::create(path).expect("the output's file can be made");
        self.command.stdout(file(&self.out)).stderr(file(&self.err));
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not run: {error}", binary().display()));
        Running {
            child,
            out: self.out,
            err: self.err,
            dir: self.dir,
            banner: Banner::default(),
        }
    }
}

/// What the broker says when it is ready.
#[derive(Debug, Default)]
pub struct Banner {
    /// All of it.
    pub text: String,
    /// `host:port` of each listener, by name.
    pub listeners: BTreeMap<String, String>,
    /// `host:port` of the HTTP server.
    pub http: Option<String>,
    /// The data directory.
    pub data: PathBuf,
}

impl Banner {
    fn parse(text: &str) -> Self {
        let mut banner = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("listening"), Some(listener)) => {
                    let (name, address) = listener.split_once("://").expect("NAME://host:port");
                    banner.listeners.insert(name.to_owned(), address.to_owned());
                }
                (Some("http"), Some(url)) => {
                    let address = url.trim_start_matches("http://").split('/').next();
                    banner.http = address.map(str::to_owned);
                }
                (Some("data"), Some(dir)) => banner.data = PathBuf::from(dir),
                _ => {}
            }
        }
        banner
    }
}

/// A broker's process. Dropping it kills it.
pub struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    dir: PathBuf,
    banner: Banner,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub output: String,
    /// All it wrote to standard error.
    pub errors: String,
}

impl Running {
    /// What it said when it was ready.
    pub fn banner(&self) -> &Banner {
        &self.banner
    }

    /// `host:port` of its only, or its first, listener.
    pub fn bootstrap(&self) -> &str {
        let first = self.banner.listeners.values().next();
        first.expect("the banner names a listener")
    }

    /// `host:port` of its HTTP server.
    pub fn http(&self) -> &str {
        let http = self.banner.http.as_deref();
        http.expect("the banner names the HTTP server")
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join(&self.banner.data)
    }

    /// The process's id, to signal it from somewhere else.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has written to standard output.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.out).expect("its output can be read")
    }

    /// What it has written to standard error.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(&self.err).expect("its output can be read")
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked for")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the child can be signalled");
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let status = until("the broker to end", || self.exited());
        self.check_no_panic();
        Ended {
            status,
            output: self.output(),
            errors: self.errors(),
        }
    }

    /// No thread of the broker has panicked: one that did may have taken nobody with it.
    #[track_caller]
    pub fn check_no_panic(&self) {
        let errors = self.errors();
        assert!(!errors.contains("panicked"), "{errors}");
    }

    /// SIGTERM, and waits for the orderly end.
    #[track_caller]
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        let ended = self.wait();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
        ended
    }

    /// SIGKILL: no code of the broker runs after it.
    #[track_caller]
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        until("the broker to be killed", || self.exited());
        self.check_no_panic();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
