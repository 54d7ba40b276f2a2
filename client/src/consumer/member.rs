//! Carries out what membership asks: one task per member of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};
use parking_lot::Mutex;
use tidemark_protocol::ErrorCode;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::commit::CommitIdentity;
use super::config::GroupConfig;
use super::fetcher::driver::Shared;
use super::group::{Call, Failure, Join, Membership, Settings, Sync, messages};
use crate::cluster::{AllTopics, Cluster, CoordinatorKind, Lane, Lanes, Node};
use crate::connection::CallError;
use crate::error::ClientError;

/// A rebalance may take that much longer than its timeout, as in Kafka's own client.
const JOIN_GRACE: Duration = Duration::from_secs(5);
/// How long a member that goes waits for the coordinator to hear of it.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// Which topics are subscribed.
pub(super) enum Wanted {
    /// Those with these names.
    Topics(BTreeSet<Arc<str>>),
    /// All whose names this says yes to, now and later.
    Matching(
        Arc<dyn Fn(&str) -> bool + Send + std::marker::Sync>,
        #[allow(
            dead_code,
            reason = "keeps the picture of the cluster whole while it lives"
        )]
        AllTopics,
    ),
}

/// The application's side of membership.
pub(super) struct GroupMember {
    cluster: Cluster,
    lanes: Arc<Lanes>,
    pub(super) group: String,
    settings: Settings,
    pub(super) membership: Mutex<Membership>,
    wanted: Mutex<Option<Wanted>>,
    wake: Notify,
    /// The application has read since the driver last looked.
    polled: AtomicBool,
    /// The application is waiting for something to read.
    reading: AtomicBool,
    /// There is a change to carry out, or something to tell.
    pub(super) attention: AtomicBool,
    /// Trouble with the coordinator that has lasted too long to keep quiet about.
    pub(super) report: Mutex<Option<ClientError>>,
}

impl GroupMember {
    pub(super) fn new(cluster: Cluster, lanes: Arc<Lanes>, config: &GroupConfig) -> Self {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let settings = Settings {
            instance_id: config.instance_id.clone(),
            assignors: config.assignors.clone(),
            session_timeout: millis(config.session_timeout),
            heartbeat_interval: millis(config.heartbeat_interval),
            max_poll_interval: millis(config.max_poll_interval),
            retry_backoff: millis(cluster.config().retry_backoff),
            retry_backoff_max: millis(cluster.config().retry_backoff_max),
        };
        Self {
            group: config.id.clone(),
            membership: Mutex::new(Membership::new(settings.clone())),
            settings,
            wanted: Mutex::default(),
            wake: Notify::new(),
            polled: AtomicBool::new(false),
            reading: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            report: Mutex::default(),
            cluster,
            lanes,
        }
    }

    /// Reads these topics from now on.
    pub(super) fn subscribe(&self, wanted: Wanted) {
        if let Wanted::Topics(topics) = &wanted {
            self.cluster.want_topics(topics.iter().cloned());
        }
        *self.wanted.lock() = Some(wanted);
        self.look();
    }

    /// Leaves the group. Gives the call that tells the coordinator.
    pub(super) fn leave(&self, reason: &'static str) -> Option<Call> {
        let mut wanted = self.wanted.lock();
        *wanted = None;
        let leave = self.membership.lock().close(reason);
        drop(wanted);
        self.wake.notify_one();
        leave
    }

