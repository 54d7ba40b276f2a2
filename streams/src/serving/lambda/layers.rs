//! Starts what a view is kept by.

use std::sync::Arc;
use std::time::Duration;

use tidemark_client::Client;
use tidemark_client::consumer::IsolationLevel;
use tokio::task::JoinHandle;

use super::control::Control;
use super::refresh::Refresh;
use super::runs::Runs;
use super::sources::{self, SourceTopic, application, explained};
use super::{Ground, Lambda, LambdaConfig, LambdaError};
use crate::data::Data;
use crate::error::StreamsError;
use crate::runtime::{Streams, StreamsConfig};
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::{Batch, BatchError, check_policies};
use crate::serving::merged::Site;
use crate::serving::snapshot::Snapshots;
use crate::serving::speed::cut_rule::CutRule;
use crate::serving::speed::topology;
use crate::serving::view::View;

pub(super) async fn start<K: Data, A: Aggregate>(
    view: Arc<View<K, A>>,
    config: LambdaConfig,
) -> Result<Lambda<K, A>, LambdaError> {
    view.check()?;
    let client = config.client.clone().auto_create_topics(false);
    let client = Arc::new(Client::new(client).map_err(StreamsError::from)?);
    let topics = checked_sources(&client, &view).await?;
    let application = application(&view, &topics);
    let ground = ground(client, &application, &config);
    let batch = batch(&view, &ground, &config)?;
    let site = Arc::new(Site::new(Arc::clone(&view), config.hold));
    site.set_sources(topics);
    let control = Control::open(
        Arc::clone(&ground.client),
        ground.clock.clone(),
        &application,
        config.replication_factor,
    );
    let control = Arc::new(control.await?);
    let refresh = Arc::new(Refresh::new(
        Arc::clone(&site),
        batch.snapshots().clone(),
        ground.clock.clone(),
    ));
    // Before the first record is read: what a snapshot has already is left out then. A speed layer that begins
    // without it would have less than there was, and could not tell.
    refresh.once().await?;
    let rule = CutRule {
        every: millis(config.cut_every),
        records: config.cut_records,
    };
    let topology = topology(&site, rule)?;
    let streams = Streams::start(&topology, ground.streams).await?;
    let runs = Arc::new(Runs::new(
        batch,
        Arc::clone(&control),
        Arc::clone(&refresh),
        config.batch.from_scratch,
    ));
    let mut tasks = Vec::new();
    tasks.push(until_ended(&site, {
        let (site, control) = (Arc::clone(&site), Arc::clone(&control));
        async move { control.announce(&site).await }
    }));
    tasks.push(until_ended(&site, {
        let (refresh, clock) = (Arc::clone(&refresh), ground.clock.clone());
        let (poll, site, client) = (config.poll, Arc::clone(&site), Arc::clone(&ground.client));
        async move {
            loop {
                clock.sleep(poll).await;
                // While the cluster cannot be asked nothing is read either.
                if let Ok(now) = sources::sources(&client, &site.view).await
                    && let Some(changed) = site.changed_source(&now)
                {
                    site.end(changed.to_string());
                }
                // What is wrong is told where the view is asked about.
                let _ = refresh.once().await;
            }
        }
    }));
    tasks.push(until_ended(&site, {
        let (site, mut failure) = (Arc::clone(&site), streams.watch_failure());
        async move {
            // It may have failed already.
            let failed = failure.wait_for(Option::is_some).await;
            if let Some(error) = failed.ok().and_then(|failed| (*failed).clone()) {
                let snapshot = site.current();
                let ends = |topic: &str, partition| {
                    let number = site.view.topics().position(|own| own == topic)?;
                    snapshot.as_ref()?.end((number, partition))
                };
                site.end(explained(&application, &error, ends));
            }
        }
    }));
    if let Some(every) = config.batch_every {
        let runs = Arc::clone(&runs).every(every, ground.clock.clone());
        tasks.push(until_ended(&site, runs));
    }
    Ok(Lambda {
        site,
        streams: Some(streams),
        runs,
        clock: ground.clock,
        wait: config.wait,
        tasks,
    })
}

/// Does that as long as the view is kept.
fn until_ended<K: Data, A: Aggregate>(
    site: &Arc<Site<K, A>>,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    let site = Arc::clone(site);
    tokio::spawn(async move {
        tokio::select! {
            _ = site.until_ended() => {}
            () = work => {}
        }
    })
}

/// Makes snapshots where they are to be.
fn batch<K: Data, A: Aggregate>(
    view: &Arc<View<K, A>>,
    ground: &Ground,
    config: &LambdaConfig,
) -> Result<Batch<K, A>, BatchError> {
    let (view, client) = (Arc::clone(view), Arc::clone(&ground.client));
    let (clock, options) = (ground.clock.clone(), config.batch.clone());
    let Some((store, folder)) = config.store.clone() else {
        return Batch::local(view, client, clock, &config.snapshots, options);
    };
    let snapshots = Snapshots::new(store, folder, view.name())?;
    Batch::new(view, client, clock, snapshots, options)
}

fn ground(client: Arc<Client>, application: &str, config: &LambdaConfig) -> Ground {
    let mut streams = StreamsConfig::new(application, "")
        .client(config.client.clone())
        .clock(config.clock.clone())
        .isolation_level(IsolationLevel::ReadCommitted)
        .workers(config.workers)
        .commit_interval(config.commit_interval)
        .session_timeout(config.session_timeout)
        .replication_factor(config.replication_factor);
    if let Some(dir) = &config.state_dir {
        streams = streams.state_dir(dir);
    }
    Ground {
        client,
        clock: config.clock.clone(),
        streams,
    }
}

/// The view's topics. None of them loses records that are counted already.
async fn checked_sources<K: Data, A: Aggregate>(
    client: &Client,
    view: &View<K, A>,
) -> Result<Vec<SourceTopic>, LambdaError> {
    let found = sources::sources(client, view).await?;
    let topics: Vec<String> = view.topics().map(str::to_owned).collect();
    check_policies(client, &topics).await?;
    Ok(found)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
