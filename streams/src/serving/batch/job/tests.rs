//! Runs on a log and a store in memory, which die, meet damaged files, and what others have left.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use parking_lot::Mutex;
use tidemark_client::{Client, ClientConfig, Clock};

use super::*;
use crate::record::Record;
use crate::serving::Keyed;
use crate::serving::aggregate::Places;
use crate::serving::batch::partition::MOST_ASIDE;
use crate::serving::batch::progress::noted;
use crate::serving::batch::{Batch, LeftOut};
use crate::serving::simulation::log::{MemoryLog, Partition, TOPIC};
use crate::serving::simulation::mortal::Mortal;
use crate::serving::snapshot::folder::Lock;
use crate::serving::snapshot::{Row, StatesWriter};
use crate::serving::verify::{VerifyError, compare};

type Key = Bytes;
type Kept = Places<()>;

fn view(version: u32) -> Arc<View<Key, Kept>> {
    let view = View::new("places", version, Kept::new());
    Arc::new(view.source(TOPIC, |record: Record<Key, Bytes>| {
        [Keyed::new(record.key, ())]
    }))
}

struct Site {
    log: Arc<MemoryLog>,
    view: Arc<View<Key, Kept>>,
    store: Arc<Mortal>,
    snapshots: Snapshots,
    alone: bool,
    name: Option<&'static str>,
    runs: u64,
}

impl Site {
    fn new(partitions: usize) -> Self {
        let log = Arc::new(MemoryLog::default());
        *log.0.lock() = vec![Partition::default(); partitions];
        let store = Arc::new(Mortal::default());
        let snapshots = Snapshots::new(Arc::<Mortal>::clone(&store), Path::default(), "places");
        Self {
            log,
            view: view(1),
            store,
            snapshots: snapshots.unwrap(),
            alone: true,
            name: None,
            runs: 0,
        }
    }

    /// So many records more in a partition, each key in turn.
    fn write(&self, partition: usize, count: usize) {
        let own = &mut self.log.0.lock()[partition];
        let from = own.entries.len();
        let keys = (from..from + count).map(|at| Some((at % 7) as u8));
        own.entries.extend(keys);
        own.stable = own.entries.len() as i64;
    }

    async fn run(
        &mut self,
        config: &BatchConfig,
        cut: Option<&str>,
    ) -> Result<BatchOutcome, BatchError> {
        self.runs += 1;
        let cut: Option<Coverage> = cut.map(|cut| cut.parse().unwrap());
        let job = Job {
            view: &self.view,
            snapshots: &self.snapshots,
            config,
            name: match self.name {
                Some(name) => name.to_owned(),
                None => format!("{:016x}", self.runs),
            },
            created: 0,
            seed: 1,
            origins: None,
            alone: self.alone,
        };
        job.run(&self.log, cut.as_ref()).await
    }

    /// A run that publishes; its snapshot is what the log says.
    async fn publish(&mut self, config: &BatchConfig) -> Published {
        let outcome = self.run(config, None).await.unwrap();
        self.check(outcome).await
    }

    async fn check(&self, outcome: BatchOutcome) -> Published {
        let BatchOutcome::Published(own) = outcome else {
            panic!("{outcome:?}");
        };
        let verdict = compare(&self.view, &*self.log, &self.snapshots, &own.manifest).await;
        let verdict = verdict.unwrap();
        assert!(verdict.is_good(), "{verdict:?}");
        *own
    }

    /// A run that dies after so many changes.
    async fn die(&mut self, config: &BatchConfig, changes: u64) {
        self.store.live(Some(changes));
        let died = self.run(config, None).await;
        self.store.live(None);
        assert!(died.is_err(), "{died:?}");
    }

    async fn files(&self, folder: &str) -> BTreeSet<String> {
        let files = self.snapshots.list(folder).await.unwrap();
        files.into_iter().map(|(path, _)| path).collect()
    }

    /// Files of raw events are those that manifests name.
    async fn check_events(&self) {
        let mut named = BTreeSet::new();
        for number in self.snapshots.numbers().await.unwrap() {
            let manifest = self.snapshots.manifest(number).await.unwrap();
            named.extend(manifest.events.into_iter().map(|file| file.path));
        }
        assert_eq!(self.files(paths::EVENTS).await, named);
    }

