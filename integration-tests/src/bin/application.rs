//! An instance of one of [`integration_tests::applications`] in a process of its own, so that a test can
//! kill it.
//!
//! `application NAME ID BOOTSTRAP COMMIT_MILLIS WORKERS CHUNK [STATE_DIRECTORY]`. It says `running` on
//! standard output when it runs, then `in N` whenever it has read more records. A line `close` on its
//! standard input has it close in order, which it says (`closed`); the end of that input, also by the
//! death of the test, ends it at once.

use std::io::{BufRead, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use integration_tests::applications::{Application, SESSION_TIMEOUT, records_in};
use tidemark_client::Clock;
use tidemark_streams::{Streams, StreamsConfig};
use tokio::sync::oneshot;

/// How often it is looked whether there is something to say.
const LOOK: Duration = Duration::from_millis(1);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, id, bootstrap, commit, workers, chunk, state @ ..] = &arguments[..] else {
        bail!("application NAME ID BOOTSTRAP COMMIT_MILLIS WORKERS CHUNK [STATE_DIRECTORY]");
    };
    let application = Application::named(name).context("no such application")?;
    let mut config = StreamsConfig::new(id, bootstrap)
        .session_timeout(SESSION_TIMEOUT)
        .commit_interval(Duration::from_millis(commit.parse()?))
        .workers(workers.parse()?)
        .chunk(chunk.parse()?);
    if let Some(state) = state.first() {
        config = config.state_dir(state);
    }
    let (close, mut closing) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        // An error is an end as well.
        if std::io::stdin().lock().read_line(&mut line).unwrap_or(0) == 0 {
            std::process::exit(1);
        }
        let _ = close.send(());
    });
    let streams = Streams::start(&application.topology(id), config).await?;
    say("running")?;
    let clock = Clock::system();
    let mut said = 0;
    loop {
        tokio::select! {
            error = streams.failed() => return Err(error.into()),
            _ = &mut closing => break,
            () = clock.sleep(LOOK) => {}
        }
        let read = records_in(&streams.metrics());
        if read > said {
            say(&format!("in {read}"))?;
            said = read;
        }
    }
    streams.close(Duration::from_secs(60)).await?;
    say("closed")
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
