//! A view's topics as the cluster has them.

use tidemark_client::Client;

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

    /// Why the speed layer has ended. It is no application that somebody would have to reset: it begins anew by
    /// itself.
    pub(super) fn explained(error: &StreamsError) -> String {
        match error {
            StreamsError::SourceGone { topic } => {
                format!("topic {topic:?} does not exist any more")
            }
            StreamsError::SourceMadeAgain { topic } => {
                let topic = topic.clone();
                Self::MadeAgain { topic }.to_string()
            }
            StreamsError::SourceGrew { topic, before, now } => {
                let (topic, before, now) = (topic.clone(), i64::from(*before), i64::from(*now));
                Self::Grew { topic, before, now }.to_string()
            }
            other => other.to_string(),
        }
    }
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
            let told = ChangedSource::explained(&error);
            assert!(told.starts_with("topic \"events\" "), "{told}");
            assert!(!told.contains("application"), "{told}");
        }
    }
}
