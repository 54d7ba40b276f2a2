//! Where a snapshot may end.

use tidemark_client::TopicPartition;

use super::plan::TopicBounds;
use crate::serving::Coverage;
use crate::serving::lambda::AllCuts;

/// Why no snapshot may end at a cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCut {
    /// The view does not read the partition.
    #[error("{partition} is none of the view's partitions, which are of {}", topics.join(", "))]
    Unknown {
        /// The partition.
        partition: TopicPartition,
        /// What the view reads.
        topics: Vec<String>,
    },
    /// The log does not have that much.
    #[error(
        "{partition} has stable records up to offset {end} only: a snapshot cannot end at {offset}. \
         Transactions in front of it may still be open"
    )]
    Future {
        /// The partition.
        partition: TopicPartition,
        /// What was asked for.
        offset: i64,
        /// The last stable offset.
        end: i64,
    },
    /// The speed layer could not use the snapshot.
    #[error(
        "{partition}: offset {offset} is no cut that the view's speed layer has announced, so it could not \
         use a snapshot that ends there. {}",
        newest(announced)
    )]
    NotAnnounced {
        /// The partition.
        partition: TopicPartition,
        /// What was asked for.
        offset: i64,
        /// Where a snapshot may end.
        announced: Vec<i64>,
    },
}

/// So many cuts are named.
const NAMED: usize = 5;

fn newest(announced: &[i64]) -> String {
    let newest: Vec<String> = announced
        .iter()
        .rev()
        .take(NAMED)
        .map(i64::to_string)
        .collect();
    match newest.is_empty() {
        true => "It has announced none yet".to_owned(),
        false => format!("The newest ones are {}", newest.join(", ")),
    }
}

/// Whether a snapshot can end at a cut, and be used by the speed layer, if there is one.
pub(super) fn check(
    cut: &Coverage,
    bounds: &[TopicBounds],
    announced: Option<&AllCuts>,
) -> Result<(), BadCut> {
    for (topic, number, offset) in cut.iter() {
        let partition = TopicPartition::new(topic, number);
        let own = bounds.iter().find(|own| own.topic == topic);
        let own = own.and_then(|own| own.partitions.iter().find(|own| own.partition == number));
        let Some(own) = own else {
            let topics = bounds.iter().map(|own| own.topic.clone()).collect();
            return Err(BadCut::Unknown { partition, topics });
        };
        if offset > own.end {
            let end = own.end;
            return Err(BadCut::Future {
                partition,
                offset,
                end,
            });
        }
        let Some(announced) = announced else {
            continue;
        };
        let cuts = announced.get(&(topic.to_owned(), number));
        let cuts = cuts.map(Vec::as_slice).unwrap_or_default();
        if !cuts.contains(&offset) {
            let announced = cuts.to_vec();
            return Err(BadCut::NotAnnounced {
                partition,
                offset,
                announced,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::batch::PartitionBounds;

    fn bounds() -> Vec<TopicBounds> {
        let own = |partition| PartitionBounds {
            partition,
            start: 2,
            end: 20,
        };
        vec![TopicBounds {
            topic: "t".to_owned(),
            id: "id".to_owned(),
            partitions: vec![own(0), own(1)],
        }]
    }

    fn said(cut: &str, announced: Option<&AllCuts>) -> Option<String> {
        let checked = check(&cut.parse().unwrap(), &bounds(), announced);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn a_cut_is_one_that_the_speed_layer_knows() {
        let announced = AllCuts::from([(("t".to_owned(), 0), vec![2, 5, 9])]);
        for cut in ["", "t:0:5", "t:0:9"] {
            assert_eq!(said(cut, Some(&announced)), None, "{cut}");
        }
        for cut in ["t:0:6", "t:0:9,t:1:20", "t:0:20"] {
            assert_eq!(said(cut, None), None, "{cut}");
        }
        let wrong = [
            ("t:0:6", "no cut that the view's speed layer has announced"),
            ("t:0:6", "9, 5, 2"),
            ("t:1:3", "announced none yet"),
            ("t:0:21", "up to offset 20 only"),
            ("t:2:0", "t-2 is none of the view's partitions"),
            (
                "u:0:0",
                "u-0 is none of the view's partitions, which are of t",
            ),
        ];
        for (cut, text) in wrong {
            let said = said(cut, Some(&announced)).unwrap();
            assert!(said.contains(text), "{cut}: {said}");
        }
    }
}
