//! A consumer as a member of its group: subscribing, carrying out what a rebalance changes, and
//! committing.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidemark_protocol::ErrorCode;

use super::commit::{CommitIdentity, commit, fetch_committed};
use super::group::Change;
use super::lease::Lease;
use super::listener::RebalanceListener;
use super::member::{self, GroupMember, Wanted};
use super::{CommittedOffset, Consumer, ConsumerError};
use crate::cluster::Cluster;
use crate::error::ClientError;
use crate::topic_partition::TopicPartition;

/// What a member without partitions commits, and a consumer without a group.
fn no_group() -> ConsumerError {
    ConsumerError::Usage("the consumer has no group: make it with ConsumerConfig::group".to_owned())
}

impl Consumer {
    /// Reads these topics as a member of the group, which shares their partitions out among its
    /// members (Kafka: `Consumer.subscribe`). Replaces what was subscribed before. Joining begins
    /// at once, in the background; the partitions come with a read.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] if the consumer has no group, or was assigned partitions by
    /// [`Self::assign`]. A topic that does not exist is no error: it is read once it is there.
    pub fn subscribe<T: Into<Arc<str>>>(
        &mut self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(), ConsumerError> {
        let topics = topics.into_iter().map(Into::into).collect();
        self.begin(|_| Wanted::Topics(topics))
    }

    /// Reads all topics whose names `matches` says yes to, those that come later too (Kafka:
    /// `Consumer.subscribe` with a pattern). The cluster's own topics are left out.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`], as with [`Self::subscribe`].
    pub fn subscribe_matching(
        &mut self,
        matches: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Result<(), ConsumerError> {
        let all = self.shared.cluster.want_all();
        self.begin(|_| Wanted::Matching(Arc::new(matches), all))
    }

    fn begin(&mut self, wanted: impl FnOnce(&Self) -> Wanted) -> Result<(), ConsumerError> {
        let Some(member) = self.member.clone() else {
            return Err(no_group());
        };
        if self.member_driver.is_none() && !self.assignment().is_empty() {
            return Err(ConsumerError::Usage(
                "the consumer was assigned partitions: it cannot subscribe too".to_owned(),
            ));
        }
        let wanted = wanted(self);
        member.subscribe(wanted);
        if self.member_driver.is_none() {
            let shared = Arc::clone(&self.shared);
            let closed = shared.closed.subscribe();
            self.member_driver = Some(tokio::spawn(member::run(member, shared, closed)));
        }
        Ok(())
    }

    /// Tells `listener` from now on when partitions come and go, and no other one (Kafka: the
    /// `ConsumerRebalanceListener` of `Consumer.subscribe`).
    pub fn set_rebalance_listener(&mut self, listener: impl RebalanceListener) {
        *self.listener.get_mut() = Some(Box::new(listener));
    }

    /// The member's stay in its group, or the next one if there is none now; `None` without a group.
    /// Ask anew whenever partitions are assigned or lost: each stay has its own.
    #[must_use]
    pub fn lease(&self) -> Option<Lease> {
        let member = self.member.as_ref()?;
        Some(member.membership.lock().lease())
    }

    /// Leaves the group and reads nothing (Kafka: `Consumer.unsubscribe`). Commits first, unless
    /// [`super::ConsumerConfig::auto_commit`] is off.
    ///
    /// # Errors
    ///
    /// Those of [`Self::commit`], if there was something to commit and it could not be. The
    /// consumer has left all the same.
    pub async fn unsubscribe(&mut self) -> Result<(), ConsumerError> {
        self.set_cursor_aside();
        let committed = self.leave_group("the consumer unsubscribed").await;
        if let Some(driver) = self.member_driver.take() {
            driver.abort();
            if let Some(member) = &self.member {
                member.hang_up();
            }
        }
        let all = self.assignment();
        self.forget(&all);
        self.last_words = None;
        self.shared.cluster.keep_topics(&HashSet::new());
        committed
    }

    /// The last acts of a member.
    pub(super) async fn leave_group(&mut self, reason: &'static str) -> Result<(), ConsumerError> {
        let Some(member) = self.member.clone() else {
            return Ok(());
        };
        let mut committed = Ok(());
        if self.config.auto_commit.is_some() {
            committed = self.commit().await;
        }
        if self.member_driver.is_some() {
            let (owned, in_time) = {
                let membership = member.membership.lock();
                (membership.owned(), membership.identity().is_some())
            };
            let what = if in_time {
                Telling::Revoked
            } else {
                Telling::Lost
            };
            if !owned.is_empty() {
                self.tell(what, &owned).await;
            }
            let leave = member.leave(reason);
            member.say_goodbye(leave).await;
        }
        committed
    }

    /// Carries out what the group has changed, and tells if it cannot go on.
    pub(super) async fn serve_group(&mut self) -> Result<(), ConsumerError> {
        let Some(member) = self.member.clone() else {
            return Ok(());
        };
        if !member.attention.load(Ordering::Acquire) {
            return Ok(());
        }
        loop {
            member.attention.store(false, Ordering::Release);
            let change = member.membership.lock().begin_change();
            let Some(change) = change else { break };
            // If this read is dropped in the middle, the next one is to go on here.
            member.attention.store(true, Ordering::Release);
            self.set_cursor_aside();
            match change {
                Change::Revoke(gone) => {
                    if self.config.auto_commit.is_some() {
                        self.commit_last_words().await;
                    }
                    self.tell(Telling::Revoked, &gone).await;
                    self.forget(&gone);
                }
                Change::Lose(gone) => {
                    self.last_words = None;
                    self.forget(&gone);
                    self.tell(Telling::Lost, &gone).await;
                }
                Change::Assign(new) => {
                    self.last_words = None;
                    let topics = new.iter().map(|partition| Arc::clone(&partition.topic));
                    self.shared.cluster.want_topics(topics);
                    self.shared.change(|fetcher| fetcher.add(&new, true));
                    self.tell(Telling::Assigned, &new).await;
                }
            }
            member.with(|membership| membership.changed());
        }
        self.told_over(&member)
    }

    /// Commits before partitions go. Best effort: what is not committed is read again by whoever
    /// comes next. Goes on in the background if the read is dropped meanwhile, so that even many
    /// short reads come to an end with it.
    async fn commit_last_words(&mut self) {
        if self.last_words.is_none() {
            let offsets = self.positions_to_commit();
            self.last_words = self.committing(offsets).ok().map(tokio::spawn);
        }
        if let Some(committing) = &mut self.last_words {
            let done = committing.await;
            self.last_words = None;
            if let Ok(Err(error)) = done {
                tracing::warn!(%error, "not committed");
            }
        }
    }

    fn forget(&mut self, gone: &[TopicPartition]) {
        self.shared.change(|fetcher| fetcher.remove(gone));
        self.drop_stale_cursor();
    }

    fn told_over(&self, member: &GroupMember) -> Result<(), ConsumerError> {
        if let Some(report) = member.report.lock().take() {
            return Err(report.into());
        }
        let Some((code, reason)) = member.membership.lock().over() else {
            return Ok(());
        };
        // Every read tells again.
        member.attention.store(true, Ordering::Release);
        Err(ConsumerError::Group {
            group: member.group.clone(),
            code,
            reason,
        })
    }

    async fn tell(&mut self, what: Telling, partitions: &[TopicPartition]) {
        let listener = self.listener.get_mut().take();
        // Puts it back also if the read is dropped in the middle.
        let mut holder = Holder {
            consumer: self,
            listener,
        };
        let Holder { consumer, listener } = &mut holder;
        let Some(listener) = listener else { return };
        match what {
            Telling::Assigned => listener.assigned(consumer, partitions).await,
            Telling::Revoked => listener.revoked(consumer, partitions).await,
            Telling::Lost => listener.lost(consumer, partitions).await,
        }
    }

    // ---- committing ----

    /// Commits the positions of all partitions: everything that has been given out counts as read
    /// (Kafka: `Consumer.commitSync`). Tries again as long as that can help, within
    /// [`crate::ClientConfig::api_timeout`].
    ///
    /// # Errors
    ///
    /// - [`ConsumerError::Usage`]: the consumer has no group.
    /// - [`ConsumerError::Group`]: it is not a member at the moment, the group is rebalancing
    ///   (`REBALANCE_IN_PROGRESS`: read on, and commit again), it has gone on without this member
    ///   (`UNKNOWN_MEMBER_ID`, `ILLEGAL_GENERATION`), or another one has its instance id
    ///   (`FENCED_INSTANCE_ID`).
    /// - [`ConsumerError::Client`]: [`ClientError::Timeout`] when `api_timeout` is over,
    ///   [`ClientError::Broker`] when the coordinator refuses (`GROUP_AUTHORIZATION_FAILED`,
    ///   `OFFSET_METADATA_TOO_LARGE`), else as [`ClientError`] says.
    pub async fn commit(&mut self) -> Result<(), ConsumerError> {
        let offsets = self.positions_to_commit();
        self.commit_offsets(offsets).await
    }

    /// Commits these offsets: each is that of the record to be read next (Kafka:
    /// `Consumer.commitSync(Map)`). A consumer that has a group and has not subscribed commits from
    /// outside of it, which works while the group has no members.
    ///
    /// # Errors
    ///
    /// Those of [`Self::commit`].
    pub async fn commit_offsets(
        &mut self,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<(), ConsumerError> {
        self.committing(offsets)?.await
    }

    /// Commits the positions of all partitions, and gives a future of how that goes (Kafka:
    /// `Consumer.commitAsync`). Commits are carried out in the order of the calls. The future does
    /// nothing of its own: dropping it gives up the outcome only.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Usage`] at once if the consumer has no group. The future has those of
    /// [`Self::commit`].
    pub fn commit_async(
        &mut self,
    ) -> Result<impl Future<Output = Result<(), ConsumerError>> + Send + use<>, ConsumerError> {
        let offsets = self.positions_to_commit();
        let committing = self.committing(offsets)?;
        let task = tokio::spawn(committing);
        Ok(async move {
            task.await
                .unwrap_or_else(|_| Err(ClientError::Closed.into()))
        })
    }

    /// The group's offsets of these partitions; those that have none are left out (Kafka:
    /// `Consumer.committed`). Offsets of transactions that are still open are waited for (KIP-447).
    ///
    /// # Errors
    ///
    /// - [`ConsumerError::Usage`]: the consumer has no group.
    /// - [`ConsumerError::Client`]: [`ClientError::Timeout`] when
    ///   [`crate::ClientConfig::api_timeout`] is over, [`ClientError::Broker`] when the coordinator
    ///   refuses, else as [`ClientError`] says.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, CommittedOffset>, ConsumerError> {
        let cluster = &self.shared.cluster;
        let group = self.shared.group.as_deref().ok_or_else(no_group)?;
        let limit = cluster.config().api_timeout;
        Ok(fetch_committed(cluster, group, Some(partitions), limit).await?)
    }

    fn positions_to_commit(&mut self) -> Vec<(TopicPartition, CommittedOffset)> {
        self.set_cursor_aside();
        let positions = self.shared.fetcher.lock().positions();
        positions
            .into_iter()
            .map(|(partition, position)| {
                let offset = CommittedOffset {
                    leader_epoch: position.epoch,
                    ..CommittedOffset::new(position.offset)
                };
                (partition, offset)
            })
            .collect()
    }

    fn committing(
        &mut self,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    ) -> Result<impl Future<Output = Result<(), ConsumerError>> + Send + use<>, ConsumerError> {
        let member = self.member.clone().ok_or_else(no_group)?;
        let identity = if self.member_driver.is_some() {
            member.membership.lock().identity()
        } else {
            Some(CommitIdentity::outsider())
        };
        let cluster = self.shared.cluster.clone();
        let deadline = cluster.clock().deadline(cluster.config().api_timeout);
        let mut turn = self.commits.join();
        Ok(async move {
            let clock = cluster.clock();
            tokio::select! {
                () = turn.wait() => {}
                () = clock.sleep_until(deadline) => return Err(late(&cluster, &member.group)),
            }
            if offsets.is_empty() {
                return Ok(());
            }
            let Some(identity) = identity else {
                return Err(ConsumerError::Group {
                    group: member.group.clone(),
                    code: ErrorCode::UnknownMemberId,
                    reason: "the consumer is not a member at the moment: its partitions may be \
                             another one's"
                        .to_owned(),
                });
            };
            let left = deadline.saturating_sub(clock.now().millis);
            let limit = Duration::from_millis(left);
            let done = commit(&cluster, &member.group, &identity, &offsets, limit).await;
            done.map_err(|error| explain(&member, &identity, error))
        })
    }

    /// Commits in the background, if it is time.
    pub(super) fn commit_if_due(&mut self) {
        let Some(interval) = self.config.auto_commit else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        let clock = shared.cluster.clock();
        if clock.now().millis < shared.commit_at.load(Ordering::Relaxed) {
            return;
        }
        let next = clock.deadline(interval);
        shared.commit_at.store(next, Ordering::Relaxed);
        // Has it look for when to remind of the next one.
        shared.wake_driver.notify_one();
        if self
            .auto_commit
            .as_ref()
            .is_some_and(|last| !last.is_finished())
        {
            // It takes long: another one would only wait behind it.
            return;
        }
        let offsets = self.positions_to_commit();
        let Ok(committing) = self.committing(offsets) else {
            shared.commit_at.store(u64::MAX, Ordering::Relaxed);
            return;
        };
        self.auto_commit = Some(tokio::spawn(async move {
            if let Err(error) = committing.await {
                tracing::warn!(%error, "not committed");
            }
        }));
    }
}

/// The commits before it have taken all the time that it had.
fn late(cluster: &Cluster, group: &str) -> ConsumerError {
    let error = ClientError::Timeout {
        what: format!("committing offsets of group {group:?}, behind earlier commits"),
        after: cluster.config().api_timeout,
        last: None,
    };
    error.into()
}

/// What an error of a commit means to the group.
fn explain(member: &GroupMember, identity: &CommitIdentity, error: ClientError) -> ConsumerError {
    let Some(code) = error.code() else {
        return error.into();
    };
    member.with(|membership| membership.commit_refused(code, identity.generation));
    let reason = match code {
        ErrorCode::RebalanceInProgress => {
            "the group is rebalancing: read on, and commit again after that"
        }
        ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
            "the group has gone on without this consumer, and the partitions may be another one's: \
             it was silent for longer than session_timeout, or busy for longer than \
             max_poll_interval"
        }
        ErrorCode::FencedInstanceId => "another member has come under the same instance id",
        _ => return error.into(),
    };
    ConsumerError::Group {
        group: member.group.clone(),
        code,
        reason: format!("not committed, {code}: {reason}"),
    }
}

#[derive(Clone, Copy)]
enum Telling {
    Assigned,
    Revoked,
    Lost,
}

/// Puts the listener back.
struct Holder<'a> {
    consumer: &'a mut Consumer,
    listener: Option<Box<dyn RebalanceListener>>,
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.take() {
            *self.consumer.listener.get_mut() = Some(listener);
        }
    }
}
