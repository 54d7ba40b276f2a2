//! ConfigRecord: key 4, version 0.

use super::codec::{Reader, Writer};
use super::{MalformedRecord, Message};

/// A config of a resource has a new value, or none any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRecord {
    /// The kind of resource: 2 a topic, 4 a broker (Kafka's `ConfigResource.Type`).
    pub resource_type: i8,
    /// Its name; empty for the default of all brokers.
    pub resource_name: String,
    /// The config's name.
    pub name: String,
    /// Its value; `None` removes it.
    pub value: Option<String>,
}

impl Message for ConfigRecord {
    const KEY: u32 = 4;
    const NAME: &'static str = "ConfigRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        let record = Self {
            resource_type: input.i8()?,
            resource_name: input.string()?,
            name: input.string()?,
            value: input.nullable_string()?,
        };
        input.no_tagged_fields()?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.i8(self.resource_type);
        output.string(&self.resource_name);
        output.string(&self.name);
        output.nullable_string(self.value.as_deref());
        output.no_tagged_fields();
    }
}
