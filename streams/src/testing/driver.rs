//! The test driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::log::{Logs, Stored};
use crate::data::{Data, Payload};
use crate::error::StreamsError;
use crate::operator::Counts;
use crate::query::{Access, QueryError, StoreReader};
use crate::record::{Headers, Record};
use crate::runtime::TaskId;
use crate::runtime::shared::changelog_topic;
use crate::runtime::spent::Spent;
use crate::runtime::task::{CHUNK, Position, Task, TaskConfig};
use crate::state::{Entry, Globals};
use crate::time::Idleness;
use crate::topology::Topology;

/// How a [`TestDriver`] runs its topology.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// The application's id: the names of internal topics begin with it.
    pub application: String,
    /// The most records that go through the operators together. What comes out does not depend on
    /// it.
    pub chunk: usize,
    /// After so long without records, by the driver's clock, a source partition does not hold the
    /// watermark back any more.
    pub idle_after: Option<Duration>,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            application: "test".to_owned(),
            chunk: CHUNK,
            idle_after: None,
        }
    }
}

/// Runs a topology without a cluster (Kafka: `TopologyTestDriver`): topics are in memory, time moves
/// when it is told to, and the tasks are the very ones that run in an application.
///
/// ```
/// use tidemark_streams::StreamsBuilder;
/// use tidemark_streams::testing::TestDriver;
///
/// let builder = StreamsBuilder::new();
/// builder.stream::<String, i64>("in").map_values(|n| n * 2).to("out");
/// let mut driver = TestDriver::new(&builder.build()?);
/// driver.pipe("in", "a".to_owned(), 21_i64, 0)?;
/// assert_eq!(driver.read::<String, i64>("out")?[0].value, 42);
/// # Ok::<(), tidemark_streams::StreamsError>(())
/// ```
pub struct TestDriver {
    topology: Topology,
    config: DriverConfig,
    logs: Logs,
    globals: Globals,
    tasks: BTreeMap<(usize, i32), Mutex<Running>>,
    /// What was committed, by task.
    committed: BTreeMap<(usize, i32), Position>,
    /// How far each topic's partitions have been read by the test.
    read: BTreeMap<(Arc<str>, u32), usize>,
    wall: i64,
    started: bool,
}

struct Running {
    task: Task,
    /// By source partition: how many records it has been given.
    given: Vec<usize>,
    /// By store: from when on what of its changelog is not wanted.
    spent: BTreeMap<usize, Spent>,
}