    /// Changes membership, and has the driver look at it again.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Membership) -> T) -> T {
        let outcome = change(&mut self.membership.lock());
        self.wake.notify_one();
        outcome
    }

    /// The application reads.
    #[inline]
    pub(super) fn note_read(&self) {
        // A store per record; the driver makes a time of it when it looks.
        self.polled.store(true, Ordering::Relaxed);
    }

    /// The application begins, or ends, to wait.
    pub(super) fn note_waiting(&self, waits: bool) {
        self.reading.store(waits, Ordering::Relaxed);
        self.note_read();
        if waits {
            self.wake.notify_one();
        }
    }

    /// Brings the subscription up to the newest picture of the cluster.
    fn look(&self) {
        let metadata = self.cluster.metadata();
        let now = self.cluster.clock().now();
        let wanted = self.wanted.lock();
        let topics = match &*wanted {
            None => return,
            Some(Wanted::Topics(topics)) => topics.clone(),
            Some(Wanted::Matching(filter, _)) => metadata
                .topics()
                .filter(|topic| !topic.internal && filter(&topic.name))
                .map(|topic| Arc::clone(&topic.name))
                .collect(),
        };
        self.with(|membership| {
            membership.subscribe(topics, now);
            membership.counted(|topic| {
                let count = metadata.topic(topic)?.partitions.len();
                i32::try_from(count).ok()
            });
        });
        // Only now: whoever leaves meanwhile must not be brought back.
        drop(wanted);
    }

    /// One request to the coordinator.
    async fn call<R: kafka_protocol::protocol::Request>(
        &self,
        lane: Lane,
        versions: std::ops::RangeInclusive<i16>,
        timeout: Duration,
        request: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Failure> {
        let what = format!("finding the coordinator of group {:?}", self.group);
        let tries = self
            .cluster
            .tries(what, self.cluster.config().request_timeout);
        let found = self
            .cluster
            .coordinator(CoordinatorKind::Group, &self.group, &tries)
            .await;
        let node = found.map_err(|error| match &error {
            ClientError::Broker { code, .. } => Failure::Code(*code),
            ClientError::Connect(reason) if !reason.retriable() => {
                Failure::Hopeless(error.to_string())
            }
            ClientError::Call(CallError::Unsupported { .. }) => {
                Failure::Hopeless(error.to_string())
            }
            error => Failure::Unreachable(error.to_string()),
        })?;
        let called = self
            .cluster
            .call(&Node::Id(node), lane, versions, timeout, request)
            .await;
        called.map_err(|error| {
            if error.retriable() {
                self.cluster
                    .forget_coordinator(CoordinatorKind::Group, &self.group, node);
                Failure::Unreachable(error.to_string())
            } else {
                Failure::Hopeless(error.to_string())
            }
        })
    }

    fn forget_coordinator(&self) {
        self.cluster
            .forget_coordinators(CoordinatorKind::Group, &self.group);
    }

    async fn carry_out(&self, call: Call) {
        let clock = self.cluster.clock();
        let request_timeout = self.cluster.config().request_timeout;
        match call {
            Call::Join(ticket, join) => {
                if let Some(sync) = self.join(ticket, &join).await {
                    Box::pin(self.carry_out(sync)).await;
                }
            }
            Call::Sync(ticket, sync) => self.sync(ticket, &sync).await,
            Call::Heartbeat(ticket, identity) => {
                // One that takes longer is not worth waiting for.
                let limit =
                    request_timeout.min(Duration::from_millis(self.settings.session_timeout));
                let answer = self.heartbeat(&identity, limit).await;
                let (now, random) = (clock.now(), clock.random());
                self.with(|membership| match answer {
                    Ok(()) => membership.beaten(ticket, now),
                    Err(failure) => membership.failed(ticket, failure, now, random),
                });
            }
            Call::Leave { member_id, reason } => {
                let left =
                    self.call::<LeaveGroupRequest>(Lane::General, 1..=5, LEAVE_LIMIT, |version| {
                        messages::leave(version, &self.group, &member_id, reason)
                    });
                if clock
                    .timeout(LEAVE_LIMIT, left)
                    .await
                    .is_none_or(|left| left.is_err())
                {
                    tracing::debug!(group = %self.group, "the coordinator did not hear of it");
                }
            }
        }
    }

    async fn join(&self, ticket: u64, join: &Join) -> Option<Call> {
        let limit = Duration::from_millis(self.settings.max_poll_interval) + JOIN_GRACE;
        let limit = limit.max(self.cluster.config().request_timeout);
        let oldest = if self.settings.instance_id.is_some() {
            5
        } else {
            2
        };
        let answer = self
            .call::<JoinGroupRequest>(self.lanes.join(), oldest..=9, limit, |version| {
                messages::join(version, &self.group, &self.settings, join)
            })
            .await
            .and_then(|response| messages::joined(&response));
        let clock = self.cluster.clock();
        match answer {
            Ok(joined) => {
                let counts = self.counts(Membership::topics_of(&joined)).await;
                let now = clock.now();
                self.with(|membership| membership.joined(ticket, joined, counts, now))
            }
            Err(failure) => {
                let (now, random) = (clock.now(), clock.random());
                self.with(|membership| membership.failed(ticket, failure, now, random));
                None
            }
        }
    }

    /// How many partitions these topics have; topics that are not there are left out.
    async fn counts(&self, topics: BTreeSet<Arc<str>>) -> BTreeMap<Arc<str>, i32> {
        let deadline = self
            .cluster
            .clock()
            .deadline(self.cluster.config().request_timeout);
        self.cluster.want_topics(topics.iter().cloned());
        let mut counts = BTreeMap::new();
        for topic in topics {
            // One that is not there is not waited for: when it comes, the group rebalances.
            if let Some(count) = self.cluster.partition_count(&topic, deadline).await {
                counts.insert(topic, count);
            } else {
                counts.insert(topic, 0);
            }
        }
        counts
    }

    async fn sync(&self, ticket: u64, sync: &Sync) {
        let limit = Duration::from_millis(self.settings.max_poll_interval) + JOIN_GRACE;
        let limit = limit.max(self.cluster.config().request_timeout);
        let answer = self
            .call::<SyncGroupRequest>(self.lanes.join(), 1..=5, limit, |version| {
                messages::sync(version, &self.group, sync)
            })
            .await;
        let clock = self.cluster.clock();
        let (now, random) = (clock.now(), clock.random());
        self.with(|membership| match answer {
            Ok(response) => match ErrorCode::from(response.error_code) {
                ErrorCode::None => membership.synced(ticket, &response.assignment, now),
                code => membership.failed(ticket, Failure::Code(code), now, random),
            },
            Err(failure) => membership.failed(ticket, failure, now, random),
        });
        // Partitions that came while the group was at it are seen by nobody else.
        self.look();
    }

    async fn heartbeat(&self, identity: &CommitIdentity, limit: Duration) -> Result<(), Failure> {
        let response = self
            .call::<HeartbeatRequest>(Lane::General, 1..=4, limit, |version| {
                messages::heartbeat(version, &self.group, identity)
            })
            .await?;
        match ErrorCode::from(response.error_code) {
            ErrorCode::None => Ok(()),
            code => Err(Failure::Code(code)),
        }
    }

    /// Gives up a join that may be under way: the next one must not wait for it.
    pub(super) fn hang_up(&self) {
        self.lanes.close_join();
    }

    /// Tells the coordinator that the member goes.
    pub(super) async fn say_goodbye(&self, leave: Option<Call>) {
        if let Some(leave) = leave {
            self.carry_out(leave).await;
        }
    }
}

