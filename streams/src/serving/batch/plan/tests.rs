//! What is planned, and what is refused.

use super::*;
use crate::serving::Tally;
use crate::serving::snapshot::{Source, SourcePartition};

fn bounds(id: &str, partitions: &[(i64, i64)]) -> Vec<TopicBounds> {
    let partitions = partitions.iter().zip(0..);
    vec![TopicBounds {
        topic: "t".to_owned(),
        id: id.to_owned(),
        partitions: partitions
            .map(|((start, end), partition)| PartitionBounds {
                partition,
                start: *start,
                end: *end,
            })
            .collect(),
    }]
}

/// A snapshot of partition 0 that covers `[begin, to)`.
fn snapshot(number: u64, fingerprint: &str, begin: i64, to: i64) -> Manifest {
    Manifest {
        format: Manifest::FORMAT,
        view: "v".to_owned(),
        fingerprint: fingerprint.to_owned(),
        definition: String::new(),
        snapshot: number,
        parent: None,
        run: String::new(),
        created: 0,
        isolation: String::new(),
        sources: vec![Source {
            topic: "t".to_owned(),
            id: "1".to_owned(),
            partitions: vec![SourcePartition {
                partition: 0,
                begin,
                from: begin,
                to,
                archived: to,
                log_start: begin,
                leader_epoch: 1,
                tally: Tally::default(),
            }],
        }],
        states: Vec::new(),
        events: Vec::new(),
        crc32: 0,
    }
}

fn planned(
    bounds: &[TopicBounds],
    parent: Option<&Manifest>,
    newest: Option<&Manifest>,
    cut: Option<&str>,
) -> Result<Vec<(i64, i64, i64, i64)>, PlanError> {
    let cut = cut.map(|cut| cut.parse().unwrap());
    let plan = plan(bounds, parent, newest, "f", cut.as_ref())?;
    let ranges = plan.ranges();
    Ok(ranges
        .map(|(_, range)| (range.begin, range.from, range.to, range.archived))
        .collect())
}

#[test]
fn a_run_goes_on_from_its_parent() {
    let log = bounds("1", &[(3, 20), (0, 5)]);
    let whole = planned(&log, None, None, None).unwrap();
    assert_eq!(whole, [(3, 3, 20, 3), (0, 0, 5, 0)]);
    let parent = snapshot(4, "f", 3, 12);
    let own = Some(&parent);
    let found = planned(&log, own, own, Some("t:0:15")).unwrap();
    assert_eq!(found, [(3, 12, 15, 12)]);
    // A cut that is behind the parent, or ahead of the log, is not gone to.
    let first = |cut| planned(&log, own, own, Some(cut)).unwrap()[0];
    assert_eq!(first("t:0:7"), (3, 12, 12, 12));
    assert_eq!(first("t:0:99"), (3, 12, 20, 12));
}

/// What the speed layer has counted of it is not known before it is announced.
#[test]
fn a_partition_that_has_no_cut_is_in_no_first_snapshot() {
    let log = bounds("1", &[(30, 90), (7, 9)]);
    let whole = |cut: &str, parent: Option<&Manifest>, newest: Option<&Manifest>| {
        let cut = cut.parse().unwrap();
        plan(&log, parent, newest, "f", Some(&cut)).unwrap()
    };
    let found = |plan: &Plan| -> Vec<(i32, i64, i64)> {
        let ranges = plan.ranges();
        ranges
            .map(|(_, range)| (range.partition, range.begin, range.to))
            .collect()
    };
    let nothing = whole("", None, None);
    assert!(found(&nothing).is_empty() && nothing.is_empty());
    let first = whole("t:0:30", None, None);
    assert_eq!(found(&first), [(0, 30, 30)]);
    assert!(!first.is_empty());
    // Once it is announced, too, the log may have lost what the speed layer has.
    let parent = &snapshot(1, "f", 30, 40);
    let then = whole("t:0:50,t:1:8", Some(parent), Some(parent));
    assert_eq!(found(&then), [(0, 30, 50), (1, 7, 8)]);
    let check = |origin: i64| {
        let mut origins = Coverage::new();
        origins.set("t", 0, 0);
        origins.set("t", 1, origin);
        then.check_origins(&origins, Some(parent))
    };
    assert_eq!(check(7), Ok(()));
    let refused = check(6).unwrap_err();
    assert!(
        matches!(refused, PlanError::Unsaved { partition: 1, .. }),
        "{refused}"
    );
    // A snapshot has it, or one of the same view had: it stays.
    assert_eq!(found(&whole("", Some(parent), Some(parent))), [(0, 30, 40)]);
    assert_eq!(found(&whole("", None, Some(parent))), [(0, 30, 40)]);
    let other = &snapshot(1, "g", 30, 40);
    assert!(found(&whole("", None, Some(other))).is_empty());
}

/// What is computed anew begins with the log, does not end in front of what is there, and does not write
/// events again.
#[test]
fn a_run_from_scratch_keeps_what_is_written() {
    let log = bounds("1", &[(5, 20)]);
    let newest = snapshot(4, "f", 3, 12);
    let found = planned(&log, None, Some(&newest), Some("t:0:7")).unwrap();
    assert_eq!(found, [(5, 5, 12, 12)]);
    // Of another view it may.
    let other = snapshot(4, "g", 3, 12);
    let found = planned(&log, None, Some(&other), Some("t:0:7")).unwrap();
    assert_eq!(found, [(5, 5, 7, 12)]);
    // Another topic's events are others.
    let log = bounds("2", &[(5, 20)]);
    let found = planned(&log, None, Some(&newest), None).unwrap();
    assert_eq!(found, [(5, 5, 20, 5)]);
}

#[test]
fn what_is_lost_is_told() {
    let parent = snapshot(4, "f", 3, 12);
    let refused = |id: &str, log: (i64, i64)| {
        let log = bounds(id, &[log]);
        planned(&log, Some(&parent), Some(&parent), None).unwrap_err()
    };
    let other = refused("2", (0, 20));
    assert!(matches!(other, PlanError::OtherTopic { snapshot: 4, .. }));
    let expected = PlanError::Hole {
        topic: "t".to_owned(),
        partition: 0,
        snapshot: 4,
        covered: 12,
        log_start: 13,
    };
    assert_eq!(refused("1", (13, 20)), expected);
    let shrunk = refused("1", (0, 11));
    let (covered, end) = (12, 11);
    assert!(
        matches!(shrunk, PlanError::Shrunk { covered: c, end: e, .. } if (c, e) == (covered, end))
    );
    // Where nothing is lost, nothing is refused.
    let log = bounds("1", &[(12, 12)]);
    let found = planned(&log, Some(&parent), Some(&parent), None).unwrap();
    assert_eq!(found, [(3, 12, 12, 12)]);
}
