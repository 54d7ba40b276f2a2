//! Runs a fetch: session, wait, read, answer.

use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use kafka_protocol::messages::{BrokerId, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;
use uuid::Uuid;

use super::super::context::code;
use super::super::memory::Room;
use super::super::step::Step;
use super::super::view::{Shared, View};
use super::FetchStep;
use super::sessions::{Found, Key, Plan, TopicKey, Wanted};
use crate::partition::{Bounds, Isolation, Partition, PartitionError, Signal};
use crate::types::{LeaderEpoch, Offset};

/// A partition of the plan: where it is, or why it cannot be read.
struct Target {
    wanted: Wanted,
    partition: Result<Arc<Partition>, PartitionError>,
}

/// What was read from one partition.
struct Read {
    bounds: Option<Bounds>,
    error: Option<ErrorCode>,
    diverging: Option<(LeaderEpoch, Offset)>,
    records: Bytes,
    /// There is no such partition.
    unknown: bool,
}

impl FetchStep {
    /// Waits as the request asks, reads and answers.
    pub(in super::super) async fn run(mut self: Box<Self>, shared: &Arc<Shared>) -> Step {
        let view = View::new(shared);
        let wanted = std::mem::take(&mut self.session.wanted);
        let forgotten = std::mem::take(&mut self.session.forgotten);
        let request = super::sessions::Request {
            wanted,
            forgotten,
            ..self.session
        };
        let plan = shared
            .fetch_sessions
            .lock()
            .begin(request, view.now.monotonic);
        let plan = match plan {
            Ok(plan) => plan,
            Err(error) => {
                let response = FetchResponse::default().with_error_code(code(error));
                return self.context.reply(&response);
            }
        };
        let targets: Vec<Target> = plan
            .partitions
            .iter()
            .map(|(key, wanted)| Target::find(&view, key, *wanted))
            .collect();
        self.wait(shared, &view, &targets).await;
        let (room, max_bytes) = self.room(shared, &plan);
        let reads = self.read_all(&targets, max_bytes);
        let read_bytes = reads.iter().map(|read| read.records.len()).sum();
        let found: Vec<Found> = reads.iter().map(Read::found).collect();
        let verdict =
            shared
                .fetch_sessions
                .lock()
                .finish(&plan, &found, view.now.monotonic, || {
                    shared.environment.entropy.next_u64() as i32
                });
        let rows = plan.partitions.iter().zip(reads).zip(verdict.include);
        let rows = rows
            .filter(|(_, include)| *include)
            .map(|((row, read), _)| (&row.0, read));
        let response = self
            .response(&view, rows)
            .with_session_id(verdict.session_id)
            .with_error_code(code(verdict.error));
        room.hold(read_bytes, self.context.reply(&response))
    }

    /// Rule 16: waits until there is enough, or something that ends the wait, or the time is up.
    async fn wait(&self, shared: &Shared, view: &View, targets: &[Target]) {
        if self.max_wait_ms <= 0 || targets.is_empty() {
            return;
        }
        let deadline = view.now.monotonic.plus_ms(self.max_wait_ms);
        let signal = Signal::default();
        let mut stopping = shared.stopping.clone();
        let mut timeout = None;
        loop {
            // Registered before looking, so that nothing that happens in between is missed.
            let mut registrations = Vec::new();
            for target in targets {
                let Ok(partition) = &target.partition else {
                    return;
                };
                let Ok(bounds) = partition.bounds() else {
                    return;
                };
                let next = bounds.high_watermark.plus(1);
                registrations.push(partition.high_watermark_progress().register(next, &signal));
            }
            if self.is_satisfied(targets) || *stopping.borrow() {
                return;
            }
            let timeout =
                timeout.get_or_insert_with(|| shared.environment.clock.sleep_until(deadline));
            tokio::select! {
                () = signal.notified() => {}
                () = timeout => return,
                _ = stopping.changed() => return,
            }
        }
    }

    /// Whether the answer need not wait any longer.
    fn is_satisfied(&self, targets: &[Target]) -> bool {
        let mut total = 0_u64;
        for target in targets {
            let Ok(partition) = &target.partition else {
                return true;
            };
            match target.precheck(partition, self.context.version) {
                Ok(Prechecked {
                    diverging: None, ..
                }) => {}
                _ => return true,
            }
            match partition.available(Offset(target.wanted.offset), self.isolation) {
                Err(_) => return true,
                Ok(available) if available.older_segment => return true,
                Ok(available) => {
                    // A partition counts for no more than may be sent of it, and one that is full
                    // ends the wait: more will not come of it.
                    let cap = u64::try_from(target.wanted.max_bytes).unwrap_or(0);
                    if available.bytes > 0 && available.bytes >= cap {
                        return true;
                    }
                    total += available.bytes.min(cap);
                }
            }
        }
        total >= self.min_bytes || total >= u64::from(self.max_bytes)
    }

    /// Memory for the answer, and the most bytes that it may have: what the request allows, unless
    /// memory is short.
    fn room(&self, shared: &Shared, plan: &Plan) -> (Room, u32) {
        let caps = plan.partitions.iter();
        let caps = caps.map(|(_, wanted)| u64::try_from(wanted.max_bytes).unwrap_or(0));
        let wanted = caps.sum::<u64>().min(u64::from(self.max_bytes));
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let room = shared.memory.answer(wanted);
        let max_bytes = match u32::try_from(room.bytes()) {
            Ok(short) if room.bytes() < wanted => short,
            _ => self.max_bytes,
        };
        (room, max_bytes)
    }

    /// Reads all partitions within the byte budget (rule 17), in the order of the plan. Rule 24, that
    /// none is starved, is the session's affair, which moves those that had data to its end; a
    /// client without one puts another first each time, and would be crossed by a broker that did
    /// so too.
    fn read_all(&self, targets: &[Target], max_bytes: u32) -> Vec<Read> {
        let mut budget = max_bytes;
        let mut nothing_yet = true;
        let reads = targets.iter().map(|target| {
            let read = target.read(self.context.version, self.isolation, budget, nothing_yet);
            if !read.records.is_empty() {
                nothing_yet = false;
                let taken = u32::try_from(read.records.len()).unwrap_or(u32::MAX);
                budget = budget.saturating_sub(taken);
            }
            read
        });
        reads.collect()
    }

    fn response<'a>(
        &self,
        view: &View,
        rows: impl Iterator<Item = (&'a Key, Read)>,
    ) -> FetchResponse {
        let mut topics: Vec<FetchableTopicResponse> = Vec::new();
        let mut last: Option<&TopicKey> = None;
        let mut epochs_differ = false;
        for (key, read) in rows {
            if last != Some(&key.topic) {
                let topic = FetchableTopicResponse::default();
                topics.push(match &key.topic {
                    TopicKey::Name(name) => topic.with_topic(TopicName(name.clone())),
                    TopicKey::Id(id) => topic.with_topic_id(*id),
                });
                last = Some(&key.topic);
            }
            epochs_differ |= read.error == Some(ErrorCode::FencedLeaderEpoch);
            let data = self.partition_data(view, key.partition, read);
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(data);
            }
        }
        let response = FetchResponse::default().with_responses(topics);
        if self.context.version < 16 || !epochs_differ {
            return response;
        }
        // KIP-951: whoever is told that the epoch is old is told of the leader at once.
        let endpoint = view.endpoint(&self.context.listener);
        let node = NodeEndpoint::default()
            .with_node_id(BrokerId(view.node.id))
            .with_host(StrBytes::from_string(endpoint.host))
            .with_port(i32::from(endpoint.port));
        response.with_node_endpoints(vec![node])
    }

    fn partition_data(&self, view: &View, index: i32, read: Read) -> PartitionData {
        let bounds = read.bounds;
        // Kafka leaves the offsets out (-1) with every error.
        let told = bounds.filter(|_| read.error.is_none());
        let offset = |pick: fn(&Bounds) -> Offset| told.as_ref().map_or(-1, |b| pick(b).0);
        let mut data = PartitionData::default()
            .with_partition_index(index)
            .with_error_code(read.error.map_or(0, code))
            .with_high_watermark(offset(|bounds| bounds.high_watermark))
            .with_last_stable_offset(offset(|bounds| bounds.last_stable))
            .with_log_start_offset(offset(|bounds| bounds.start))
            .with_preferred_read_replica(BrokerId(-1))
            .with_records(Some(read.records));
        // read_committed gets a list, empty as long as nothing was aborted; others get null.
        // So does, as in Kafka, a partition that was not even looked for.
        let listed = self.isolation == Isolation::ReadCommitted && read.error.is_none();
        data.aborted_transactions = (listed || read.unknown).then(Vec::new);
        if let Some((epoch, end)) = read.diverging {
            data.diverging_epoch = EpochEndOffset::default()
                .with_epoch(epoch.0)
                .with_end_offset(end.0);
        }
        if self.context.version >= 16
            && read.error == Some(ErrorCode::FencedLeaderEpoch)
            && let Some(bounds) = bounds
        {
            data.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(view.node.id))
                .with_leader_epoch(bounds.epoch.0);
        }
        data
    }
}

