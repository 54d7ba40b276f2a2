//! What processors keep, and what they are told of the record that they work on.

use std::time::Duration;

use tidemark_streams::processor::{
    Failure, KeyValue, Processing, Processor, ProcessorContext, Punctuation, SessionValue,
    StoreHandle, Tick, WindowValue,
};
use tidemark_streams::testing::TestDriver;
use tidemark_streams::time::Window;
use tidemark_streams::{Record, StreamsBuilder};

const GAP: i64 = 10;

/// Counts by session, as a processor may do it: what it takes out and puts in has to be the same after a
/// restart.
struct Sessions(StoreHandle<SessionValue<String, i64>>);

impl Processor<String, i64, String, String> for Sessions {
    fn process(
        &mut self,
        record: Record<String, i64>,
        cx: &mut ProcessorContext<'_, String, String>,
    ) -> Result<(), Failure> {
        let (key, at) = (record.key.clone(), record.timestamp);
        let mut store = cx.store(&self.0)?;
        let (mut start, mut end, mut count) = (at, at, record.value);
        for (window, value) in store.of_within(&key, at - GAP, at + GAP)? {
            (start, end) = (start.min(window.start), end.max(window.end));
            count += value;
            assert_eq!(store.remove(&key, window.start)?, Some(value));
        }
        let kept = store.put(&key, Window { start, end }, count)?;
        let told = format!("{start}-{end}: {count}, {kept}");
        cx.forward(Record::new(key, told, at));
        Ok(())
    }
}

#[test]
fn sessions_are_kept_by_processors() {
    let builder = StreamsBuilder::new();
    let retention = Duration::from_millis(100);
    let store = builder.add_store(SessionValue::new("sessions", retention));
    let processing = Processing::new().store(&store);
    builder
        .stream::<String, i64>("in")
        .process_with(processing, move || Sessions(store.clone()))
        .to("out");
    let mut driver = TestDriver::new(&builder.build().unwrap());
    let mut told = Vec::new();
    for (key, at) in [
        ("a", 0),
        ("a", 20),
        ("b", 5),
        ("a", 10),
        ("a", 31),
        ("b", 90),
        ("a", 131),
        ("a", 40),
        ("a", 31),
    ] {
        driver.pipe("in", key.to_owned(), 1_i64, at).unwrap();
        let out = driver.read::<String, String>("out").unwrap();
        told.extend(out.into_iter().map(|record| record.value));
        driver.restart().unwrap();
    }
    let expected = [
        "0-0: 1, true",
        "20-20: 1, true",
        "5-5: 1, true",
        // In between: it makes one of two.
        "0-20: 3, true",
        // Eleven milliseconds later is another one.
        "31-31: 1, true",
        "90-90: 1, true",
        // What ended at 31 goes.
        "131-131: 1, true",
        "40-40: 1, true",
        "31-40: 2, true",
    ];
    assert_eq!(told, expected);
    let sessions = driver.store("sessions").unwrap();
    let sessions = sessions.sessions::<String, i64>().unwrap();
    let all: Vec<_> = sessions.within(..).unwrap();
    let all: Vec<_> = all
        .iter()
        .map(|(of, count)| (of.key.as_str(), of.window.start, *count))
        .collect();
    assert_eq!(all, [("a", 31, 2), ("b", 90, 1), ("a", 131, 1)]);
    driver.pipe("in", "c".to_owned(), 1_i64, 20).unwrap();
    let late = driver.read::<String, String>("out").unwrap();
    assert_eq!(late[0].value, "20-20: 1, false");
}

/// What lies in stores, in ranges.
struct Ranges {
    values: StoreHandle<KeyValue<i64, String>>,
    windows: StoreHandle<WindowValue<i64, String>>,
    sessions: StoreHandle<SessionValue<i64, String>>,
}

