//! BrokerRegistrationChangeRecord: key 17, versions 0 to 2. Read only: a single node is never
//! fenced.

use uuid::Uuid;

use super::codec::{Reader, TaggedFields, Writer};
use super::{MalformedRecord, Message};

/// Something about a known broker has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerRegistrationChangeRecord {
    /// The broker.
    pub broker_id: i32,
    /// Its epoch, which does not change.
    pub broker_epoch: i64,
    /// -1 if it may lead now, 1 if it may not any more, 0 for no change.
    pub fenced: i8,
    /// From version 1: 1 if it is shutting down, 0 for no change.
    pub in_controlled_shutdown: i8,
    /// From version 2: its log directories; empty for no change.
    pub log_dirs: Vec<Uuid>,
}

impl Message for BrokerRegistrationChangeRecord {
    const KEY: u32 = 17;
    const NAME: &'static str = "BrokerRegistrationChangeRecord";
    const VERSION: u32 = 2;

    fn read(input: &mut Reader<'_>, version: u32) -> Result<Self, MalformedRecord> {
        let mut record = Self {
            broker_id: input.i32()?,
            broker_epoch: input.i64()?,
            fenced: 0,
            in_controlled_shutdown: 0,
            log_dirs: Vec::new(),
        };
        input.tagged_fields(|tag, field| {
            match tag {
                0 => record.fenced = field.i8()?,
                1 if version >= 1 => record.in_controlled_shutdown = field.i8()?,
                2 if version >= 2 => record.log_dirs = field.uuids()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.i32(self.broker_id);
        output.i64(self.broker_epoch);
        let mut tagged = TaggedFields::default();
        if self.fenced != 0 {
            tagged.add(0, |field| field.i8(self.fenced));
        }
        if self.in_controlled_shutdown != 0 {
            tagged.add(1, |field| field.i8(self.in_controlled_shutdown));
        }
        if !self.log_dirs.is_empty() {
            tagged.add(2, |field| field.uuids(&self.log_dirs));
        }
        output.tagged_fields(tagged);
    }
}