    /// What the run that is not done has noted of its partitions, with the files' names.
    async fn notes(&self) -> Vec<(String, Done)> {
        let mut notes = Vec::new();
        for path in self.files(paths::UNFINISHED).await {
            if path.ends_with(".json") && !paths::is_plan(&path) {
                let json = self.snapshots.read(&path, None).await.unwrap();
                notes.push((path, noted(&json).unwrap()));
            }
        }
        notes
    }

    async fn damage(&self, path: &str) {
        let mut bytes = self.snapshots.read(path, None).await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.snapshots.put(path, bytes).await.unwrap();
    }

    async fn damage_manifest(&self, number: u64) {
        self.damage(&paths::manifest(number)).await;
    }
}

fn config() -> BatchConfig {
    BatchConfig::new().workers(1).checkpoint(1)
}

fn numbers(left_out: &[LeftOut]) -> Vec<u64> {
    left_out.iter().map(|own| own.snapshot).collect()
}

/// However long the log is, a run has only a few lists to merge in the end.
#[tokio::test]
async fn lists_that_were_put_aside_are_made_one_when_there_are_many() {
    // After each step of reading: because of a checkpoint, or because memory is full.
    for config in [config(), BatchConfig::new().workers(1).memory(0)] {
        let mut site = Site::new(1);
        site.write(0, 200);
        let mut most = 0;
        loop {
            // A process that dies again and again, and is taken up.
            site.store.live(Some(9));
            let outcome = site.run(&config, None).await;
            site.store.live(None);
            for (_, done) in site.notes().await {
                most = most.max(done.aside.len());
            }
            if outcome.is_ok() {
                break;
            }
            assert!(site.runs < 100, "it does not get on");
        }
        // It would be 40 otherwise.
        assert!((4..MOST_ASIDE).contains(&most), "{most}");
        site.write(0, 1);
        let published = site.publish(&config).await;
        assert_eq!(published.manifest.tally().records, 201);
        site.check_events().await;
    }
}

/// Whenever it dies: who has published says so.
#[tokio::test]
async fn what_is_published_is_no_error() {
    for changes in 0.. {
        let mut site = Site::new(2);
        for _ in 0..3 {
            site.write(0, 3);
            site.write(1, 3);
            site.publish(&config().keep(1)).await;
        }
        site.write(0, 3);
        site.store.live(Some(changes));
        let outcome = site.run(&config().keep(1), None).await;
        site.store.live(None);
        let there = site.snapshots.numbers().await.unwrap().contains(&4);
        assert_eq!(outcome.is_ok(), there, "{changes}: {outcome:?}");
        if there && site.files(paths::UNFINISHED).await.is_empty() {
            assert!(changes > 5, "it dies behind the manifest, too");
            break;
        }
    }
}

#[tokio::test]
async fn events_of_a_published_snapshot_stay_however_late_its_run_is_cleared_away() {
    let mut site = Site::new(1);
    site.write(0, 20);
    site.die(&config(), 6).await;
    let plan = &paths::plan("0000000000000001");
    let json = site.snapshots.read(plan, None).await.unwrap();
    site.publish(&config()).await;
    // It was killed in front of clearing its plan away, and others have come since.
    site.snapshots.put(plan, json.to_vec()).await.unwrap();
    site.alone = false;
    for _ in 0..70 {
        site.write(0, 1);
        site.publish(&config()).await;
    }
    for damaged in [false, true] {
        site.snapshots.put(plan, json.to_vec()).await.unwrap();
        if damaged {
            site.damage(plan).await;
        }
        site.alone = true;
        site.write(0, 1);
        site.publish(&config()).await;
        site.check_events().await;
        assert!(site.files(paths::UNFINISHED).await.is_empty());
    }
}

#[tokio::test]
async fn a_run_that_bears_the_name_of_another_one_takes_no_events_of_it() {
    let mut site = Site::new(1);
    site.name = Some("same");
    site.write(0, 20);
    site.publish(&config()).await;
    site.write(0, 20);
    site.die(&config(), 6).await;
    assert!(site.files(paths::EVENTS).await.len() > 4);
    // It is not taken up by one that writes no events.
    site.name = None;
    site.publish(&config().archive(false)).await;
    site.check_events().await;
}

