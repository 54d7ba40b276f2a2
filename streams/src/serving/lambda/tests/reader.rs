//! What is asked in this process.

use std::ops::RangeBounds;

use super::*;
use crate::serving::aggregate::Count;
use crate::serving::merged::{Reader, Row};
use crate::time::TimeWindows;

type Counted = ((String, i64), u64);

/// Event n of each lot is of user n % 5, at n ms; windows are of 10 ms. Forty of them are in a snapshot, and
/// sixty are newer.
struct Windows {
    fixture: Fixture,
    lambda: Lambda<Key, Count<()>>,
    snapshot: u64,
    end: Coverage,
    counts: BTreeMap<(String, i64), u64>,
}

impl Windows {
    async fn start() -> Self {
        let fixture = Fixture::start().await;
        let windowed = View::new("places", 1, Count::<()>::new())
            .source(TOPIC, |record: Record<String, Bytes>| {
                [Keyed::new(record.key, ()).at(record.timestamp)]
            })
            .windowed_by(TimeWindows::tumbling(Duration::from_millis(10)));
        let lambda = fixture.keep(windowed).await;
        let first = fixture.write(40).await;
        let snapshot = covered(&lambda, &first).await;
        let end = fixture.write(60).await;
        lambda.covers(&end).await.unwrap();
        let mut counts = BTreeMap::new();
        for number in (0..40).chain(0..60) {
            let window = (format!("user{}", number % 5), number / 10 * 10);
            *counts.entry(window).or_default() += 1;
        }
        Self {
            fixture,
            lambda,
            snapshot,
            end,
            counts,
        }
    }

    fn reader(&self) -> Reader<Key, Count<()>> {
        self.lambda.reader().at_least(self.end.clone())
    }

    fn wanted(&self, keys: impl RangeBounds<Key>, starts: impl RangeBounds<i64>) -> Vec<Counted> {
        let all = self.counts.clone().into_iter();
        all.filter(|((key, start), _)| keys.contains(key) && starts.contains(start))
            .collect()
    }

    async fn end(self) {
        close(self.lambda).await;
        self.fixture.end().await;
    }
}

fn flat(rows: Vec<Row<String, u64>>) -> Vec<Counted> {
    let rows = rows.into_iter();
    rows.map(|row| ((row.key, row.window.unwrap()), row.value))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_ranges_have_each_key_once() {
    let windows = Windows::start().await;
    let reader = windows.reader();
    let (mut rows, mut next) = (Vec::new(), None);
    loop {
        let page = reader.range(.., 7, next.as_ref()).unwrap();
        assert!(page.coverage.includes(&windows.end));
        assert!(page.snapshot >= Some(windows.snapshot));
        rows.extend(page.rows);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(flat(rows), windows.wanted(.., ..));
    let range = reader.range(user(1)..user(3), 99, None).unwrap();
    assert_eq!(flat(range.rows), windows.wanted(user(1)..user(3), ..));
    let range = reader.range(user(1)..=user(3), 99, None).unwrap();
    assert_eq!(flat(range.rows), windows.wanted(user(1)..=user(3), ..));
    let prefix = reader.prefix("user", 99, None).unwrap();
    assert_eq!(flat(prefix.rows), windows.wanted(.., ..));
    assert!(reader.prefix("usex", 99, None).unwrap().rows.is_empty());
    let own = reader.windows(&user(1), 10..30, 99, None).unwrap();
    assert_eq!(flat(own.rows), windows.wanted(user(1)..=user(1), 10..30));
    let top = reader.top(3, |count| *count).unwrap();
    let expected = [0, 10, 20].map(|start| ((user(0), start), 4));
    assert_eq!(flat(top.rows), expected);
    drop(reader);
    windows.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_has_its_batch_part_and_its_speed_part() {
    let windows = Windows::start().await;
    let reader = windows.reader();
    let one = reader.window(&user(1), 20).unwrap();
    assert_eq!(one.value, Some(4));
    assert_eq!((one.batch, one.speed), (Some(2), Some(2)));
    let error = reader.window(&user(1), 21).unwrap_err().to_string();
    assert!(
        error.contains("no window starts at 21") && error.contains("at 20"),
        "{error}"
    );
    let error = reader.get(&user(1)).unwrap_err().to_string();
    assert!(error.contains("the view has windows"), "{error}");
    let error = reader.clone().snapshot(999).get(&user(1)).unwrap_err();
    assert!(matches!(error, QueryError::Key(_)), "{error}");
    let error = reader.snapshot(999).window(&user(1), 20).unwrap_err();
    assert!(
        matches!(error, QueryError::NoSnapshot { asked: 999, .. }),
        "{error}"
    );
    windows.end().await;
}
