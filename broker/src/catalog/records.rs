//! The records of the catalog's log: Kafka's KRaft metadata records, byte for byte.
//!
//! A value is framed as in Kafka's `MetadataRecordSerde`: frame version 1, the record kind's key
//! and the record's version, each an unsigned varint, then the message in its flexible encoding.
//! There is one file for each kind. Kinds that a single node has no use for (ACLs, quotas,
//! controllers) are passed over; a version that is not known of a kind that matters is an error,
//! since passing over a topic would lose it.

mod broker_registration_change;
mod codec;
mod config;
mod feature_level;
mod no_op;
mod partition;
mod partition_change;
mod producer_ids;
mod register_broker;
mod remove_topic;
mod topic;
mod transaction;

#[cfg(test)]
pub(super) mod strategies;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use broker_registration_change::BrokerRegistrationChangeRecord;
pub use config::ConfigRecord;
pub use feature_level::FeatureLevelRecord;
pub use no_op::NoOpRecord;
pub use partition::PartitionRecord;
pub use partition_change::PartitionChangeRecord;
pub use producer_ids::ProducerIdsRecord;
pub use register_broker::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};
pub use remove_topic::RemoveTopicRecord;
pub use topic::TopicRecord;
pub use transaction::{AbortTransactionRecord, BeginTransactionRecord, EndTransactionRecord};

use self::codec::{Reader, Writer};
use crate::coordinator::MalformedRecord;

/// The only frame version that was ever released.
const FRAME_VERSION: u32 = 1;

/// The encoding of one kind of record.
trait Message: Sized {
    /// The kind's number.
    const KEY: u32;
    /// The kind's name, for error texts.
    const NAME: &'static str;
    /// The highest version that can be read, and the one that is written. Kafka 4.x writes these
    /// at every `metadata.version` from 4.0 on.
    const VERSION: u32;

    /// Reads a message of version 0 to [`Message::VERSION`].
    fn read(input: &mut Reader<'_>, version: u32) -> Result<Self, MalformedRecord>;

    /// Writes the message in version [`Message::VERSION`].
    fn write(&self, output: &mut Writer);
}

/// Declares the kinds once: the enum, its encoder and its decoder.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($message:ty),)*) => {
        /// A record of the catalog's log.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Record {
            $($(#[$doc])* $variant($message),)*
        }

        impl Record {
            /// The record's bytes: the value of a record without a key.
            pub fn encode(&self) -> Bytes {
                match self {
                    $(Self::$variant(message) => encode(message),)*
                }
            }

            /// The record that these bytes are; `None` for a kind that is not known here.
            pub fn decode(value: &[u8]) -> Result<Option<Self>, MalformedRecord> {
                let (key, version, mut body) = header(value)?;
                match key {
                    $(<$message>::KEY => body_of(&mut body, version).map(|m| Some(Self::$variant(m))),)*
                    _ => Ok(None),
                }
            }
        }

        $(impl From<$message> for Record {
            fn from(message: $message) -> Self {
                Self::$variant(message)
            }
        })*
    };
}

kinds! {
    /// A topic exists.
    Topic(TopicRecord),
    /// A partition exists.
    Partition(PartitionRecord),
    /// A partition has a new leader, in-sync set or placement.
    PartitionChange(PartitionChangeRecord),
    /// A config has a new value or none.
    Config(ConfigRecord),
    /// A topic is gone, with its partitions and configs.
    RemoveTopic(RemoveTopicRecord),
    /// Producer ids are given out.
    ProducerIds(ProducerIdsRecord),
    /// A feature runs at a new level.
    FeatureLevel(FeatureLevelRecord),
    /// A broker is known.
    RegisterBroker(RegisterBrokerRecord),
    /// A broker is fenced, unfenced, shutting down or has other directories.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    /// Nothing.
    NoOp(NoOpRecord),
    /// What follows counts only if an end follows.
    BeginTransaction(BeginTransactionRecord),
    /// What was begun counts.
    EndTransaction(EndTransactionRecord),
    /// What was begun does not count.
    AbortTransaction(AbortTransactionRecord),
}

fn encode<M: Message>(message: &M) -> Bytes {
    let mut output = Writer::default();
    output.unsigned_varint(FRAME_VERSION);
    output.unsigned_varint(M::KEY);
    output.unsigned_varint(M::VERSION);
    message.write(&mut output);
    output.into_bytes()
}

fn header(value: &[u8]) -> Result<(u32, u32, Reader<'_>), MalformedRecord> {
    let mut input = Reader::new("metadata record", value);
    let frame_version = input.unsigned_varint()?;
    if frame_version != FRAME_VERSION {
        return Err(input.malformed(format!("frame version {frame_version} is not known")));
    }
    let key = input.unsigned_varint()?;
    let version = input.unsigned_varint()?;
    Ok((key, version, input))
}

fn body_of<M: Message>(input: &mut Reader<'_>, version: u32) -> Result<M, MalformedRecord> {
    input.set_what(M::NAME);
    if version > M::VERSION {
        return Err(input.malformed(format!("version {version} is above {}", M::VERSION)));
    }
    let message = M::read(input, version)?;
    input.expect_end()?;
    Ok(message)
}