/// Else it would be so in every snapshot from here on.
#[tokio::test]
async fn a_damaged_file_of_a_partition_without_new_records_is_not_taken_over() {
    for missing in [false, true] {
        let mut site = Site::new(2);
        for _ in 0..2 {
            site.write(0, 5);
            site.write(1, 5);
            site.publish(&config()).await;
        }
        let second = site.snapshots.manifest(2).await.unwrap();
        let file = &second.states[0];
        assert_eq!(file.partition, 0);
        match missing {
            true => site.snapshots.delete(&file.path).await.unwrap(),
            false => site.damage(&file.path).await,
        }
        site.write(1, 5);
        let third = site.publish(&config()).await;
        assert_eq!(third.manifest.parent, Some(1));
        let [left_out] = &third.left_out[..] else {
            panic!("{third:?}");
        };
        assert_eq!(left_out.snapshot, 2);
        assert!(left_out.reason.contains(&file.path), "{left_out:?}");
        site.check_events().await;
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_stops_only_what_would_need_it() {
    let mut site = Site::new(1);
    site.write(0, 5);
    site.publish(&config()).await;
    site.damage_manifest(1).await;
    let error = site.run(&config(), None).await.unwrap_err().to_string();
    assert!(error.contains("snapshot 1 cannot be read"), "{error}");
    assert!(error.contains("--from-scratch"), "{error}");
    let second = site.publish(&config().from_scratch(true)).await;
    assert_eq!(numbers(&second.left_out), [1]);
    // Its manifest has all events, and the files of the other one stay: it may be put back.
    let rows = second.manifest.events.iter().map(|file| file.rows);
    assert_eq!(rows.sum::<u64>(), 5);
    let files = site.files(paths::EVENTS).await;
    let of_first = |path: &&String| path.ends_with("-0000000000000001.parquet");
    assert!(files.iter().any(|path| of_first(&path)));
    for number in 3..6 {
        site.write(0, 1);
        let next = site.publish(&config()).await;
        assert_eq!(next.manifest.parent, Some(number - 1));
        assert!(next.left_out.is_empty(), "{next:?}");
    }
}

#[tokio::test]
async fn however_many_manifests_are_damaged_a_view_can_be_computed_from_scratch() {
    let mut site = Site::new(1);
    site.write(0, 1);
    site.publish(&config()).await;
    let first = site.snapshots.read(&paths::manifest(1), None).await;
    let first = first.unwrap().to_vec();
    for number in 2..13 {
        // Each says that it is another one.
        let path = paths::manifest(number);
        site.snapshots.put(&path, first.clone()).await.unwrap();
    }
    site.write(0, 1);
    let error = site.run(&config(), None).await.unwrap_err().to_string();
    assert!(error.contains("no readable one has been found"), "{error}");
    let own = site.publish(&config().from_scratch(true)).await;
    assert_eq!(own.left_out.len(), 11);
}

#[tokio::test]
async fn nothing_new_names_the_snapshot_that_has_everything() {
    let mut site = Site::new(1);
    site.write(0, 5);
    site.publish(&config()).await;
    // Another version of the view beside it.
    site.view = view(2);
    let other = site.publish(&config()).await;
    assert_eq!(
        (other.manifest.parent, other.changed_since),
        (None, Some(1))
    );
    site.view = view(1);
    let outcome = site.run(&config(), None).await.unwrap();
    let nothing = |left_out| BatchOutcome::NothingNew {
        snapshot: Some(1),
        left_out,
    };
    assert_eq!(outcome, nothing(Vec::new()));
    // One that is newer, has no more, and cannot be read.
    site.publish(&config().from_scratch(true)).await;
    site.damage_manifest(3).await;
    let outcome = site.run(&config(), None).await.unwrap();
    let BatchOutcome::NothingNew { snapshot, left_out } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((snapshot, numbers(&left_out)), (Some(1), vec![3]));
}

#[tokio::test]
async fn there_is_no_snapshot_of_what_has_not_been_announced() {
    let mut site = Site::new(1);
    site.write(0, 5);
    for from_scratch in [false, true] {
        let config = config().from_scratch(from_scratch);
        let outcome = site.run(&config, Some("")).await.unwrap();
        let nothing = BatchOutcome::NothingNew {
            snapshot: None,
            left_out: Vec::new(),
        };
        assert_eq!(outcome, nothing);
    }
    assert!(site.snapshots.numbers().await.unwrap().is_empty());
}

/// A changed view's first snapshots leave out what has not been announced; those of before had its events.
#[tokio::test]
async fn events_of_a_partition_that_a_snapshot_has_left_out_are_not_written_again() {
    let mut site = Site::new(2);
    site.write(0, 5);
    site.write(1, 5);
    site.publish(&config()).await;
    site.view = view(2);
    let cuts = ["0:5", "0:5,1:7"].map(|cuts| {
        let each = cuts.split(',').map(|cut| format!("{TOPIC}:{cut}"));
        each.collect::<Vec<_>>().join(",")
    });
    let outcome = site.run(&config(), Some(&cuts[0])).await.unwrap();
    let second = site.check(outcome).await.manifest;
    assert_eq!(second.coverage().to_string(), cuts[0]);
    site.write(1, 2);
    let outcome = site.run(&config(), Some(&cuts[1])).await.unwrap();
    let third = site.check(outcome).await.manifest;
    assert_eq!(third.coverage().to_string(), cuts[1]);
    assert!(second.events.is_empty(), "{second:?}");
    let rows: u64 = third.events.iter().map(|file| file.rows).sum();
    assert_eq!(rows, 2, "{third:?}");
    site.check_events().await;
}

#[tokio::test]
async fn a_run_that_is_taken_up_ends_no_later_than_is_asked_for() {
    let mut site = Site::new(1);
    site.write(0, 40);
    site.die(&config(), 10).await;
    assert!(!site.notes().await.is_empty());
    let cut = format!("{TOPIC}:0:12");
    let outcome = site.run(&config(), Some(&cut)).await.unwrap();
    let own = site.check(outcome).await;
    assert_eq!(own.manifest.coverage().to_string(), cut);
    site.check_events().await;
    // One that ends in front of it is taken up, and then gone on from.
    site.die(&config(), 10).await;
    site.write(0, 10);
    let own = site.publish(&config()).await;
    assert_eq!(own.manifest.coverage().get(TOPIC, 0), 50);
    assert_eq!((own.manifest.snapshot, own.manifest.parent), (3, Some(2)));
}

#[tokio::test]
async fn what_a_run_has_noted_is_forgotten_if_it_is_damaged() {
    let mut site = Site::new(1);
    site.write(0, 40);
    site.die(&config(), 12).await;
    let [(path, done)] = &site.notes().await[..] else {
        panic!("a note");
    };
    let json = site.snapshots.read(path, None).await.unwrap();
    let text = String::from_utf8(json.to_vec()).unwrap();
    let position = |position| format!("\"position\":{position}");
    let other = text.replace(&position(done.position), &position(done.position + 5));
    assert_ne!(other, text);
    site.snapshots.put(path, other.into_bytes()).await.unwrap();
    let own = site.publish(&config()).await;
    assert_eq!(own.manifest.tally().records, 40);
    site.check_events().await;
}

/// As a store's client tries a request again whose answer has not come.
#[tokio::test]
async fn a_snapshot_that_a_run_finds_published_is_its_own_if_it_bears_its_name() {
    let mut site = Site::new(1);
    site.write(0, 5);
    let mut own = site.publish(&config()).await.manifest;
    assert_eq!(site.snapshots.publish(&own).await.unwrap(), None);
    let winner = own.run.clone();
    own.run = "other".to_owned();
    let there = site.snapshots.publish(&own).await.unwrap().unwrap();
    assert_eq!(there.run, winner);
}

/// A first attempt of a run that goes back to an older snapshot leaves no events that are there twice.
#[tokio::test]
async fn a_run_that_goes_back_leaves_nothing_of_what_it_has_tried() {
    for alone in [false, true] {
        let mut site = Site::new(2);
        for count in [3, 4] {
            site.write(0, count);
            site.write(1, count);
            site.publish(&config()).await;
        }
        let second = site.snapshots.manifest(2).await.unwrap();
        let file = second.states.iter().find(|file| file.partition == 1);
        site.damage(&file.unwrap().path).await;
        site.write(0, 13);
        site.write(1, 13);
        site.alone = alone;
        let third = site.publish(&config()).await;
        assert_eq!(third.manifest.parent, Some(1));
        site.check_events().await;
        assert!(site.files(paths::UNFINISHED).await.is_empty());
    }
}

/// What is damaged is found before anything is read: else it would be read a second time, and nobody could take
/// up a run that has been killed at that.
#[tokio::test]
async fn a_run_that_goes_back_can_be_taken_up() {
    let mut site = Site::new(1);
    for _ in 0..2 {
        site.write(0, 5);
        site.publish(&config()).await;
    }
    let second = site.snapshots.manifest(2).await.unwrap();
    site.damage(&second.states[0].path).await;
    site.write(0, 40);
    site.die(&config(), 20).await;
    let [(_, done)] = &site.notes().await[..] else {
        panic!("a note");
    };
    let read = u64::try_from(done.position - 5).unwrap();
    assert!(read > 5, "{read}");
    let third = site.publish(&config()).await;
    assert_eq!(
        (third.manifest.snapshot, third.manifest.parent),
        (3, Some(1))
    );
    assert_eq!(third.taken_up, Some(read));
    assert_eq!(numbers(&third.left_out), [2]);
    site.check_events().await;
}

#[tokio::test]
async fn whoever_makes_snapshots_in_a_local_folder_takes_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(ClientConfig::new("127.0.0.1:1")).unwrap();
    let snapshots = Snapshots::local(dir.path(), "places").unwrap();
    let (view, clock) = (view(1), Clock::system());
    let batch = Batch::new(view, Arc::new(client), clock, snapshots, config()).unwrap();
    let held = Lock::take(&dir.path().join("places")).unwrap();
    assert!(held.is_some());
    let error = batch.run_at(None, None, false).await.unwrap_err();
    assert!(matches!(error, BatchError::Locked { .. }), "{error}");
}

/// And not when everything has been read.
#[tokio::test]
async fn raw_events_of_too_many_days_are_refused_as_soon_as_that_is_known() {
    let mut site = Site::new(1);
    site.write(0, 200);
    // Room for some ten files; there would be forty.
    let mut little = config();
    little.manifest = 3_000;
    for _ in 0..2 {
        // A run that is taken up knows of those that were there.
        let error = site.run(&little, None).await.unwrap_err().to_string();
        assert!(error.contains("are of too many days"), "{error}");
        assert!(error.contains("--no-events"), "{error}");
        let files = site.files(paths::EVENTS).await.len();
        assert!((5..20).contains(&files), "{files}");
    }
    site.publish(&little.archive(false)).await;
    assert!(site.files(paths::EVENTS).await.is_empty());
    assert!(site.files(paths::UNFINISHED).await.is_empty());
}

/// A run that was killed is taken up, published, and then gone on from, which fails: whoever serves has to be
/// told of what there is.
#[tokio::test]
async fn a_snapshot_that_cannot_be_gone_on_from_is_published_all_the_same() {
    let mut held_up = 0;
    for changes in 0.. {
        let mut site = Site::new(1);
        site.write(0, 40);
        site.die(&config(), 10).await;
        site.write(0, 40);
        site.store.live(Some(changes));
        let outcome = site.run(&config(), None).await;
        site.store.live(None);
        let there = site.snapshots.numbers().await.unwrap();
        assert_eq!(outcome.is_ok(), !there.is_empty(), "{changes}: {outcome:?}");
        let Ok(outcome) = outcome else {
            continue;
        };
        let own = site.check(outcome).await;
        assert_eq!(Some(&own.manifest.snapshot), there.last(), "{changes}");
        let end = own.manifest.coverage().get(TOPIC, 0);
        assert_eq!(end, 40 * there.len() as i64, "{changes}");
        assert_eq!(own.held_up.is_some(), there.len() == 1, "{changes}");
        held_up += u64::from(own.held_up.is_some());
        // What is left is taken up once more.
        if there.len() == 1 {
            let next = site.publish(&config()).await;
            assert_eq!(next.manifest.coverage().get(TOPIC, 0), 80);
            assert_eq!(next.held_up, None);
        }
        if site.files(paths::UNFINISHED).await.is_empty() && there.len() == 2 {
            break;
        }
    }
    assert!(held_up > 5, "{held_up}");
}

/// What a run from scratch has read is not read again when it is taken up.
#[tokio::test]
async fn a_run_from_scratch_that_is_taken_up_is_not_done_twice() {
    let mut site = Site::new(1);
    site.write(0, 40);
    site.publish(&config()).await;
    let scratch = config().from_scratch(true);
    site.die(&scratch, 20).await;
    let [(_, done)] = &site.notes().await[..] else {
        panic!("a note");
    };
    let noted = done.position;
    assert!((5..40).contains(&noted), "{noted}");
    site.write(0, 10);
    // The offsets that the steps of the run have read: each step tells what it is to read.
    let read = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&read);
    let scratch = scratch.on_progress(move |progress| {
        let mut told = told.lock();
        match told.last_mut() {
            Some((total, read)) if *total == progress.total => *read = progress.read,
            _ => told.push((progress.total, progress.read)),
        }
    });
    let own = site.publish(&scratch).await;
    assert_eq!((own.manifest.snapshot, own.manifest.parent), (3, Some(2)));
    assert_eq!(own.manifest.tally().records, 50);
    assert_eq!(*read.lock(), [(40, 40), (10, 10)]);
    let second = site.snapshots.manifest(2).await.unwrap();
    assert_eq!(second.parent, None);
    // If there is nothing more it is done with the first step.
    site.die(&scratch, 20).await;
    let own = site.publish(&scratch).await;
    assert_eq!((own.manifest.snapshot, own.manifest.parent), (4, None));
    site.check_events().await;
}

