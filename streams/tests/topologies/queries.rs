//! Stores read from outside.

use std::time::Duration;

use tidemark_streams::processor::{
    Failure, KeyValue, Processing, Processor, ProcessorContext, StoreHandle, WindowValue,
};
use tidemark_streams::query::{Kind, QueryError};
use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::{JoinWindows, SessionWindows, SlidingWindows, TimeWindows, Window};
use tidemark_streams::{Consumed, Emit, Record, StreamsBuilder, Topology};

fn driver(topology: &Topology, partitions: u32) -> TestDriver {
    let mut driver = TestDriver::new(topology);
    driver.partitions("in", partitions);
    driver
}

fn key(text: &str) -> String {
    text.to_owned()
}

#[test]
fn key_value_stores_are_read_in_the_order_of_keys() -> Result<(), Box<dyn std::error::Error>> {
    let builder = StreamsBuilder::new();
    let counts = builder.stream::<i64, bool>("in").group_by_key().count();
    let _ = counts.materialized("counts");
    let mut driver = driver(&builder.build()?, 3);
    let numbers = [5, -1, 300, -70_000, 5, 0, i64::MIN, i64::MAX, 5];
    for (at, number) in numbers.into_iter().enumerate() {
        driver.pipe("in", number, true, at as i64)?;
    }
    let counts = driver.store("counts")?.key_value::<i64, i64>()?;
    assert_eq!(counts.get(&5)?, Some(3));
    assert_eq!(counts.get_with_time(&5)?, Some((3, 8)));
    assert_eq!(counts.get(&6)?, None);
    let all = [
        (i64::MIN, 1),
        (-70_000, 1),
        (-1, 1),
        (0, 1),
        (5, 3),
        (300, 1),
        (i64::MAX, 1),
    ];
    assert_eq!(counts.all()?, all);
    assert_eq!(counts.range(-1..=5)?, all[2..5]);
    assert_eq!(counts.range(-1..5)?, all[2..4]);
    assert_eq!(counts.range(301..)?, all[6..]);
    assert_eq!(counts.range(..-1)?, all[..2]);
    let (from, upto) = (7, 6);
    assert_eq!(counts.range(from..=upto)?, []);
    let info = driver.store("counts")?.info();
    assert_eq!((info.kind, info.entries), (Kind::KeyValue, 7));
    assert_eq!((&*info.keys, &*info.values), ("i64", "i64"));
    assert_eq!(info.tasks.len(), 3);
    Ok(())
}

#[test]
fn what_is_asked_for_wrongly_is_told() -> Result<(), Box<dyn std::error::Error>> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, String>("in");
    let _ = stream.group_by_key().count().materialized("counts");
    let _ = builder.global_table::<String, i64>("names");
    let other = builder.stream::<String, String>("in2");
    let windows = JoinWindows::within(Duration::from_secs(1));
    let _ = stream.join(&other, |left, _| left.clone(), windows);
    let mut driver = driver(&builder.build()?, 1);
    driver.run()?;
    let failed = |error: QueryError| error.to_string();
    assert_eq!(
        driver.store("count").err().map(failed).as_deref(),
        Some("there is no store \"count\"; there are: counts, names")
    );
    let counts = driver.store("counts")?;
    let wrong = counts.key_value::<String, String>().err().map(failed);
    assert_eq!(
        wrong.as_deref(),
        Some("store \"counts\" holds i64 by String, not String by String")
    );
    let wrong = counts.windows::<String, i64>().err().map(failed);
    assert_eq!(
        wrong.as_deref(),
        Some("store \"counts\" is a key-value store, not a window store")
    );
    let wrong = driver.store("in.join.left")?.key_value::<String, String>();
    assert_eq!(
        wrong.err().map(failed).as_deref(),
        Some("store \"in.join.left\" is what an operator keeps for itself, not a key-value store")
    );
    let nullable = StreamsBuilder::new();
    let stream = nullable.stream::<Option<String>, String>("in");
    let _ = stream.group_by_key().count().materialized("counts");
    let driver = TestDriver::new(&nullable.build()?);
    let counts = driver.store("counts")?.key_value::<Option<String>, i64>()?;
    let wrong = counts.get(&None).err().map(failed);
    assert_eq!(
        wrong.as_deref(),
        Some("store \"counts\": null where a key is expected")
    );
    Ok(())
}

#[test]
fn global_tables_are_read_too() -> Result<(), Box<dyn std::error::Error>> {
    let builder = StreamsBuilder::new();
    let _ = builder.global_table::<String, i64>("names");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.partitions("names", 3);
    for (at, name) in ["ada", "bob", "eve", "ada"].into_iter().enumerate() {
        driver.pipe("names", key(name), at as i64, 0)?;
    }
    let names = driver.store("names")?.key_value::<String, i64>()?;
    assert_eq!(names.get(&key("ada"))?, Some(3));
    assert_eq!(names.range(key("b")..)?, [(key("bob"), 1), (key("eve"), 2)]);
    assert_eq!(driver.store("names")?.info().entries, 3);
    Ok(())
}

