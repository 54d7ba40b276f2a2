//! Which tasks have a store, and what is read in each.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use tidemark_client::producer::{DefaultPartitioner, Partitioner};

use super::reads::{AnyReads, Found, Keys, Query, Reads, Row, Rows, Scan, place, up_to_bytes};
use super::{KeyValueReader, QueryError, SessionReader, WindowReader};
use crate::data::{Data, DataError};
use crate::runtime::shared::Shared;
use crate::runtime::task::Task;
use crate::runtime::{Progress, TaskId};
use crate::state::Store;
use crate::testing::TestDriver;
use crate::time::Window;
use crate::topology::Topology;

/// What a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// One value for each key.
    KeyValue,
    /// Values by key and window.
    Windows,
    /// Values by key and session.
    Sessions,
    /// What an operator keeps for itself, a join its records, say. It cannot be read.
    Internal,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KeyValue => "a key-value store",
            Self::Windows => "a window store",
            Self::Sessions => "a session store",
            Self::Internal => "what an operator keeps for itself",
        })
    }
}

/// What there is to know of a store without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Its name.
    pub name: String,
    /// What it keeps.
    pub kind: Kind,
    /// The type of its keys, in words; empty if it cannot be read.
    pub keys: String,
    /// The type of its values, in words; empty if it cannot be read.
    pub values: String,
    /// How many keys it has in the tasks that run here, each window of a key counted.
    pub entries: usize,
    /// About how many bytes it takes in them.
    pub bytes: usize,
    /// The tasks that have it and run here; none for a global table, which every instance has.
    pub tasks: Vec<TaskId>,
}

/// How rows of one key are read, and how large they are then.
pub(crate) struct Reading<'a, V> {
    pub(crate) read: &'a dyn Fn(&dyn Any, &Query<'_>) -> Rows<V>,
    pub(crate) size: fn(&Row<V>) -> usize,
}

/// Rows, and where there are more.
pub(crate) struct Page<V> {
    pub(crate) rows: Vec<Row<V>>,
    /// What was looked at last, if there is something behind it.
    pub(crate) next: Next,
}

/// A key and its window.
pub(crate) type Next = Option<(Vec<u8>, Option<Window>)>;

/// Where tasks are.
#[derive(Clone)]
pub(crate) enum Access<'a> {
    Running(Arc<Shared>),
    Driven(&'a TestDriver),
}

/// Where a store is in its topology.
#[derive(Clone, Copy)]
enum At {
    Store { number: usize, subtopology: usize },
    Global(usize),
}

impl<'a> Access<'a> {
    fn topology(&self) -> &Topology {
        match self {
            Self::Running(shared) => &shared.topology,
            Self::Driven(driver) => driver.topology(),
        }
    }

    fn global(&self, number: usize) -> &(dyn Any + Send + Sync) {
        match self {
            Self::Running(shared) => shared.globals.any(number),
            Self::Driven(driver) => driver.globals().any(number),
        }
    }

