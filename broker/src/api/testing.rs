//! What the handlers' tests share: a catalog to ask, and the check that a response can be encoded
//! in every version it is served in.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use uuid::Uuid;

use super::context::{Context, ErrorCodes, Response};
use super::registry;
use super::step::Step;
use crate::catalog::command::{Command, CreateTopics, NewTopic, Reply, TopicDefaults};
use crate::catalog::image::CatalogImage;
use crate::catalog::machine::CatalogMachine;
use crate::config::BrokerConfig;
use crate::coordinator::{Machine, ReplyToken};
use crate::types::{Now, Offset};

/// A request of this API in this version, from nowhere in particular.
pub(super) fn context(key: i16, version: i16) -> Context {
    Context {
        api: registry::find(key).expect("the API is served"),
        version,
        correlation_id: 7,
        client_id: None,
        peer: ([127, 0, 0, 1], 40_000).into(),
        listener: "PLAINTEXT".into(),
    }
}

/// Encodes a response as the broker would.
pub(super) fn encodes<M>(key: i16, version: i16, message: &M) -> Response
where
    M: Encodable + HeaderVersion + ErrorCodes,
{
    match context(key, version).reply(message) {
        Step::Reply(response) => response,
        Step::Close(reason) => panic!("{reason}"),
        _ => panic!("another step"),
    }
}

/// Builds the response for every version that is served, encodes it and reads it back: what a
/// client of that version sees.
pub(super) fn each_version<M>(key: i16, make: impl Fn(i16) -> M) -> Vec<(i16, M)>
where
    M: Encodable + Decodable + HeaderVersion + ErrorCodes,
{
    let api = registry::find(key).expect("the API is served");
    let versions = api.min..=api.max;
    versions
        .map(|version| {
            (
                version,
                read(version, encodes(key, version, &make(version))),
            )
        })
        .collect()
}

fn read<M: Decodable + HeaderVersion>(version: i16, response: Response) -> M {
    let mut frame: Bytes = response.frame;
    let length = frame.get_i32();
    assert_eq!(
        usize::try_from(length),
        Ok(frame.len()),
        "the frame's length"
    );
    assert_eq!(frame.get_i32(), 7, "the correlation id");
    if M::header_version(version) >= 1 {
        assert_eq!(frame.get_u8(), 0, "no tagged fields in the header");
    }
    let message = M::decode(&mut frame, version).expect("what was encoded can be decoded");
    assert!(frame.is_empty(), "{} bytes are left", frame.len());
    message
}

/// A topic to start with: name, number of partitions, config overrides.
pub(super) type TestTopic<'a> = (&'a str, i32, &'a [(&'a str, &'a str)]);

/// A topic's config overrides if it has none.
pub(super) const NO_CONFIGS: &[(&str, &str)] = &[];

/// A catalog that decides and applies as the running one does, without a log.
pub(super) struct TestCatalog {
    machine: CatalogMachine,
    next: Offset,
}

impl TestCatalog {
    /// An empty catalog of a broker with this configuration.
    fn new(config: BrokerConfig) -> Self {
        Self {
            machine: CatalogMachine::new(Arc::new(config)),
            next: Offset::ZERO,
        }
    }

    /// A catalog with these topics. Their ids count from 500 in the order given.
    pub(super) fn with_topics(config: BrokerConfig, topics: &[TestTopic<'_>]) -> Self {
        let defaults = TopicDefaults::of(&config);
        let topics = topics
            .iter()
            .zip(500..)
            .map(|((name, partitions, configs), id)| NewTopic {
                name: (*name).to_owned(),
                id: Uuid::from_u128(id),
                num_partitions: *partitions,
                replication_factor: 1,
                assignments: Vec::new(),
                configs: configs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
                    .collect(),
            });
        let command = CreateTopics {
            topics: topics.collect(),
            validate_only: false,
            defaults,
        };
        let mut catalog = Self::new(config);
        let Reply::TopicsCreated(results) = catalog.run(Command::CreateTopics(command)) else {
            panic!("another reply")
        };
        assert!(
            results.iter().all(|topic| topic.result.is_ok()),
            "{results:?}"
        );
        catalog
    }

    /// Decides on a command, applies what follows from it and answers.
    pub(super) fn run(&mut self, command: Command) -> Reply {
        let decision = self.machine.decide(Now::default(), command, ReplyToken(0));
        for event in decision.events {
            self.machine.apply(self.next, event);
            self.next = self.next.plus(1);
        }
        let [answer] = decision.answers.try_into().expect("one answer");
        answer.reply
    }

    /// The picture as of now.
    pub(super) fn image(&self) -> Arc<CatalogImage> {
        Arc::clone(self.machine.image())
    }
}

/// The picture of a catalog with these topics.
pub(super) fn catalog(topics: &[TestTopic<'_>]) -> Arc<CatalogImage> {
    TestCatalog::with_topics(BrokerConfig::default(), topics).image()
}
