//! PartitionChangeRecord: key 5, versions 0 to 2. Read only: a single node elects nobody.

use uuid::Uuid;

use super::codec::{Reader, TaggedFields, Writer};
use super::{MalformedRecord, Message};

/// Something about a partition has changed; what is `None` has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionChangeRecord {
    /// Its number in the topic.
    pub partition_id: i32,
    /// Its topic.
    pub topic_id: Uuid,
    /// The replicas that are in sync.
    pub isr: Option<Vec<i32>>,
    /// The leader, -1 for none, [`PartitionChangeRecord::NO_LEADER_CHANGE`] for no change. Any
    /// other value raises the leader epoch by one, even if it names the same leader.
    pub leader: i32,
    /// The replicas.
    pub replicas: Option<Vec<i32>>,
    /// Replicas that are being taken away.
    pub removing_replicas: Option<Vec<i32>>,
    /// Replicas that are being added.
    pub adding_replicas: Option<Vec<i32>>,
    /// -1 for no change, 0 for recovered, 1 for recovering.
    pub leader_recovery_state: i8,
    /// From version 1: the log directory of each replica.
    pub directories: Option<Vec<Uuid>>,
    /// From version 2: replicas that may lead although not in sync.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// From version 2: the last of those.
    pub last_known_elr: Option<Vec<i32>>,
}

impl PartitionChangeRecord {
    /// The leader stays.
    pub const NO_LEADER_CHANGE: i32 = -2;

    /// A record that changes nothing.
    pub fn unchanged(topic_id: Uuid, partition_id: i32) -> Self {
        Self {
            partition_id,
            topic_id,
            isr: None,
            leader: Self::NO_LEADER_CHANGE,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: -1,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }
}

impl Message for PartitionChangeRecord {
    const KEY: u32 = 5;
    const NAME: &'static str = "PartitionChangeRecord";
    const VERSION: u32 = 2;

    fn read(input: &mut Reader<'_>, version: u32) -> Result<Self, MalformedRecord> {
        let partition_id = input.i32()?;
        let mut record = Self::unchanged(input.uuid()?, partition_id);
        input.tagged_fields(|tag, field| {
            match tag {
                0 => record.isr = field.nullable_i32s()?,
                1 => record.leader = field.i32()?,
                2 => record.replicas = field.nullable_i32s()?,
                3 => record.removing_replicas = field.nullable_i32s()?,
                4 => record.adding_replicas = field.nullable_i32s()?,
                5 => record.leader_recovery_state = field.i8()?,
                6 if version >= 2 => record.eligible_leader_replicas = field.nullable_i32s()?,
                7 if version >= 2 => record.last_known_elr = field.nullable_i32s()?,
                8 if version >= 1 => record.directories = field.nullable_uuids()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.i32(self.partition_id);
        output.uuid(self.topic_id);
        let mut tagged = TaggedFields::default();
        tagged.add_some(0, self.isr.as_deref(), Writer::i32s);
        if self.leader != Self::NO_LEADER_CHANGE {
            tagged.add(1, |field| field.i32(self.leader));
        }
        tagged.add_some(2, self.replicas.as_deref(), Writer::i32s);
        tagged.add_some(3, self.removing_replicas.as_deref(), Writer::i32s);
        tagged.add_some(4, self.adding_replicas.as_deref(), Writer::i32s);
        if self.leader_recovery_state != -1 {
            tagged.add(5, |field| field.i8(self.leader_recovery_state));
        }
        tagged.add_some(6, self.eligible_leader_replicas.as_deref(), Writer::i32s);
        tagged.add_some(7, self.last_known_elr.as_deref(), Writer::i32s);
        tagged.add_some(8, self.directories.as_deref(), Writer::uuids);
        output.tagged_fields(tagged);
    }
}
