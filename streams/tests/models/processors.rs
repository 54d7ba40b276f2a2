//! Processors with stores, and with schedules by event time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::processor::{
    Failure, KeyValue, Processing, Processor, ProcessorContext, Punctuation, StoreHandle, Tick,
    WindowValue,
};
use tidemark_streams::{Record, StreamsBuilder};

use crate::harness::{ByKey, TOPICS, Taken, inputs, ms, push, read, run, run_to_the_end};
use crate::recent::Recent;
use crate::seed::cases;

/// Sums by key; when time has come it tells all sums and begins anew.
struct Sums {
    sums: StoreHandle<KeyValue<i64, i64>>,
}

impl Processor<i64, i64, i64, i64> for Sums {
    fn process(
        &mut self,
        record: Record<i64, i64>,
        cx: &mut ProcessorContext<'_, i64, i64>,
    ) -> Result<(), Failure> {
        let mut sums = cx.store(&self.sums)?;
        let sum = sums.get(&record.key)?.unwrap_or_default();
        sums.put(&record.key, sum + record.value, record.timestamp)?;
        Ok(())
    }

    fn punctuate(
        &mut self,
        tick: Tick,
        cx: &mut ProcessorContext<'_, i64, i64>,
    ) -> Result<(), Failure> {
        for (key, sum, _) in cx.store(&self.sums)?.all()? {
            cx.forward(Record::new(key, sum, tick.time));
            cx.store(&self.sums)?.remove(&key)?;
        }
        Ok(())
    }
}

/// What one partition tells: by the watermark when it passes a multiple of the interval behind a record,
/// by stream time behind the record that passes it.
fn told(partition: &[Taken], interval: i64, by: Punctuation, rows: &mut ByKey<i64>) {
    let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
    let mut before = i64::MIN;
    let mut tick = |sums: &mut BTreeMap<i64, i64>, now: i64| {
        if now.div_euclid(interval) > before.div_euclid(interval) {
            for (key, sum) in std::mem::take(sums) {
                push(rows, key, sum, now);
            }
        }
        before = before.max(now);
    };
    for taken in partition {
        let sum = sums.entry(taken.event.key).or_default();
        *sum += taken.event.value.unwrap();
        match by {
            Punctuation::Watermark => tick(&mut sums, taken.behind),
            _ => tick(&mut sums, taken.stream_time),
        }
    }
    if by == Punctuation::Watermark {
        tick(&mut sums, i64::MAX);
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn are_called_when_event_time_passes(
        input in inputs(),
        interval in 1..25_i64,
        by in prop_oneof![Just(Punctuation::Watermark), Just(Punctuation::StreamTime)],
    ) {
        let input = input.without_nulls();
        let builder = StreamsBuilder::new();
        let sums = builder.add_store(KeyValue::new("sums"));
        let processing = Processing::new().store(&sums).schedule(ms(interval), by);
        let stream = builder.stream_with(TOPICS, input.consumed::<i64>());
        let told_sums = stream.process_with(processing, move || Sums { sums: sums.clone() });
        told_sums.to("out");
        let mut driver = run_to_the_end(&builder.build()?, &input)?;
        let mut wanted = ByKey::new();
        for partition in input.taken(2) {
            told(&partition, interval, by, &mut wanted);
        }
        prop_assert_eq!(read(&mut driver, "out"), wanted);
    }

    #[test]
    fn find_what_they_have_stored(input in inputs()) {
        let input = input.without_nulls();
        let builder = StreamsBuilder::new();
        let counts = builder.add_store(WindowValue::new("counts", ms(100_000)));
        let processing = Processing::new().store(&counts).keeps_keys();
        let stream = builder.stream_with(TOPICS, input.consumed::<i64>());
        let recent = stream.process_with(processing, move || Recent { counts: counts.clone() });
        recent.to("out");
        let mut driver = run(&builder.build()?, &input)?;
        let mut wanted = ByKey::new();
        for partition in input.taken(2) {
            for (at, taken) in partition.iter().enumerate() {
                let (key, time) = (taken.event.key, taken.event.timestamp);
                let near = |other: &&Taken| {
                    other.event.key == key && (time - 9..=time).contains(&other.event.timestamp)
                };
                let count = partition[..=at].iter().filter(near).count() as i64;
                push(&mut wanted, key, count, time);
            }
        }
        prop_assert_eq!(read(&mut driver, "out"), wanted);
    }
}
