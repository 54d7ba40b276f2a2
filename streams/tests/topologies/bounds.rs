//! What stores keep, and their changelogs, does not grow without end where it goes by time.

use std::time::Duration;

use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{EventTime, JoinWindows, SessionWindows, SlidingWindows, TimeWindows};
use tidemark_streams::{Emit, Stream, StreamsBuilder, Suppress};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

type Build = fn(&Stream<String, i64>, &Stream<String, i64>, EventTime);

/// One of each kind of store that goes by time.
const KINDS: [(&str, Build); 7] = [
    ("hopping", |left, _, time| {
        let windows = TimeWindows::hopping(ms(20), ms(5)).allowed_lateness(ms(5));
        let windows = left.group_by_key().windowed_by(windows.event_time(time));
        windows.count().values().to("out");
    }),
    ("sessions", |left, _, time| {
        let windows = SessionWindows::with_gap(ms(3)).allowed_lateness(ms(5));
        let grouped = left.group_by_key();
        let windows = grouped.windowed_by_session(windows.event_time(time));
        windows.count().values().to("out");
    }),
    ("sessions that come out at once", |left, _, time| {
        let windows = SessionWindows::with_gap(ms(3)).event_time(time);
        let windows = left.group_by_key().windowed_by_session(windows);
        windows.emit(Emit::Update).count().values().to("out");
    }),
    ("sliding", |left, _, time| {
        let windows = SlidingWindows::of(ms(10)).allowed_lateness(ms(5));
        let grouped = left.group_by_key();
        let windows = grouped.windowed_by_sliding(windows.event_time(time));
        windows.count().values().to("out");
    }),
    ("joins", |left, right, time| {
        let windows = JoinWindows::within(ms(10)).allowed_lateness(ms(15));
        let show = |left: Option<&i64>, right: Option<&i64>| format!("{left:?}:{right:?}");
        left.outer_join(right, show, windows.event_time(time))
            .to("out");
    }),
    ("suppression", |left, _, time| {
        let table = left.group_by_key().count();
        let suppress = Suppress::new().event_time(time);
        table
            .suppress_until_time_limit(ms(10), suppress)
            .to_stream()
            .to("out");
    }),
    ("in order", |left, _, time| {
        left.in_order(ms(10), time).to("out");
    }),
];

/// Commit after commit the changelogs have about as much in them, and what is left of them is enough.
#[test]
fn changelogs_of_what_goes_by_time_are_bounded() {
    for (name, build) in KINDS {
        for time in [EventTime::Watermark, EventTime::StreamTime] {
            let builder = StreamsBuilder::new();
            build(&builder.stream("left"), &builder.stream("right"), time);
            let mut driver = TestDriver::new(&builder.build().unwrap());
            for round in 0..400_i64 {
                for step in 0..10 {
                    // Mostly in order, and keys that come again and keys that do not.
                    let at = round * 10 + step;
                    let back = if at % 7 == 0 { 4 } else { 0 };
                    let topic = if step % 3 == 0 { "right" } else { "left" };
                    let key = if step % 2 == 0 { at } else { at % 5 };
                    driver
                        .pipe(topic, format!("k{key}"), at, at - back)
                        .unwrap();
                }
                driver.commit().unwrap();
                for (store, (start, end)) in changelogs(&driver) {
                    // Every record of ten rounds is there once, and those without a partner twice.
                    assert!(
                        grows(name, &store) || end - start < 200,
                        "{name} {time:?}: {store} at {round}: {start}..{end}"
                    );
                }
                if round % 50 == 49 {
                    let kept = contents(&mut driver);
                    driver.crash().unwrap();
                    assert_eq!(contents(&mut driver), kept, "{name} {time:?} at {round}");
                }
            }
            for (store, (start, _)) in changelogs(&driver) {
                assert!(grows(name, &store) || start > 0, "{name} {time:?} {store}");
            }
        }
    }
}

/// Whether a store keeps a value for every key that there ever was: the table in front of a suppression.
fn grows(name: &str, store: &str) -> bool {
    name == "suppression" && store.ends_with("count")
}

/// The first and the last offset of every changelog.
fn changelogs(driver: &TestDriver) -> Vec<(String, (usize, usize))> {
    let topics = driver.topics().into_iter();
    let stores = topics.filter_map(|topic| {
        let name = topic.strip_prefix("test-")?.strip_suffix("-changelog")?;
        Some((name.to_owned(), driver.changelog_ranges(name)[0]))
    });
    stores.collect()
}

fn contents(driver: &mut TestDriver) -> Vec<(String, Vec<(Vec<u8>, Vec<u8>)>)> {
    let stores = changelogs(driver).into_iter();
    let stores = stores.map(|(name, _)| {
        let entries = driver.store_entries(&name).unwrap();
        (name, entries)
    });
    stores.collect()
}
