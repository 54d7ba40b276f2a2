//! An instance of an application: in this process, or in one of its own.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use integration_tests::applications::{Application, SESSION_TIMEOUT, records_in};
use tidemark_client::Clock;
use tidemark_streams::{Streams, StreamsConfig, StreamsError};

use crate::support::{until, until_found};

/// Where an instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Here,
    Process,
}

/// What an instance is set up with.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) application: &'static Application,
    pub(crate) id: String,
    pub(crate) bootstrap: String,
    pub(crate) state: Option<PathBuf>,
    pub(crate) commit_interval: Duration,
    pub(crate) workers: usize,
    pub(crate) chunk: usize,
}

/// How an instance ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// So soon after it was begun that it may not run yet.
    Starting(Duration),
    /// When it has read so many records.
    Working(u64),
    /// It has been told to close then, and gets so much time for it.
    Closing(u64, Duration),
    /// In order.
    Closed(u64),
}

impl Setting {
    pub(crate) fn config(&self) -> StreamsConfig {
        let config = StreamsConfig::new(&self.id, &self.bootstrap)
            .session_timeout(SESSION_TIMEOUT)
            .commit_interval(self.commit_interval)
            .workers(self.workers)
            .chunk(self.chunk);
        match &self.state {
            Some(state) => config.state_dir(state),
            None => config,
        }
    }

    /// Starts an instance, calls `running` when it runs, and ends it. Whether that was in the midst of its
    /// work.
    pub(crate) async fn live(&self, kind: Kind, end: End, running: impl FnOnce()) -> bool {
        match kind {
            Kind::Here => self.live_here(end, running).await,
            Kind::Process => self.live_in_a_process(end, running).await,
        }
    }

    async fn live_here(&self, end: End, running: impl FnOnce()) -> bool {
        let topology = self.application.topology(&self.id);
        let started = Streams::start(&topology, self.config());
        let clock = Clock::system();
        let streams = match end {
            End::Starting(limit) => clock.timeout(limit, started).await,
            _ => Some(started.await),
        };
        running();
        let Some(streams) = streams else {
            return false;
        };
        let streams = streams.unwrap();
        let work = async |records: u64| {
            let read = until("it to work", || records_in(&streams.metrics()) >= records);
            tokio::select! {
                error = streams.failed() => panic!("{error}"),
                () = read => {}
            }
        };
        match end {
            End::Starting(_) => false,
            End::Working(records) => {
                work(records).await;
                true
            }
            End::Closing(records, limit) => {
                work(records).await;
                match streams.close(limit).await {
                    Ok(()) => false,
                    // It takes too long, and is given up.
                    Err(StreamsError::Internal(why)) if why.starts_with("it did not stop") => true,
                    Err(error) => panic!("{error}"),
                }
            }
            End::Closed(records) => {
                work(records).await;
                streams.close(Duration::from_secs(60)).await.unwrap();
                false
            }
        }
    }

    async fn live_in_a_process(&self, end: End, running: impl FnOnce()) -> bool {
        let mut process = Process::start(self);
        let clock = Clock::system();
        match end {
            End::Starting(limit) => clock.sleep(limit).await,
            End::Working(records) | End::Closing(records, _) | End::Closed(records) => {
                process
                    .until("it to run", |said| said.running.load(Ordering::Acquire))
                    .await;
                running();
                let read = |said: &Said| said.read.load(Ordering::Acquire) >= records;
                process.until("it to work", read).await;
            }
        }
        let mut ended = process.ended();
        match end {
            End::Starting(_) | End::Working(_) => assert!(ended.is_none(), "it ended: {ended:?}"),
            End::Closing(_, limit) => {
                process.close();
                clock.sleep(limit).await;
                ended = process.ended();
            }
            End::Closed(_) => {
                process.close();
                ended = Some(until_found("it to end", async || process.ended()).await);
            }
        }
        assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
        // SIGKILL, unless it has ended.
        drop(process);
        ended.is_none() && !matches!(end, End::Starting(_))
    }
}

/// An instance that is a process: see `src/bin/application.rs`.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Said>,
}

/// What it has said.
#[derive(Default)]
struct Said {
    running: AtomicBool,
    read: AtomicU64,
}

impl Process {
    fn start(setting: &Setting) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_application"));
        command
            .args([setting.application.name, &setting.id, &setting.bootstrap])
            .arg(setting.commit_interval.as_millis().to_string())
            .arg(setting.workers.to_string())
            .arg(setting.chunk.to_string())
            .args(&setting.state);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::<Said>::default();
        let output = child.stdout.take().unwrap();
        let listener = Arc::clone(&said);
        std::thread::spawn(move || listen(output, &listener));
        let input = child.stdin.take();
        Self { child, input, said }
    }

    /// Waits until it has said something.
    async fn until(&mut self, what: &str, so: impl Fn(&Said) -> bool) {
        until(what, || {
            let ended = self.ended();
            // What it says of it is in the standard error output.
            assert!(ended.is_none(), "it has ended: {ended:?}");
            so(&self.said)
        })
        .await;
    }

    /// How it ended, if it has.
    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Has it close in order.
    fn close(&mut self) {
        writeln!(self.input.as_mut().unwrap(), "close").unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(output: ChildStdout, said: &Said) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if line == "running" {
            said.running.store(true, Ordering::Release);
        } else if let Some(read) = line.strip_prefix("in ") {
            said.read.store(read.parse().unwrap(), Ordering::Release);
        }
    }
}
