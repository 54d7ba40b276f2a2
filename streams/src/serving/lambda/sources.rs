//! A view's topics as the cluster has them.

use tidemark_client::Client;
use tidemark_client::consumer::ConsumerError;

use crate::data::Data;
use crate::error::StreamsError;
use crate::serving::aggregate::Aggregate;
use crate::serving::view::View;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceTopic {
    /// Another one than before if the topic has been made again: its offsets mean other records then.
    pub(crate) id: String,
    pub(crate) partitions: i32,
}

/// What has become of a topic since the view was started. The view ends with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChangedSource {
    #[error(
        "topic {topic:?} has been deleted and made again: its offsets mean other records. Start the view again: \
         its speed layer begins anew; the next snapshot has to be made from scratch"
    )]
    MadeAgain { topic: String },
    #[error(
        "topic {topic:?} has been given more partitions: it had {before}, and has {now}. Start the view again: \
         its speed layer begins anew with what the log has, and leaves out what the newest snapshot has already"
    )]
    Grew {
        topic: String,
        before: i64,
        now: i64,
    },
}

impl ChangedSource {
    /// What has become of the first topic that is not what it was.
    pub(crate) fn find<'a>(
        topics: impl Iterator<Item = &'a str>,
        before: &[SourceTopic],
        now: &[SourceTopic],
    ) -> Option<Self> {
        let mut changed = topics
            .zip(before.iter().zip(now))
            .filter_map(|(topic, own)| {
                let (before, now) = own;
                let topic = topic.to_owned();
                if before.id != now.id {
                    return Some(Self::MadeAgain { topic });
                }
                let (before, now) = (i64::from(before.partitions), i64::from(now.partitions));
                (before < now).then_some(Self::Grew { topic, before, now })
            });
        changed.next()
    }
}

/// Why the speed layer has ended, and what is to be done with a view then: whoever keeps one need not know the
/// application that is its speed layer.
///
/// `ends` says where the snapshot ends in a partition that is read with.
pub(super) fn explained(
    application: &str,
    error: &StreamsError,
    ends: impl Fn(&str, i32) -> Option<i64>,
) -> String {
    match error {
        StreamsError::SourceGone { topic } => format!("topic {topic:?} does not exist any more"),
        StreamsError::SourceMadeAgain { topic } => {
            let topic = topic.clone();
            ChangedSource::MadeAgain { topic }.to_string()
        }
        StreamsError::SourceGrew { topic, before, now } => {
            let (topic, before, now) = (topic.clone(), i64::from(*before), i64::from(*now));
            ChangedSource::Grew { topic, before, now }.to_string()
        }
        StreamsError::SourceLost {
            topic,
            partition,
            offset,
            begin,
        } if ends(topic, *partition).is_some_and(|end| end >= *begin) => format!(
            "{topic}-{partition}: the log begins at offset {begin}, and the view was to go on at {offset} (the topic \
             keeps its records for a shorter time than the view was behind). A snapshot has what is missing: start \
             the view again, and it goes on where that one ends"
        ),
        StreamsError::SourceLost {
            topic,
            partition,
            offset,
            begin,
        } => format!(
            "{topic}-{partition}: the log begins at offset {begin}, and the view was to go on at {offset}: it has \
             lost records that are in no snapshot (the topic keeps them for a shorter time than the view was down, \
             or behind). To go on {FROM_SCRATCH}, and start the view again: it goes on where that snapshot ends, and \
             answers say that they begin at {begin} or where the log begins by then"
        ),
        // It has lost its end. What snapshots have may not be in it any more, too. A changelog that is cut while
        // it is read is another matter: that passes.
        StreamsError::Consume(
            ConsumerError::OffsetOutOfRange { partition, offset }
            | ConsumerError::Truncated {
                partition,
                position: offset,
                ..
            },
        ) if !partition.topic.starts_with(application) => format!(
            "{partition}: the log has not got offset {offset}, where the view was to go on. If it begins behind that, \
             starting the view again says what helps. Else it has been cut off, and what the view has read in front of \
             that is not in it any more: {FROM_SCRATCH}; then {}, and it goes on where that snapshot ends",
            anew(application)
        ),
        StreamsError::Position(why) => forgotten(application, why),
        StreamsError::LostChangelog {
            topic,
            partition,
            end,
            committed,
        } => {
            let why = format!(
                "{topic}-{partition} ends at offset {end}, but state up to {committed} was saved"
            );
            forgotten(application, &why)
        }
        other => other.to_string(),
    }
}

/// What is to be done if the log does not have what was to be read.
const FROM_SCRATCH: &str = "make a batch run from scratch (`tidemark batch run --from-scratch`, \
                            `BatchConfig::from_scratch`, or `run_batch_from_scratch` of the view that has ended)";

/// What is to be done if what the speed layer has saved is of no use.
fn anew(application: &str) -> String {
    format!(
        "stop all instances of the view, delete the group {application:?}, if it is there, and all topics whose names \
         begin with \"{application}-\", and start the view again"
    )
}

/// The cluster has forgotten what the speed layer has saved, or a part of it.
fn forgotten(application: &str, why: &str) -> String {
    format!(
        "what the view has saved in the cluster cannot be gone on with ({why}). To go on {}: its speed layer begins \
         anew with what the log has, and leaves out what the newest snapshot has already",
        anew(application)
    )
}