impl TestDriver {
    /// A driver with everything as usual, and one partition for each topic.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        Self::with_config(topology, DriverConfig::default())
    }

    /// A driver that runs so.
    #[must_use]
    pub fn with_config(topology: &Topology, config: DriverConfig) -> Self {
        Self {
            topology: topology.clone(),
            config,
            logs: Logs::default(),
            globals: Globals::default(),
            tasks: BTreeMap::new(),
            committed: BTreeMap::new(),
            read: BTreeMap::new(),
            wall: 0,
            started: false,
        }
    }

    /// Gives a topic so many partitions. Only before the first record.
    pub fn partitions(&mut self, topic: &str, count: u32) -> &mut Self {
        self.logs.set_partitions(topic, count.max(1));
        self
    }

    /// Writes a record to a topic and runs everything that follows from it.
    ///
    /// # Errors
    ///
    /// Whatever would end the application.
    pub fn pipe<K: Data, V: Data>(
        &mut self,
        topic: &str,
        key: K,
        value: V,
        timestamp: i64,
    ) -> Result<(), StreamsError> {
        self.feed(topic, &Record::new(key, value, timestamp))?;
        self.run()
    }

    /// Writes a record to a topic. [`Self::run`] has it processed.
    ///
    /// # Errors
    ///
    /// [`StreamsError::Encode`] of what has no bytes.
    pub fn feed<K: Data, V: Data>(
        &mut self,
        topic: &str,
        record: &Record<K, V>,
    ) -> Result<(), StreamsError> {
        self.feed_to(topic, None, record)
    }

    /// Writes a record to a partition of a topic; `None` is that of its key.
    ///
    /// # Errors
    ///
    /// [`StreamsError::Encode`] of what has no bytes.
    pub fn feed_to<K: Data, V: Data>(
        &mut self,
        topic: &str,
        partition: Option<u32>,
        record: &Record<K, V>,
    ) -> Result<(), StreamsError> {
        let bytes = |data: &dyn Fn(&mut Vec<u8>) -> Result<Option<Vec<u8>>, crate::DataError>| {
            data(&mut Vec::new()).map_err(|error| StreamsError::Encode {
                topic: topic.to_owned(),
                error,
            })
        };
        let key = bytes(&|out| Ok(record.key.encode(out)?.map(<[u8]>::to_vec)))?;
        let value = bytes(&|out| Ok(record.value.encode(out)?.map(<[u8]>::to_vec)))?;
        let stored = Stored {
            key,
            value,
            timestamp: record.timestamp,
            headers: record.headers.clone(),
        };
        self.logs.append(&topic.into(), partition, stored);
        Ok(())
    }

    /// Writes a record as it is to a topic, whether it decodes or not. [`Self::run`] has it
    /// processed.
    pub fn feed_bytes(
        &mut self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: i64,
    ) {
        let stored = Stored {
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            timestamp,
            headers: Headers::default(),
        };
        self.logs.append(&topic.into(), None, stored);
    }

    /// Processes what has been written, and what follows from it, until there is no more. Where records
    /// between tasks wait for a commit, it commits.
    ///
    /// # Errors
    ///
    /// Whatever would end the application.
    pub fn run(&mut self) -> Result<(), StreamsError> {
        self.start()?;
        loop {
            let mut busy = false;
            self.fill_globals()?;
            for (id, running) in &mut self.tasks {
                let running = running.get_mut();
                if is_global(&self.topology, *id) {
                    continue;
                }
                busy |= running.work(&mut self.logs, self.wall)?;
            }
            if !busy && !self.commit_held()? {
                return Ok(());
            }
        }
    }

    /// Lets global tables have what is in their topics, before anybody looks things up in them.
    fn fill_globals(&mut self) -> Result<(), StreamsError> {
        for (id, running) in &mut self.tasks {
            let running = running.get_mut();
            if is_global(&self.topology, *id) {
                running.work(&mut self.logs, self.wall)?;
            }
        }
        Ok(())
    }

    /// Moves the wall clock on, which schedules by the clock and idle partitions go by, and how often
    /// repartition topics are told of the watermark.
    ///
    /// # Errors
    ///
    /// Whatever would end the application.
    pub fn advance_wall(&mut self, by: Duration) -> Result<(), StreamsError> {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.wall = self.wall.saturating_add(by);
        self.start()?;
        for running in self.tasks.values_mut().map(Mutex::get_mut) {
            running.advance(self.wall)?;
            running.write(&mut self.logs);
        }
        self.run()
    }

    /// Moves event time of all tasks to that watermark, whatever records say: first that of those in
    /// front, so that what comes out of them is not late for those behind.
    ///
    /// # Errors
    ///
    /// Whatever would end the application.
    pub fn advance_watermark(&mut self, watermark: i64) -> Result<(), StreamsError> {
        self.start()?;
        for part in self.topology.in_order() {
            for (_, running) in self.tasks.range_mut((part, 0)..(part + 1, 0)) {
                let running = running.get_mut();
                running.task.set_watermark(watermark)?;
                while running.task.go_on()? {}
                running.write(&mut self.logs);
            }
            self.run()?;
        }
        Ok(())
    }

    /// Closes everything that is open, as if event time had passed all of it
    /// ([`crate::Streams::run_until_caught_up`]).
    ///
    /// # Errors
    ///
    /// Whatever would end the application.
    pub fn finish(&mut self) -> Result<(), StreamsError> {
        self.run()?;
        for part in self.topology.in_order() {
            let mut more = true;
            while more {
                more = false;
                for (_, running) in self.tasks.range_mut((part, 0)..(part + 1, 0)) {
                    let running = running.get_mut();
                    more |= running.task.close_open()?;
                    running.write(&mut self.logs);
                }
                self.run()?;
            }
        }
        Ok(())
    }

    /// The records of a topic that have not been read yet, partition by partition.
    ///
    /// # Errors
    ///
    /// [`StreamsError::Decode`] if they are not of these types.
    pub fn read<K: Data, V: Data>(
        &mut self,
        topic: &str,
    ) -> Result<Vec<Record<K, V>>, StreamsError> {
        let mut records = Vec::new();
        let name: Arc<str> = topic.into();
        for partition in 0..self.partition_count(topic) {
            let from = self.read.entry((Arc::clone(&name), partition)).or_default();
            let log = self.logs.partition(topic, partition);
            for (offset, stored) in log.iter().enumerate().skip(*from) {
                records.push(stored.decode(topic, partition, offset)?);
            }
            *from = log.len();
        }
        Ok(records)
    }

    fn partition_count(&self, topic: &str) -> u32 {
        let topics = self.logs.topics().find(|(name, _)| &***name == topic);
        topics.map_or(1, |(_, logs)| logs.len() as u32)
    }

    /// Everything that lies in a topic's partitions: key, value and timestamp of each record, as
    /// bytes.
    #[must_use]
    #[allow(clippy::type_complexity, reason = "plain data for comparisons")]
    pub fn bytes(&self, topic: &str) -> Vec<Vec<(Option<Vec<u8>>, Option<Vec<u8>>, i64)>> {
        let partitions = (0..self.partition_count(topic)).map(|partition| {
            let log = self.logs.partition(topic, partition).iter();
            log.map(|r| (r.key.clone(), r.value.clone(), r.timestamp))
                .collect()
        });
        partitions.collect()
    }

    /// A store of all tasks, or a global table, by its name, as [`crate::Streams::store`] has it.
    ///
    /// # Errors
    ///
    /// [`QueryError::UnknownStore`] with the names that there are.
    pub fn store(&self, name: &str) -> Result<StoreReader<'_>, QueryError> {
        Access::Driven(self).store(name)
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(crate) fn globals(&self) -> &Globals {
        &self.globals
    }

    pub(crate) fn task_count(&self, subtopology: usize) -> u32 {
        let own = self.tasks.keys().filter(|id| id.0 == subtopology);
        own.count() as u32
    }

    pub(crate) fn task_ids(&self) -> Vec<TaskId> {
        let ids = self.tasks.keys().map(|(subtopology, partition)| TaskId {
            subtopology: *subtopology,
            partition: *partition,
        });
        ids.collect()
    }

    pub(crate) fn with_task<R>(&self, id: TaskId, look: &mut dyn FnMut(&Task) -> R) -> Option<R> {
        let running = self.tasks.get(&(id.subtopology, id.partition))?;
        Some(look(&running.lock().task))
    }

    pub(crate) fn each_task<E>(
        &self,
        subtopology: usize,
        call: &mut dyn FnMut(TaskId, &Task) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut own = self.tasks.iter().filter(|(id, _)| id.0 == subtopology);
        own.try_for_each(|((_, partition), running)| {
            let id = TaskId {
                subtopology,
                partition: *partition,
            };
            call(id, &running.lock().task)
        })
    }

    /// What the store of that name holds in all tasks, as its changelog would have it: for tests of
    /// this crate.
    ///
    /// # Errors
    ///
    /// [`StreamsError::State`] of what has no bytes.
    #[doc(hidden)]
    #[allow(clippy::type_complexity, reason = "plain data for comparisons")]
    pub fn store_entries(&mut self, name: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StreamsError> {
        let mut all = Vec::new();
        for running in self.tasks.values_mut().map(Mutex::get_mut) {
            for (number, store) in running.task.stores() {
                if self.topology.stores[number].name != name {
                    continue;
                }
                let told = store.entries(&mut |entry| {
                    let value = entry.value.unwrap_or_default();
                    all.push((entry.key.to_vec(), value.to_vec()));
                });
                told.map_err(|error| StreamsError::State {
                    store: name.to_owned(),
                    error,
                })?;
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    /// The first and last offsets of a store's changelog, by partition: for tests of this crate.
    #[doc(hidden)]
    #[must_use]
    pub fn changelog_ranges(&self, store: &str) -> Vec<(usize, usize)> {
        let topic = changelog_topic(&self.config.application, store);
        let partitions = 0..self.partition_count(&topic);
        partitions
            .map(|partition| self.logs.range(&topic, partition))
            .collect()
    }

    /// About how many bytes all stores and global tables take, as an application counts them: for tests
    /// of this crate.
    #[doc(hidden)]
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let stores = Access::Driven(self).stores().into_iter();
        stores.map(|store| store.bytes).sum()
    }

    /// Stops without a commit: for tests of this crate.
    #[doc(hidden)]
    pub fn stop(&mut self) {
        self.tasks.clear();
        self.globals = Globals::default();
        self.started = false;
    }

    /// The names of all topics that something has been written to.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.logs
            .topics()
            .map(|(name, _)| name.to_string())
            .collect()
    }

    /// What all tasks have counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for running in self.tasks.values() {
            all.add(running.lock().task.counts());
        }
        all
    }

    /// The smallest watermark of all tasks.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        let tasks = self.tasks.iter();
        tasks
            .filter(|(id, _)| !is_global(&self.topology, **id))
            .map(|(_, running)| running.lock().task.watermark())
            .min()
            .unwrap_or(i64::MIN)
    }

    /// Commits: what has changed in the stores goes to their changelogs, positions are kept.
    ///
    /// # Errors
    ///
    /// [`StreamsError::State`] of what has no bytes.
    pub fn commit(&mut self) -> Result<(), StreamsError> {
        for (id, running) in &mut self.tasks {
            let running = running.get_mut();
            if is_global(&self.topology, *id) {
                continue;
            }
            let (topology, logs) = (&self.topology, &mut self.logs);
            let application = &self.config.application;
            running.task.take_changes(topology, &mut |store, entry| {
                let spec = &topology.stores[store];
                if spec.changelog.is_some() {
                    let topic = changelog_topic(application, &spec.name);
                    let stored = Stored {
                        key: Some(entry.key.to_vec()),
                        value: entry.value.map(<[u8]>::to_vec),
                        timestamp: 0,
                        headers: Headers::default(),
                    };
                    logs.append(&topic, Some(id.1 as u32), stored);
                }
                true
            })?;
            running.cut(&self.topology, application, id.1 as u32, &mut self.logs);
            self.committed.insert(*id, running.task.position());
            running.task.committed()?;
            running.write(&mut self.logs);
        }
        Ok(())
    }

    /// Commits if something waits for that; whether it does.
    fn commit_held(&mut self) -> Result<bool, StreamsError> {
        let mut tasks = self.tasks.values_mut().map(Mutex::get_mut);
        let held = tasks.any(|running| running.task.outbox().held() > 0);
        if held {
            self.commit()?;
        }
        Ok(held)
    }

    /// Commits, stops, and goes on from what was committed.
    ///
    /// # Errors
    ///
    /// Whatever would end the application.
    pub fn restart(&mut self) -> Result<(), StreamsError> {
        self.commit()?;
        self.crash()
    }

    /// Stops without a commit, and goes on from the last one: what was processed since is processed
    /// again.
    ///
    /// # Errors
    ///
    /// Whatever would end the application.
    pub fn crash(&mut self) -> Result<(), StreamsError> {
        self.stop();
        self.start()?;
        self.run()
    }

    fn start(&mut self) -> Result<(), StreamsError> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        self.size_internal_topics();
        self.globals = Globals::new(&self.topology, 0);
        for number in 0..self.topology.subtopologies.len() {
            let sources = self.topology.subtopologies[number].sources.iter();
            let application = &self.config.application;
            let counts = sources.map(|topic| self.logs.count(&topic.resolve(application)));
            for partition in 0..counts.max().unwrap_or(1) {
                self.start_task(number, partition as i32)?;
            }
        }
        Ok(())
    }

    /// Repartition topics have as many partitions as the largest topic that flows into them.
    fn size_internal_topics(&mut self) {
        let application = self.config.application.clone();
        for (topic, count) in self
            .topology
            .internal_partitions(&|topic| self.logs.count(topic))
        {
            self.logs
                .set_partitions(&topic.resolve(&application), count);
        }
    }

    fn start_task(&mut self, subtopology: usize, partition: i32) -> Result<(), StreamsError> {
        let mut task = Task::new(
            &self.topology,
            &TaskConfig {
                application: &self.config.application,
                subtopology,
                partition,
                partitions: &|topic| self.logs.count(topic),
                globals: &self.globals,
                chunk: self.config.chunk,
                // Whatever can be left for later is.
                outbox: 0,
                seed: 0,
                idleness: self.config.idle_after.map(|limit| Idleness {
                    after: i64::try_from(limit.as_millis()).unwrap_or(i64::MAX),
                    // It is always known what there is.
                    step: i64::MAX,
                }),
                given: None,
            },
        );
        let mut given = vec![0; task.inputs().count()];
        if let Some(position) = self.committed.get(&(subtopology, partition)) {
            for (number, store) in task.stores() {
                let spec = &self.topology.stores[number];
                let topic = changelog_topic(&self.config.application, &spec.name);
                let (start, _) = self.logs.range(&topic, partition as u32);
                let log = self.logs.partition(&topic, partition as u32);
                for stored in &log[start..] {
                    let entry = Entry {
                        key: stored.key.as_deref().unwrap_or_default(),
                        value: stored.value.as_deref(),
                    };
                    store.restore(entry).map_err(|error| StreamsError::State {
                        store: spec.name.clone(),
                        error,
                    })?;
                }
            }
            task.resume(position);
            for (given, (_, offset, _)) in given.iter_mut().zip(&position.inputs) {
                *given = *offset as usize;
            }
        }
        task.committed()?;
        let mut running = Running {
            task,
            given,
            spent: BTreeMap::new(),
        };
        running.advance(self.wall)?;
        self.tasks
            .insert((subtopology, partition), Mutex::new(running));
        Ok(())
    }
}

