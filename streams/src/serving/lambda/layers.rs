//! Starts what a view is kept by.

use std::sync::Arc;
use std::time::Duration;

use tidemark_client::Client;
use tidemark_client::consumer::IsolationLevel;

use super::control::Control;
use super::refresh::Refresh;
use super::{Ground, Lambda, LambdaConfig, LambdaError, application};
use crate::data::Data;
use crate::runtime::{Streams, StreamsConfig};
use crate::serving::aggregate::Aggregate;
use crate::serving::batch::{Batch, BatchError, BatchOutcome, check_policies};
use crate::serving::merged::Site;
use crate::serving::speed::cut_rule::CutRule;
use crate::serving::speed::topology;
use crate::serving::view::View;

pub(super) async fn start<K: Data, A: Aggregate>(
    view: Arc<View<K, A>>,
    config: LambdaConfig,
) -> Result<Lambda<K, A>, LambdaError> {
    view.check()?;
    let ground = ground(&view, &config)?;
    let batch = Batch::local(
        Arc::clone(&view),
        Arc::clone(&ground.client),
        ground.clock.clone(),
        &config.snapshots,
        config.batch.clone(),
    )?;
    let site = Arc::new(Site::new(Arc::clone(&view), config.hold));
    site.set_counts(counts(&ground.client, &view).await?);
    let control = Control::open(
        Arc::clone(&ground.client),
        ground.clock.clone(),
        &view,
        config.replication_factor,
    );
    let control = Arc::new(control.await?);
    let refresh = Arc::new(Refresh::new(
        Arc::clone(&site),
        batch.snapshots().clone(),
        ground.clock.clone(),
    ));
    // Before the first record is read: what a snapshot has already is left out then.
    refresh.once().await;
    let rule = CutRule {
        every: millis(config.cut_every),
        records: config.cut_records,
    };
    let topology = topology(&site, rule)?;
    let streams = Streams::start(&topology, ground.streams).await?;
    let batch = Arc::new(batch);
    let mut tasks = Vec::new();
    tasks.push(tokio::spawn({
        let (site, control) = (Arc::clone(&site), Arc::clone(&control));
        async move { control.announce(&site).await }
    }));
    tasks.push(tokio::spawn({
        let (refresh, clock) = (Arc::clone(&refresh), ground.clock.clone());
        let poll = config.poll;
        async move {
            loop {
                clock.sleep(poll).await;
                refresh.once().await;
            }
        }
    }));
    if let Some(every) = config.batch_every {
        let (batch, control) = (Arc::clone(&batch), Arc::clone(&control));
        let (refresh, clock) = (Arc::clone(&refresh), ground.clock.clone());
        tasks.push(tokio::spawn(async move {
            loop {
                clock.sleep(every).await;
                match batch_once(&batch, &control).await {
                    Ok(_) => refresh.once().await,
                    // Another instance makes it.
                    Err(LambdaError::Batch(BatchError::Locked { folder })) => {
                        tracing::debug!(folder, "a batch run is at work already");
                    }
                    Err(error) => tracing::warn!(%error, "a batch run has failed"),
                }
            }
        }));
    }
    Ok(Lambda {
        site,
        streams: Some(streams),
        batch,
        control,
        refresh,
        clock: ground.clock,
        wait: config.wait,
        tasks,
    })
}

/// One batch run at the newest cuts.
pub(super) async fn batch_once<K: Data, A: Aggregate>(
    batch: &Batch<K, A>,
    control: &Control,
) -> Result<BatchOutcome, LambdaError> {
    let cut = control.cuts().await?;
    Ok(batch.run(Some(&cut)).await?)
}

fn ground<K: Data, A: Aggregate>(
    view: &View<K, A>,
    config: &LambdaConfig,
) -> Result<Ground, LambdaError> {
    let client = config.client.clone().auto_create_topics(false);
    let client = Arc::new(Client::new(client).map_err(crate::error::StreamsError::from)?);
    let mut streams = StreamsConfig::new(application(view), "")
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
    Ok(Ground {
        client,
        clock: config.clock.clone(),
        streams,
    })
}

/// How many partitions the view's topics have. None of them loses records that are counted already.
async fn counts<K: Data, A: Aggregate>(
    client: &Client,
    view: &View<K, A>,
) -> Result<Vec<i32>, LambdaError> {
    let failed = crate::error::StreamsError::from;
    let topics: Vec<String> = view.topics().map(str::to_owned).collect();
    let admin = client.admin();
    let described = admin.describe_topics(topics.iter().cloned()).await;
    let described = described.and_then(|each| each.all()).map_err(failed)?;
    check_policies(client, &topics).await?;
    let count = |topic: &String| described.get(topic).map_or(0, |own| own.partitions.len());
    Ok(topics.iter().map(|topic| count(topic) as i32).collect())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