impl Processor<i64, String, (), String> for Ranges {
    fn process(
        &mut self,
        record: Record<i64, String>,
        cx: &mut ProcessorContext<'_, (), String>,
    ) -> Result<(), Failure> {
        let Record { key, value, .. } = record;
        if value != "tell" {
            let at = record.timestamp;
            cx.store(&self.values)?.put(&key, value.clone(), at)?;
            cx.store(&self.windows)?.put(&key, at, value.clone())?;
            let window = Window {
                start: at,
                end: at + 5,
            };
            cx.store(&self.sessions)?.put(&key, window, value)?;
            return Ok(());
        }
        let values = cx.store(&self.values)?.range(-5..7)?;
        let values = values
            .into_iter()
            .map(|(key, value, at)| format!("{key}={value}@{at}"));
        let mut told: Vec<String> = values.collect();
        let windows = cx.store(&self.windows)?.all(2, 3)?;
        told.extend(
            windows
                .into_iter()
                .map(|(key, at, value)| format!("{key}={value} in {at}")),
        );
        let sessions = cx.store(&self.sessions)?;
        let wrong = sessions.of(&7)?;
        assert!(wrong.len() == 1, "{wrong:?}");
        let all = sessions.all()?.into_iter();
        told.extend(all.map(|(key, of, value)| format!("{key}={value} to {}", of.end)));
        for one in told {
            cx.forward(Record::new((), one, 0));
        }
        Ok(())
    }
}

#[test]
fn stores_of_processors_are_read_in_ranges() {
    let builder = StreamsBuilder::new();
    let second = Duration::from_secs(1);
    let values = builder.add_store(KeyValue::new("values"));
    let windows = builder.add_store(WindowValue::new("windows", second));
    let sessions = builder.add_store(SessionValue::new("sessions", second));
    let processing = Processing::new()
        .store(&values)
        .store(&windows)
        .store(&sessions);
    builder
        .stream::<i64, String>("in")
        .process_with(processing, move || Ranges {
            values: values.clone(),
            windows: windows.clone(),
            sessions: sessions.clone(),
        })
        .to("out");
    let mut driver = TestDriver::new(&builder.build().unwrap());
    for (key, value, at) in [
        (6_i64, "f", 3),
        (-5, "a", 2),
        (7, "g", 2),
        (-6, "z", 1),
        (0, "c", 4),
        (0, "tell", 5),
    ] {
        driver.pipe("in", key, value.to_owned(), at).unwrap();
    }
    let out = driver.read::<(), String>("out").unwrap();
    let out: Vec<_> = out.iter().map(|record| record.value.as_str()).collect();
    let expected = [
        "-5=a@2",
        "0=c@4",
        "6=f@3",
        // The bytes of negative numbers come last.
        "7=g in 2",
        "-5=a in 2",
        "6=f in 3",
        "0=c to 9",
        "6=f to 8",
        "7=g to 7",
        "-6=z to 6",
        "-5=a to 7",
    ];
    assert_eq!(out, expected);
}

/// Tells where records are from.
struct Where;

impl Processor<String, i64, String, String> for Where {
    fn process(
        &mut self,
        record: Record<String, i64>,
        cx: &mut ProcessorContext<'_, String, String>,
    ) -> Result<(), Failure> {
        let from = cx
            .source()
            .map(|own| format!("{} {}", own.partition, own.offset));
        let told = format!("{} of {}", record.value, from.unwrap_or_default());
        cx.forward(Record::new(record.key, told, record.timestamp));
        Ok(())
    }

    fn punctuate(
        &mut self,
        tick: Tick,
        cx: &mut ProcessorContext<'_, String, String>,
    ) -> Result<(), Failure> {
        let told = format!("{:?}", cx.source());
        cx.forward(Record::new("time".to_owned(), told, tick.time));
        Ok(())
    }
}

/// Which record it is, whatever is in front of the processor.
#[test]
fn a_processor_is_told_where_its_record_is_from() {
    let builder = StreamsBuilder::new();
    let numbers = builder
        .stream::<String, i64>("in")
        .filter(|_, value| *value % 2 == 0)
        .flat_map_values(|value| [value, value + 1]);
    let second = Duration::from_secs(1);
    let told = Processing::new()
        .with_source()
        .schedule(second, Punctuation::WallClock);
    numbers.process_with(told, || Where).to("told");
    let mut driver = TestDriver::new(&builder.build().unwrap());
    driver.partitions("in", 2);
    for value in 0..4_i64 {
        let record = Record::new("k".to_owned(), value, value);
        driver.feed_to("in", Some(1), &record).unwrap();
    }
    driver.run().unwrap();
    driver.advance_wall(second).unwrap();
    let out = driver.read::<String, String>("told").unwrap();
    let out: Vec<_> = out.iter().map(|record| record.value.as_str()).collect();
    let expected = [
        "0 of in-1 0",
        "1 of in-1 0",
        "2 of in-1 2",
        "3 of in-1 2",
        "None",
        "None",
    ];
    assert_eq!(out, expected);
}
