//! RemoveTopicRecord: key 9, version 0.

use uuid::Uuid;

use super::codec::{Reader, Writer};
use super::{MalformedRecord, Message};

/// A topic is gone, and with it its partitions and configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveTopicRecord {
    /// The topic.
    pub topic_id: Uuid,
}

impl Message for RemoveTopicRecord {
    const KEY: u32 = 9;
    const NAME: &'static str = "RemoveTopicRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        let record = Self {
            topic_id: input.uuid()?,
        };
        input.no_tagged_fields()?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.uuid(self.topic_id);
        output.no_tagged_fields();
    }
}
