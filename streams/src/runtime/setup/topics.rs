//! The topics that an application makes for itself: made if they are not there, and looked at if they
//! are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidemark_client::admin::{ConfigQuery, ConfigResource, Mode, NewTopic};
use tidemark_client::{Admin, ClientError, Clock, ErrorCode};

use crate::error::StreamsError;
use crate::runtime::config::StreamsConfig;
use crate::topology::Changelog;

/// How long changelogs keep what compaction would take: values that newer ones hide, which may not
/// have been committed before a crash, and the news that a key has gone, which those have to be told
/// whose snapshot still has it.
const KEPT: i64 = 3 * DAY;
const DAY: i64 = 24 * 60 * 60 * 1000;
const LAG: &str = "min.compaction.lag.ms";
const TOMBSTONES: &str = "delete.retention.ms";

/// For how much of the time for which something is kept it is certain that it is still there.
pub(super) fn certain_of(kept: i64) -> i64 {
    kept - (kept / 3).min(DAY)
}

/// What a topic keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// All records, until they have been processed: they are deleted by offset.
    UntilRead,
    /// The changes of a store.
    Changes(Changelog),
    /// The last record of each key.
    ByKey,
}

/// A topic of the application's own, by its name in the cluster.
#[derive(Clone, Debug)]
pub(super) struct OwnTopic {
    pub(super) name: String,
    pub(super) partitions: u32,
    kept: Kept,
}

impl OwnTopic {
    pub(super) fn new(name: String, partitions: u32, kept: Kept) -> Self {
        Self {
            name,
            partitions,
            kept,
        }
    }

    /// Its configuration when it is made. Timestamps are those of whoever writes it, as in Kafka.
    fn configs(&self) -> Vec<(&'static str, String)> {
        // By no clock: event time may stand still while the clock goes on, and what has not been read,
        // or is open, is still wanted then.
        let policy = match self.kept {
            Kept::UntilRead => "delete",
            Kept::Changes(Changelog::Windows) => "compact,delete",
            Kept::Changes(Changelog::Keys) | Kept::ByKey => "compact",
        };
        let mut configs = vec![
            ("cleanup.policy", policy.to_owned()),
            ("message.timestamp.type", "CreateTime".to_owned()),
        ];
        if policy.contains("delete") {
            configs.push(("retention.ms", "-1".to_owned()));
            configs.push(("retention.bytes", "-1".to_owned()));
        }
        if self.kept != Kept::UntilRead {
            configs.push((LAG, KEPT.to_string()));
            configs.push((TOMBSTONES, KEPT.to_string()));
        }
        configs
    }

    fn new_topic(&self, config: &StreamsConfig) -> NewTopic {
        let topic = NewTopic::new(&self.name)
            .partitions(self.partitions as i32)
            .replication_factor(config.replication_factor);
        let configs = self.configs().into_iter();
        configs.fold(topic, |topic, (name, value)| topic.config(name, value))
    }

    /// What of a topic's configuration would lose what it has to keep, by name, value and what it has to
    /// be. Times of records play no part: nothing here goes by the timestamps of its own topics.
    fn unfit(
        &self,
        found: &dyn Fn(&str) -> Option<String>,
    ) -> Vec<(&'static str, String, &'static str)> {
        let mut wrong = Vec::new();
        let policy = found("cleanup.policy").unwrap_or_default();
        let has = |what: &str| policy.split(',').any(|own| own.trim() == what);
        let wanted = match self.kept {
            Kept::UntilRead if has("compact") => Some("delete"),
            Kept::Changes(Changelog::Keys) | Kept::ByKey if has("delete") => Some("compact"),
            _ => None,
        };
        if let Some(wanted) = wanted {
            wrong.push(("cleanup.policy", policy.clone(), wanted));
        } else if has("delete") {
            for name in ["retention.ms", "retention.bytes"] {
                let value = found(name).filter(|value| value != "-1");
                wrong.extend(value.map(|value| (name, value, "-1")));
            }
        }
        wrong
    }
}