/// Nobody has written such a file, but it may be there.
#[tokio::test]
async fn behind_the_last_number_there_is_none() {
    let mut site = Site::new(1);
    site.write(0, 5);
    let path = paths::manifest(u64::MAX);
    site.snapshots.put(&path, b"{}".to_vec()).await.unwrap();
    for config in [config(), config().from_scratch(true)] {
        let error = site.run(&config, None).await.unwrap_err().to_string();
        assert!(
            error.contains(&path) && error.contains("no number"),
            "{error}"
        );
    }
    site.snapshots.delete(&path).await.unwrap();
    site.publish(&config()).await;
}

/// A run is told as taken up again if the snapshot is made of what it had done.
#[tokio::test]
async fn what_is_thrown_away_has_not_been_taken_up() {
    for damaged in [false, true] {
        let mut site = Site::new(1);
        site.write(0, 40);
        site.die(&config(), 12).await;
        let [(_, done)] = &site.notes().await[..] else {
            panic!("a note");
        };
        if damaged {
            site.damage(&done.aside[0][0].path).await;
        }
        let own = site.publish(&config()).await;
        let read = u64::try_from(done.position).unwrap();
        assert!(read > 0);
        assert_eq!(own.taken_up, (!damaged).then_some(read));
        site.check_events().await;
        site.write(0, 1);
        assert_eq!(site.publish(&config()).await.taken_up, None);
    }
}