/// Runs until the consumer is closed.
pub(super) async fn run(
    member: Arc<GroupMember>,
    shared: Arc<Shared>,
    mut closed: watch::Receiver<bool>,
) {
    let mut running = JoinSet::new();
    tokio::select! {
        () = drive(&member, &shared, &mut running) => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
    running.shutdown().await;
}

async fn drive(member: &Arc<GroupMember>, shared: &Shared, running: &mut JoinSet<()>) {
    let clock = member.cluster.clock();
    let mut changes = member.cluster.changes();
    let mut trouble = Trouble::default();
    loop {
        let mut report_at = u64::MAX;
        let step = {
            let mut membership = member.membership.lock();
            let now = clock.now();
            match trouble.watch(member, membership.trouble(), now.millis) {
                Ok(moment) => report_at = moment,
                Err(report) => {
                    *member.report.lock() = Some(report);
                    member.attention.store(true, Ordering::Release);
                    shared.wake_reader.notify_one();
                }
            }
            let read = member.polled.swap(false, Ordering::Relaxed);
            if read || member.reading.load(Ordering::Relaxed) {
                membership.polled(now);
            }
            let step = membership.step(now);
            if step.change || membership.over().is_some() {
                member.attention.store(true, Ordering::Release);
                shared.wake_reader.notify_one();
            }
            step
        };
        if step.find_coordinator {
            member.forget_coordinator();
        }
        for call in step.calls {
            let member = Arc::clone(member);
            running.spawn(async move { member.carry_out(call).await });
        }
        tokio::select! {
            () = member.wake.notified() => {}
            Some(_) = running.join_next() => {}
            _ = changes.changed() => member.look(),
            () = clock.sleep_until(step.deadline.unwrap_or(u64::MAX).min(report_at)) => {}
        }
    }
}

/// Since when there has been nothing but trouble with the coordinator.
#[derive(Default)]
struct Trouble {
    since: Option<u64>,
}

impl Trouble {
    /// Looks at the trouble of the moment, if there is any. Gives when to look again, or what to
    /// tell: `api_timeout` is how long the application is kept in hope.
    fn watch(
        &mut self,
        member: &GroupMember,
        trouble: Option<&str>,
        now: u64,
    ) -> Result<u64, ClientError> {
        let Some(trouble) = trouble else {
            self.since = None;
            return Ok(u64::MAX);
        };
        let patience = member.cluster.config().api_timeout;
        let since = *self.since.get_or_insert(now);
        let until = since.saturating_add(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        if now < until {
            return Ok(until);
        }
        // Told once, then hope begins anew.
        self.since = Some(now);
        Err(ClientError::Timeout {
            what: format!("membership of group {:?} ({trouble})", member.group),
            after: patience,
            last: None,
        })
    }
}
