//! TopicRecord: key 2, version 0.

use uuid::Uuid;

use super::codec::{Reader, Writer};
use super::{MalformedRecord, Message};

/// A topic exists; its configs and partitions follow in records of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Its name.
    pub name: String,
    /// Its id, which no other topic ever has.
    pub topic_id: Uuid,
}

impl Message for TopicRecord {
    const KEY: u32 = 2;
    const NAME: &'static str = "TopicRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        let record = Self {
            name: input.string()?,
            topic_id: input.uuid()?,
        };
        input.no_tagged_fields()?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.string(&self.name);
        output.uuid(self.topic_id);
        output.no_tagged_fields();
    }
}
