//! Keeps the picture of the cluster fresh: on request, on change, and when it has grown old.

use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Inner;
use super::metadata::Scope;
use crate::config::Address;
use crate::connection::CallError;
use crate::error::ClientError;
use crate::retry::Backoff;

/// Versions of Metadata that are spoken.
const VERSIONS: std::ops::RangeInclusive<i16> = 1..=13;

/// The refresher: one task per client. Ends when the client is closed.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut closed = inner.closed.subscribe();
    tokio::select! {
        () = refreshing(&inner) => {}
        _ = closed.wait_for(|closed| *closed) => {
            // Whoever waits for a picture is to look up.
            inner.changed.send_modify(|count| *count += 1);
        }
    }
}

async fn refreshing(inner: &Inner) {
    let clock = &inner.config.clock;
    let millis = |limit: std::time::Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let mut backoff = Backoff::new(
        millis(inner.config.retry_backoff),
        millis(inner.config.retry_backoff_max),
    );
    loop {
        let old = clock.deadline(inner.config.metadata_max_age);
        // Nothing is asked before somebody wants something.
        while !inner.wanted.lock().now {
            let first = inner.metadata.load().version == 0;
            tokio::select! {
                () = inner.wake.notified() => {}
                () = clock.sleep_until(old), if !first => break,
            }
        }
        inner.wanted.lock().now = false;
        match once(inner).await {
            Ok(()) => {
                *inner.trouble.lock() = None;
                backoff.reset();
            }
            Err(error) => {
                tracing::debug!(%error, "no metadata");
                *inner.trouble.lock() = Some(error);
                // The failure itself is a reason to ask again, as long as somebody waits.
                if inner.changed.receiver_count() > 0 {
                    inner.wanted.lock().now = true;
                }
            }
        }
        inner.changed.send_modify(|count| *count += 1);
        clock
            .sleep_until(
                clock
                    .now()
                    .millis
                    .saturating_add(backoff.next(clock.random())),
            )
            .await;
        if inner.trouble.lock().is_none() {
            backoff.reset();
        }
    }
}

async fn once(inner: &Inner) -> Result<(), ClientError> {
    let (topics, scope) = {
        let wanted = inner.wanted.lock();
        if wanted.all > 0 {
            (None, Scope::All)
        } else {
            let topics: Vec<Arc<str>> = wanted.topics.iter().cloned().collect();
            (Some(topics), Scope::Asked)
        }
    };
    let create = inner.config.auto_create_topics;
    let response = ask(inner, topics.as_deref(), create).await?;
    let next = inner.metadata.load().updated(&response, scope);
    let addresses: Vec<Address> = next
        .brokers()
        .map(super::metadata::Broker::address)
        .collect();
    if addresses.is_empty() {
        // A broker that has just started and does not know its cluster yet.
        return Err(ClientError::broker(
            "metadata",
            tidemark_protocol::ErrorCode::BrokerNotAvailable,
        ));
    }
    inner.metadata.store(Arc::new(next));
    let bootstrap = &inner.bootstrap;
    inner
        .pool
        .keep(|address| addresses.contains(address) || bootstrap.contains(address));
    Ok(())
}

/// Asks any broker; `None` for all topics.
async fn ask(
    inner: &Inner,
    topics: Option<&[Arc<str>]>,
    create: bool,
) -> Result<MetadataResponse, CallError> {
    let link = inner.any_link().await?;
    let version = link.versions().pick::<MetadataRequest>(VERSIONS)?;
    let topics = topics.map(|topics| {
        let name = |topic: &Arc<str>| TopicName(StrBytes::from_string(topic.to_string()));
        topics
            .iter()
            .map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))))
            .collect()
    });
    // Versions below 4 have no such field: they always create.
    let request = MetadataRequest::default()
        .with_topics(topics)
        .with_allow_auto_topic_creation(create || version < 4);
    link.call(version, &request, inner.config.request_timeout)
        .await
}