/// The topics of a view, in its order.
///
/// # Errors
///
/// If the cluster cannot be asked, or one of them is not there.
pub(super) async fn sources<K: Data, A: Aggregate>(
    client: &Client,
    view: &View<K, A>,
) -> Result<Vec<SourceTopic>, StreamsError> {
    let topics: Vec<String> = view.topics().map(str::to_owned).collect();
    let described = client
        .admin()
        .describe_topics(topics.iter().cloned())
        .await?;
    let described = described.all()?;
    let sources = topics.iter().filter_map(|topic| described.get(topic));
    let sources = sources.map(|topic| SourceTopic {
        id: format!("{:?}", topic.id),
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
    });
    Ok(sources.collect())
}

/// The id of the application that is a view's speed layer. Another definition has another one, and so have
/// topics that have been made again, or given more partitions: each has state of its own, which begins with
/// what the log has, and leaves out what the newest snapshot has already.
pub(super) fn application<K: Data, A: Aggregate>(
    view: &View<K, A>,
    sources: &[SourceTopic],
) -> String {
    let mut hash = crc32fast::Hasher::new();
    hash.update(view.fingerprint().as_bytes());
    for source in sources {
        hash.update(source.id.as_bytes());
        hash.update(&source.partitions.to_be_bytes());
    }
    format!("{}-{:08x}", view.name(), hash.finalize())
}

#[cfg(test)]
mod tests {
    use tidemark_client::TopicPartition;

    use super::*;

    #[test]
    fn a_topic_that_is_not_what_it_was_is_found() {
        let of = |id: &str, partitions| SourceTopic {
            id: id.to_owned(),
            partitions,
        };
        let before = [of("1", 3), of("2", 3)];
        let find = |now: [SourceTopic; 2]| {
            let changed = ChangedSource::find(["a", "b"].into_iter(), &before, &now);
            changed.map(|changed| changed.to_string())
        };
        assert_eq!(find(before.clone()), None);
        let again = find([of("1", 3), of("3", 3)]).unwrap();
        assert!(
            again.starts_with(r#"topic "b" has been deleted and made again"#),
            "{again}"
        );
        let grew = find([of("1", 5), of("2", 3)]).unwrap();
        assert!(
            grew.starts_with(r#"topic "a" has been given more partitions: it had 3, and has 5"#),
            "{grew}"
        );
    }

    #[test]
    fn nobody_is_told_to_reset_anything() {
        let topic = || "events".to_owned();
        let (before, now) = (1, 2);
        let errors = [
            StreamsError::SourceGone { topic: topic() },
            StreamsError::SourceMadeAgain { topic: topic() },
            StreamsError::SourceGrew {
                topic: topic(),
                before,
                now,
            },
        ];
        for error in errors {
            let told = explained("view-7", &error, |_, _| None);
            assert!(told.starts_with("topic \"events\" "), "{told}");
            assert!(!told.contains("application"), "{told}");
        }
    }

    /// From scratch would throw away what the snapshot has.
    #[test]
    fn what_a_snapshot_has_is_not_lost() {
        let lost = StreamsError::SourceLost {
            topic: "events".to_owned(),
            partition: 2,
            offset: 100,
            begin: 150,
        };
        let ends =
            |end| move |topic: &str, number| (topic == "events" && number == 2).then_some(end);
        for (end, scratch) in [(149, true), (150, false), (170, false)] {
            let told = explained("view-7", &lost, ends(end));
            assert!(
                told.starts_with("events-2: the log begins at offset 150"),
                "{told}"
            );
            assert!(told.contains("start the view again"), "{told}");
            assert_eq!(told.contains("scratch"), scratch, "{told}");
        }
    }

    /// What cannot be gone on with says what is to be done with a view.
    #[test]
    fn whoever_cannot_go_on_is_told_how_to() {
        let topic = || "events".to_owned();
        let partition = TopicPartition::new("events", 2);
        let position = partition.clone();
        let scratch = [
            "`tidemark batch run --from-scratch`",
            "start the view again",
        ];
        let delete = [
            "delete the group \"view-7\"",
            "all topics whose names begin with \"view-7-\"",
        ];
        let errors = [
            (
                StreamsError::SourceLost {
                    topic: topic(),
                    partition: 2,
                    offset: 100,
                    begin: 150,
                },
                vec![
                    "events-2: the log begins at offset 150",
                    scratch[0],
                    scratch[1],
                ],
            ),
            (
                ConsumerError::OffsetOutOfRange {
                    partition,
                    offset: 100,
                }
                .into(),
                vec![
                    "events-2: the log has not got offset 100",
                    "it has been cut off",
                    scratch[0],
                    delete[0],
                ],
            ),
            (
                ConsumerError::Truncated {
                    partition: position,
                    position: 100,
                    diverges_at: 90,
                }
                .into(),
                vec!["has not got offset 100", scratch[0], delete[1]],
            ),
            (
                StreamsError::Position("the group has no offsets".to_owned()),
                vec!["(the group has no offsets)", delete[0], delete[1]],
            ),
            (
                StreamsError::LostChangelog {
                    topic: topic(),
                    partition: 2,
                    end: 7,
                    committed: 9,
                },
                vec!["events-2 ends at offset 7", delete[0], delete[1]],
            ),
        ];
        for (error, words) in errors {
            let told = explained("view-7", &error, |_, _| None);
            for words in words {
                assert!(told.contains(words), "{words}: {told}");
            }
            for not in ["application", "seek", "offset_reset", "reset the"] {
                assert!(!told.contains(not), "{not}: {told}");
            }
        }
    }
}
