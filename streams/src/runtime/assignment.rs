//! How tasks are shared out among the members of the application's group.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use parking_lot::Mutex;
use tidemark_client::TopicPartition;
use tidemark_client::consumer::assignor::{Assignment, Assignor, Member, RebalanceProtocol};

/// A task's name: the number of its subtopology, and its partition (Kafka: `TaskId`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The number of the subtopology.
    pub subtopology: usize,
    /// The partition.
    pub partition: i32,
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.subtopology, self.partition)
    }
}

/// Shares tasks out (Kafka: `StreamsPartitionAssignor`): all source partitions of a task go to one
/// member, members have equally many tasks, and a task stays with whoever has it, or goes to an
/// instance that has its state on disk. Cooperative: a task that moves is first let go of (KIP-429).
pub(crate) struct TaskAssignor {
    /// By subtopology: its source topics.
    pub(crate) sources: Vec<Vec<Arc<str>>>,
    /// What the topology is, so that two applications of one id are told apart.
    pub(crate) fingerprint: u64,
    /// Which instance it is, by chance: it may have several members.
    pub(crate) instance: u64,
    /// The tasks whose state this instance has on disk.
    pub(crate) on_disk: Arc<Mutex<BTreeSet<TaskId>>>,
    /// Set when another member runs another topology under the same id.
    pub(crate) stranger: Arc<Mutex<Option<String>>>,
    /// Set when a source topic is not there any more.
    pub(crate) gone: Arc<Mutex<Option<String>>>,
}

const VERSION: u8 = 2;
/// The most tasks that a member tells of: user data has to stay small.
const MOST_TASKS: usize = 2000;

/// What a member tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) fingerprint: u64,
    pub(crate) instance: u64,
    /// The tasks whose state it has on disk.
    on_disk: BTreeSet<TaskId>,
}

impl Assignor for TaskAssignor {
    fn name(&self) -> &'static str {
        "tidemark-streams"
    }

    fn protocols(&self) -> &'static [RebalanceProtocol] {
        &[RebalanceProtocol::Cooperative]
    }

    /// A version, the fingerprint, the instance, and the tasks that are on disk.
    fn user_data(&self, _last: &[TopicPartition], _generation: i32) -> Option<Bytes> {
        let tasks = self.on_disk.lock();
        let mut out = Vec::with_capacity(21 + 8 * tasks.len());
        out.put_u8(VERSION);
        out.put_u64(self.fingerprint);
        out.put_u64(self.instance);
        let tasks: Vec<_> = tasks.iter().take(MOST_TASKS).collect();
        out.put_u32(tasks.len() as u32);
        for task in tasks {
            out.put_u32(task.subtopology as u32);
            out.put_i32(task.partition);
        }
        Some(out.into())
    }

    fn assign(
        &self,
        partitions: &BTreeMap<Arc<str>, i32>,
        members: &BTreeMap<String, Member>,
    ) -> Assignment {
        let mut told: BTreeMap<&String, BTreeSet<TaskId>> = BTreeMap::new();
        for (id, member) in members {
            match parse(member.user_data.as_ref()) {
                Some(own) if own.fingerprint == self.fingerprint => {
                    told.insert(id, own.on_disk);
                }
                _ => *self.stranger.lock() = Some(id.clone()),
            }
        }
        let mut sources = self.sources.iter().flatten();
        // The group's leader counts none for what it does not find.
        let is_there = |topic: &Arc<str>| partitions.get(topic).is_some_and(|count| *count > 0);
        if let Some(gone) = sources.find(|topic| !is_there(topic)) {
            *self.gone.lock() = Some(gone.to_string());
        }
        let tasks = self.tasks(partitions);
        let owners = self.owners(members, &told);
        let shared = share_out(&tasks, &told, &owners);
        let mut assignment: Assignment =
            members.keys().map(|id| (id.clone(), Vec::new())).collect();
        for (task, member) in shared {
            let free = owners
                .get(&task)
                .is_none_or(|owners| owners.iter().all(|owner| **owner == *member));
            if let (true, Some(mine)) = (free, assignment.get_mut(member)) {
                let topics = self.sources[task.subtopology].iter();
                let here = topics.filter(|topic| {
                    partitions
                        .get(*topic)
                        .is_some_and(|count| task.partition < *count)
                });
                mine.extend(
                    here.map(|topic| TopicPartition::new(Arc::clone(topic), task.partition)),
                );
            }
        }
        assignment
    }
}

