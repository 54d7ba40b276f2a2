//! Pages of a server that goes on meanwhile, honest and not, against a log in memory.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::served::Served;
use super::{ServedPage, Verdict, VerifyError};
use crate::data::{Data, DataError, Payload};
use crate::record::Record;
use crate::serving::Coverage;
use crate::serving::aggregate::Count;
use crate::serving::aggregate::laws::Chance;
use crate::serving::simulation::log::{MemoryLog, Partition, TOPIC};
use crate::serving::view::{Keyed, View};

type Counts = View<String, Count<()>>;

fn view() -> Arc<Counts> {
    let view = View::new("counts", 1, Count::<()>::new());
    Arc::new(view.source(TOPIC, |record: Record<Bytes, Bytes>| {
        [Keyed::new(name(record.key[0]), ())]
    }))
}

fn name(key: u8) -> String {
    format!("key{key:03}")
}

/// A log and what a server makes of it.
struct World {
    log: MemoryLog,
    chance: Chance,
}

impl World {
    fn new(seed: u64, partitions: usize) -> Self {
        let log = MemoryLog::default();
        log.0.lock().resize(partitions, Partition::default());
        Self {
            log,
            chance: Chance(seed),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.chance.next() % limit
    }

    /// Some records more, and offsets without one.
    fn grow(&mut self, most: u64) {
        let log = self.log.clone();
        for own in log.0.lock().iter_mut() {
            for _ in 0..self.below(most) {
                let (is_record, key) = (self.below(5) > 0, self.below(40) as u8);
                own.entries.push(is_record.then_some(key));
            }
            own.stable = own.entries.len() as i64;
        }
    }

    /// What there is up to now, by key.
    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for own in self.log.0.lock().iter() {
            for key in own.entries.iter().flatten() {
                *counts.entry(name(*key)).or_default() += 1;
            }
        }
        counts
    }

    /// The page behind a key, as it is now.
    fn page(&self, after: Option<&str>, limit: usize) -> ServedPage {
        let counts = self.counts();
        let mut rest = counts
            .iter()
            .filter(|(key, _)| after.is_none_or(|after| after < &***key));
        let rows: Vec<_> = rest.by_ref().take(limit).collect();
        let next = rest
            .next()
            .and(rows.last())
            .map(|(key, _)| URL_SAFE_NO_PAD.encode(key));
        let rows: Vec<_> = rows
            .iter()
            .map(|(key, count)| serde_json::json!({ "key": key, "value": count, "final": false }))
            .collect();
        let vector = |of: fn(&Partition) -> i64| -> BTreeMap<String, BTreeMap<String, i64>> {
            let partitions = self.log.0.lock();
            let own = partitions.iter().enumerate();
            let own = own.map(|(number, own)| (number.to_string(), of(own)));
            BTreeMap::from([(TOPIC.to_owned(), own.collect())])
        };
        let page = serde_json::json!({
            "rows": rows,
            "next": next,
            "begin": vector(|_| 0),
            "coverage": vector(|own| own.stable),
            "snapshot": 7,
            "freshness_ms": null,
        });
        ServedPage::from_json(page.to_string().as_bytes()).unwrap()
    }
}

