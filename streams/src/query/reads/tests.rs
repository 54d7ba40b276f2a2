use std::time::Duration;

use super::*;
use crate::StreamsBuilder;
use crate::testing::TestDriver;
use crate::time::TimeWindows;

const LIMIT: usize = 10_000;

fn query<'a>(after: Option<Place<'a>>, bytes: usize) -> Query<'a> {
    Query {
        keys: Keys::ALL,
        times: (i64::MIN, i64::MAX),
        after,
        limit: LIMIT,
        bytes,
    }
}

/// Long keys that are not stored in their order.
fn key(number: u32) -> String {
    let number = number.wrapping_mul(7919) % 1000;
    format!("{number:04}{}", "x".repeat(200 + number as usize))
}

fn size(places: &[Found]) -> usize {
    places.iter().map(|(key, _)| key.len()).sum()
}

/// Keys that have been found take no more than what an answer may have, however many there are.
#[test]
fn what_is_found_is_bounded_by_its_size() -> Result<(), DataError> {
    const BYTES: usize = 20_000;
    let mut store = KeyValueStore::<i64>::new(0);
    for number in 0..1000 {
        store.put(key(number).as_bytes(), Some(1), 0);
    }
    let mut scan = Scan::new(LIMIT, BYTES);
    while !scan.done {
        Reads::<String, i64>::KeyValue.scan(&store, &query(None, BYTES), &mut scan)?;
    }
    let found = size(&scan.places);
    assert!((BYTES..BYTES + 1204).contains(&found), "{found} bytes");
    assert!(scan.more);
    let first = store.sorted().into_iter().take(scan.places.len());
    let first: Vec<_> = first.map(|(key, _, _)| (key.to_vec(), None)).collect();
    assert_eq!(scan.places, first);
    Ok(())
}

/// Page by page all rows come, each once and in order, whatever a page may have.
#[test]
fn pages_that_are_cut_by_size_leave_nothing_out() -> Result<(), Box<dyn std::error::Error>> {
    let builder = StreamsBuilder::new();
    let stream = builder.stream::<String, bool>("in");
    let _ = stream.group_by_key().count().materialized("latest");
    let second = Duration::from_secs(1);
    for (name, windows) in [
        ("tumbling", TimeWindows::tumbling(second)),
        ("hopping", TimeWindows::hopping(3 * second, second)),
    ] {
        let windows = windows.allowed_lateness(60 * second);
        let counts = stream.group_by_key().windowed_by(windows).count();
        let _ = counts.materialized(name);
    }
    let topology = builder.build()?;
    for partitions in [1, 3] {
        let mut driver = TestDriver::new(&topology);
        driver.partitions("in", partitions);
        for number in 0..300 {
            driver.pipe("in", key(number), true, i64::from(number) * 10)?;
        }
        for name in ["latest", "tumbling", "hopping"] {
            let store = driver.store(name)?;
            let reads = store.readable(store.kind())?;
            let all = store.json(&*reads, &query(None, usize::MAX))?;
            assert!(all.next.is_none());
            let row = |row: &Row<String>| (row.key.clone(), row.window, row.value.clone());
            let all: Vec<_> = all.rows.iter().map(row).collect();
            assert!(all.len() >= 300);
            for bytes in [1, 1000, 30_000, 100_000] {
                let (mut rows, mut next): (Vec<_>, Option<Found>) = (Vec::new(), None);
                loop {
                    let page = store.json(&*reads, &query(next.as_ref().map(place), bytes))?;
                    rows.extend(page.rows.iter().map(row));
                    if page.next.is_none() {
                        break;
                    }
                    let told: usize = page.rows.iter().map(Row::told_bytes).sum();
                    let last = page.rows.last().map_or(0, Row::told_bytes);
                    assert!(told > bytes && told - last <= bytes, "{told} bytes");
                    next = page.next;
                }
                assert!(rows == all, "{name} with {bytes} bytes a page");
            }
        }
    }
    Ok(())
}