impl Target {
    fn find(view: &View, key: &Key, wanted: Wanted) -> Self {
        let error = |code| PartitionError {
            code,
            message: String::new(),
        };
        let partition = match &key.topic {
            TopicKey::Name(name) => view
                .partition(name, key.partition)
                .ok_or_else(|| error(ErrorCode::UnknownTopicOrPartition)),
            TopicKey::Id(id) => Self::find_by_id(view, *id, key.partition).map_err(error),
        };
        Self { wanted, partition }
    }

    /// Rule 27: an id that no topic has is told apart from one whose log has another id.
    fn find_by_id(view: &View, id: Uuid, index: i32) -> Result<Arc<Partition>, ErrorCode> {
        let topic = view.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)?;
        let partition = view
            .partition(&topic.name, index)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        Self::of_topic(partition, id)
    }

    fn of_topic(partition: Arc<Partition>, id: Uuid) -> Result<Arc<Partition>, ErrorCode> {
        match partition.topic_id() == id {
            true => Ok(partition),
            false => Err(ErrorCode::InconsistentTopicId),
        }
    }

    /// What can be refused without reading.
    fn precheck(&self, partition: &Partition, version: i16) -> Result<Prechecked, PartitionError> {
        partition.check_epoch(self.wanted.current_leader_epoch)?;
        let bounds = partition.bounds()?;
        let out_of_range = || PartitionError {
            code: ErrorCode::OffsetOutOfRange,
            message: format!("offset {} is not in the log", self.wanted.offset),
        };
        if version >= 12 && self.wanted.last_fetched_epoch >= 0 {
            // Rule 25, KIP-595: a consumer whose last epoch ended earlier has read what is gone.
            let last = LeaderEpoch(self.wanted.last_fetched_epoch);
            let (epoch, end) = partition.epoch_end(last)?;
            if epoch.0 < 0 || end.0 < 0 {
                return Err(out_of_range());
            }
            if epoch < last || end.0 < self.wanted.offset {
                return Ok(Prechecked {
                    bounds,
                    diverging: Some((epoch, end)),
                });
            }
        }
        if self.wanted.offset < bounds.start.0 || self.wanted.offset > bounds.end.0 {
            return Err(out_of_range());
        }
        Ok(Prechecked {
            bounds,
            diverging: None,
        })
    }

    fn read(&self, version: i16, isolation: Isolation, budget: u32, min_one: bool) -> Read {
        let partition = match &self.partition {
            Ok(partition) => partition,
            Err(error) => {
                return Read {
                    unknown: true,
                    ..Read::failed(error.code, None)
                };
            }
        };
        let known = partition.bounds().ok();
        let checked = match self.precheck(partition, version) {
            Ok(checked) => checked,
            Err(error) => return Read::failed(error.code, known),
        };
        let bounds = Some(checked.bounds);
        if checked.diverging.is_some() {
            return Read {
                diverging: checked.diverging,
                bounds,
                ..Read::nothing()
            };
        }
        let max_bytes = u32::try_from(self.wanted.max_bytes)
            .unwrap_or(0)
            .min(budget);
        let from = Offset(self.wanted.offset);
        match partition.read(from, isolation, max_bytes, min_one) {
            Ok(None) => Read {
                bounds,
                ..Read::nothing()
            },
            Ok(Some(slice)) => match slice.read() {
                Ok(records) => Read {
                    bounds,
                    records,
                    ..Read::nothing()
                },
                Err(error) => {
                    tracing::error!(partition = %partition.name(), %error, "cannot read the log");
                    Read::failed(ErrorCode::KafkaStorageError, bounds)
                }
            },
            Err(error) => Read::failed(error.code, bounds),
        }
    }
}

struct Prechecked {
    bounds: Bounds,
    diverging: Option<(LeaderEpoch, Offset)>,
}

impl Read {
    fn nothing() -> Self {
        Self {
            bounds: None,
            error: None,
            diverging: None,
            records: Bytes::new(),
            unknown: false,
        }
    }

    fn failed(error: ErrorCode, bounds: Option<Bounds>) -> Self {
        Self {
            error: Some(error),
            bounds,
            ..Self::nothing()
        }
    }

    fn found(&self) -> Found {
        let failed = self.error.is_some();
        let told = self.bounds.filter(|_| !failed);
        Found {
            has_records: !self.records.is_empty(),
            failed,
            diverging: self.diverging.is_some(),
            high_watermark: told.map_or(-1, |bounds| bounds.high_watermark.0),
            log_start: told.map_or(-1, |bounds| bounds.start.0),
        }
    }
}

#[cfg(test)]
mod tests;
