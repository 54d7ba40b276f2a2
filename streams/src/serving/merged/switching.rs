//! Switches while others read, write, come and go.

use std::task::{Context, Poll, Waker};

use object_store::memory::InMemory;
use object_store::path::Path;

use super::truth_table::{Counts, KEY, TOPIC, add_one, manifest, online, view};
use super::*;
use crate::serving::snapshot::Snapshots;
use crate::serving::speed::cut_rule::CutRule;

type Table = Site<String, Counts>;
type TableLive = Arc<Live<u64>>;

/// An instance with these segments, a partition each.
fn site(parts: impl IntoIterator<Item = Segments<Kept<u64>>>) -> (Table, Vec<TableLive>) {
    let site = Site::new(view(), 2);
    let lives = parts
        .into_iter()
        .map(|segments| Arc::new(Live::new(segments, Arc::default())));
    let lives: Vec<TableLive> = lives.collect();
    site.set_sources(vec![SourceTopic {
        id: "1".to_owned(),
        partitions: lives.len() as i32,
    }]);
    for (partition, live) in (0..).zip(&lives) {
        site.enter((0, partition), Arc::clone(live), 0).unwrap();
    }
    (site, lives)
}

async fn snapshot(site: &Table, number: u64, ends: &[i64]) -> Loaded {
    let snapshots = Snapshots::new(Arc::new(InMemory::new()), Path::default(), site.view.name());
    let manifest = manifest(&site.view, number, ends);
    Loaded::read(&site.view, &snapshots.unwrap(), manifest)
        .await
        .unwrap()
}

fn coverage(site: &Table) -> Vec<i64> {
    let answer = site.answer(KEY.as_bytes(), &Ask::default()).unwrap();
    answer
        .coverage
        .iter()
        .map(|(_, _, offset)| offset)
        .collect()
}

/// One event in each of the batches 0 to 3, and so cuts at 1 to 4.
fn four() -> Segments<Kept<u64>> {
    online(&[(0, 1), (1, 1), (2, 1), (3, 1)])
}

/// Whoever reads for long, or writes state to disk, keeps no snapshot away that ends at a cut.
#[tokio::test]
async fn a_snapshot_at_a_cut_waits_for_nobody() {
    let (site, lives) = site([four(), four()]);
    let loaded = snapshot(&site, 1, &[2, 4]).await;
    let reading: Vec<_> = lives.iter().map(|live| live.segments.read()).collect();
    site.switch(loaded, None, 0).unwrap();
    drop(reading);
    assert_eq!(site.held(), [1]);
    assert_eq!(coverage(&site), [4, 4]);
}

/// Where it is ahead the speed layer has to leave records out, in all partitions at once: if they cannot be had
/// it is tried another time, and until then all is as it was.
#[tokio::test]
async fn a_switch_that_would_have_to_wait_is_given_up() {
    let (site, lives) = site([four(), four()]);
    let (refused, taken) = (
        snapshot(&site, 1, &[9, 9]).await,
        snapshot(&site, 1, &[9, 9]).await,
    );
    let reading = lives[1].segments.read();
    let refused = site.switch(refused, None, 0);
    assert_eq!(refused.err(), Some(Unfit::Busy));
    drop(reading);
    assert!(site.held().is_empty());
    assert_eq!(coverage(&site), [4, 4]);
    let mut segments = lives[0].segments.write();
    assert!(
        segments.record(4, |adding| add_one(adding, 4)),
        "nothing is left out"
    );
    drop(segments);
    site.switch(taken, None, 0).unwrap();
    assert_eq!(coverage(&site), [9, 9]);
}

/// One partition that does not fit keeps the snapshot away from all, also from those that it is ahead of.
#[tokio::test]
async fn a_snapshot_that_does_not_fit_changes_no_answer() {
    let mut amid = online(&[(0, 1)]);
    for batch in 1..4 {
        amid.record(batch, |adding| add_one(adding, batch));
    }
    let (site, lives) = site([four(), four(), amid]);
    let refused = site.switch(snapshot(&site, 1, &[9, 4, 2]).await, None, 0);
    assert!(matches!(refused, Err(Unfit::Amid { partition: 2, .. })));
    assert_eq!(coverage(&site), [4, 4, 4]);
    let mut segments = lives[0].segments.write();
    assert!(segments.record(4, |adding| add_one(adding, 4)));
    drop(segments);
    assert_eq!(coverage(&site), [5, 4, 4]);
}