    /// Calls with each task of a subtopology that runs here.
    fn each<E>(
        &self,
        subtopology: usize,
        call: &mut dyn FnMut(TaskId, &Task) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Running(shared) => {
                let tasks = shared.tasks.lock();
                let own = tasks.iter().filter(|(id, _)| id.subtopology == subtopology);
                let own: Vec<_> = own.map(|(id, task)| (*id, Arc::clone(task))).collect();
                drop(tasks);
                own.iter()
                    .try_for_each(|(id, task)| call(*id, &task.lock()))
            }
            Self::Driven(driver) => driver.each_task(subtopology, call),
        }
    }

    /// The tasks of a subtopology that run here.
    fn tasks(&self, subtopology: usize) -> Vec<TaskId> {
        let mut tasks: Vec<TaskId> = match self {
            Self::Running(shared) => shared.tasks.lock().keys().copied().collect(),
            Self::Driven(driver) => driver.task_ids(),
        };
        tasks.retain(|task| task.subtopology == subtopology);
        tasks
    }

    /// Looks at a task; `None` if it does not run here.
    fn with_task<R>(&self, id: TaskId, look: &mut dyn FnMut(&Task) -> R) -> Option<R> {
        match self {
            Self::Running(shared) => {
                let task = shared.tasks.lock().get(&id).map(Arc::clone)?;
                let task = task.lock();
                Some(look(&task))
            }
            Self::Driven(driver) => driver.with_task(id, look),
        }
    }

    /// How many tasks a subtopology has, wherever they run.
    fn count(&self, subtopology: usize) -> u32 {
        let application = match self {
            Self::Running(shared) => &shared.config.application,
            Self::Driven(driver) => return driver.task_count(subtopology),
        };
        let sources = self.topology().subtopologies[subtopology].sources.iter();
        let counts = sources.map(|topic| {
            let topic = topic.resolve(application);
            self.partitions(&topic)
        });
        counts.max().unwrap_or(1)
    }

    fn partitions(&self, topic: &str) -> u32 {
        match self {
            Self::Running(shared) => shared.partition_count(topic).unwrap_or(1),
            Self::Driven(_) => 1,
        }
    }

    fn restoring(&self, subtopology: usize) -> BTreeMap<TaskId, Progress> {
        match self {
            Self::Running(shared) => {
                let all = shared.restoring.lock();
                let own = all.iter().filter(|(id, _)| id.subtopology == subtopology);
                own.map(|(id, own)| (*id, own.progress)).collect()
            }
            Self::Driven(_) => BTreeMap::new(),
        }
    }

    /// A store by its name.
    pub(crate) fn store(self, name: &str) -> Result<StoreReader<'a>, QueryError> {
        let topology = self.topology();
        let store = topology.stores.iter().position(|spec| spec.name == name);
        let global = topology.globals.iter().position(|spec| spec.name == name);
        let (at, reads) = match (store, global) {
            (Some(number), _) => {
                let reads = topology.stores[number].reads.clone();
                let parts = topology.subtopologies.iter();
                let subtopology = parts
                    .enumerate()
                    .find(|(_, part)| part.stores.contains(&number));
                let subtopology = subtopology.map(|(at, _)| at);
                (
                    subtopology.map(|subtopology| At::Store {
                        number,
                        subtopology,
                    }),
                    reads,
                )
            }
            (None, Some(number)) => {
                let reads = Arc::clone(&topology.globals[number].reads);
                (Some(At::Global(number)), Some(reads))
            }
            (None, None) => (None, None),
        };
        let Some(at) = at else {
            let stores = topology.stores.iter();
            let readable = stores
                .filter(|spec| spec.reads.is_some())
                .map(|spec| &spec.name);
            let globals = topology.globals.iter().map(|spec| &spec.name);
            return Err(QueryError::UnknownStore {
                store: name.to_owned(),
                known: readable.chain(globals).cloned().collect(),
            });
        };
        Ok(StoreReader {
            access: self,
            at,
            name: name.into(),
            reads,
        })
    }

    /// All stores, those of the topology first, then global tables.
    pub(crate) fn stores(&self) -> Vec<StoreInfo> {
        let topology = self.topology();
        let names = topology.stores.iter().map(|spec| &spec.name);
        let globals = topology.globals.iter().map(|spec| &spec.name);
        let readers = names
            .chain(globals)
            .filter_map(|name| self.clone().store(name).ok());
        readers.map(|reader| reader.info()).collect()
    }
}

/// A store of whatever types. Clones read the same store.
#[derive(Clone)]
pub struct StoreReader<'a> {
    access: Access<'a>,
    at: At,
    name: Arc<str>,
    reads: Option<Arc<dyn AnyReads>>,
}

