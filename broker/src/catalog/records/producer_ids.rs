//! ProducerIdsRecord: key 15, version 0.

use super::codec::{Reader, Writer};
use super::{MalformedRecord, Message};

/// All producer ids below a number are given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerIdsRecord {
    /// The broker that got the last block.
    pub broker_id: i32,
    /// Its epoch at that time.
    pub broker_epoch: i64,
    /// The first id of the next block.
    pub next_producer_id: i64,
}

impl Message for ProducerIdsRecord {
    const KEY: u32 = 15;
    const NAME: &'static str = "ProducerIdsRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        let record = Self {
            broker_id: input.i32()?,
            broker_epoch: input.i64()?,
            next_producer_id: input.i64()?,
        };
        input.no_tagged_fields()?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.i32(self.broker_id);
        output.i64(self.broker_epoch);
        output.i64(self.next_producer_id);
        output.no_tagged_fields();
    }
}