/// That there are newer snapshots does not make old what has been lost.
#[tokio::test]
async fn a_lost_file_of_states_is_not_told_as_an_old_one() {
    let mut site = Site::new(2);
    let write = async |site: &mut Site, counts: [usize; 2], keep| {
        site.write(0, counts[0]);
        site.write(1, counts[1]);
        site.publish(&config().keep(keep)).await.manifest
    };
    let first = write(&mut site, [5, 5], 5).await;
    let second = write(&mut site, [5, 5], 5).await;
    let third = write(&mut site, [5, 0], 5).await;
    assert_eq!(second.states[1], third.states[1]);
    // Newer, of another version of the view.
    site.view = view(2);
    write(&mut site, [0, 0], 1).await;
    site.view = view(1);
    let verdict = async |site: &Site, manifest| {
        compare(&site.view, &*site.log, &site.snapshots, manifest).await
    };
    let damaged = async |site: &Site, manifest, path: &str| {
        let verdict = verdict(site, manifest).await.unwrap();
        let [damaged] = &verdict.damaged[..] else {
            panic!("{verdict:?}");
        };
        assert!(
            damaged.contains(path) && damaged.contains("is not there"),
            "{damaged}"
        );
    };
    let lost = [
        (&first, 0),
        (&first, 1),
        (&second, 1),
        (&third, 0),
        (&third, 1),
    ];
    for (own, at) in lost {
        assert!(verdict(&site, own).await.unwrap().is_good());
        let path = &own.states[at].path;
        let bytes = site.snapshots.read(path, None).await.unwrap().to_vec();
        site.snapshots.delete(path).await.unwrap();
        damaged(&site, own, path).await;
        site.snapshots.put(path, bytes).await.unwrap();
    }
    // Those that are really old: a file of the second one is the last one's, too.
    let last = write(&mut site, [5, 0], 1).await;
    assert_eq!((last.parent, &last.states[1]), (Some(3), &second.states[1]));
    for own in [&first, &second, &third] {
        let error = verdict(&site, own).await.unwrap_err();
        let none = matches!(error, VerifyError::NoStates { snapshot } if snapshot == own.snapshot);
        assert!(none, "{error}");
    }
    assert!(verdict(&site, &last).await.unwrap().is_good());
    site.snapshots.delete(&last.states[0].path).await.unwrap();
    damaged(&site, &last, &last.states[0].path).await;
}

