//! Where a topology begins.

use std::sync::Arc;

use super::source::Consumed;
use super::stream::Stream;
use crate::data::Data;
use crate::error::StreamsError;
use crate::operator::source::{OnBadRecord, PartitionSource, SourceSpec};
use crate::topology::{Edge, Make, Node, NodeKind, Partitioning, Plan, Topic, TopicEnd, Topology};

/// Builds a topology (Kafka: `StreamsBuilder`). Streams and tables made from it are handles: each
/// call on one adds an operator.
///
/// ```
/// use tidemark_streams::StreamsBuilder;
///
/// let builder = StreamsBuilder::new();
/// builder
///     .stream::<(), String>("text")
///     .flat_map(|_, line| {
///         let words: Vec<_> = line.split_whitespace().map(|w| (w.to_owned(), ())).collect();
///         words
///     })
///     .to("words");
/// let topology = builder.build()?;
/// # Ok::<(), tidemark_streams::StreamsError>(())
/// ```
#[derive(Clone, Default)]
pub struct StreamsBuilder {
    plan: Plan,
}

impl StreamsBuilder {
    /// A topology without operators.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a topic (Kafka: `StreamsBuilder.stream`). Once more with the same types it is the same
    /// stream.
    #[must_use]
    pub fn stream<K: Data, V: Data>(&self, topic: &str) -> Stream<K, V> {
        // Kafka, too, takes two streams of one topic as one.
        let known = self.plan.plain_source::<(K, V)>(topic);
        if let Some(edge) = known {
            return Stream::new(self.plan.clone(), edge);
        }
        let stream = self.stream_with([topic], Consumed::new());
        self.plan.note_plain_source::<(K, V)>(topic, stream.from);
        stream
    }

    /// Reads topics, and says how: event time, watermarks, what is done with bad records.
    #[must_use]
    pub fn stream_with<'a, K: Data, V: Data>(
        &self,
        topics: impl IntoIterator<Item = &'a str>,
        consumed: Consumed<K, V>,
    ) -> Stream<K, V> {
        let topics = topics.into_iter();
        let topics: Vec<Topic> = topics.map(|name| Topic::External(name.into())).collect();
        let name = match topics.first() {
            Some(Topic::External(name) | Topic::Internal(name)) => name.to_string(),
            None => {
                self.plan.problem("a stream reads no topic".to_owned());
                "stream".to_owned()
            }
        };
        let source = TopicSource {
            name: &name,
            topics,
            skip_null_keys: false,
        };
        let node = add_source(&self.plan, source, consumed);
        Stream::new(self.plan.clone(), Edge { node, port: 0 })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The topology. Handles that are left must not be used any more.
    ///
    /// # Errors
    ///
    /// [`StreamsError::Topology`] with everything that is wrong, operators named.
    pub fn build(&self) -> Result<Topology, StreamsError> {
        self.plan.build()
    }
}

/// What a source node is made of, beside how it reads.
pub(super) struct TopicSource<'a> {
    /// The node's name.
    pub(super) name: &'a str,
    pub(super) topics: Vec<Topic>,
    /// Whether records without a key are counted and left out.
    pub(super) skip_null_keys: bool,
}

/// Adds the node that reads these topics.
pub(super) fn add_source<K: Data, V: Data>(
    plan: &Plan,
    source: TopicSource<'_>,
    consumed: Consumed<K, V>,
) -> usize {
    let TopicSource {
        name,
        topics,
        skip_null_keys,
    } = source;
    let dead_letters = match &consumed.on_bad_record {
        OnBadRecord::DeadLetter(topic) => Some(Arc::clone(topic)),
        OnBadRecord::Fail | OnBadRecord::Skip => None,
    };
    let spec = Arc::new(SourceSpec {
        decode: consumed.decode,
        watermarks: consumed.watermarks,
        on_bad_record: consumed.on_bad_record,
        bounds: consumed.bounds,
        carried: consumed.carried,
        skip_null_keys,
    });
    let make = Make::Source(Arc::new(move |cx, partition| {
        let dead_letters = match &spec.on_bad_record {
            OnBadRecord::DeadLetter(topic) => Some(cx.topic(&Topic::External(Arc::clone(topic)))),
            _ => None,
        };
        Box::new(PartitionSource::new(
            Arc::clone(&spec),
            partition,
            dead_letters,
            cx.writers,
        ))
    }));
    let end = TopicEnd {
        key: K::format(),
        value: V::format(),
        partitioning: consumed.partitioned_by.map(Partitioning::Named),
    };
    let new = Node::new("stream", NodeKind::Source { topics }, make).end(end);
    let new = new.output::<K, V>().varies_if(consumed.by_clock);
    let new = new.dead_letters(dead_letters);
    plan.add_named(name, new)
}
