//! How views read records.

use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::data::Json;
use crate::serving::aggregate::Count;

fn raw(value: &[u8]) -> Raw<'_> {
    Raw {
        partition: 2,
        offset: 7,
        timestamp: 12_500,
        key: Payload::new(Some(b"key")),
        value: Payload::new(Some(value)),
        headers: Headers::default(),
    }
}

/// Each character of a line is an event.
fn letters() -> View<String, Count<()>> {
    let view = View::new("letters", 1, Count::new());
    view.source("lines", |record: Record<Bytes, String>| {
        let letters = record.value.chars();
        let letters: Vec<_> = letters.map(|own| Keyed::new(own.to_string(), ())).collect();
        letters
    })
}

fn read<K: Data>(
    view: &View<K, Count<()>>,
    value: &[u8],
) -> Result<Vec<(Vec<u8>, i64)>, DataError> {
    let mut found = Vec::new();
    let mut scratch = Scratch::default();
    view.read(0, &raw(value), &mut scratch, |key, place, ()| {
        assert_eq!((place.topic, place.partition, place.offset), (0, 2, 7));
        found.push((key.to_vec(), place.time));
    })?;
    Ok(found)
}

#[test]
fn a_record_may_be_several_events() {
    let view = letters();
    view.check().unwrap();
    let found = read(&view, b"ab").unwrap();
    assert_eq!(found, [(b"a".to_vec(), 12_500), (b"b".to_vec(), 12_500)]);
    assert!(read(&view, b"").unwrap().is_empty());
    assert!(read(&view, b"\xff").is_err(), "it is no text");
}

#[test]
fn a_definition_says_what_there_is_to_say() {
    let of = |view: View<String, Count<()>>| view.definition();
    let begin = "v version 1: count by UTF-8 text, of t";
    let view = || View::new("v", 1, Count::<()>::new());
    let none = || Vec::<Keyed<String, ()>>::new();
    assert_eq!(
        of(view().source("t", move |_: Record<(), ()>| none())),
        begin
    );
    let found = of(view().source("t", move |_: Record<(), String>| none()));
    assert_eq!(found, format!("{begin} (UTF-8 text)"));
    let found = of(view().source("t", move |_: Record<String, Bytes>| none()));
    assert_eq!(found, format!("{begin} (key: UTF-8 text)"));
    let found = of(view().source("t", move |_: Record<String, Json<u8>>| none()));
    assert_eq!(found, format!("{begin} (key: UTF-8 text, JSON)"));
}

/// A record whose second event has no key is none at all.
#[test]
fn all_of_a_record_counts_or_nothing() {
    let view = View::new("v", 1, Count::<()>::new());
    let view = view.source("t", |_: Record<Bytes, Bytes>| {
        [Some("a".to_owned()), None].map(|key| Keyed::new(key, ()))
    });
    let outcome = read(&view, b"");
    assert!(outcome.unwrap_err().to_string().contains("null"));
}

#[test]
fn windows_are_behind_the_keys() {
    let hopping = TimeWindows::hopping(Duration::from_secs(10), Duration::from_secs(5));
    let view = letters().windowed_by(hopping);
    let names = read(&view, b"a").unwrap();
    let windows: Vec<_> = names.iter().map(|(name, _)| view.window(name)).collect();
    assert_eq!(windows, [Some((5_000, 15_000)), Some((10_000, 20_000))]);
    let keys: Vec<_> = names.iter().map(|(name, _)| view.split(name).0).collect();
    assert_eq!(keys, [b"a", b"a"]);
    assert_eq!(view.order(&names[0].0, &names[1].0), Ordering::Less);
    // The later one is final when an event of its end has come.
    let finals = |time| {
        let finals = names.iter().map(|(name, _)| view.is_final(name, time));
        finals.collect::<Vec<_>>()
    };
    assert_eq!(finals(Some(15_000)), [true, false]);
    assert_eq!(finals(None), [false, false]);
    let view = letters()
        .windowed_by(hopping)
        .watermark_delay(Duration::from_secs(1));
    assert!(!view.is_final(&names[0].0, Some(15_999)));
    assert!(view.is_final(&names[0].0, Some(16_000)));
}

/// What computes something else is another view.
#[test]
fn a_fingerprint_stands_for_what_is_computed() {
    let windowed = letters().windowed_by(TimeWindows::tumbling(Duration::from_secs(1)));
    let other_version = View::<String, _>::new("letters", 2, Count::<()>::new());
    let other_version = other_version.source("lines", |record: Record<Bytes, String>| {
        [Keyed::new(record.value, ())]
    });
    let other_type = View::<String, _>::new("letters", 1, Count::<()>::new());
    let other_type = other_type.source("lines", |record: Record<Bytes, Json<u64>>| {
        [Keyed::new(record.value.0.to_string(), ())]
    });
    let own = letters().fingerprint();
    assert_eq!(own, letters().fingerprint());
    let others = [
        windowed.fingerprint(),
        other_version.fingerprint(),
        other_type.fingerprint(),
    ];
    for other in others {
        assert_ne!(own, other);
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    let problem = |view: View<String, Count<()>>| view.check().unwrap_err().to_string();
    let none = View::new("v", 1, Count::new());
    assert!(problem(none).contains("reads no topic"));
    let twice = letters().source("lines", |record: Record<Bytes, String>| {
        [Keyed::new(record.value, ())]
    });
    assert!(problem(twice).contains("lines twice"));
    let windows = TimeWindows::tumbling(Duration::ZERO);
    assert!(problem(letters().windowed_by(windows)).contains("at least 1 ms"));
    let late =
        TimeWindows::tumbling(Duration::from_secs(1)).allowed_lateness(Duration::from_secs(9));
    assert!(problem(letters().windowed_by(late)).contains("take late events for ever"));
    let name = View::new("a/b", 1, Count::new());
    assert!(problem(name).contains("letters, digits"));
}
