//! FeatureLevelRecord: key 12, version 0.

use super::codec::{Reader, Writer};
use super::{MalformedRecord, Message};

/// A feature runs at a new level. A log begins with the one for `metadata.version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureLevelRecord {
    /// The feature.
    pub name: String,
    /// Its level; 0 takes the feature away.
    pub feature_level: i16,
}

impl Message for FeatureLevelRecord {
    const KEY: u32 = 12;
    const NAME: &'static str = "FeatureLevelRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        let record = Self {
            name: input.string()?,
            feature_level: input.i16()?,
        };
        input.no_tagged_fields()?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.string(&self.name);
        output.i16(self.feature_level);
        output.no_tagged_fields();
    }
}