/// Whether a task fills a global table.
fn is_global(topology: &Topology, (subtopology, _): (usize, i32)) -> bool {
    topology.subtopologies[subtopology].global
}

impl Running {
    /// Deletes what is spent of changelogs, right behind a commit, as it is done in an application now
    /// and then.
    fn cut(&mut self, topology: &Topology, application: &str, partition: u32, logs: &mut Logs) {
        for (number, store) in self.task.stores() {
            let spec = &topology.stores[number];
            let (Some(expiry), Some(_)) = (store.expiry(), spec.changelog) else {
                continue;
            };
            let topic = changelog_topic(application, &spec.name);
            let (_, end) = logs.range(&topic, partition);
            let spent = self.spent.entry(number).or_default();
            if let Some(upto) = spent.note(expiry, end as i64) {
                logs.cut(&topic, partition, upto as usize);
            }
        }
    }

    /// Processes what has come and writes what follows; whether there was something.
    fn work(&mut self, logs: &mut Logs, wall: i64) -> Result<bool, StreamsError> {
        let mut busy = self.give(logs);
        while self.task.step()? {
            busy = true;
        }
        // Watermarks go on to the next tasks, as they do now and then in an application.
        self.advance(wall)?;
        Ok(busy | self.write(logs))
    }

    /// Tells the task what time it is, and that all it does not have is not there.
    fn advance(&mut self, wall: i64) -> Result<(), StreamsError> {
        (0..self.given.len()).for_each(|input| self.task.set_heard(input, wall));
        self.task.advance(wall, false)?;
        while self.task.go_on()? {}
        Ok(())
    }