/// What the first snapshot has goes from the segments with the second one, also from under those who have begun
/// without any.
#[tokio::test]
async fn who_has_begun_without_a_snapshot_begins_again_with_one() {
    let (site, _) = site([four()]);
    let (first, second) = (
        snapshot(&site, 1, &[2]).await,
        snapshot(&site, 2, &[4]).await,
    );
    let both = Mutex::new(Some((first, second)));
    let ask = Ask::default();
    let read = site.reading(&ask, |loaded| {
        if let Some((first, second)) = both.lock().take() {
            assert!(loaded.is_none());
            let floor = first.manifest.coverage();
            site.switch(first, None, 0).unwrap();
            site.switch(second, Some(floor), 0).unwrap();
        }
        site.get_with(loaded, KEY.as_bytes(), &ask)
    });
    let read = read.unwrap();
    assert_eq!(read.snapshot, Some(2));
    assert_eq!(read.coverage.get(TOPIC, 0), 4);
    // Where there is none at all, that is said.
    let (site, lives) = self::site([four()]);
    lives[0].segments.write().drop_below(2);
    let unread = site.get(KEY.as_bytes(), &ask);
    assert!(matches!(unread, Err(QueryError::Unread { .. })));
}

/// Segments become longer as long as no snapshot comes; with one they are short again, also of a partition whose
/// task comes later.
#[tokio::test]
async fn with_a_snapshot_cuts_are_close_to_one_another_again() {
    let rule = CutRule {
        every: i64::MAX,
        records: 1,
    };
    let batches: Vec<(i64, u64)> = (0..30).map(|batch| (batch, 1)).collect();
    let is_cut = |live: &Live<u64>| {
        let mut segments = live.segments.write();
        let offset = segments.applied();
        segments.record(offset, |adding| add_one(adding, offset));
        segments.cut_if_due(&rule, 0)
    };
    for switched in [false, true] {
        let (site, lives) = site([online(&batches)]);
        if switched {
            site.switch(snapshot(&site, 1, &[30]).await, None, 0)
                .unwrap();
        }
        assert_eq!(is_cut(&lives[0]), switched);
        site.leave((0, 0), &lives[0]);
        let later = Arc::new(Live::new(online(&batches), Arc::default()));
        site.enter((0, 0), Arc::clone(&later), 0).unwrap();
        assert_eq!(is_cut(&later), switched);
    }
}

/// Who reads amid a switch keeps segments for longer, and not until the next switch.
#[tokio::test]
async fn segments_that_are_read_amid_a_switch_go_with_the_next_look() {
    let (site, lives) = site([four()]);
    let first = snapshot(&site, 1, &[2]).await;
    let floor = first.manifest.coverage();
    site.switch(first, None, 0).unwrap();
    let second = snapshot(&site, 2, &[4]).await;
    let reading = lives[0].segments.read();
    site.switch(second, Some(floor), 0).unwrap();
    site.sweep();
    assert_eq!(reading.begin(), 0);
    drop(reading);
    site.sweep();
    assert_eq!(lives[0].segments.read().begin(), 2);
}

/// Whoever announces cuts looks at those of the partitions that are here.
#[test]
fn cuts_that_were_saved_before_the_partition_was_here_are_announced() {
    let (site, _) = site([]);
    let is_told = || {
        let mut told = std::pin::pin!(site.other_cuts.notified());
        let ready = told.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        ready == Poll::Ready(())
    };
    site.announce(
        (0, 0),
        Announced {
            cuts: vec![0, 7],
            origin: 0,
        },
    );
    assert!(is_told() && site.announced().is_empty());
    site.enter((0, 0), Arc::new(Live::new(four(), Arc::default())), 0)
        .unwrap();
    assert!(is_told(), "they would wait for the next cut");
    assert_eq!(site.announced()[&(0, 0)].cuts, [0, 7]);
}
