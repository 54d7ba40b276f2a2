//! A batch run, or a view that is kept and served, in a process that ends itself by SIGKILL at a step:
//!
//! `mortal_view batch|serve BOOTSTRAP TOPIC SNAPSHOTS STATE STEP COMMIT_MILLIS SESSION_MILLIS`
//!
//! Steps of a run are all that it asks of the store of snapshots; those of a view are what it reads there. They
//! count from 1; 0 is none. `TEXT#3` is another one of a view: behind the third time that it tells this text of its
//! work, from the second switch to a snapshot on. A run ends by itself. A view says `http HOST:PORT`, and ends when its standard input does; it
//! saves its state so often, and keeps none on disk if STATE is empty.
#![allow(clippy::print_stdout, reason = "how the test hears of it")]

mod steps;
mod store;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use integration_tests::places::places;
use object_store::path::Path;
use tidemark_client::{Client, Clock};
use tidemark_streams::serving::{
    Batch, BatchConfig, BatchOutcome, Lambda, LambdaConfig, Snapshots,
};

use steps::{Counted, Steps};
use store::Mortal;
use told::Told;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [
        what,
        bootstrap,
        topic,
        snapshots,
        state,
        step,
        commit,
        session,
    ] = &arguments[..]
    else {
        bail!("batch|serve BOOTSTRAP TOPIC SNAPSHOTS STATE STEP COMMIT_MILLIS SESSION_MILLIS");
    };
    let (point, step) = match step.split_once('#') {
        Some((told, count)) => (Some((told, count)), "0"),
        None => (None, &**step),
    };
    let step = step.parse().context("STEP is a number")?;
    if let Some((text, count)) = point {
        let count = count.parse().context("a number behind #")?;
        tracing::subscriber::set_global_default(Told::new(text, count))?;
    }
    let folder = PathBuf::from(snapshots);
    let counted = match &**what {
        "batch" => Counted::All,
        _ => Counted::Reads,
    };
    let steps = Arc::new(Steps::new(counted, step));
    let store = Arc::new(Mortal::new(&folder, steps)?);
    match &**what {
        "batch" => {
            let name = places(topic).name().to_owned();
            let snapshots = match step {
                // As people run it: with the folder's lock, and what others have left amid writes is swept.
                0 => Snapshots::local(&folder, &name)?,
                _ => Snapshots::new(store, Path::default(), &name)?,
            };
            run(bootstrap, topic, snapshots).await
        }
        "serve" => {
            let config = LambdaConfig::new(bootstrap, &folder)
                .store(store, Path::default())
                .cut_every(Duration::ZERO)
                .commit_interval(Duration::from_millis(commit.parse()?))
                .poll(Duration::from_millis(20))
                .session_timeout(Duration::from_millis(session.parse()?))
                .wait(Duration::from_secs(60));
            let config = match &**state {
                "" => config,
                state => config.state_dir(state),
            };
            serve(topic, config).await
        }
        other => bail!("{other:?} is neither batch nor serve"),
    }
}

async fn run(bootstrap: &str, topic: &str, snapshots: Snapshots) -> anyhow::Result<()> {
    let view = Arc::new(places(topic));
    let config = BatchConfig::new()
        .alone(true)
        // One partition after the other, so that steps come in one order.
        .workers(1)
        .keep(2)
        // What is read is put aside on the way.
        .checkpoint(1);
    let client = Arc::new(Client::connect(bootstrap)?);
    let batch = Batch::new(view, client, Clock::system(), snapshots, config)?;
    match batch.run(None).await? {
        BatchOutcome::Published(own) => println!("published {}", own.manifest.snapshot),
        BatchOutcome::NothingNew { snapshot, .. } => println!("nothing behind {snapshot:?}"),
    }
    Ok(())
}

async fn serve(topic: &str, config: LambdaConfig) -> anyhow::Result<()> {
    let view = Lambda::start(places(topic), config).await?;
    let server = view.serve("127.0.0.1:0").await?;
    println!("http {}", server.address());
    let ended = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    tokio::select! {
        error = view.failed() => return Err(error.into()),
        ended = ended => ended??,
    };
    view.close(Duration::from_secs(30)).await?;
    Ok(())
}