/// Hopping windows lie in slices, but are read as windows, as if each had been kept by itself.
#[test]
fn windows_are_read_whole() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = |n| Duration::from_secs(n);
    let windows = [
        TimeWindows::tumbling(seconds(10)),
        TimeWindows::hopping(seconds(30), seconds(10)),
        TimeWindows::hopping(seconds(25), seconds(10)).offset_millis(-3000),
    ];
    for windows in windows {
        let late = Duration::from_secs(20);
        let windows = windows.allowed_lateness(late);
        let builder = StreamsBuilder::new();
        let consumed = Consumed::<String, bool>::new().watermark_delay(seconds(15));
        let stream = builder.stream_with(["in"], consumed).group_by_key();
        let _ = stream.windowed_by(windows).count().materialized("sliced");
        let each = stream
            .windowed_by(windows)
            .emit(tidemark_streams::Emit::Update);
        let _ = each.count().materialized("each");
        let mut driver = driver(&builder.build()?, 2);
        for at in 0..200_i64 {
            let name = ["ada", "bob", "eve"][(at * 7 % 3) as usize];
            driver.pipe("in", key(name), true, at * 1300 - (at * 31 % 17) * 1000)?;
        }
        let [sliced, each] = ["sliced", "each"].map(|name| {
            let store = driver.store(name).unwrap();
            store.windows::<String, i64>().unwrap()
        });
        let all = each.all(..)?;
        assert!(all.len() > 10, "{windows}");
        assert_eq!(sliced.all(..)?, all, "{windows}");
        let mut sorted = all.clone();
        sorted.sort_by(|a, b| (a.0.window, &a.0.key).cmp(&(b.0.window, &b.0.key)));
        assert_eq!(all, sorted);
        let starts = 200_000..=230_000;
        let some = each.all(starts.clone())?;
        assert!(!some.is_empty() && some.len() < all.len());
        assert_eq!(sliced.all(starts.clone())?, some);
        for name in ["ada", "bob", "eve", "nobody"] {
            let mut own: Vec<(Window, i64)> = Vec::new();
            for (windowed, count) in &some {
                if windowed.key == name {
                    own.push((windowed.window, *count));
                }
            }
            assert_eq!(each.fetch(&key(name), starts.clone())?, own);
            assert_eq!(sliced.fetch(&key(name), starts.clone())?, own);
        }
    }
    Ok(())
}

#[test]
fn sessions_are_read_by_key_and_by_time() -> Result<(), Box<dyn std::error::Error>> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, bool>("in").group_by_key();
    let lateness = Duration::from_secs(3600);
    let sessions = SessionWindows::with_gap(Duration::from_secs(5)).allowed_lateness(lateness);
    let _ = stream
        .windowed_by_session(sessions)
        .count()
        .materialized("sessions");
    let sliding = SlidingWindows::of(Duration::from_secs(5)).allowed_lateness(lateness);
    let _ = stream
        .windowed_by_sliding(sliding)
        .count()
        .materialized("sliding");
    let mut driver = driver(&builder.build()?, 2);
    for (name, at) in [
        ("ada", 1000),
        ("ada", 3000),
        ("bob", 4000),
        ("ada", 20_000),
        ("bob", 2000),
    ] {
        driver.pipe("in", key(name), true, at)?;
    }
    let sessions = driver.store("sessions")?.sessions::<String, i64>()?;
    let window = |start, end| Window { start, end };
    let ada = [(window(1000, 3000), 2), (window(20_000, 20_000), 1)];
    assert_eq!(sessions.of(&key("ada"))?, ada);
    assert_eq!(sessions.of_within(&key("ada"), 3000..)?, ada);
    assert_eq!(sessions.of_within(&key("ada"), 3001..)?, ada[1..]);
    assert_eq!(sessions.of_within(&key("ada"), ..20_000)?, ada[..1]);
    assert_eq!(sessions.of(&key("nobody"))?, []);
    let found = sessions.within(0..=3500)?;
    let found: Vec<_> = found
        .iter()
        .map(|(w, n)| (&*w.key, w.window.start, *n))
        .collect();
    assert_eq!(found, [("ada", 1000, 2), ("bob", 2000, 2)]);
    let sliding = driver.store("sliding")?.windows::<String, i64>()?;
    let bob = sliding.fetch(&key("bob"), ..)?;
    let starts: Vec<_> = bob.iter().map(|(w, n)| (w.start, w.end, *n)).collect();
    assert_eq!(
        starts,
        [(-3000, 2000, 1), (-1000, 4000, 2), (2001, 7001, 1)]
    );
    Ok(())
}

