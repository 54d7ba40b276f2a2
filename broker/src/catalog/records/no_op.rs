//! NoOpRecord: key 20, version 0. Read only: Kafka's controller writes it to show that it lives.

use super::codec::{Reader, Writer};
use super::{MalformedRecord, Message};

/// Says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoOpRecord;

impl Message for NoOpRecord {
    const KEY: u32 = 20;
    const NAME: &'static str = "NoOpRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        input.no_tagged_fields()?;
        Ok(Self)
    }

    fn write(&self, output: &mut Writer) {
        output.no_tagged_fields();
    }
}
