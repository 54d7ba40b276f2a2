//! How the files of a view are named, below its folder, and what their names tell.

use tidemark_client::TopicPartition;

use super::events_file::Day;
use super::manifest::Manifest;

/// Where manifests are.
pub(crate) const MANIFESTS: &str = "manifests";
/// Where states are.
pub(crate) const STATE: &str = "state";
/// Where raw events are.
pub(crate) const EVENTS: &str = "events";
/// Where runs note what they have done.
pub(crate) const UNFINISHED: &str = "unfinished";

const PLAN: &str = "run.json";

/// A snapshot's manifest.
pub(crate) fn manifest(snapshot: u64) -> String {
    format!("{MANIFESTS}/{}", Manifest::file_name(snapshot))
}

/// The number of the snapshot whose manifest that is.
pub(crate) fn snapshot_of(path: &str) -> Option<u64> {
    let name = path.strip_prefix(MANIFESTS)?.strip_prefix('/')?;
    Manifest::number_of(name)
}

/// The folder of the states that a run has written for a snapshot, with the slash behind it.
pub(crate) fn states_folder(snapshot: u64, run: &str) -> String {
    format!("{STATE}/{snapshot:020}-{run}/")
}

/// A file of states of a source partition.
pub(crate) fn states(snapshot: u64, run: &str, of: &TopicPartition, part: usize) -> String {
    let TopicPartition { topic, partition } = of;
    let folder = states_folder(snapshot, run);
    format!("{folder}{topic}-{partition}-{part}.parquet")
}

/// The snapshot and the run that a file of states was written for.
pub(crate) fn run_of_states(path: &str) -> Option<(u64, &str)> {
    let rest = path.strip_prefix(STATE)?.strip_prefix('/')?;
    let (number, run) = rest.split_once('/')?.0.split_once('-')?;
    Some((number.parse().ok()?, run))
}

/// A file of a day's events; the second one of the offsets is the first behind its last one. It has the name
/// of its run: what another run writes is never in its place.
pub(crate) fn events(of: &TopicPartition, day: Day, (from, to): (i64, i64), run: &str) -> String {
    let TopicPartition { topic, partition } = of;
    let folder = day.folder();
    format!("{EVENTS}/topic={topic}/{folder}/part-{partition}-{from}-{to}-{run}.parquet")
}

/// What the name of a file of events tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventsName<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    /// The offset of its first event.
    pub(crate) from: i64,
    /// The run that has written it.
    pub(crate) run: &'a str,
}

/// Reads the name of a file of events.
pub(crate) fn events_name(path: &str) -> Option<EventsName<'_>> {
    let rest = path.strip_prefix(EVENTS)?.strip_prefix("/topic=")?;
    let (topic, _) = rest.split_once('/')?;
    let (_, name) = rest.rsplit_once('/')?;
    let name = name.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let mut parts = name.splitn(4, '-');
    let (partition, from) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let _to: i64 = parts.next()?.parse().ok()?;
    Some(EventsName {
        topic,
        partition,
        from,
        run: parts.next()?,
    })
}

/// The folder in which a run notes what it has done.
pub(crate) fn unfinished(run: &str) -> String {
    format!("{UNFINISHED}/{run}")
}

/// A run's plan.
pub(crate) fn plan(run: &str) -> String {
    format!("{UNFINISHED}/{run}/{PLAN}")
}

/// Whether that is a run's plan.
pub(crate) fn is_plan(path: &str) -> bool {
    path.rsplit('/').next() == Some(PLAN)
}

/// What a run has done of a source partition.
pub(crate) fn done(run: &str, of: &TopicPartition) -> String {
    let TopicPartition { topic, partition } = of;
    format!("{UNFINISHED}/{run}/{topic}-{partition}.json")
}

/// A file of states that a run has put aside; `number` says how manieth of the partition it is.
pub(crate) fn aside(run: &str, of: &TopicPartition, number: u64) -> String {
    let TopicPartition { topic, partition } = of;
    format!("{UNFINISHED}/{run}/{topic}-{partition}-{number}.parquet")
}

/// The run whose file that is.
pub(crate) fn run_of_unfinished(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(UNFINISHED)?.strip_prefix('/')?;
    Some(rest.split_once('/')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "00ab12ff00ab12ff";

    fn partition() -> TopicPartition {
        TopicPartition::new("a-b.c", 3)
    }

    #[test]
    fn what_is_built_is_read_back() {
        let of = partition();
        assert_eq!(snapshot_of(&manifest(7)), Some(7));
        let path = states(12, RUN, &of, 0);
        assert_eq!(
            path,
            "state/00000000000000000012-00ab12ff00ab12ff/a-b.c-3-0.parquet"
        );
        assert!(path.starts_with(&states_folder(12, RUN)));
        assert_eq!(run_of_states(&path), Some((12, RUN)));
        let path = events(&of, Day::of(1_672_567_200_000), (15, 20), RUN);
        assert_eq!(
            path,
            "events/topic=a-b.c/year=2023/month=01/day=01/part-3-15-20-00ab12ff00ab12ff.parquet"
        );
        let name = EventsName {
            topic: "a-b.c",
            partition: 3,
            from: 15,
            run: RUN,
        };
        assert_eq!(events_name(&path), Some(name));
        for path in [plan(RUN), done(RUN, &of), aside(RUN, &of, 2)] {
            assert!(path.starts_with(&unfinished(RUN)), "{path}");
            assert_eq!(run_of_unfinished(&path), Some(RUN), "{path}");
            assert_eq!(is_plan(&path), path == plan(RUN), "{path}");
        }
    }

    #[test]
    fn other_names_tell_nothing() {
        for path in ["state/strange", "state/x-y/z", "events/1-a/b"] {
            assert_eq!(run_of_states(path), None, "{path}");
        }
        for path in [
            "events/x",
            "state/part-1-2-3-ab.parquet",
            "events/topic=a/part-1.parquet",
            "events/topic=a/part-1-2-x-ab.parquet",
        ] {
            assert_eq!(events_name(path), None, "{path}");
        }
        for path in ["manifests/7.json", "state/00000000000000000007.json"] {
            assert_eq!(snapshot_of(path), None, "{path}");
        }
        assert_eq!(run_of_unfinished("unfinished"), None);
    }
}
