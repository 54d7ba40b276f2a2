//! PartitionRecord: key 3, versions 0 to 2.

use uuid::Uuid;

use super::codec::{Reader, TaggedFields, Writer};
use super::{MalformedRecord, Message};

/// A partition exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Its number in the topic.
    pub partition_id: i32,
    /// Its topic.
    pub topic_id: Uuid,
    /// Its replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The replicas that are in sync.
    pub isr: Vec<i32>,
    /// Replicas that are being taken away.
    pub removing_replicas: Vec<i32>,
    /// Replicas that are being added.
    pub adding_replicas: Vec<i32>,
    /// The leader, or -1.
    pub leader: i32,
    /// 1 while the leader recovers from an unclean election, else 0.
    pub leader_recovery_state: i8,
    /// How often the leadership has moved.
    pub leader_epoch: i32,
    /// How often anything about the partition has changed.
    pub partition_epoch: i32,
    /// From version 1: the log directory of each replica (KIP-858).
    pub directories: Vec<Uuid>,
    /// From version 2: replicas that may lead although not in sync (KIP-966).
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// From version 2: the last of those (KIP-966).
    pub last_known_elr: Option<Vec<i32>>,
}

impl Message for PartitionRecord {
    const KEY: u32 = 3;
    const NAME: &'static str = "PartitionRecord";
    const VERSION: u32 = 2;

    fn read(input: &mut Reader<'_>, version: u32) -> Result<Self, MalformedRecord> {
        let mut record = Self {
            partition_id: input.i32()?,
            topic_id: input.uuid()?,
            replicas: input.i32s()?,
            isr: input.i32s()?,
            removing_replicas: input.i32s()?,
            adding_replicas: input.i32s()?,
            leader: input.i32()?,
            leader_recovery_state: 0,
            leader_epoch: input.i32()?,
            partition_epoch: input.i32()?,
            directories: if version >= 1 {
                input.uuids()?
            } else {
                Vec::new()
            },
            eligible_leader_replicas: None,
            last_known_elr: None,
        };
        input.tagged_fields(|tag, field| {
            match tag {
                0 => record.leader_recovery_state = field.i8()?,
                1 if version >= 2 => record.eligible_leader_replicas = field.nullable_i32s()?,
                2 if version >= 2 => record.last_known_elr = field.nullable_i32s()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.i32(self.partition_id);
        output.uuid(self.topic_id);
        output.i32s(&self.replicas);
        output.i32s(&self.isr);
        output.i32s(&self.removing_replicas);
        output.i32s(&self.adding_replicas);
        output.i32(self.leader);
        output.i32(self.leader_epoch);
        output.i32(self.partition_epoch);
        output.uuids(&self.directories);
        let mut tagged = TaggedFields::default();
        if self.leader_recovery_state != 0 {
            tagged.add(0, |field| field.i8(self.leader_recovery_state));
        }
        tagged.add_some(1, self.eligible_leader_replicas.as_deref(), Writer::i32s);
        tagged.add_some(2, self.last_known_elr.as_deref(), Writer::i32s);
        output.tagged_fields(tagged);
    }
}
