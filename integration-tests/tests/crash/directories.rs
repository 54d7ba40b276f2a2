//! What lies in the data directory: partitions of topics that are there, and nothing for ever.

use std::collections::BTreeSet;
use std::path::Path;

use integration_tests::harness::calls::{connect, metadata};
use integration_tests::harness::files::names;
use integration_tests::harness::wait::until;

/// Checks the directories of a broker that has just started and has not deleted anything yet.
pub(crate) async fn check(address: &str, data_dir: &Path) {
    let mut connection = connect(address).await;
    let mut expected = BTreeSet::from(["__cluster_metadata-0".to_owned()]);
    for topic in metadata(&mut connection).await.topics {
        let name = topic.name.as_ref().map(|name| name.0.to_string());
        let name = name.expect("topics have names");
        let partitions = topic.partitions.iter();
        expected
            .extend(partitions.map(|partition| format!("{name}-{}", partition.partition_index)));
    }
    let marked = |name: &String| name.ends_with("-delete");
    let live: BTreeSet<String> = directories(data_dir)
        .into_iter()
        .filter(|n| !marked(n))
        .collect();
    assert_eq!(live, expected);
}

/// What is marked as deleted goes.
pub(crate) fn wait_for_removals(data_dir: &Path) {
    let found = directories(data_dir).into_iter();
    let marked: Vec<_> = found.filter(|name| name.ends_with("-delete")).collect();
    until("deleted directories to be removed", || {
        let left = directories(data_dir);
        (!marked.iter().any(|name| left.contains(name))).then_some(())
    });
}

fn directories(data_dir: &Path) -> Vec<String> {
    let mut names = names(data_dir);
    names.retain(|name| data_dir.join(name).is_dir());
    names
}