impl<'a> StoreReader<'a> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it keeps.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.reads
            .as_ref()
            .map_or(Kind::Internal, |reads| reads.kind())
    }

    /// What there is to know of it without reading it.
    #[must_use]
    pub fn info(&self) -> StoreInfo {
        let mut info = StoreInfo {
            name: self.name.to_string(),
            kind: self.kind(),
            keys: self
                .reads
                .as_ref()
                .map(|reads| reads.key_type())
                .unwrap_or_default(),
            values: self
                .reads
                .as_ref()
                .map(|reads| reads.value_type())
                .unwrap_or_default(),
            entries: 0,
            bytes: 0,
            tasks: Vec::new(),
        };
        match self.at {
            At::Store {
                number,
                subtopology,
            } => {
                let told: Result<(), QueryError> =
                    self.access.each(subtopology, &mut |id, task| {
                        if let Some(store) = task.store(number) {
                            info.entries += store.len();
                            info.bytes += store.bytes();
                            info.tasks.push(id);
                        }
                        Ok(())
                    });
                debug_assert!(told.is_ok());
            }
            At::Global(number) => {
                let size = self.access.topology().globals[number].size;
                (info.entries, info.bytes) = size(self.access.global(number));
            }
        }
        info
    }

    /// The store with one value for each key, and its types (Kafka: `keyValueStore()`). Global tables
    /// are such stores, too.
    ///
    /// # Errors
    ///
    /// [`QueryError::WrongKind`] or [`QueryError::WrongTypes`], which say what it is.
    pub fn key_value<K: Data, V: Data>(&self) -> Result<KeyValueReader<'a, K, V>, QueryError> {
        Ok(KeyValueReader::new(
            self.clone(),
            self.typed(Kind::KeyValue)?,
        ))
    }

    /// The store with values by window, and its types (Kafka: `windowStore()`). Windows that nothing
    /// can change any more have gone from it.
    ///
    /// # Errors
    ///
    /// [`QueryError::WrongKind`] or [`QueryError::WrongTypes`], which say what it is.
    pub fn windows<K: Data, V: Data>(&self) -> Result<WindowReader<'a, K, V>, QueryError> {
        Ok(WindowReader::new(self.clone(), self.typed(Kind::Windows)?))
    }

    /// The store with values by session, and its types (Kafka: `sessionStore()`). Sessions that
    /// nothing can change any more have gone from it.
    ///
    /// # Errors
    ///
    /// [`QueryError::WrongKind`] or [`QueryError::WrongTypes`], which say what it is.
    pub fn sessions<K: Data, V: Data>(&self) -> Result<SessionReader<'a, K, V>, QueryError> {
        Ok(SessionReader::new(
            self.clone(),
            self.typed(Kind::Sessions)?,
        ))
    }

    fn typed<K: Data, V: Data>(&self, asked: Kind) -> Result<Arc<Reads<K, V>>, QueryError> {
        let reads = self.readable(asked)?;
        let any: Arc<dyn Any + Send + Sync> = reads.clone();
        any.downcast().map_err(|_| {
            let wanted = Reads::<K, V>::KeyValue;
            QueryError::WrongTypes {
                store: self.name.to_string(),
                is: format!("{} by {}", reads.value_type(), reads.key_type()),
                asked: format!("{} by {}", wanted.value_type(), wanted.key_type()),
            }
        })
    }

    /// How it is read, if it is of that kind.
    pub(crate) fn readable(&self, asked: Kind) -> Result<Arc<dyn AnyReads>, QueryError> {
        let reads = self.reads.clone().filter(|reads| reads.kind() == asked);
        reads.ok_or_else(|| QueryError::WrongKind {
            store: self.name.to_string(),
            is: self.kind(),
            asked,
        })
    }

    /// As [`Self::rows`], for people: values as JSON.
    pub(crate) fn json(
        &self,
        reads: &dyn AnyReads,
        query: &Query<'_>,
    ) -> Result<Page<String>, QueryError> {
        let reading = Reading {
            read: &|store, query| reads.json(store, query),
            size: Row::told_bytes,
        };
        self.rows(reads, query, &reading)
    }

    /// The rows of a query, those of all tasks that run here in one order. A range is looked for and
    /// then read in steps, each of which sees one state of a task: nobody waits for all of it.
    pub(crate) fn rows<V>(
        &self,
        reads: &dyn AnyReads,
        query: &Query<'_>,
        reading: &Reading<'_, V>,
    ) -> Result<Page<V>, QueryError> {
        let (mut rows, mut next) = match query.keys {
            Keys::One(key) => {
                let read = |store: &dyn Any| (reading.read)(store, query);
                let rows = match self.at {
                    At::Global(number) => {
                        let read = read(self.access.global(number));
                        read.map_err(|error| self.bad(error))?
                    }
                    At::Store {
                        number,
                        subtopology,
                    } => self.of_key(number, subtopology, key, &read)?,
                };
                (rows, None)
            }
            Keys::Range(..) => self.of_range(reads, query, reading)?,
        };
        rows.sort_by(|a, b| reads.order(a.place(), b.place()));
        if reads.kind() == Kind::Sessions {
            // What was two when it was looked for may be one.
            rows.dedup_by(|a, b| a.key == b.key && a.window == b.window);
        }
        let mut bytes: usize = 0;
        let large = rows.iter().position(|row| {
            bytes = bytes.saturating_add((reading.size)(row));
            bytes > query.bytes
        });
        let wanted = large.map_or(query.limit, |last| query.limit.min(last + 1));
        if rows.len() > wanted {
            rows.truncate(wanted);
            next = rows.last().map(|row| (row.key.clone(), row.window));
        }
        Ok(Page { rows, next })
    }

    fn of_range<V>(
        &self,
        reads: &dyn AnyReads,
        query: &Query<'_>,
        reading: &Reading<'_, V>,
    ) -> Result<(Vec<Row<V>>, Next), QueryError> {
        // One more than is wanted tells whether there is one.
        let limit = query.limit.saturating_add(1);
        let mut found: Vec<(Option<TaskId>, Found)> = Vec::new();
        let mut more = false;
        for task in self.readable_tasks()? {
            let mut scan = Scan::new(limit, query.bytes);
            while !scan.done {
                self.with(task, &mut |store| reads.scan(store, query, &mut scan))?;
            }
            found.extend(scan.places.into_iter().map(|place| (task, place)));
            found.sort_by(|a, b| reads.order(place(&a.1), place(&b.1)));
            found.dedup();
            // What a search has left out is behind this, too: with others between, keys become too large
            // no later.
            let most = up_to_bytes(&found, |(_, own)| own, query.bytes);
            found.truncate(most.unwrap_or(limit).min(limit));
            more |= scan.more || most.is_some();
        }
        more |= found.len() > query.limit;
        found.truncate(query.limit);
        let next = found
            .last()
            .filter(|_| more)
            .map(|(_, place)| place.clone());
        let mut rows = Vec::new();
        let mut bytes: usize = 0;
        let mut rest = &found[..];
        while let Some((task, _)) = rest.first() {
            let own = rest
                .iter()
                .take(reads.rows_in_a_step())
                .take_while(|(other, _)| other == task);
            let (step, behind) = rest.split_at(own.count());
            // What is beyond the limit is not read, but for one row that tells of it.
            let mut last = None;
            self.with(*task, &mut |store| {
                for (_, (key, window)) in step {
                    // A session may have become longer.
                    let times = match window {
                        Some(window) if reads.kind() == Kind::Sessions => {
                            (window.start, window.end)
                        }
                        Some(window) => (window.start, window.start),
                        None => query.times,
                    };
                    let one = Query {
                        keys: Keys::One(key),
                        times,
                        after: None,
                        limit: usize::MAX,
                        bytes: usize::MAX,
                    };
                    let read = (reading.read)(store, &one)?;
                    let beyond = bytes > query.bytes && !read.is_empty();
                    let sizes = read.iter().map(|row| (reading.size)(row));
                    bytes = bytes.saturating_add(sizes.sum());
                    rows.extend(read);
                    if beyond {
                        last = Some((key.clone(), *window));
                        break;
                    }
                }
                Ok(())
            })?;
            if last.is_some() {
                return Ok((rows, last));
            }
            rest = behind;
        }
        Ok((rows, next))
    }

    /// The tasks that have it and run here; a global table has none.
    fn readable_tasks(&self) -> Result<Vec<Option<TaskId>>, QueryError> {
        let At::Store { subtopology, .. } = self.at else {
            return Ok(vec![None]);
        };
        let restoring = self.access.restoring(subtopology);
        let store = self.name.to_string();
        if let Some((task, progress)) = restoring.into_iter().next() {
            return Err(QueryError::Restoring {
                store,
                task,
                progress,
            });
        }
        let tasks = self.access.tasks(subtopology);
        if tasks.is_empty() && self.access.count(subtopology) > 0 {
            return Err(QueryError::NoTask { store });
        }
        Ok(tasks.into_iter().map(Some).collect())
    }

    /// Looks at the store of one task, as long as nothing else is done in that task.
    fn with(
        &self,
        task: Option<TaskId>,
        look: &mut dyn FnMut(&dyn Any) -> Result<(), DataError>,
    ) -> Result<(), QueryError> {
        let looked = match (self.at, task) {
            (At::Global(number), _) => Some(look(self.access.global(number))),
            (At::Store { number, .. }, Some(task)) => {
                self.access
                    .with_task(task, &mut |task| match task.store(number) {
                        Some(store) => look(any(store)),
                        None => Ok(()),
                    })
            }
            (At::Store { .. }, None) => Some(Ok(())),
        };
        match (looked, task) {
            (Some(looked), _) => looked.map_err(|error| self.bad(error)),
            (None, Some(task)) => Err(QueryError::Elsewhere {
                store: self.name.to_string(),
                task,
            }),
            (None, None) => Ok(()),
        }
    }

    /// Rows of one key. Its task is known if records were partitioned by their keys in Kafka's way;
    /// what was not may be in any task.
    fn of_key<V>(
        &self,
        number: usize,
        subtopology: usize,
        key: &[u8],
        read: &dyn Fn(&dyn Any) -> Rows<V>,
    ) -> Result<Vec<Row<V>>, QueryError> {
        let count = self.access.count(subtopology);
        let partition = DefaultPartitioner.partition("", Some(key), None, count);
        let home = TaskId {
            subtopology,
            partition: partition.unwrap_or(0) as i32,
        };
        let restoring = self.access.restoring(subtopology);
        let mut rows = Vec::new();
        let mut here = Vec::new();
        self.access.each(subtopology, &mut |id, task| {
            here.push(id);
            if rows.is_empty()
                && let Some(store) = task.store(number)
            {
                rows = read(any(store)).map_err(|error| self.bad(error))?;
            }
            Ok(())
        })?;
        if !rows.is_empty() || here.contains(&home) || here.len() >= count as usize {
            return Ok(rows);
        }
        let store = self.name.to_string();
        Err(match restoring.get(&home) {
            Some(progress) => QueryError::Restoring {
                store,
                task: home,
                progress: *progress,
            },
            None => QueryError::Elsewhere { store, task: home },
        })
    }

    pub(crate) fn bad(&self, error: DataError) -> QueryError {
        QueryError::Data {
            store: self.name.to_string(),
            error,
        }
    }
}

fn any(store: &dyn Store) -> &dyn Any {
    store
}
