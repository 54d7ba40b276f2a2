//! RegisterBrokerRecord: key 0, versions 0 to 3.

use uuid::Uuid;

use super::codec::{Reader, TaggedFields, Writer};
use super::{MalformedRecord, Message};

/// A broker is known to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterBrokerRecord {
    /// Its id.
    pub broker_id: i32,
    /// From version 2: it came over from ZooKeeper.
    pub is_migrating_zk_broker: bool,
    /// Names this run of it.
    pub incarnation_id: Uuid,
    /// Rises with each new incarnation.
    pub broker_epoch: i64,
    /// Where it can be reached.
    pub end_points: Vec<BrokerEndpoint>,
    /// The feature levels that its software can run at.
    pub features: Vec<BrokerFeature>,
    /// Its rack.
    pub rack: Option<String>,
    /// Whether it may not lead yet.
    pub fenced: bool,
    /// From version 1: whether it is shutting down.
    pub in_controlled_shutdown: bool,
    /// From version 3: its log directories.
    pub log_dirs: Vec<Uuid>,
}

/// A listener of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// The listener's name.
    pub name: String,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL (Kafka's `SecurityProtocol`).
    pub security_protocol: i16,
}

/// The levels of a feature that a broker can run at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerFeature {
    /// The feature.
    pub name: String,
    /// The lowest level.
    pub min_supported_version: i16,
    /// The highest level.
    pub max_supported_version: i16,
}

/// A name and host of one byte each, port, protocol, no tagged fields.
const LEAST_ENDPOINT: usize = 7;
/// A name of one byte, two levels, no tagged fields.
const LEAST_FEATURE: usize = 6;

impl Message for RegisterBrokerRecord {
    const KEY: u32 = 0;
    const NAME: &'static str = "RegisterBrokerRecord";
    const VERSION: u32 = 3;

    fn read(input: &mut Reader<'_>, version: u32) -> Result<Self, MalformedRecord> {
        let broker_id = input.i32()?;
        let is_migrating_zk_broker = version >= 2 && input.bool()?;
        let mut record = Self {
            broker_id,
            is_migrating_zk_broker,
            incarnation_id: input.uuid()?,
            broker_epoch: input.i64()?,
            end_points: input.array(LEAST_ENDPOINT, BrokerEndpoint::read)?,
            features: input.array(LEAST_FEATURE, BrokerFeature::read)?,
            rack: input.nullable_string()?,
            fenced: input.bool()?,
            in_controlled_shutdown: version >= 1 && input.bool()?,
            log_dirs: Vec::new(),
        };
        input.tagged_fields(|tag, field| {
            if tag == 0 && version >= 3 {
                record.log_dirs = field.uuids()?;
            }
            Ok(())
        })?;
        Ok(record)
    }

    fn write(&self, output: &mut Writer) {
        output.i32(self.broker_id);
        output.bool(self.is_migrating_zk_broker);
        output.uuid(self.incarnation_id);
        output.i64(self.broker_epoch);
        output.array(&self.end_points, |output, endpoint| endpoint.write(output));
        output.array(&self.features, |output, feature| feature.write(output));
        output.nullable_string(self.rack.as_deref());
        output.bool(self.fenced);
        output.bool(self.in_controlled_shutdown);
        let mut tagged = TaggedFields::default();
        if !self.log_dirs.is_empty() {
            tagged.add(0, |field| field.uuids(&self.log_dirs));
        }
        output.tagged_fields(tagged);
    }
}

impl BrokerEndpoint {
    fn read(input: &mut Reader<'_>) -> Result<Self, MalformedRecord> {
        let endpoint = Self {
            name: input.string()?,
            host: input.string()?,
            port: input.u16()?,
            security_protocol: input.i16()?,
        };
        input.no_tagged_fields()?;
        Ok(endpoint)
    }

    fn write(&self, output: &mut Writer) {
        output.string(&self.name);
        output.string(&self.host);
        output.u16(self.port);
        output.i16(self.security_protocol);
        output.no_tagged_fields();
    }
}

impl BrokerFeature {
    fn read(input: &mut Reader<'_>) -> Result<Self, MalformedRecord> {
        let feature = Self {
            name: input.string()?,
            min_supported_version: input.i16()?,
            max_supported_version: input.i16()?,
        };
        input.no_tagged_fields()?;
        Ok(feature)
    }

    fn write(&self, output: &mut Writer) {
        output.string(&self.name);
        output.i16(self.min_supported_version);
        output.i16(self.max_supported_version);
        output.no_tagged_fields();
    }
}
