//! From where to where: what the options say, as offsets of every partition.

use std::collections::BTreeMap;

use tidemark_client::admin::{ListedOffset, OffsetSpec};
use tidemark_client::consumer::IsolationLevel;
use tidemark_client::{Admin, Clock, TopicPartition};

use crate::failure::Failure;
use crate::time;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Earliest,
    Latest,
    Offset(i64),
    /// So many before the end.
    Last(i64),
    /// Milliseconds since 1970.
    Time(i64),
    /// So many milliseconds before now.
    Ago(i64),
}

/// Where to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    Offset(i64),
    Time(i64),
}

pub(super) fn from(text: &str) -> Result<From, String> {
    let wrong = || {
        "write earliest, latest, an offset, -N for the last N, a time as in 2024-05-01T12:00:00Z, or \
         a duration as in 1h30m"
            .to_owned()
    };
    match text {
        "earliest" | "beginning" => return Ok(From::Earliest),
        "latest" | "end" => return Ok(From::Latest),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(match number {
            0.. => From::Offset(number),
            _ => From::Last(number.checked_neg().ok_or_else(wrong)?),
        });
    }
    if let Ok(time) = time::datetime(text) {
        return Ok(From::Time(time));
    }
    let ago = time::duration(text).map_err(|_| wrong())?;
    Ok(From::Ago(
        i64::try_from(ago.as_millis()).map_err(|_| wrong())?,
    ))
}

pub(super) fn until(text: &str) -> Result<Until, String> {
    if let Ok(offset) = text.parse::<u32>() {
        return Ok(Until::Offset(offset.into()));
    }
    if let Ok(offset) = text.parse::<i64>()
        && offset >= 0
    {
        return Ok(Until::Offset(offset));
    }
    let time = time::datetime(text);
    time.map(Until::Time)
        .map_err(|_| "write an offset, or a time as in 2024-05-01T12:00:00Z".to_owned())
}

/// One partition's range: from `begin` up to `end`, which is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) begin: i64,
    /// Where to begin to read: `begin`, or what the partition has next to it.
    pub(super) seek: i64,
    pub(super) end: i64,
}

impl Bound {
    fn new(first: i64, last: i64, begin: i64, end: i64) -> Self {
        Self {
            begin,
            // A topic that is made again between the two questions has its end before its beginning.
            seek: begin.min(last).max(first),
            end,
        }
    }
}

/// The partitions of the topics, or those of them with these numbers.
pub(super) async fn partitions(
    admin: &Admin,
    topics: &[String],
    wanted: &[i32],
) -> Result<Vec<TopicPartition>, Failure> {
    let described = admin.describe_topics(topics).await?.all()?;
    let mut found = Vec::new();
    for (name, topic) in described {
        let count = topic.partitions.len();
        if wanted.is_empty() {
            let numbers = topic.partitions.iter().map(|partition| partition.index);
            found.extend(numbers.map(|index| TopicPartition::new(name.as_str(), index)));
        }
        for index in wanted {
            if !usize::try_from(*index).is_ok_and(|index| index < count) {
                return Err(Failure::usage(
                    "--partition",
                    &index.to_string(),
                    format!(
                        "topic {name:?} has partitions 0 to {}",
                        count.saturating_sub(1)
                    ),
                ));
            }
            found.push(TopicPartition::new(name.as_str(), *index));
        }
    }
    Ok(found)
}

/// The range of each partition.
pub(super) async fn bounds(
    admin: &Admin,
    partitions: &[TopicPartition],
    from: &From,
    to: Option<Until>,
    isolation: IsolationLevel,
) -> Result<BTreeMap<TopicPartition, Bound>, Failure> {
    let at = async |spec: OffsetSpec| {
        let questions = partitions.iter().map(|partition| (partition.clone(), spec));
        let found = admin.list_offsets(questions, isolation).await?.all()?;
        Ok::<_, Failure>(found)
    };
    let earliest = at(OffsetSpec::Earliest).await?;
    let latest = at(OffsetSpec::Latest).await?;
    let since = match from {
        From::Time(time) => Some(at(OffsetSpec::Timestamp(*time)).await?),
        From::Ago(millis) => {
            let time = Clock::system().now().wall.saturating_sub(*millis).max(0);
            Some(at(OffsetSpec::Timestamp(time)).await?)
        }
        _ => None,
    };
    let mut bounds = BTreeMap::new();
    for partition in partitions {
        let of = |found: &BTreeMap<TopicPartition, ListedOffset>| found.get(partition)?.offset;
        let first = of(&earliest).unwrap_or(0);
        let last = of(&latest).unwrap_or(0);
        let begin = match from {
            From::Earliest => first,
            From::Latest => last,
            From::Offset(offset) => *offset,
            From::Last(count) => last.saturating_sub(*count),
            // No record is that young: nothing there is to be read.
            From::Time(_) | From::Ago(_) => since.as_ref().and_then(of).unwrap_or(last),
        };
        let end = match to {
            Some(Until::Offset(offset)) => offset.min(last),
            _ => last,
        };
        bounds.insert(partition.clone(), Bound::new(first, last, begin, end));
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_at_what_there_is() {
        let check = |first, last, begin, seek| {
            let bound = Bound::new(first, last, begin, last);
            assert_eq!((bound.begin, bound.seek), (begin, seek));
        };
        check(10, 20, 15, 15);
        check(10, 20, 5, 10);
        check(10, 20, 20, 20);
        check(10, 20, 500, 20);
        // The topic has been made again between the questions.
        check(10, 3, 5, 10);
    }
}
