//! Summingbird's truth table (its tests of `ClientStore`) asked of this merge.
//!
//! There a batch is a span of time, and offline has of each key `(b, value)`: everything in front of batch
//! `b`. Online has a value for each batch of its own. The current batch is 10 and three are kept. Here
//! batches are offsets: a snapshot that ends at `b` for what is offline, and a segment for each batch.
//!
//! | key | offline | online, by batch | there | here |
//! |---|---|---|---|---|
//! | a | (8, 1) | 6, 7, 8, 10: 1 each | 3 | 3 |
//! | b | (9, 1) | nothing in 9 and 10 | 1 | 1 |
//! | c | (9, 1) | 6, 7, 8, 10: 1 each | 2 | 2 |
//! | d | none | none | none | none, with the coverage in which there is none |
//! | e | none | cannot be read | fails | fails: says which partition is not here |
//! | f | cannot be read | 8: 2, 9: 3, 10: 4 | fails | fails: says which records are in snapshots only |
//!
//! On purpose it is otherwise where a batch is missing. There it "will miss the contributions": the answer
//! is smaller, and nobody can tell. Here there is none then, or one of which the coverage ends in front of
//! it.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;

use super::*;
use crate::record::Record;
use crate::serving::aggregate::{Count, State};
use crate::serving::snapshot::{Row, Snapshots, Source, SourcePartition, StateFile, StatesWriter};
use crate::serving::speed::cut_rule::CutRule;
use crate::serving::{Keyed, Place, Tally};

pub(super) const TOPIC: &str = "events";
pub(super) const KEY: &str = "key";
/// The current batch.
const NOW: i64 = 10;
/// Each batch is a segment.
const CUT: CutRule = CutRule {
    every: 0,
    records: 0,
};

pub(crate) type Counts = Count<()>;

pub(crate) fn view() -> Arc<View<String, Counts>> {
    let view = View::new("table", 1, Count::new());
    Arc::new(view.source(TOPIC, |record: Record<String, ()>| {
        [Keyed::new(record.key, ())]
    }))
}

/// What is online: so many events in each batch, of batches that follow one another.
pub(super) fn online(batches: &[(i64, u64)]) -> Segments<Kept<u64>> {
    let first = batches.first().map_or(0, |(batch, _)| *batch);
    let mut segments = Segments::new(first, 1, 0);
    for (batch, events) in batches {
        if *events > 0 {
            segments.record(*batch, |adding| {
                for _ in 0..*events {
                    add_one(adding, *batch);
                }
            });
        }
        segments.pass(batch + 1);
        segments.cut_if_due(&CUT, 0);
    }
    segments
}

pub(super) fn add_one(
    adding: &mut crate::serving::speed::segments::Adding<'_, Kept<u64>>,
    offset: i64,
) {
    let place = Place {
        time: 0,
        topic: 0,
        partition: 0,
        offset,
    };
    adding.add(KEY.as_bytes(), 0, |state| {
        let state = state.get_or_insert_with(|| Kept(Counts::new().empty()));
        Counts::new().add(&(), place, &mut state.0);
    });
}

/// What is offline: a snapshot of everything in front of a batch, in which the key has so many events.
async fn offline(view: &View<String, Counts>, before: i64, count: Option<u64>) -> Loaded {
    let store = Arc::new(InMemory::new());
    let snapshots = Snapshots::new(store, Path::default(), view.name()).unwrap();
    let mut manifest = manifest(view, 1, &[before]);
    if let Some(count) = count {
        put_states(&snapshots, &mut manifest, count).await;
    }
    snapshots.publish(&manifest).await.unwrap();
    let manifest = snapshots.manifest(1).await.unwrap();
    Loaded::read(view, &snapshots, manifest).await.unwrap()
}

/// Writes the state of the key in the first partition.
pub(crate) async fn put_states(snapshots: &Snapshots, manifest: &mut Manifest, count: u64) {
    let path = format!("state/{}-a/events-0-0.parquet", manifest.snapshot);
    let mut state = Vec::new();
    State::encode(&count, &mut state);
    let mut writer = StatesWriter::new(false, &[]).unwrap();
    let shown = count.to_string();
    let row = Row {
        key: KEY.as_bytes(),
        shown: KEY,
        window: None,
        state: &state,
        value: shown.as_bytes(),
    };
    writer.push(&row).unwrap();
    let file = writer.finish().unwrap();
    manifest.states.push(StateFile {
        path: path.clone(),
        topic: TOPIC.to_owned(),
        partition: 0,
        bytes: file.len() as u64,
        crc32: crc32fast::hash(&file),
        rows: 1,
    });
    snapshots.put(&path, file).await.unwrap();
    manifest.sources[0].partitions[0].tally.time(0);
}

/// A snapshot without states that ends there in each partition.
pub(crate) fn manifest(view: &View<String, Counts>, snapshot: u64, ends: &[i64]) -> Manifest {
    let partitions = (0..).zip(ends).map(|(partition, to)| SourcePartition {
        partition,
        begin: 0,
        from: 0,
        to: *to,
        archived: *to,
        log_start: 0,
        leader_epoch: 0,
        tally: Tally::default(),
    });
    Manifest {
        format: Manifest::FORMAT,
        view: view.name().to_owned(),
        fingerprint: view.fingerprint(),
        definition: view.definition(),
        snapshot,
        parent: None,
        run: "a".to_owned(),
        created: 0,
        isolation: "read_committed".to_owned(),
        sources: vec![Source {
            topic: TOPIC.to_owned(),
            id: "1".to_owned(),
            partitions: partitions.collect(),
        }],
        states: Vec::new(),
        events: Vec::new(),
        crc32: 0,
    }
}