/// The numbers of partitions of the topics that there are. What is read and written, or written twice,
/// may be named more than once.
pub(in crate::runtime) async fn counts(
    admin: &Admin,
    names: impl Iterator<Item = String>,
) -> Result<HashMap<String, u32>, StreamsError> {
    let names: BTreeSet<String> = names.collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let mut found = HashMap::new();
    for (name, outcome) in admin.describe_topics(names).await? {
        match outcome {
            Ok(topic) => {
                found.insert(name, topic.partitions.len() as u32);
            }
            Err(error) if is_unknown(&error) => {}
            // Those that no topic can have the name of are not there either.
            Err(ClientError::Broker {
                code: ErrorCode::InvalidTopicException,
                ..
            }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// For so long a topic that is not known may be one that somebody has just made.
const PATIENCE: Duration = Duration::from_secs(2);

/// As [`counts`], of topics that are to be there: somebody may have made them right in front of this.
pub(super) async fn known(
    admin: &Admin,
    clock: &Clock,
    names: &[Arc<str>],
) -> Result<HashMap<String, u32>, StreamsError> {
    let deadline = clock.deadline(PATIENCE);
    loop {
        let found = counts(admin, names.iter().map(|name| name.to_string())).await?;
        let all = names.iter().all(|name| found.contains_key(&**name));
        if all || clock.now().millis >= deadline {
            return Ok(found);
        }
        clock.sleep(AGAIN).await;
    }
}

/// For so long brokers may not know topics that have just been made: each learns of them by itself.
const SETTLE: Duration = Duration::from_secs(30);
/// How often they are asked again.
const AGAIN: Duration = Duration::from_millis(20);

/// Asks until brokers know the topics that they are asked for.
pub(super) async fn settled<T>(
    clock: &Clock,
    ask: impl AsyncFn() -> Result<T, StreamsError>,
) -> Result<T, StreamsError> {
    let deadline = clock.deadline(SETTLE);
    loop {
        match ask().await {
            Err(StreamsError::Client(error))
                if is_unknown(&error) && clock.now().millis < deadline =>
            {
                clock.sleep(AGAIN).await;
            }
            done => return done,
        }
    }
}

fn is_unknown(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::UnknownTopic { .. }
            | ClientError::Broker {
                code: ErrorCode::UnknownTopicOrPartition,
                ..
            }
    )
}

/// The topics' ids, in words.
pub(super) async fn ids(admin: &Admin, topics: &[String]) -> Result<String, StreamsError> {
    let mut ids = String::new();
    if topics.is_empty() {
        return Ok(ids);
    }
    let described = admin.describe_topics(topics.iter().cloned()).await?.all()?;
    for topic in topics {
        let id = described.get(topic).map(|topic| topic.id);
        ids.push_str(&format!("{topic}={id:?} "));
    }
    Ok(ids)
}

/// For how many milliseconds at least the changelogs keep what compaction would take, as they are set
/// up now: not as this application would make them.
pub(super) async fn kept(admin: &Admin, topics: &[String]) -> Result<i64, StreamsError> {
    let mut kept = KEPT;
    if topics.is_empty() {
        return Ok(kept);
    }
    let resources = topics.iter().map(|topic| ConfigResource::topic(&**topic));
    let query = ConfigQuery::new().names([LAG, TOMBSTONES]);
    let described = admin.describe_configs(resources, query).await?.all()?;
    for (topic, entries) in described {
        for name in [LAG, TOMBSTONES] {
            let entry = entries.iter().find(|entry| entry.name == name);
            let value = entry.and_then(|entry| entry.value.as_ref()?.parse().ok());
            // Who may not see it does not know it.
            let value: i64 = value.unwrap_or(0);
            if value < KEPT {
                tracing::warn!(
                    %topic,
                    "{name} is {value}, less than the {KEPT} that it should be: after a longer stop snapshots are not used, and a crash may need a reset"
                );
            }
            kept = kept.min(value);
        }
    }
    Ok(kept)
}

/// Makes the topics that are not there, and looks at those that are.
pub(super) async fn make(
    admin: &Admin,
    config: &StreamsConfig,
    wanted: &[OwnTopic],
) -> Result<(), StreamsError> {
    let names = || wanted.iter().map(|topic| topic.name.clone());
    let mut there = counts(admin, names()).await?;
    let missing = wanted.iter().filter(|own| !there.contains_key(&own.name));
    let missing: Vec<NewTopic> = missing.map(|own| own.new_topic(config)).collect();
    let known: Vec<&OwnTopic> = wanted
        .iter()
        .filter(|own| there.contains_key(&own.name))
        .collect();
    if !missing.is_empty() {
        for (name, outcome) in admin.create_topics(missing, Mode::Apply).await? {
            match outcome {
                Ok(_) => {}
                // Another instance was quicker.
                Err(ClientError::Broker {
                    code: ErrorCode::TopicAlreadyExists,
                    ..
                }) => {}
                Err(error) => {
                    return Err(StreamsError::InternalTopic {
                        topic: name,
                        reason: error.to_string(),
                    });
                }
            }
        }
        there = settled(&config.clock, async || {
            let there = counts(admin, names()).await?;
            let mut names = names();
            match names.find(|name| !there.contains_key(name)) {
                Some(topic) => Err(ClientError::UnknownTopic { topic }.into()),
                None => Ok(there),
            }
        })
        .await?;
    }
    for own in wanted {
        let found = there.get(&own.name).copied();
        if let Some(found) = found.filter(|found| *found != own.partitions) {
            return Err(StreamsError::InternalTopic {
                topic: own.name.clone(),
                reason: format!(
                    "it has {found} partitions where {} are needed: a source topic has been given \
                     more partitions since, or it was not made by the application; state by key \
                     cannot follow, so reset the application under another id",
                    own.partitions
                ),
            });
        }
    }
    look(admin, &known).await
}

/// Refuses topics that would lose what they have to keep.
async fn look(admin: &Admin, known: &[&OwnTopic]) -> Result<(), StreamsError> {
    if known.is_empty() {
        return Ok(());
    }
    let resources = known.iter().map(|own| ConfigResource::topic(&own.name));
    let query = ConfigQuery::new().names(["cleanup.policy", "retention.ms", "retention.bytes"]);
    let mut described = admin.describe_configs(resources, query).await?;
    for own in known {
        let Some(outcome) = described.remove(&ConfigResource::topic(&own.name)) else {
            continue;
        };
        let entries = outcome?;
        let found = |name: &str| {
            let entry = entries.iter().find(|entry| entry.name == name);
            entry.and_then(|entry| entry.value.clone())
        };
        let wrong = own.unfit(&found);
        if wrong.is_empty() {
            continue;
        }
        let told = wrong
            .iter()
            .map(|(name, found, wanted)| format!("{name} is {found:?} and has to be {wanted:?}"));
        let told: Vec<String> = told.collect();
        let changes = wrong
            .iter()
            .map(|(name, _, wanted)| format!("{name}={wanted}"));
        let changes: Vec<String> = changes.collect();
        return Err(StreamsError::InternalTopic {
            topic: own.name.clone(),
            reason: format!(
                "{}, or the application loses what it keeps there: kafka-configs.sh \
                 --bootstrap-server ADDRESS --alter --entity-type topics --entity-name {} \
                 --add-config {}",
                told.join(", "),
                own.name,
                changes.join(","),
            ),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a topic is made with fits, and what does not is told.
    #[test]
    fn what_would_lose_records_is_told() {
        let all = [
            Kept::UntilRead,
            Kept::Changes(Changelog::Keys),
            Kept::Changes(Changelog::Windows),
            Kept::ByKey,
        ];
        for kept in all {
            let own = OwnTopic::new("t".to_owned(), 1, kept);
            let configs: HashMap<_, _> = own.configs().into_iter().collect();
            assert_eq!(own.unfit(&|name| configs.get(name).cloned()), []);
        }
        let unfit = |kept: Kept, configs: &[(&str, &str)]| {
            let own = OwnTopic::new("t".to_owned(), 1, kept);
            let wrong = own.unfit(&|name| {
                let found = configs.iter().find(|(own, _)| *own == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            let names = wrong.into_iter().map(|(name, _, wanted)| (name, wanted));
            names.collect::<Vec<_>>()
        };
        let delete = [("cleanup.policy", "delete"), ("retention.ms", "604800000")];
        assert_eq!(unfit(Kept::UntilRead, &delete), [("retention.ms", "-1")]);
        let changes = Kept::Changes(Changelog::Keys);
        assert_eq!(unfit(changes, &delete), [("cleanup.policy", "compact")]);
        let both = [
            ("cleanup.policy", "compact, delete"),
            ("retention.ms", "-1"),
        ];
        assert_eq!(unfit(Kept::Changes(Changelog::Windows), &both), []);
        assert_eq!(
            unfit(Kept::UntilRead, &both),
            [("cleanup.policy", "delete")]
        );
    }
}