/// Keeps the last value and the number of values by ten seconds.
struct Keeper {
    last: StoreHandle<KeyValue<String, i64>>,
    tens: StoreHandle<WindowValue<String, i64>>,
}

impl Processor<String, i64, String, i64> for Keeper {
    fn process(
        &mut self,
        record: Record<String, i64>,
        cx: &mut ProcessorContext<'_, String, i64>,
    ) -> Result<(), Failure> {
        let mut last = cx.store(&self.last)?;
        last.put(&record.key, record.value, record.timestamp)?;
        let start = record.timestamp.div_euclid(10_000) * 10_000;
        let mut tens = cx.store(&self.tens)?;
        let count = tens.get(&record.key, start)?.unwrap_or(0);
        tens.put(&record.key, start, count + 1)?;
        Ok(())
    }
}

#[test]
fn stores_of_processors_are_read() -> Result<(), Box<dyn std::error::Error>> {
    let builder = StreamsBuilder::new();
    let last = builder.add_store(KeyValue::new("last"));
    let tens = builder.add_store(WindowValue::new("tens", Duration::from_secs(3600)));
    let processing = Processing::new().store(&last).store(&tens);
    let _ = builder
        .stream::<String, i64>("in")
        .process_with(processing, move || Keeper {
            last: last.clone(),
            tens: tens.clone(),
        });
    let mut driver = driver(&builder.build()?, 2);
    for (at, value) in [(1000, 1_i64), (9000, 2), (15_000, 3)] {
        driver.pipe("in", key("ada"), value, at)?;
    }
    let last = driver.store("last")?.key_value::<String, i64>()?;
    assert_eq!(last.get_with_time(&key("ada"))?, Some((3, 15_000)));
    let tens = driver.store("tens")?.windows::<String, i64>()?;
    let found = tens.fetch(&key("ada"), ..)?;
    let found: Vec<_> = found.iter().map(|(w, n)| (w.start, *n)).collect();
    assert_eq!(found, [(0, 2), (10_000, 1)]);
    Ok(())
}

/// What is larger than what is looked at at once is read as a whole, in order.
#[test]
fn large_stores_are_read_as_a_whole() -> Result<(), Box<dyn std::error::Error>> {
    let ms = Duration::from_millis;
    let builder = StreamsBuilder::new();
    let grouped = builder.stream::<i64, bool>("in").group_by_key();
    let _ = grouped.count().materialized("all");
    let tumbling = grouped.windowed_by(TimeWindows::tumbling(ms(1000)));
    let _ = tumbling.emit(Emit::Update).count().materialized("tumbling");
    let hopping = grouped.windowed_by(TimeWindows::hopping(ms(1000), ms(500)));
    let _ = hopping.count().materialized("hopping");
    let sliding = grouped.windowed_by_sliding(SlidingWindows::of(ms(10)));
    let _ = sliding.count().materialized("sliding");
    let mut driver = driver(&builder.build()?, 2);
    let count = 40_000_i64;
    for at in 0..count {
        // Few windows with many keys, and out of order.
        let key = at * 7919 % count;
        driver.feed("in", &Record::new(key, true, key % 4 * 1000))?;
    }
    driver.run()?;
    let keys = driver.store("all")?.key_value::<i64, i64>()?.all()?;
    assert!(keys.iter().copied().eq((0..count).map(|key| (key, 1))));
    let by_window = |starts: &[i64]| {
        let windows = starts.iter().flat_map(|start| {
            let second = (start + 500).div_euclid(1000);
            (0..count)
                .filter(move |key| key % 4 == second)
                .map(move |key| (*start, key))
        });
        windows.collect::<Vec<_>>()
    };
    let all = |name: &str| -> Result<Vec<(i64, i64)>, QueryError> {
        let rows = driver.store(name)?.windows::<i64, i64>()?.all(..)?;
        Ok(rows
            .iter()
            .map(|(key, _)| (key.window.start, key.key))
            .collect())
    };
    // The watermark has closed none of the last two seconds.
    let open = |mut rows: Vec<(i64, i64)>, from: i64| {
        rows.retain(|(start, _)| *start >= from);
        rows
    };
    assert_eq!(open(all("tumbling")?, 3000), by_window(&[3000]));
    assert_eq!(open(all("hopping")?, 2500), by_window(&[2500, 3000]));
    let sliding = open(all("sliding")?, 2990);
    assert_eq!(sliding.len() as i64, count / 4);
    assert!(sliding.is_sorted());
    Ok(())
}
