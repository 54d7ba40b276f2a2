//! Snapshots whose files have been damaged, or have gone.

use std::path::{Path, PathBuf};

use tidemark_client::admin::{ConfigChange, ConfigResource};

use super::*;
use crate::serving::simulation::mortal::{DEAD, Mortal};

/// A bit of the file is another one from now on.
fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// The last file of states of the newest snapshot.
fn states(fixture: &Fixture) -> PathBuf {
    fixture.files("state").pop().unwrap()
}

/// The newest manifest.
fn manifest(fixture: &Fixture) -> PathBuf {
    fixture.files("manifests").pop().unwrap()
}

/// What a view that is served says of its snapshots, once it has all its partitions.
async fn problem(lambda: &Lambda<Key, Free>) -> Option<String> {
    lambda.covers(&Coverage::new()).await.unwrap();
    let server = lambda.serve("127.0.0.1:0").await.unwrap();
    let (status, about) = http(&server, "/views/places").await;
    assert_eq!(status, 200, "{about}");
    about["problem"].as_str().map(str::to_owned)
}

/// Something happens to the third snapshot while nobody looks: it is told, the second one is read with what
/// is newer, and the next run does not go on from the third. Only the newest one is held, so it is not by
/// chance that the speed layer still has what is behind the second.
async fn after(damaged: impl AsyncFnOnce(&Fixture), why: &str) {
    let fixture = Fixture::start().await;
    let start = async || {
        let config = fixture.config().hold(1);
        Lambda::start(view(), config).await.unwrap()
    };
    let mut end = fixture.write(60).await;
    let lambda = start().await;
    let first = covered(&lambda, &end).await;
    end = fixture.write(60).await;
    covered(&lambda, &end).await;
    end = fixture.write(60).await;
    let third = covered(&lambda, &end).await;
    // Runs may have been made at cuts in between.
    let numbers = lambda.runs.batch.snapshots().numbers().await.unwrap();
    let second = numbers[numbers.len() - 2];
    assert!(first < second && second < third);
    assert_eq!(problem(&lambda).await, None);
    close(lambda).await;
    damaged(&fixture).await;
    end = fixture.write(60).await;
    let lambda = start().await;
    assert_eq!(lambda.snapshot(), Some(second));
    let told = problem(&lambda).await.unwrap();
    assert!(
        told.contains(&format!("snapshot {third} is not used")) && told.contains(why),
        "{told}"
    );
    assert_eq!(check(&lambda, &end).await, Some(second));
    let fourth = covered(&lambda, &end).await;
    assert!(fourth > third);
    assert_eq!(check(&lambda, &end).await, Some(fourth));
    assert_eq!(problem(&lambda).await, None);
    close(lambda).await;
    fixture.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_is_told_and_the_one_before_is_read() {
    let flipped = async |fixture: &Fixture| damage(&states(fixture));
    after(flipped, "checksum").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_one_whose_states_have_gone() {
    let gone = async |fixture: &Fixture| std::fs::remove_file(states(fixture)).unwrap();
    after(gone, "is not there").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_one_whose_manifest_was_cut_off() {
    let cut = async |fixture: &Fixture| {
        let file = manifest(fixture);
        let bytes = std::fs::read(&file).unwrap();
        std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    };
    after(cut, "cannot be read").await;
}

/// It is met by who serves already: answers go on with the snapshot that is in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_that_comes_while_a_view_is_served_is_told() {
    let fixture = Fixture::start().await;
    let mut end = fixture.write(60).await;
    // It does not look by itself.
    let config = fixture.config().poll(Duration::from_secs(3_600));
    let lambda = Lambda::start(view(), config).await.unwrap();
    let first = covered(&lambda, &end).await;
    end = fixture.write(60).await;
    lambda.covers(&end).await.unwrap();
    let batch = fixture.batch(BatchConfig::new());
    let second = until("a snapshot", async || {
        match batch.run(None).await.unwrap() {
            BatchOutcome::Published(own) => Some(own.manifest.snapshot),
            BatchOutcome::NothingNew { .. } => None,
        }
    });
    let second = second.await;
    damage(&states(&fixture));
    lambda.runs.refresh.once().await.unwrap();
    let told = problem(&lambda).await.unwrap();
    assert!(
        told.contains(&format!("snapshot {second} is not used")) && told.contains("checksum"),
        "{told}"
    );
    assert_eq!(check(&lambda, &end).await, Some(first));
    // The next one does not go on from it.
    end = fixture.write(60).await;
    let third = covered(&lambda, &end).await;
    assert!(third > second);
    assert_eq!(problem(&lambda).await, None);
    assert_eq!(check(&lambda, &end).await, Some(third));
    close(lambda).await;
    fixture.end().await;
}

/// What is in snapshots only would be missing in its answers, and nothing would say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_not_started_while_the_store_does_not_tell_what_there_is() {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let store = Arc::new(Mortal::default());
    let start = async |version: u32| {
        let store = Arc::<Mortal>::clone(&store);
        let config = fixture
            .config()
            .store(store, object_store::path::Path::default());
        Lambda::start(view_of("places", version, &[TOPIC]), config).await
    };
    let lambda = start(1).await.unwrap();
    let first = covered(&lambda, &end).await;
    close(lambda).await;
    store.live(Some(0));
    // The second one has no state of its own either.
    for version in [1, 2] {
        let error = start(version).await.err().unwrap();
        assert!(
            matches!(
                &error,
                LambdaError::Snapshot(SnapshotError::Store { reason, .. }) if reason.contains(DEAD)
            ),
            "{error}"
        );
    }
    store.live(None);
    let lambda = start(1).await.unwrap();
    assert_eq!(check(&lambda, &end).await, Some(first));
    close(lambda).await;
    fixture.end().await;
}

/// Nobody may be let write to the topic of cuts: then no snapshot can be made, and that is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cuts_that_cannot_be_announced_are_told() {
    let fixture = Fixture::start().await;
    let lambda = fixture.keep(view()).await;
    assert_eq!(problem(&lambda).await, None);
    let topic = lambda.runs.control.topic().to_owned();
    let change = async |change: ConfigChange| {
        let changes = [(ConfigResource::topic(topic.clone()), vec![change])];
        let admin = fixture.client.admin();
        let changed = admin.incremental_alter_configs(changes, Mode::Apply).await;
        changed.unwrap().all().unwrap();
    };
    // Nothing is small enough for it.
    change(ConfigChange::set("max.message.bytes", "1")).await;
    let end = fixture.write(60).await;
    let told = until("the trouble", async || problem(&lambda).await).await;
    assert!(
        told.starts_with(&format!("cuts cannot be announced in {topic}")),
        "{told}"
    );
    change(ConfigChange::delete("max.message.bytes")).await;
    covered(&lambda, &end).await;
    until("the trouble to end", async || {
        problem(&lambda).await.is_none().then_some(())
    })
    .await;
    close(lambda).await;
    fixture.end().await;
}

