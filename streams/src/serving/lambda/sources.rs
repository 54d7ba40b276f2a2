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
