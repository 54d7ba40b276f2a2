use std::time::Duration;

use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{TimeWindows, Windowed};
use tidemark_streams::{
    Consumed, Data, DataError, Payload, Record, Stream, StreamsBuilder, StreamsError, Update,
};

/// A key that can be read and not written.
#[derive(Clone, Debug)]
struct Unwritable;

impl Data for Unwritable {
    fn encode<'a>(&'a self, _scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        Err(DataError::new("a key that has no bytes"))
    }

    fn decode(_payload: Payload<'_>) -> Result<Self, DataError> {
        Ok(Self)
    }

    fn format() -> std::borrow::Cow<'static, str> {
        "".into()
    }
}

#[test]
fn a_key_that_cannot_be_written_tells_the_operator() -> Result<(), StreamsError> {
    let windows = TimeWindows::tumbling(Duration::from_millis(10));
    let fails = |build: &dyn Fn(&Stream<Unwritable, i64>)| -> Result<String, StreamsError> {
        let builder = StreamsBuilder::new();
        build(&builder.stream::<Unwritable, i64>("in"));
        let mut driver = TestDriver::new(&builder.build()?);
        let failed = driver.pipe("in", "k".to_owned(), 1_i64, 0);
        Ok(failed
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default())
    };
    let count = fails(&|stream| drop(stream.group_by_key().count()))?;
    assert_eq!(count, "in.count: a key: a key that has no bytes");
    let windowed = fails(&|stream| {
        let windowed = stream.group_by_key().windowed_by(windows);
        let _ = windowed.count().named("by_minute");
    })?;
    assert_eq!(windowed, "by_minute: a key: a key that has no bytes");
    let kept = fails(&|stream| {
        let _ = stream.to_table().materialized("kept");
    })?;
    assert_eq!(kept, "in.to_table: a key: a key that has no bytes");
    let sent = fails(&|stream| {
        let _ = stream.repartition();
    })?;
    assert_eq!(
        sent,
        "topic \"test-in-repartition\": a key that has no bytes"
    );
    Ok(())
}

#[test]
fn words_are_counted_across_a_repartition_topic() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), String>("text")
        .flat_map_values(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .group_by(|_, word| word.clone())
        .count()
        .to_stream()
        .to("word_counts");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.partitions("text", 3);
    driver.pipe("text", (), "to be or not to be".to_owned(), 5)?;
    driver.pipe("text", (), "be".to_owned(), 3)?;
    let counts = driver.read::<String, i64>("word_counts")?;
    let mut counts: Vec<_> = counts
        .into_iter()
        .map(|r| (r.key, r.value, r.timestamp))
        .collect();
    counts.sort();
    let expected = [
        ("be", 1, 5),
        ("be", 2, 5),
        ("be", 3, 5),
        ("not", 1, 5),
        ("or", 1, 5),
        ("to", 1, 5),
        ("to", 2, 5),
    ];
    let expected = expected.map(|(word, count, time)| (word.to_owned(), count, time));
    assert_eq!(counts, expected);
    driver.restart()?;
    driver.pipe("text", (), "be".to_owned(), 9)?;
    let more = driver.read::<String, i64>("word_counts")?;
    assert_eq!((more[0].value, more[0].timestamp), (4, 9));
    Ok(())
}

/// `()` has no bytes, but it is a value: it can be counted, also behind a repartition topic.
#[test]
fn values_that_are_nothing_are_counted() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), String>("text")
        .flat_map(|(), line| {
            let words = line.split(' ').map(|word| (word.to_owned(), ()));
            words.collect::<Vec<_>>()
        })
        .group_by_key()
        .count()
        .to_stream()
        .to("word_counts");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("text", (), "to be or not to be".to_owned(), 5)?;
    let counts = driver.read::<String, i64>("word_counts")?;
    assert_eq!(counts.iter().map(|r| r.value).max(), Some(2));
    assert_eq!(counts.len(), 6);
    Ok(())
}

/// As a key, `()` is none.
#[test]
fn keys_that_are_nothing_are_no_keys() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    builder
        .stream::<(), String>("text")
        .group_by_key()
        .count()
        .to_stream()
        .to("counts");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("text", (), "to be".to_owned(), 5)?;
    assert_eq!(driver.read::<(), i64>("counts")?.len(), 0);
    assert_eq!(driver.counts().null_key, 1);
    Ok(())
}

/// A key whose aggregate has gone begins anew, at whatever moment the commit comes.
#[test]
fn aggregates_that_begin_anew_have_their_own_time() -> Result<(), StreamsError> {
    for commits in [false, true] {
        let builder = StreamsBuilder::new();
        builder
            .stream::<String, Option<i64>>("in")
            .map_values(|value| value.unwrap_or_default())
            .group_by_key()
            .aggregate(Update::new(
                |_: &String, value: i64, state: &mut Option<i64>| {
                    *state = (value != 0).then(|| state.unwrap_or_default() + value);
                },
            ))
            .to_stream()
            .to("out");
        let mut driver = TestDriver::new(&builder.build()?);
        for (value, time) in [(1, 10), (0, 12), (2, 5)] {
            driver.pipe("in", "a".to_owned(), Some(value as i64), time)?;
            if commits {
                driver.commit()?;
            }
        }
        let out = driver.read::<String, Option<i64>>("out")?;
        let out: Vec<_> = out.iter().map(|r| (r.value, r.timestamp)).collect();
        assert_eq!(out, [(Some(1), 10), (None, 12), (Some(2), 5)]);
    }
    Ok(())
}

/// Where one topic has fewer partitions than another one, some tasks read only that one.
#[test]
fn topics_of_one_stream_may_differ_in_their_partitions() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    builder
        .stream_with(["a", "b"], Consumed::<String, i64>::new())
        .group_by(|_, value| value % 2)
        .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)))
        .count()
        .to_stream()
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.partitions("a", 4).partitions("b", 2);
    for partition in 0..4 {
        for (topic, count) in [("a", 4), ("b", 2)] {
            for time in [1, 50] {
                if partition < count {
                    let record = Record::new(String::new(), 2_i64, time);
                    driver.feed_to(topic, Some(partition), &record)?;
                }
            }
        }
    }
    driver.run()?;
    driver.advance_wall(Duration::from_secs(1))?;
    // Nothing waits for partitions that are not there.
    let out = driver.read::<Windowed<i64>, i64>("out")?;
    assert_eq!(out.iter().map(|r| r.value).collect::<Vec<_>>(), [6]);
    Ok(())
}
