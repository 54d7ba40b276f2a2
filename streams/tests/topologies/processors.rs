use std::time::Duration;

use tidemark_streams::processor::{
    Failure, KeyValue, OnError, Processing, Processor, ProcessorContext, Punctuation, StoreHandle,
    Tick, WindowValue,
};
use tidemark_streams::testing::{DriverConfig, TestDriver};
use tidemark_streams::{Record, StreamsBuilder, StreamsError, Topology};

use crate::recent::Recent;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Sums by key, and tells all sums when time has come.
struct Sums {
    sums: StoreHandle<KeyValue<String, i64>>,
}

impl Processor<String, i64, String, i64> for Sums {
    fn process(
        &mut self,
        record: Record<String, i64>,
        cx: &mut ProcessorContext<'_, String, i64>,
    ) -> Result<(), Failure> {
        if record.value == 13 {
            return Err("an unlucky number".into());
        }
        let mut sums = cx.store(&self.sums)?;
        let sum = sums.get(&record.key)?.unwrap_or_default();
        sums.put(&record.key, sum + record.value, record.timestamp)?;
        Ok(())
    }

    fn punctuate(
        &mut self,
        tick: Tick,
        cx: &mut ProcessorContext<'_, String, i64>,
    ) -> Result<(), Failure> {
        for (key, sum, _) in cx.store(&self.sums)?.all()? {
            cx.forward(Record::new(key.clone(), sum, tick.time));
            cx.store(&self.sums)?.remove(&key)?;
        }
        Ok(())
    }
}

fn summing(processing: Processing) -> Topology {
    let builder = StreamsBuilder::new();
    let sums = builder.add_store(KeyValue::new("sums"));
    let processing = processing.store(&sums);
    let stream = builder.stream::<String, i64>("in");
    let even = stream.filter(|_, value| *value != 0);
    even.process_with(processing, move || Sums { sums: sums.clone() })
        .to("out");
    builder.build().unwrap()
}

fn run(driver: &mut TestDriver, rows: &[(&str, i64, i64)]) -> Result<(), StreamsError> {
    for (key, value, timestamp) in rows {
        let record = Record::new((*key).to_owned(), *value, *timestamp);
        driver.feed("in", &record)?;
    }
    driver.run()
}

fn out(driver: &mut TestDriver) -> Vec<(String, i64, i64)> {
    let rows = driver.read::<String, i64>("out").unwrap();
    rows.into_iter()
        .map(|r| (r.key, r.value, r.timestamp))
        .collect()
}

fn owned(rows: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
    let rows = rows.iter().map(|(key, a, b)| ((*key).to_owned(), *a, *b));
    rows.collect()
}

#[test]
fn schedules_by_stream_time_call_once_for_what_is_passed_together() -> Result<(), StreamsError> {
    let topology = summing(Processing::new().schedule(ms(10), Punctuation::StreamTime));
    let mut driver = TestDriver::new(&topology);
    run(&mut driver, &[("b", 1, 3), ("a", 2, 4), ("b", 3, 9)])?;
    assert_eq!(out(&mut driver), owned(&[("b", 1, 3)]));
    run(&mut driver, &[("c", 4, 35)])?;
    assert_eq!(
        out(&mut driver),
        owned(&[("a", 2, 35), ("b", 3, 35), ("c", 4, 35)])
    );
    driver.restart()?;
    run(&mut driver, &[("a", 1, 36), ("a", 1, 20), ("a", 1, 40)])?;
    assert_eq!(out(&mut driver), owned(&[("a", 3, 40)]));
    Ok(())
}

#[test]
fn schedules_by_the_watermark_do_not_depend_on_chunks() -> Result<(), StreamsError> {
    let topology = summing(Processing::new().schedule(ms(10), Punctuation::Watermark));
    let rows = [
        ("a", 1, 3),
        ("b", 0, 15),
        ("a", 2, 16),
        ("b", 0, 27),
        ("b", 0, 38),
        ("a", 4, 37),
        ("c", 0, 61),
    ];
    let mut all = Vec::new();
    for chunk in [1, 7, 1024] {
        let config = DriverConfig {
            chunk,
            ..DriverConfig::default()
        };
        let mut driver = TestDriver::with_config(&topology, config);
        run(&mut driver, &rows)?;
        all.push(out(&mut driver));
    }
    let expected = owned(&[("a", 1, 2), ("a", 2, 26), ("a", 4, 60)]);
    assert_eq!(all, [expected.clone(), expected.clone(), expected]);
    Ok(())
}

#[test]
fn schedules_by_the_clock() -> Result<(), StreamsError> {
    let topology = summing(Processing::new().schedule(ms(10), Punctuation::WallClock));
    let mut driver = TestDriver::new(&topology);
    run(&mut driver, &[("a", 1, 1000)])?;
    driver.advance_wall(ms(9))?;
    assert_eq!(out(&mut driver), []);
    driver.advance_wall(ms(26))?;
    assert_eq!(out(&mut driver), owned(&[("a", 1, 35)]));
    run(&mut driver, &[("a", 2, 1000)])?;
    driver.advance_wall(ms(4))?;
    assert_eq!(out(&mut driver), []);
    driver.advance_wall(ms(1))?;
    assert_eq!(out(&mut driver), owned(&[("a", 2, 40)]));
    Ok(())
}