/// A manifest that has gone is no snapshot: the next run makes it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_without_a_manifest_is_made_again() {
    let fixture = Fixture::start().await;
    let mut end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    covered(&lambda, &end).await;
    end = fixture.write(60).await;
    let second = covered(&lambda, &end).await;
    close(lambda).await;
    std::fs::remove_file(manifest(&fixture)).unwrap();
    let lambda = fixture.keep(view()).await;
    assert!(lambda.snapshot() < Some(second));
    assert_eq!(problem(&lambda).await, None);
    check(&lambda, &end).await;
    let again = covered(&lambda, &end).await;
    assert_eq!(check(&lambda, &end).await, Some(again));
    close(lambda).await;
    fixture.end().await;
}

/// A partition that gets no more records keeps its files: from snapshot to snapshot, but not what is damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_in_a_quiet_partition_is_not_taken_over() {
    let fixture = Fixture::start().await;
    let end = fixture.write(60).await;
    let lambda = fixture.keep(view()).await;
    covered(&lambda, &end).await;
    let mut end = fixture.write(60).await;
    let second = covered(&lambda, &end).await;
    close(lambda).await;
    let files = fixture.files("state").into_iter();
    let mut quiet = files.filter(|file| {
        file.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("events-0-")
    });
    damage(&quiet.next_back().unwrap());
    let others = fixture.write_to(TOPIC, &[1, 2], 40).await;
    for (topic, partition, to) in others.iter() {
        end.set(topic, partition, to);
    }
    let lambda = fixture.keep(view()).await;
    let third = covered(&lambda, &end).await;
    assert!(third > second);
    assert_eq!(problem(&lambda).await, None);
    close(lambda).await;
    let lambda = fixture.keep(view()).await;
    assert_eq!(problem(&lambda).await, None);
    assert_eq!(check(&lambda, &end).await, Some(third));
    close(lambda).await;
    fixture.end().await;
}
