//! Which machine coordinates a group.

use parking_lot::RwLock;

use super::{GroupMachine, partition_for};
use crate::coordinator::runtime::Mailbox;

/// The ways to the group machines of this broker, one per partition of `__consumer_offsets`.
///
/// Empty until that topic exists and its machines have replayed their logs, and again when the
/// topic is deleted or the broker shuts down: dropping the mailboxes is what makes the machines
/// finish.
#[derive(Default)]
pub struct GroupRouter(RwLock<Vec<Shard>>);

/// The way to the machine of one partition; `None` if its log could not be read: its groups have no
/// coordinator, those of the others are not concerned.
pub(crate) type Shard = Option<Mailbox<GroupMachine>>;

impl GroupRouter {
    /// Whether groups have coordinators here.
    pub fn is_ready(&self) -> bool {
        !self.0.read().is_empty()
    }

    /// The way to the machine of a group; `None` if it is not there. It does not depend on the
    /// machines that happen to be there which one it is.
    pub fn route(&self, group_id: &str) -> Option<Mailbox<GroupMachine>> {
        let shards = self.0.read();
        let count = i32::try_from(shards.len())
            .ok()
            .filter(|count| *count > 0)?;
        let partition = usize::try_from(partition_for(group_id, count)).ok()?;
        shards.get(partition)?.clone()
    }

    /// The ways to all machines, by partition.
    pub fn shards(&self) -> Vec<Shard> {
        self.0.read().clone()
    }

    /// Puts machines in use, in place of those before: one per partition of the topic.
    pub fn install(&self, shards: Vec<Shard>) {
        *self.0.write() = shards;
    }

    /// Lets go of all machines. Callers that hold a mailbox still get their answers.
    pub fn clear(&self) {
        self.0.write().clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Command, ErrorCode, GroupConfig, Reply};
    use super::*;
    use crate::coordinator::KeyValue;
    use crate::coordinator::runtime::{
        BoxFuture, Failure, LoadError, Loaded, LogHandle, Timekeeper, Unavailable, load,
    };
    use crate::types::{Monotonic, Now, Offset, Timestamp};

    /// A log without records, and a clock that stands still.
    struct Nothing;

    impl LogHandle for Nothing {
        fn append(&self, _: &[KeyValue], _: Now) -> Result<Offset, Failure> {
            Err(Unavailable("nothing is written here".into()).into())
        }

        fn max_batch_bytes(&self) -> usize {
            0
        }

        fn end(&self) -> Offset {
            Offset(0)
        }

        fn durable(&self, _: Offset) -> BoxFuture<Result<(), Unavailable>> {
            Box::pin(async { Ok(()) })
        }

        fn replay(
            &self,
            _: &mut dyn FnMut(Offset, KeyValue) -> Result<(), LoadError>,
        ) -> Result<(), LoadError> {
            Ok(())
        }
    }

    impl Timekeeper for Nothing {
        fn now(&self) -> Now {
            Now {
                wall: Timestamp(0),
                monotonic: Monotonic(0),
            }
        }

        fn sleep_until(&self, _: Monotonic) -> BoxFuture<()> {
            Box::pin(std::future::pending())
        }
    }

    fn machine() -> (Mailbox<GroupMachine>, Loaded<GroupMachine>) {
        let machine = GroupMachine::new(GroupConfig::default());
        load(
            machine,
            Arc::new(Nothing),
            Arc::new(Nothing),
            Box::new(|_| {}),
        )
        .expect("an empty log")
    }

    #[test]
    fn groups_of_a_partition_without_a_machine_have_no_coordinator() {
        let router = GroupRouter::default();
        assert!(!router.is_ready());
        assert!(router.route("group").is_none());
        router.install(vec![None, Some(machine().0), None]);
        assert!(router.is_ready());
        for number in 0..20 {
            let group = format!("group-{number}");
            let has_machine = partition_for(&group, 3) == 1;
            assert_eq!(router.route(&group).is_some(), has_machine, "{group}");
        }
        router.clear();
        assert!(!router.is_ready());
        assert!(router.route("group").is_none() && router.shards().is_empty());
    }

    /// Only one machine of five runs at a time: exactly the groups of its partition are answered.
    #[tokio::test]
    async fn a_group_is_routed_to_the_machine_of_its_partition() {
        const PARTITIONS: i32 = 5;
        for running in 0..PARTITIONS {
            let router = GroupRouter::default();
            let (mut shards, mut loaded) = (Vec::new(), None);
            for partition in 0..PARTITIONS {
                let (mailbox, machine) = machine();
                shards.push(Some(mailbox));
                if partition == running {
                    loaded = Some(machine);
                }
            }
            router.install(shards);
            let machine = tokio::spawn(loaded.expect("one of them").run());
            for number in 0..20 {
                let group_id = format!("group-{number}");
                let shard = router.route(&group_id).expect("all are there");
                let answer = shard
                    .call(Command::DeleteGroup {
                        group_id: (*group_id).into(),
                    })
                    .await;
                if partition_for(&group_id, PARTITIONS) == running {
                    assert_eq!(answer, Ok(Reply::DeleteGroup(ErrorCode::GroupIdNotFound)));
                } else {
                    assert!(answer.is_err(), "{group_id} was answered by {running}");
                }
            }
            router.clear();
            machine
                .await
                .expect("it stops when the router has let go of it");
        }
    }
}
