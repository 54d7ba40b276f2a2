//! Random work on a log against a list of records.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append {
        count: usize,
        timestamp: i64,
        value_bytes: usize,
        codec: u8,
    },
    Roll,
    Flush,
    Restart,
    Crash(u64),
    AdvanceStart(u8),
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..6, 0i64..2_000, 0usize..200, 0u8..5).prop_map(
            |(count, timestamp, value_bytes, codec)| {
                Step::Append { count, timestamp, value_bytes, codec }
            }
        ),
        1 => Just(Step::Roll),
        1 => Just(Step::Flush),
        1 => Just(Step::Restart),
        1 => any::<u64>().prop_map(Step::Crash),
        1 => any::<u8>().prop_map(Step::AdvanceStart),
        1 => Just(Step::Maintain),
    ]
}

/// Every record ever appended, by offset, and the batch it came in.
#[derive(Default)]
struct Model {
    records: Vec<(i64, Vec<u8>)>,
    batch_of: Vec<i64>,
    start: i64,
}

impl Model {
    fn end(&self) -> i64 {
        self.records.len() as i64
    }

    fn first_at_or_after(&self, target: i64, upper: i64) -> Option<(i64, i64)> {
        let live = (self.start..upper).map(|offset| (self.records[offset as usize].0, offset));
        live.into_iter().find(|(timestamp, _)| *timestamp >= target)
    }

    fn largest(&self, upper: i64) -> Option<(i64, i64)> {
        let live = (self.start..upper).map(|offset| (self.records[offset as usize].0, offset));
        live.min_by_key(|(timestamp, offset)| (-*timestamp, *offset))
    }
}

fn apply(bench: &mut Bench, model: &mut Model, step: &Step) {
    match step {
        Step::Append {
            count,
            timestamp,
            value_bytes,
            codec,
        } => {
            let timestamps: Vec<i64> = (0..*count as i64)
                .map(|index| timestamp + (index * 7) % 5)
                .collect();
            let compression = Compression::from_id(*codec).unwrap();
            let shape = Shape {
                timestamps: timestamps.clone(),
                value_bytes: *value_bytes,
                compression,
                ..Shape::default()
            };
            let appended = bench.append(&shape).unwrap();
            assert_eq!(appended.base.0, model.end());
            for (index, timestamp) in timestamps.into_iter().enumerate() {
                model
                    .records
                    .push((timestamp, vec![index as u8; *value_bytes]));
                model.batch_of.push(appended.base.0);
            }
        }
        Step::Roll => bench.log().roll(now(5_000)).unwrap(),
        Step::Flush => bench.flush().unwrap(),
        Step::Restart => drop(bench.restart()),
        Step::Crash(seed) => {
            // Only what was flushed is promised; here everything is, so that the model stays simple.
            bench.flush().unwrap();
            bench.start.log_start = bench.log().start_offset();
            bench.crash(*seed).unwrap();
        }
        Step::AdvanceStart(part) => {
            let to = model.start + (model.end() - model.start) * i64::from(*part) / 256;
            bench.log().advance_start(Offset(to)).unwrap();
            model.start = to;
        }
        Step::Maintain => {
            let high = bench.log().end_offset();
            for pending in bench.log().maintain(now(5_000), high).unwrap() {
                pending.run(&bench.disk).unwrap();
            }
            model.start = bench.log().start_offset().0;
        }
    }
}

fn agree(bench: &mut Bench, model: &Model) {
    let log = bench.log();
    assert_eq!(
        (log.start_offset().0, log.end_offset().0),
        (model.start, model.end())
    );
    let end = Offset(model.end());
    let found = records(log, Offset(0), end);
    let first = if model.start < model.end() {
        model.batch_of[model.start as usize]
    } else {
        model.end()
    };
    let expected: Vec<_> = (first..model.end())
        .map(|offset| {
            let (timestamp, value) = &model.records[offset as usize];
            (offset, *timestamp, value.clone())
        })
        .collect();
    assert_eq!(found, expected);
    for offset in model.start..model.end() {
        let slice = log.read(Offset(offset), end, 1, true).unwrap().unwrap();
        let view_bytes = slice.read().unwrap();
        let view = BatchView::parse(&view_bytes).unwrap();
        assert_eq!(view.base_offset, model.batch_of[offset as usize]);
    }
    let plain = |found: Option<TimestampOffset>| found.map(|(time, offset, _)| (time.0, offset.0));
    for upper in [model.end(), (model.start + model.end()) / 2] {
        for target in (0..2_010).step_by(67) {
            let found = log
                .offset_for_timestamp(Timestamp(target), Offset(upper))
                .unwrap();
            assert_eq!(
                plain(found),
                model.first_at_or_after(target, upper),
                "time {target}"
            );
        }
    }
    let found = log.max_timestamp(end).unwrap();
    assert_eq!(plain(found), model.largest(model.end()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list_of_records(steps in proptest::collection::vec(step(), 1..60)) {
        let config = LogConfig { retention_bytes: 6_000, ..small() };
        let mut bench = Bench::new(config);
        let mut model = Model::default();
        for step in &steps {
            apply(&mut bench, &mut model, step);
        }
        agree(&mut bench, &model);
        bench.restart();
        agree(&mut bench, &model);
    }
}