    /// Gives the task what has come since; whether there was something.
    fn give(&mut self, logs: &Logs) -> bool {
        let mut some = false;
        let inputs: Vec<_> = self.task.inputs().cloned().collect();
        for (at, input) in inputs.iter().enumerate() {
            let partition = input.partition as u32;
            let built = logs.batch(&input.topic, partition, self.given[at]);
            let (batches, end) = built.expect("what is in a log fits into a batch");
            some |= !batches.is_empty();
            self.given[at] = end as usize;
            self.task.push(at, batches, end, true);
        }
        some
    }

    /// Writes what the task wants written; whether there was something.
    fn write(&mut self, logs: &mut Logs) -> bool {
        let outbox = self.task.outbox();
        for at in 0..outbox.len() {
            if let Some(record) = outbox.get(at) {
                let stored = Stored {
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp: record.timestamp.unwrap_or(-1),
                    headers: record.headers.clone(),
                };
                logs.append(record.topic, record.partition, stored);
            }
        }
        let some = outbox.len() > 0;
        outbox.clear();
        some
    }
}

impl Stored {
    fn decode<K: Data, V: Data>(
        &self,
        topic: &str,
        partition: u32,
        offset: usize,
    ) -> Result<Record<K, V>, StreamsError> {
        let failed = |error: crate::DataError| StreamsError::Decode {
            topic: topic.to_owned(),
            partition: partition as i32,
            offset: offset as i64,
            reason: error.to_string(),
        };
        let key = K::decode(Payload::new(self.key.as_deref())).map_err(failed)?;
        let value = V::decode(Payload::new(self.value.as_deref())).map_err(failed)?;
        let mut record = Record::new(key, value, self.timestamp);
        record.headers = self.headers.clone();
        Ok(record)
    }
}
