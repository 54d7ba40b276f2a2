//! Keeps the picture of the cluster fresh: on request, on change, and when it has grown old.

use std::collections::HashSet;
use std::sync::Arc;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::Inner;
use super::metadata::{Metadata, Scope};
use super::wanted::Question;
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
    let mut old = clock.deadline(inner.config.metadata_max_age);
    let mut failed = false;
    loop {
        // Nothing is asked before somebody wants something. A failure is a reason to ask again, as
        // long as somebody waits.
        loop {
            let waited_for = !failed || inner.changed.receiver_count() > 0;
            if waited_for && inner.wanted.lock().is_due() {
                break;
            }
            let first = inner.metadata.load().version == 0;
            tokio::select! {
                () = inner.wake.notified() => failed = false,
                () = clock.sleep_until(old), if !first => {
                    failed = false;
                    inner.wanted.lock().refresh();
                }
            }
        }
        let question = {
            let mut wanted = inner.wanted.lock();
            wanted.question(clock.now().millis, millis(inner.config.metadata_max_idle))
        };
        if question.scope != Scope::Asked {
            old = clock.deadline(inner.config.metadata_max_age);
        }
        match once(inner, &question).await {
            Ok(()) => {
                *inner.trouble.lock() = None;
                failed = false;
                backoff.reset();
            }
            Err(error) => {
                tracing::debug!(%error, "no metadata");
                *inner.trouble.lock() = Some(error);
                failed = true;
                inner.wanted.lock().unanswered(question);
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

async fn once(inner: &Inner, question: &Question) -> Result<(), ClientError> {
    let create = inner.config.auto_create_topics;
    let mut answers = Vec::new();
    if question.scope == Scope::All {
        let all = ask(inner, None, create).await?;
        let missing = |names: &[Arc<str>]| -> Vec<Arc<str>> {
            let found: HashSet<&str> = all
                .topics
                .iter()
                .filter_map(|topic| Some(topic.name.as_ref()?.as_str()))
                .collect();
            let missing = names.iter().filter(|name| !found.contains(&***name));
            missing.cloned().collect()
        };
        let (names, known) = (missing(&question.names), missing(&question.known));
        answers.push((all, Scope::All));
        for (names, create) in [(names, create), (known, false)] {
            if !names.is_empty() {
                let named = ask(inner, Some(&names), create).await?;
                answers.push((named, Scope::Asked));
            }
        }
    } else {
        let named = ask(inner, Some(&question.names), create).await?;
        answers.push((named, question.scope));
    }
    if answers.iter().any(|(answer, _)| answer.brokers.is_empty()) {
        // A broker that has just started and does not know its cluster yet.
        return Err(ClientError::broker(
            "metadata",
            tidemark_protocol::ErrorCode::BrokerNotAvailable,
        ));
    }
    // Others may have learned something meanwhile.
    inner.metadata.rcu(|metadata| {
        let mut next = Metadata::clone(metadata);
        for (answer, scope) in &answers {
            next = next.updated(answer, *scope);
        }
        next
    });
    let addresses: Vec<Address> = inner
        .metadata
        .load()
        .brokers()
        .map(super::metadata::Broker::address)
        .collect();
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