#[test]
fn errors_go_where_they_should() -> Result<(), StreamsError> {
    let mut driver = TestDriver::new(&summing(Processing::new()));
    let error = run(&mut driver, &[("a", 13, 0)]).unwrap_err();
    assert_eq!(error.to_string(), "in.filter.process: an unlucky number");
    let mut driver = TestDriver::new(&summing(Processing::new().on_error(OnError::Skip)));
    run(&mut driver, &[("a", 13, 0), ("a", 1, 0)])?;
    assert_eq!(driver.counts().refused, 1);
    let dead = OnError::DeadLetter("dead".into());
    let mut driver = TestDriver::new(&summing(Processing::new().on_error(dead)));
    run(&mut driver, &[("a", 13, 5), ("a", 1, 0)])?;
    let dead = driver.read::<String, i64>("dead")?;
    assert_eq!((dead.len(), dead[0].value, dead[0].timestamp), (1, 13, 5));
    let header = |name: &str| dead[0].headers.last(name).unwrap();
    assert_eq!(header("tidemark.operator"), b"in.filter.process");
    assert_eq!(header("tidemark.reason"), b"an unlucky number");
    Ok(())
}

#[test]
fn maps_that_fail() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    builder
        .stream::<String, String>("in")
        .try_map_values(OnError::DeadLetter("dead".into()), |text| {
            text.parse::<i64>()
        })
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    driver.pipe("in", "a".to_owned(), "7".to_owned(), 1)?;
    driver.pipe("in", "b".to_owned(), "seven".to_owned(), 2)?;
    assert_eq!(out(&mut driver), owned(&[("a", 7, 1)]));
    let dead = driver.read::<String, String>("dead")?;
    assert_eq!((&*dead[0].key, &*dead[0].value), ("b", "seven"));
    Ok(())
}

#[test]
fn window_stores_drop_what_is_old() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let counts = builder.add_store(WindowValue::new("counts", ms(10)));
    let processing = Processing::new().store(&counts).keeps_keys();
    builder
        .stream::<String, i64>("in")
        .process_with(processing, move || Recent {
            counts: counts.clone(),
        })
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    run(
        &mut driver,
        &[("a", 0, 1), ("a", 0, 5), ("a", 0, 5), ("a", 0, 10)],
    )?;
    driver.restart()?;
    run(&mut driver, &[("a", 0, 11), ("a", 0, 1), ("a", 0, 2)])?;
    let counts: Vec<_> = out(&mut driver).into_iter().map(|row| row.1).collect();
    // Those at 1 have gone when 11 comes.
    assert_eq!(counts, [1, 2, 3, 4, 4, 0, 1]);
    Ok(())
}

#[test]
fn stores_that_were_not_given_are_refused() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let sums = builder.add_store(KeyValue::new("sums"));
    let stream = builder.stream::<String, i64>("in");
    stream
        .process(move || Sums { sums: sums.clone() })
        .to("out");
    let mut driver = TestDriver::new(&builder.build()?);
    let error = run(&mut driver, &[("a", 1, 0)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "in.process: the processor has not been given that store"
    );
    Ok(())
}

/// Puts into a store what another processor reads.
struct Remember(StoreHandle<KeyValue<String, i64>>);
struct Look(StoreHandle<KeyValue<String, i64>>);

impl Processor<String, i64, String, i64> for Remember {
    fn process(
        &mut self,
        record: Record<String, i64>,
        cx: &mut ProcessorContext<'_, String, i64>,
    ) -> Result<(), Failure> {
        cx.store(&self.0)?
            .put(&record.key, record.value, record.timestamp)?;
        Ok(())
    }
}

impl Processor<String, i64, String, i64> for Look {
    fn process(
        &mut self,
        record: Record<String, i64>,
        cx: &mut ProcessorContext<'_, String, i64>,
    ) -> Result<(), Failure> {
        let found = cx.store(&self.0)?.get(&record.key)?.unwrap_or(-1);
        cx.forward(Record::new(record.key, found, record.timestamp));
        Ok(())
    }
}

#[test]
fn processors_share_stores_record_by_record() -> Result<(), StreamsError> {
    let builder = StreamsBuilder::new();
    let shared = builder.add_store(KeyValue::new("shared"));
    let stream = builder.stream::<String, i64>("in");
    let processing = Processing::new().store(&shared);
    let (to_look, to_remember) = (shared.clone(), shared);
    stream
        .process_with(processing.clone(), move || Look(to_look.clone()))
        .to("out");
    let _ = stream.process_with(processing, move || Remember(to_remember.clone()));
    let mut driver = TestDriver::new(&builder.build()?);
    run(&mut driver, &[("a", 1, 0), ("a", 2, 0), ("a", 3, 0)])?;
    let found: Vec<_> = out(&mut driver).into_iter().map(|row| row.1).collect();
    assert_eq!(found, [-1, 1, 2]);
    Ok(())
}
