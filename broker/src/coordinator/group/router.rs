//! Which machine coordinates a group.

use parking_lot::RwLock;

use super::{GroupMachine, partition_for};
use crate::coordinator::runtime::Mailbox;

/// The ways to the group machines of this broker, one per partition of `__consumer_offsets`.
///
/// Empty until that topic exists and its machines have replayed their logs, and again when the
/// broker shuts down: dropping the mailboxes is what makes the machines finish.
#[derive(Default)]
pub struct GroupRouter(RwLock<Shards>);

#[derive(Default)]
struct Shards {
    /// How many partitions the topic has: what group ids are spread over.
    partitions: i32,
    /// The machines, by partition from 0 on.
    mailboxes: Vec<Mailbox<GroupMachine>>,
}

impl GroupRouter {
    /// Whether every partition has its machine, so that every group has a coordinator.
    pub fn is_ready(&self) -> bool {
        let shards = self.0.read();
        shards.partitions > 0 && i32::try_from(shards.mailboxes.len()) == Ok(shards.partitions)
    }

    /// The way to the machine of a group; `None` if it is not there. It does not depend on the
    /// machines that happen to be there which one it is.
    pub fn route(&self, group_id: &str) -> Option<Mailbox<GroupMachine>> {
        let shards = self.0.read();
        let partition = partition_for(group_id, shards.partitions);
        shards
            .mailboxes
            .get(usize::try_from(partition).ok()?)
            .cloned()
    }

    /// The ways to all machines, by partition.
    pub fn shards(&self) -> Vec<Mailbox<GroupMachine>> {
        self.0.read().mailboxes.clone()
    }

    /// Puts machines in use, in place of those before: those of the partitions from 0 on, of a
    /// topic that has `partitions` of them.
    pub fn install(&self, partitions: i32, shards: Vec<Mailbox<GroupMachine>>) {
        *self.0.write() = Shards {
            partitions,
            mailboxes: shards,
        };
    }

    /// Lets go of all machines. Callers that hold a mailbox still get their answers.
    pub fn clear(&self) {
        *self.0.write() = Shards::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Command, ErrorCode, GroupConfig, Reply};
    use super::*;
    use crate::coordinator::KeyValue;
    use crate::coordinator::runtime::{
        BoxFuture, LoadError, Loaded, LogHandle, Timekeeper, Unavailable, load,
    };
    use crate::types::{Monotonic, Now, Offset, Timestamp};

    /// A log without records, and a clock that stands still.
    struct Nothing;

    impl LogHandle for Nothing {
        fn append(&self, _: &[KeyValue], _: Now) -> Result<Offset, Unavailable> {
            Err(Unavailable("nothing is written here".into()))
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
    fn ready_means_that_every_partition_has_its_machine() {
        let router = GroupRouter::default();
        assert!(!router.is_ready());
        assert!(router.route("group").is_none());
        let check = |partitions: i32, machines: usize, expected: bool| {
            let shards = (0..machines).map(|_| machine().0).collect();
            router.install(partitions, shards);
            assert_eq!(
                (router.is_ready(), router.shards().len()),
                (expected, machines)
            );
        };
        check(0, 0, false);
        check(3, 2, false);
        check(3, 3, true);
        check(1, 1, true);
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
                shards.push(mailbox);
                if partition == running {
                    loaded = Some(machine);
                }
            }
            router.install(PARTITIONS, shards);
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
