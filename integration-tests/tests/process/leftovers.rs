//! Directories that no topic accounts for, as kills, power cuts and people leave them.

use std::fs;
use std::path::Path;

use integration_tests::harness::calls::{
    batch, create_topic, delete_topic, latest_offset, metadata, produce, read_all,
};
use integration_tests::harness::files::{contents, copy_dir, names};
use integration_tests::harness::wait::until;
use tidemark_protocol::messages::MetadataResponse;

use super::{fill, numbered, start, temp_dir};

/// What Kafka puts between a directory's name and its mark, as any 32 hexadecimal digits.
const UNIQUE: &str = "0123456789abcdef0123456789abcdef";
/// A topic id that no topic has.
const NOBODY: &str = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAEQ";

/// The directories of a topic's partitions, marked or not.
fn of_topic(data: &Path, topic: &str) -> Vec<String> {
    let mut names = names(data);
    names.retain(|name| name.starts_with(&format!("{topic}-")));
    names
}

/// Waits for the janitor, which removes what is marked as deleted.
fn wait_until_removed(data: &Path) {
    until("deleted directories to be removed", || {
        let marked = |name: &String| name.ends_with("-delete");
        (!names(data).iter().any(marked)).then_some(())
    });
}

fn topic_names(metadata: &MetadataResponse) -> Vec<String> {
    let name = |topic: &tidemark_protocol::StrBytes| topic.to_string();
    let topics = metadata.topics.iter();
    topics
        .filter_map(|topic| Some(name(&topic.name.as_ref()?.0)))
        .collect()
}

/// The rename was not on disk yet when the power went, the catalog's record was.
#[tokio::test]
async fn a_directory_of_a_deleted_topic_goes_and_never_becomes_the_next_one() {
    for orderly in [true, false] {
        let dir = temp_dir();
        let (broker, mut connection) = start(dir.path()).await;
        fill(&mut connection, "gone", &["one", "two", "three"]).await;
        let (data, kept) = (broker.data_dir(), dir.path().join("kept"));
        broker.stop();
        copy_dir(&data.join("gone-0"), &kept);

        let (broker, mut connection) = start(dir.path()).await;
        delete_topic(&mut connection, "gone").await;
        match orderly {
            true => drop(broker.stop()),
            false => broker.kill(),
        }
        copy_dir(&kept, &data.join("gone-0"));

        let (broker, mut connection) = start(dir.path()).await;
        assert_eq!(topic_names(&metadata(&mut connection).await), [""; 0]);
        create_topic(&mut connection, "gone", 1, &[]).await;
        assert_eq!(read_all(&mut connection, "gone").await, []);
        let next = produce(&mut connection, "gone", batch("new", None), -1).await;
        assert_eq!(next, 0, "the log begins at its start");
        wait_until_removed(&data);
        assert_eq!(of_topic(&data, "gone"), ["gone-0"]);
        broker.stop();
    }
}

/// It may be all that is left of somebody's data.
#[tokio::test]
async fn a_directory_of_an_unknown_topic_is_set_aside_untouched() {
    let dir = temp_dir();
    let (broker, mut connection) = start(dir.path()).await;
    fill(&mut connection, "kept", &["one"]).await;
    let data = broker.data_dir();
    broker.stop();
    let foreign = data.join("foreign-3");
    copy_dir(&data.join("kept-0"), &foreign);
    fs::write(foreign.join("partition.metadata"), NOBODY).expect("the file can be written");
    let nameless = data.join("nameless-0");
    copy_dir(&data.join("kept-0"), &nameless);
    fs::remove_file(nameless.join("partition.metadata")).expect("the file is there");
    let before = [contents(&foreign), contents(&nameless)];

    let mut aside = Vec::new();
    // The second start leaves alone what the first has set aside.
    for _ in 0..2 {
        let (broker, mut connection) = start(dir.path()).await;
        assert_eq!(topic_names(&metadata(&mut connection).await), ["kept"]);
        assert_eq!(read_all(&mut connection, "kept").await, numbered(&["one"]));
        broker.stop();
        aside = ["foreign", "nameless"]
            .map(|topic| of_topic(&data, topic))
            .concat();
    }
    assert_eq!(aside.len(), 2, "{aside:?}");
    for ((name, prefix), before) in aside.iter().zip(["foreign-3.", "nameless-0."]).zip(before) {
        let unique = name
            .strip_prefix(prefix)
            .and_then(|n| n.strip_suffix("-stray"));
        let unique = unique.unwrap_or_else(|| panic!("{name}"));
        assert_eq!(unique.len(), UNIQUE.len(), "{name}");
        assert_eq!(contents(&data.join(name)), before, "{name}");
    }
}

