//! BeginTransactionRecord, EndTransactionRecord and AbortTransactionRecord: keys 23 to 25, version
//! 0 (KIP-868). Kafka wraps what is too large for one batch in them. Here every command fits one
//! batch, so that only an abort is ever written: of a transaction that a crash left open.

use super::codec::{Reader, TaggedFields, Writer};
use super::{MalformedRecord, Message};

/// What follows counts only once an [`EndTransactionRecord`] follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginTransactionRecord {
    /// What it is about, for people.
    pub name: Option<String>,
}

/// All since the [`BeginTransactionRecord`] counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransactionRecord;

/// Nothing since the [`BeginTransactionRecord`] counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbortTransactionRecord {
    /// Why, for people.
    pub reason: Option<String>,
}

impl Message for BeginTransactionRecord {
    const KEY: u32 = 23;
    const NAME: &'static str = "BeginTransactionRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        Ok(Self {
            name: read_text(input)?,
        })
    }

    fn write(&self, output: &mut Writer) {
        write_text(output, self.name.as_deref());
    }
}

impl Message for EndTransactionRecord {
    const KEY: u32 = 24;
    const NAME: &'static str = "EndTransactionRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        input.no_tagged_fields()?;
        Ok(Self)
    }

    fn write(&self, output: &mut Writer) {
        output.no_tagged_fields();
    }
}

impl Message for AbortTransactionRecord {
    const KEY: u32 = 25;
    const NAME: &'static str = "AbortTransactionRecord";
    const VERSION: u32 = 0;

    fn read(input: &mut Reader<'_>, _version: u32) -> Result<Self, MalformedRecord> {
        Ok(Self {
            reason: read_text(input)?,
        })
    }

    fn write(&self, output: &mut Writer) {
        write_text(output, self.reason.as_deref());
    }
}

fn read_text(input: &mut Reader<'_>) -> Result<Option<String>, MalformedRecord> {
    let mut text = None;
    input.tagged_fields(|tag, field| {
        if tag == 0 {
            text = field.nullable_string()?;
        }
        Ok(())
    })?;
    Ok(text)
}

fn write_text(output: &mut Writer, text: Option<&str>) {
    let mut tagged = TaggedFields::default();
    tagged.add_some(0, text, Writer::string);
    output.tagged_fields(tagged);
}