impl TaskAssignor {
    fn tasks(&self, partitions: &BTreeMap<Arc<str>, i32>) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        for (subtopology, topics) in self.sources.iter().enumerate() {
            let counts = topics.iter().filter_map(|topic| partitions.get(topic));
            for partition in 0..counts.copied().max().unwrap_or(0) {
                tasks.push(TaskId {
                    subtopology,
                    partition,
                });
            }
        }
        tasks
    }

    /// Who has each task now.
    fn owners<'a>(
        &self,
        members: &'a BTreeMap<String, Member>,
        known: &BTreeMap<&String, BTreeSet<TaskId>>,
    ) -> HashMap<TaskId, BTreeSet<&'a String>> {
        let mut of: HashMap<&str, usize> = HashMap::new();
        for (subtopology, topics) in self.sources.iter().enumerate() {
            for topic in topics {
                of.insert(topic, subtopology);
            }
        }
        let newest = members.values().map(|member| member.generation).max();
        let mut owners: HashMap<TaskId, BTreeSet<&String>> = HashMap::new();
        for (id, member) in members {
            // What a member had that has missed a generation may be another one's by now.
            if !known.contains_key(id) || Some(member.generation) < newest {
                continue;
            }
            for partition in &member.owned {
                if let Some(subtopology) = of.get(&*partition.topic) {
                    let task = TaskId {
                        subtopology: *subtopology,
                        partition: partition.partition,
                    };
                    owners.entry(task).or_default().insert(id);
                }
            }
        }
        owners
    }
}

/// Gives each task to a member: those that have it keep it as far as that leaves things even, then
/// those that have its state, then whoever has least.
fn share_out<'a>(
    tasks: &[TaskId],
    told: &BTreeMap<&'a String, BTreeSet<TaskId>>,
    owners: &HashMap<TaskId, BTreeSet<&'a String>>,
) -> BTreeMap<TaskId, &'a String> {
    let mut shared = BTreeMap::new();
    if told.is_empty() {
        return shared;
    }
    let least = tasks.len() / told.len();
    let mut extra = tasks.len() % told.len();
    let mut load: BTreeMap<&'a String, usize> = told.keys().map(|id| (*id, 0)).collect();
    let take = |id: &'a String, load: &mut BTreeMap<&'a String, usize>, extra: &mut usize| {
        let Some(mine) = load.get_mut(id) else {
            return false;
        };
        if *mine < least {
            *mine += 1;
            return true;
        }
        if *mine == least && *extra > 0 {
            *mine += 1;
            *extra -= 1;
            return true;
        }
        false
    };
    for task in tasks {
        let owner = owners.get(task).filter(|owners| owners.len() == 1);
        if let Some(id) = owner.and_then(|owners| owners.first())
            && take(id, &mut load, &mut extra)
        {
            shared.insert(*task, *id);
        }
    }
    for task in tasks {
        if !shared.contains_key(task) {
            let mut with_state = told.iter().filter(|(_, tasks)| tasks.contains(task));
            let taker = with_state.find(|(id, _)| take(id, &mut load, &mut extra));
            if let Some((id, _)) = taker {
                shared.insert(*task, *id);
            }
        }
    }
    for task in tasks {
        if !shared.contains_key(task) {
            let id = load
                .iter()
                .min_by_key(|(_, count)| **count)
                .map(|(id, _)| *id);
            if let Some(id) = id {
                *load.entry(id).or_default() += 1;
                shared.insert(*task, id);
            }
        }
    }
    shared
}

/// What a member tells of itself, by its subscription as the group's coordinator has it (Kafka:
/// `ConsumerProtocolSubscription`): a version, topics, then the assignor's data. `None` if it is not one
/// of such an application.
pub(crate) fn told_by(subscription: &Bytes) -> Option<Told> {
    let mut rest = &subscription[..];
    rest.try_get_i16().ok()?;
    for _ in 0..rest.try_get_i32().ok()? {
        let len = usize::try_from(rest.try_get_i16().ok()?).ok()?;
        rest = rest.get(len..)?;
    }
    let len = usize::try_from(rest.try_get_i32().ok()?).ok()?;
    parse(Some(&Bytes::copy_from_slice(rest.get(..len)?)))
}

/// What a member has told.
fn parse(data: Option<&Bytes>) -> Option<Told> {
    let mut data = &data?[..];
    if data.try_get_u8().ok()? != VERSION {
        return None;
    }
    let fingerprint = data.try_get_u64().ok()?;
    let instance = data.try_get_u64().ok()?;
    let count = data.try_get_u32().ok()?;
    let mut tasks = BTreeSet::new();
    for _ in 0..count {
        tasks.insert(TaskId {
            subtopology: data.try_get_u32().ok()? as usize,
            partition: data.try_get_i32().ok()?,
        });
    }
    Some(Told {
        fingerprint,
        instance,
        on_disk: tasks,
    })
}

#[cfg(test)]
mod tests;