/// Old ones go first: what is gone while something older is there has been lost, also if it was all of a snapshot.
#[tokio::test]
async fn a_lost_only_file_is_not_told_as_an_old_one() {
    let mut site = Site::new(1);
    let mut all = Vec::new();
    for _ in 0..3 {
        site.write(0, 5);
        all.push(site.publish(&config()).await.manifest);
    }
    for own in &all[..2] {
        site.snapshots.delete(&own.states[0].path).await.unwrap();
        let verdict = compare(&site.view, &*site.log, &site.snapshots, own).await;
        match own.snapshot {
            // Whether the oldest one has been lost nobody can tell.
            1 => assert!(matches!(
                verdict,
                Err(VerifyError::NoStates { snapshot: 1 })
            )),
            _ => assert!(verdict.unwrap().damaged[0].contains(&own.states[0].path)),
        }
        let bytes = site.snapshots.read(&all[2].states[0].path, None).await;
        let bytes = bytes.unwrap().to_vec();
        site.snapshots
            .put(&own.states[0].path, bytes)
            .await
            .unwrap();
    }
}

/// What a run has passed over, as it was damaged, is deleted with older ones still there.
#[tokio::test]
async fn states_that_a_run_has_passed_over_are_told_as_old() {
    let mut site = Site::new(1);
    let mut all = Vec::new();
    for number in 1..=3 {
        site.write(0, 5);
        all.push(site.publish(&config()).await.manifest);
        if number == 2 {
            site.damage(&all[1].states[0].path).await;
        }
    }
    assert_eq!(all[2].parent, Some(1));
    let verdict =
        async |site: &Site, own| compare(&site.view, &*site.log, &site.snapshots, own).await;
    let error = verdict(&site, &all[1]).await.unwrap_err();
    let old = matches!(error, VerifyError::NoStates { snapshot: 2 });
    assert!(old, "{error}");
    assert!(verdict(&site, &all[0]).await.unwrap().is_good());
    assert!(verdict(&site, &all[2]).await.unwrap().is_good());
}

/// Whose states are no states: the file that has them is named, and not the one that was to be written.
#[tokio::test]
async fn a_state_that_does_not_decode_is_told_with_its_file() {
    let mut site = Site::new(1);
    site.write(0, 5);
    let mut first = site.publish(&config()).await.manifest;
    let mut writer = StatesWriter::new(false, &[]).unwrap();
    let row = Row {
        key: &[3],
        shown: "3",
        window: None,
        state: &[0xff; 3],
        value: b"0",
    };
    writer.push(&row).unwrap();
    let file = &mut first.states[0];
    let bytes = writer.finish().unwrap();
    (file.bytes, file.rows) = (bytes.len() as u64, 1);
    file.crc32 = crc32fast::hash(&bytes);
    let path = file.path.clone();
    site.snapshots.put(&path, bytes).await.unwrap();
    let manifest = first.to_json();
    site.snapshots
        .put(&paths::manifest(1), manifest)
        .await
        .unwrap();
    site.write(0, 5);
    let error = site.run(&config(), None).await.unwrap_err().to_string();
    assert!(error.starts_with(&path), "{error}");
    assert!(error.contains("the state of key"), "{error}");
    assert!(error.contains("a new version"), "{error}");
}