fn last(page: &ServedPage) -> Option<String> {
    page.next.as_ref().map(|next| {
        let bytes = URL_SAFE_NO_PAD.decode(next).unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

/// All pages, each as it is when it is asked for, after `change`.
async fn compared(
    world: &mut World,
    limit: usize,
    mut change: impl FnMut(&mut ServedPage),
) -> Result<Verdict, VerifyError> {
    let mut served = Served::new(view(), world.log.clone());
    let mut after = None;
    loop {
        world.grow(6);
        let mut page = world.page(after.as_deref(), limit);
        after = last(&page);
        change(&mut page);
        served.page(&page).await?;
        if after.is_none() {
            return served.end().await;
        }
    }
}

#[tokio::test]
async fn what_a_server_answers_agrees_while_the_log_grows() {
    for seed in 0..60 {
        let mut world = World::new(seed, 1 + seed as usize % 3);
        world.grow(60);
        let limit = 1 + world.below(12) as usize;
        let verdict = compared(&mut world, limit, |_| ()).await.unwrap();
        assert!(verdict.is_good(), "seed {seed}: {verdict:?}");
        let counts = world.counts();
        assert_eq!(verdict.records, counts.values().sum::<u64>(), "seed {seed}");
        // A key that came behind its page is not in any.
        assert!(
            verdict.keys <= counts.len() as u64,
            "seed {seed}: {verdict:?}"
        );
        assert_eq!(verdict.snapshot, Some(7));
    }
}

#[tokio::test]
async fn what_is_not_so_is_found_with_its_records() {
    let mut compared_with = 0;
    for seed in 0..40 {
        let mut world = World::new(seed, 2);
        world.grow(80);
        // Of the first page's keys one is changed, one left out, and one made up.
        let mut changed = Vec::new();
        let mut coverage = None;
        let verdict = compared(&mut world, 5, |page| {
            if coverage.is_some() || page.rows.len() < 5 {
                return;
            }
            let first = page.rows[1].key.as_str().unwrap().to_owned();
            page.rows[1].value = serde_json::value::to_raw_value(&1_000).unwrap();
            let second = page.rows.remove(3).key.as_str().unwrap().to_owned();
            let mut third = page.rows[0].clone();
            third.key = serde_json::json!("key");
            page.rows.insert(0, third);
            changed = vec![first, second, "key".to_owned()];
            coverage = Some(page.coverage.clone());
        });
        let verdict = verdict.await.unwrap();
        let Some(coverage) = coverage else {
            continue;
        };
        compared_with += 1;
        let found: Vec<&str> = verdict
            .differences
            .iter()
            .map(|own| own.key.as_str().unwrap())
            .collect();
        assert_eq!(found, changed, "seed {seed}");
        let [other, missing, made_up] = &verdict.differences[..] else {
            panic!("seed {seed}: {verdict:?}");
        };
        assert_eq!(other.found.as_deref(), Some("1000"));
        assert_eq!(missing.found, None);
        assert_eq!((&made_up.expected, made_up.records.len()), (&None, 0));
        for own in [other, missing] {
            let partitions = world.log.0.lock();
            let entries = partitions.iter().zip(0_i32..).flat_map(|(own, partition)| {
                let entries = own.entries.iter().zip(0_i64..);
                entries.map(move |(entry, offset)| (*entry, partition, offset))
            });
            let expected: Vec<(i32, i64)> = entries
                .filter(|(key, partition, offset)| {
                    key.is_some_and(|key| own.key == name(key))
                        && *offset < coverage.get(TOPIC, *partition)
                })
                .map(|(_, partition, offset)| (partition, offset))
                .collect();
            let records = own.records.iter();
            let records: Vec<_> = records
                .map(|own| (own.partition.partition, own.offset))
                .collect();
            assert_eq!(records, expected, "seed {seed}: {own:?}");
            let count = Some(expected.len().to_string());
            assert_eq!(own.expected, count, "seed {seed}");
        }
    }
    assert!(compared_with > 20, "{compared_with} compared");
}

/// Text whose order does not tell capital letters from small ones.
#[derive(Clone)]
struct Folded(String);

impl Data for Folded {
    fn encode<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DataError> {
        self.0.encode(scratch)
    }

    fn decode(payload: Payload<'_>) -> Result<Self, DataError> {
        String::decode(payload).map(Self)
    }

    fn to_json(&self) -> serde_json::Value {
        self.0.to_json()
    }

    fn order(a: &[u8], b: &[u8]) -> Ordering {
        a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())
    }
}

#[tokio::test]
async fn keys_that_an_order_takes_for_equal_are_two() {
    let view = View::new("counts", 1, Count::<()>::new());
    let view = view.source(TOPIC, |record: Record<Bytes, Bytes>| {
        let name = ["Ann", "ann"][usize::from(record.key[0])];
        [Keyed::new(Folded(name.to_owned()), ())]
    });
    let world = World::new(1, 1);
    world.log.0.lock()[0] = Partition {
        start: 0,
        stable: 3,
        entries: vec![Some(0), Some(1), Some(1)],
    };
    let page = serde_json::json!({
        "rows": [{ "key": "Ann", "value": 1 }, { "key": "ann", "value": 2 }],
        "next": null,
        "begin": { TOPIC: { "0": 0 } },
        "coverage": { TOPIC: { "0": 3 } },
        "snapshot": null,
    });
    let page = ServedPage::from_json(page.to_string().as_bytes()).unwrap();
    let mut served = Served::new(Arc::new(view), world.log.clone());
    served.page(&page).await.unwrap();
    let verdict = served.end().await.unwrap();
    assert!(verdict.is_good(), "{verdict:?}");
    assert_eq!(verdict.keys, 2);
}

/// What is judged does not say what there is.
#[tokio::test]
async fn a_partition_that_is_left_out_is_no_answer() {
    let mut world = World::new(1, 2);
    world.grow(80);
    let left_out = compared(&mut world, 100, |page| {
        let to = page.coverage.get(TOPIC, 0);
        page.coverage = Coverage::new();
        page.coverage.set(TOPIC, 0, to);
    });
    let error = left_out.await.unwrap_err();
    assert!(
        matches!(&error, VerifyError::Uncovered { partition } if partition.partition == 1),
        "{error}"
    );
    let nothing = br#"{"rows":[],"next":null,"begin":{},"coverage":{},"snapshot":null}"#;
    let mut served = Served::new(view(), world.log.clone());
    let error = served.page(&ServedPage::from_json(nothing).unwrap()).await;
    assert!(
        matches!(error, Err(VerifyError::Uncovered { .. })),
        "{error:?}"
    );
}

/// A key of very many records: the first ones are told, and how many there are.
#[tokio::test]
async fn records_that_are_not_told_are_counted() {
    let mut world = World::new(1, 1);
    world.log.0.lock()[0] = Partition {
        start: 0,
        stable: 1_007,
        entries: vec![Some(0); 1_007],
    };
    let verdict = compared(&mut world, 100, |page| {
        page.rows[0].value = serde_json::value::to_raw_value(&1).unwrap();
    });
    let verdict = verdict.await.unwrap();
    let own = &verdict.differences[0];
    let more = own.expected.as_deref().unwrap().parse::<u64>().unwrap() - 1_000;
    assert_eq!((own.records.len(), own.more_records), (1_000, more));
    assert!(more >= 7);
}

fn said(outcome: Result<Verdict, VerifyError>) -> String {
    outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn pages_that_cannot_be_compared_are_refused() {
    let mut world = World::new(1, 1);
    world.grow(80);
    world.grow(80);
    let check = async |text: &str, change: fn(&mut ServedPage)| {
        let mut world = World::new(1, 1);
        world.log.0.lock()[0] = Partition {
            start: 0,
            stable: 60,
            entries: (0..60).map(Some).collect(),
        };
        let mut pages = 0;
        let outcome = compared(&mut world, 20, |page| {
            pages += 1;
            if pages == 2 {
                change(page);
            }
        });
        let said = said(outcome.await);
        assert!(said.contains(text), "{text}: {said}");
    };
    check("begin at events:0:0, and then at events:0:3", |page| {
        page.begin.set(TOPIC, 0, 3)
    })
    .await;
    check("up to 3 only", |page| page.coverage.set(TOPIC, 0, 3)).await;
    check("partitions have come or gone", |page| {
        page.coverage.set(TOPIC, 1, 0)
    })
    .await;
    check("does not lead on", |page| {
        page.next = Some(URL_SAFE_NO_PAD.encode("key000"))
    })
    .await;
    check("next=\"?\"", |page| page.next = Some("?".to_owned())).await;
    check("is there twice", |page| {
        page.rows.push(page.rows[0].clone())
    })
    .await;
    check("the log ends at offset", |page| {
        page.coverage.set(TOPIC, 0, 1_000)
    })
    .await;
    let served = Served::new(view(), world.log.clone());
    assert!(said(served.end().await).contains("the last one is missing"));
    world.log.0.lock()[0].start = 1;
    let gone = compared(&mut world, 20, |_| ()).await;
    assert!(
        matches!(gone, Err(VerifyError::Gone { log_start: 1, .. })),
        "{gone:?}"
    );
    for json in [
        "",
        "{}",
        "[]",
        r#"{"rows":[{"key":1}],"next":null,"begin":{},"coverage":{}}"#,
    ] {
        let error = ServedPage::from_json(json.as_bytes()).unwrap_err();
        assert!(
            matches!(error, VerifyError::Pages { .. }),
            "{json}: {error}"
        );
    }
}