/// The rename was on disk when the power went, the catalog's record was not.
#[tokio::test]
async fn a_live_topics_directory_that_is_marked_as_deleted_is_put_back() {
    for orderly in [true, false] {
        let dir = temp_dir();
        let (broker, mut connection) = start(dir.path()).await;
        fill(&mut connection, "kept", &["one", "two"]).await;
        let data = broker.data_dir();
        match orderly {
            true => drop(broker.stop()),
            false => broker.kill(),
        }
        let marked = data.join(format!("kept-0.{UNIQUE}-delete"));
        fs::rename(data.join("kept-0"), &marked).expect("the directory is there");

        let (broker, mut connection) = start(dir.path()).await;
        let all = numbered(&["one", "two"]);
        assert_eq!(read_all(&mut connection, "kept").await, all);
        let next = produce(&mut connection, "kept", batch("three", None), -1).await;
        assert_eq!(next, 2);
        assert_eq!(of_topic(&data, "kept"), ["kept-0"]);
        broker.stop();
    }
}

/// A topic was deleted and made anew; of the directories the old one only is left, in its place or
/// marked.
#[tokio::test]
async fn an_old_incarnations_directory_never_becomes_the_new_ones() {
    for place in ["again-0".to_owned(), format!("again-0.{UNIQUE}-delete")] {
        let dir = temp_dir();
        let (broker, mut connection) = start(dir.path()).await;
        fill(&mut connection, "again", &["old 1", "old 2", "old 3"]).await;
        let (data, old) = (broker.data_dir(), dir.path().join("old"));
        broker.stop();
        copy_dir(&data.join("again-0"), &old);

        let (broker, mut connection) = start(dir.path()).await;
        delete_topic(&mut connection, "again").await;
        create_topic(&mut connection, "again", 1, &[]).await;
        broker.kill();
        fs::remove_dir_all(data.join("again-0")).expect("the new one is there");
        copy_dir(&old, &data.join(&place));

        for records in [&[][..], &["new"]] {
            let (broker, mut connection) = start(dir.path()).await;
            let all = read_all(&mut connection, "again").await;
            assert_eq!(all, numbered(records), "{place}");
            if records.is_empty() {
                let next = produce(&mut connection, "again", batch("new", None), -1).await;
                assert_eq!(next, 0, "{place}");
            }
            wait_until_removed(&data);
            assert_eq!(of_topic(&data, "again"), ["again-0"], "{place}");
            broker.stop();
        }
    }
}

/// Both the new directory and the old one, which is marked: as after any kill.
#[tokio::test]
async fn what_a_kill_leaves_of_a_deletion_is_removed_by_the_next_start() {
    let dir = temp_dir();
    let (broker, mut connection) = start(dir.path()).await;
    fill(&mut connection, "again", &["old"]).await;
    delete_topic(&mut connection, "again").await;
    fill(&mut connection, "again", &["new"]).await;
    let data = broker.data_dir();
    assert_eq!(of_topic(&data, "again").len(), 2, "deleted after a minute");
    broker.kill();
    let (broker, mut connection) = start(dir.path()).await;
    assert_eq!(read_all(&mut connection, "again").await, numbered(&["new"]));
    assert_eq!(latest_offset(&mut connection, "again").await, 1);
    wait_until_removed(&data);
    assert_eq!(of_topic(&data, "again"), ["again-0"]);
    broker.stop();
}
