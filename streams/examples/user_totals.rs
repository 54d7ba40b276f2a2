//! What each user has done so far: a batch layer, a speed layer and one exact answer (the Lambda architecture).
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example user_totals
//! curl http://127.0.0.1:9780/views/user_totals/keys/user1
//! ```
//!
//! runs on a few sample events and a broker of its own until Ctrl-C. A browser gets a page at
//! http://127.0.0.1:9780/. With a cluster:
//!
//! ```sh
//! cargo run --release -p tidemark-streams --example user_totals -- --bootstrap 127.0.0.1:9092 \
//!     --input user_events --snapshots /tmp/snapshots --batch-every 5s
//! echo '{"user_id":"user1","value":99.99,"timestamp":"2023-01-01T10:05:00"}' |
//!     kcat -b 127.0.0.1:9092 -P -t user_events
//! curl http://127.0.0.1:9780/views/user_totals/keys/user1
//! ```
//!
//! Snapshots are Parquet files below `--snapshots`; they are made every `--batch-every` at a cut of the speed
//! layer, and each answer is put together of the newest one and of what is newer. It says up to which offset
//! of each partition it has every event, once.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tidemark_streams::serving::views::{user_totals, user_windows};
use tidemark_streams::serving::{Lambda, LambdaConfig};
use tidemark_streams::time::TimeWindows;
use tokio::signal::unix::{SignalKind, signal};

use crate::common::{Cluster, Failure, duration, say};

/// Totals of users, of snapshots and what is newer.
#[derive(Parser)]
struct Options {
    /// The cluster. Without it there is a broker in this process, with sample events in it.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// The topic with the events; it is made if it is not there.
    #[arg(long, default_value = "user_events")]
    input: String,
    /// Where the view is served.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9780")]
    listen: String,
    /// The folder for snapshots. Without it they are in a temporary folder, which goes at the end.
    #[arg(long, value_name = "DIRECTORY")]
    snapshots: Option<PathBuf>,
    /// Makes a snapshot so often.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    batch_every: Duration,
    /// Makes a cut so often, at which a snapshot can end.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    cut_every: Duration,
    /// Keeps the totals by windows of that size, too, as the view `user_windows`.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    windows: Option<Duration>,
    /// When this process is killed, another one answers after that time.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    session_timeout: Duration,
    /// Where the speed layer keeps files of its state.
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
}

/// How long closing a view may take.
const CLOSING: Duration = Duration::from_secs(30);

const SAMPLES: &[(&str, &str)] = &[
    (
        "user1",
        r#"{"user_id":"user1","event":"login","value":0,"timestamp":"2023-01-01T10:00:00"}"#,
    ),
    (
        "user1",
        r#"{"user_id":"user1","event":"purchase","value":99.99,"timestamp":"2023-01-01T10:05:00"}"#,
    ),
    (
        "user2",
        r#"{"user_id":"user2","event":"login","value":0,"timestamp":"2023-01-01T10:10:00"}"#,
    ),
];

#[tokio::main]
async fn main() -> ExitCode {
    common::exit(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    // An address that is taken is told now, not when topics and snapshots have been made.
    drop(tokio::net::TcpListener::bind(&options.listen).await?);
    let cluster = Cluster::at(options.bootstrap.as_deref()).await?;
    cluster.make_topics(&[&options.input]).await?;
    cluster
        .write_samples(&options.input, SAMPLES.iter().copied())
        .await?;
    let temporary = match options.snapshots {
        Some(_) => None,
        None => Some(tempfile::tempdir()?),
    };
    let folder = options.snapshots.as_deref();
    let folder = folder.or(temporary.as_ref().map(tempfile::TempDir::path));
    let folder = folder.ok_or("there is no folder for snapshots")?;
    let mut config = LambdaConfig::new(cluster.bootstrap(), folder)
        .batch_every(options.batch_every)
        .cut_every(options.cut_every)
        .session_timeout(options.session_timeout);
    if let Some(dir) = &options.state_dir {
        config = config.state_dir(dir);
    }
    let windows = match options.windows {
        Some(size) => {
            let view = user_windows(&options.input, TimeWindows::tumbling(size));
            Some(Lambda::start(view, config.clone()).await?)
        }
        None => None,
    };
    let totals = Lambda::start(user_totals(&options.input), config).await?;
    let others = windows.as_ref().map(Lambda::served);
    let server = totals.serve_with(&options.listen, others).await?;
    say(&format!("page: http://{}/", server.address()));
    say(&format!("views: http://{}/views", server.address()));
    say("running; Ctrl-C ends it");
    let windows_failed = async {
        match &windows {
            Some(windows) => windows.failed().await,
            None => std::future::pending().await,
        }
    };
    let failed = tokio::select! {
        error = totals.failed() => Some(error),
        error = windows_failed => Some(error),
        _ = interrupted.recv() => None,
        _ = terminated.recv() => None,
    };
    // All of it is closed, whatever becomes of a part; the first thing that is amiss is told.
    let totals = totals.close(CLOSING).await;
    let windows = match windows {
        Some(windows) => windows.close(CLOSING).await,
        None => Ok(()),
    };
    let ended = cluster.end().await;
    if let Some(error) = failed {
        return Err(error.into());
    }
    totals?;
    windows?;
    ended?;
    say("closed");
    Ok(())
}