/// An instance with what is there of both.
fn site(
    view: Arc<View<String, Counts>>,
    offline: Option<Loaded>,
    online: Option<Segments<Kept<u64>>>,
) -> Result<Site<String, Counts>, Unfit> {
    let site = Site::new(view, 2);
    site.set_sources(vec![SourceTopic {
        id: "1".to_owned(),
        partitions: 1,
    }]);
    if let Some(segments) = online {
        site.enter((0, 0), Arc::new(Live::new(segments, Arc::default())), 0)?;
    }
    if let Some(loaded) = offline {
        site.switch(loaded, None, 0)?;
    }
    Ok(site)
}

/// The answer with the offset up to which it has everything.
fn answer(site: &Site<String, Counts>) -> Result<(Option<u64>, i64), QueryError> {
    let answer = site.answer(KEY.as_bytes(), &Ask::default())?;
    Ok((answer.value, answer.coverage.get(TOPIC, 0)))
}

const GAPS_OF_NOTHING: [(i64, u64); 5] = [(6, 1), (7, 1), (8, 1), (9, 0), (10, 1)];

#[tokio::test]
async fn what_is_offline_is_added_to_the_batches_behind_it() {
    let rows: [(&str, i64, &[(i64, u64)], u64); 3] = [
        ("a", 8, &GAPS_OF_NOTHING, 3),
        ("b", 9, &[(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)], 1),
        ("c", 9, &GAPS_OF_NOTHING, 2),
    ];
    for (key, before, batches, expected) in rows {
        let view = view();
        let loaded = offline(&view, before, Some(1)).await;
        let site = site(view, Some(loaded), Some(online(batches))).unwrap();
        assert_eq!(answer(&site), Ok((Some(expected), NOW + 1)), "{key}");
    }
}

/// `d`: none is an answer, and it says up to where there is none.
#[tokio::test]
async fn what_is_nowhere_is_known_to_be_nowhere() {
    let view = view();
    let loaded = offline(&view, 8, None).await;
    let batches = [(8, 0), (9, 0), (10, 0)];
    let site = site(view, Some(loaded), Some(online(&batches))).unwrap();
    assert_eq!(answer(&site), Ok((None, NOW + 1)));
}

/// `e`: without what is online there is no answer, although the key may have nothing there.
#[tokio::test]
async fn without_what_is_online_there_is_no_answer() {
    let view = view();
    let loaded = offline(&view, 8, None).await;
    let site = site(view, Some(loaded), None).unwrap();
    let found = answer(&site);
    assert!(matches!(found, Err(QueryError::Elsewhere(_))), "{found:?}");
}

/// `f`: without what is offline there is no answer, although 2, 3 and 4 could be added.
#[tokio::test]
async fn without_what_is_offline_there_is_no_answer() {
    // What is in front of batch 8 was in snapshots, so it is not kept here any more.
    let mut segments = online(&[(6, 1), (7, 1), (8, 2), (9, 3), (10, 4)]);
    segments.drop_below(8);
    let site = site(view(), None, Some(segments)).unwrap();
    let found = answer(&site);
    let wanted = QueryError::Unread {
        partition: tidemark_client::TopicPartition::new(TOPIC, 0),
        origin: 6,
        begin: 8,
    };
    assert_eq!(found, Err(wanted));
}

/// Batch 8 is neither offline nor online any more: that is no snapshot to read with.
#[tokio::test]
async fn a_batch_that_is_missing_is_a_hole() {
    let view = view();
    let loaded = offline(&view, 8, Some(1)).await;
    let mut segments = online(&[(6, 1), (7, 1), (8, 1), (9, 0), (10, 1)]);
    segments.drop_below(9);
    let refused = site(view, Some(loaded), Some(segments)).err().unwrap();
    let hole = Unfit::Hole {
        topic: TOPIC.to_owned(),
        partition: 0,
        end: 8,
        begin: 9,
    };
    assert_eq!(refused, hole);
    assert_eq!(
        refused.to_string(),
        "events-0: the snapshot ends at offset 8, and the speed layer begins at 9 only: the records between \
         are in neither. A newer snapshot closes the gap; if batch runs say that records are lost, one that is \
         computed from scratch"
    );
}

/// What is offline may be ahead of what is online (there: `OfflinePassedBatch`, an error). The answer covers
/// as much as the snapshot does, and says so; batches in front of it are not added a second time when they
/// come.
#[tokio::test]
async fn what_is_offline_may_be_ahead() {
    let view = view();
    let loaded = offline(&view, 9, Some(1)).await;
    let site = site(view, Some(loaded), Some(online(&[(6, 1), (7, 1)]))).unwrap();
    assert_eq!(answer(&site), Ok((Some(1), 9)));
    let parts = site.parts();
    let mut segments = parts[0].1.segments.write();
    for (batch, taken) in [(8, false), (10, true)] {
        let own = segments.record(batch, |adding| add_one(adding, batch));
        assert_eq!(own, taken, "{batch}");
    }
    drop(segments);
    assert_eq!(answer(&site), Ok((Some(2), NOW + 1)));
}
