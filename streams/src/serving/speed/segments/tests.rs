//! Segments against the plainest of all models: which offsets are in the state of a key.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::data::Json;
use crate::state::Entry;

/// The offsets that went into a state.
type Offsets = Json<Vec<i64>>;

fn segments(begin: i64) -> Segments<Offsets> {
    Segments::new(begin, 7, 0)
}

fn put(segments: &mut Segments<Offsets>, offset: i64) -> bool {
    segments.record(offset, |adding| {
        adding.add(b"key", offset, |state| {
            state.get_or_insert_with(|| Json(Vec::new())).0.push(offset);
        });
    })
}

/// What an answer has behind a snapshot that ends at `end`, and how far it covers.
fn read(segments: &Segments<Offsets>, end: i64) -> Option<(Vec<i64>, i64)> {
    let run = segments.behind(end)?;
    let hash = segments.hash(b"key");
    let states = run.iter().filter_map(|segment| segment.get(hash, b"key"));
    let mut offsets: Vec<i64> = states.flat_map(|state| state.0.clone()).collect();
    offsets.sort_unstable();
    Some((offsets, run.to))
}

#[test]
fn a_snapshot_fits_where_a_segment_begins() {
    let mut segments = segments(10);
    let every = CutRule {
        every: 1,
        records: 1,
    };
    for offset in [10, 11, 14] {
        assert!(put(&mut segments, offset));
    }
    assert!(!put(&mut segments, 11), "once is enough");
    assert!(segments.cut_if_due(&every, 5));
    assert!(!segments.cut_if_due(&every, 99), "nothing is in it");
    put(&mut segments, 20);
    assert_eq!(segments.cuts(), [10, 15]);
    assert_eq!(read(&segments, 10), Some((vec![10, 11, 14, 20], 21)));
    assert_eq!(read(&segments, 15), Some((vec![20], 21)));
    assert_eq!(read(&segments, 12), None);
    let fits = [9, 10, 12, 15, 16, 21, 22].map(|end| segments.fit(end));
    let amid = |from| Misfit::Amid { from };
    let expected = [
        Fit::Not(Misfit::Hole),
        Fit::Edge,
        Fit::Not(amid(10)),
        Fit::Edge,
        Fit::Not(amid(15)),
        Fit::Edge,
        Fit::Ahead,
    ];
    assert_eq!(fits, expected);
    assert_eq!(segments.reach(12, 0), Err(amid(10)));
    assert_eq!(segments.reach(9, 0), Err(Misfit::Hole));
}

/// A snapshot may end where the last record was: what comes next is behind it.
#[test]
fn the_end_is_an_edge() {
    let mut segments = segments(0);
    put(&mut segments, 0);
    segments.pass(5);
    segments.reach(5, 0).unwrap();
    put(&mut segments, 5);
    assert_eq!(read(&segments, 5), Some((vec![5], 6)));
    assert_eq!(read(&segments, 0), Some((vec![0, 5], 6)));
    assert_eq!(segments.drop_below(5).len(), 1);
    assert_eq!(read(&segments, 0), None);
    assert_eq!(read(&segments, 5), Some((vec![5], 6)));
}

/// A snapshot that is ahead leaves a gap: older ones are answered up to it.
#[test]
fn what_a_snapshot_has_already_is_left_out() {
    let mut segments = segments(0);
    put(&mut segments, 0);
    segments.reach(10, 0).unwrap();
    assert!(!put(&mut segments, 9), "the snapshot has it");
    assert!(put(&mut segments, 10));
    assert_eq!(read(&segments, 0), Some((vec![0], 1)));
    assert_eq!(read(&segments, 10), Some((vec![10], 11)));
    assert_eq!(segments.cuts(), [10]);
    assert_eq!(segments.fit(0), Fit::Not(Misfit::Hole));
}

#[test]
fn a_log_may_begin_later() {
    let mut segments = segments(0);
    segments.begin_at(40, 0);
    assert_eq!((segments.begin(), segments.applied()), (40, 40));
    put(&mut segments, 41);
    segments.begin_at(50, 0);
    assert_eq!((segments.begin(), segments.applied()), (40, 42));
}

/// Where a topic was quiet, or a view was stopped, or a clock was wrong for ever so long, cuts go on as before,
/// although the segment in which that was stays: a restart may need it.
#[test]
fn a_long_time_without_cuts_does_not_make_the_next_ones_rare() {
    let rule = CutRule {
        every: 10,
        records: 1_000_000,
    };
    let years = 1_000_000_000_000;
    let mut segments = segments(0);
    put(&mut segments, 0);
    assert!(segments.cut_if_due(&rule, years));
    let mut cuts = 0;
    for tick in 1..=200 {
        put(&mut segments, tick);
        let now = years + tick;
        if segments.cut_if_due(&rule, now) {
            assert!(now - years >= 10 * cuts);
            cuts += 1;
        }
    }
    assert_eq!(cuts, 20);
}

/// What is in front of the snapshot that is read with is there for a restart, and does not count.
#[test]
fn cuts_become_rarer_by_what_is_behind_the_snapshot_only() {
    let rule = CutRule {
        every: 10,
        records: 1_000_000,
    };
    let mut segments = segments(0);
    let mut now = 0;
    let mut until_cut = |segments: &mut Segments<Offsets>| {
        let began = now;
        loop {
            now += 1;
            put(segments, now);
            if segments.cut_if_due(&rule, now) {
                break now - began;
            }
        }
    };
    let spans: Vec<i64> = (0..72).map(|_| until_cut(&mut segments)).collect();
    assert_eq!((spans[0], spans[24], spans[48]), (10, 20, 40));
    assert_eq!(until_cut(&mut segments), 80);
    segments.read_with(segments.last_cut());
    assert_eq!(until_cut(&mut segments), 10);
}

/// A clock that was an hour ahead and has been put right does not keep cuts away for an hour, not even over
/// a restart.
#[test]
fn cuts_go_on_when_a_clock_has_gone_back() {
    let rule = CutRule {
        every: 10,
        records: 1_000,
    };
    let ahead = 3_600_000;
    let mut segments = Segments::new(0, 7, ahead);
    put(&mut segments, 0);
    assert!(!segments.cut_if_due(&rule, ahead + 9));
    assert!(segments.cut_if_due(&rule, ahead + 10));
    put(&mut segments, 1);
    let mut told = Told::default();
    segments
        .take_changes(&mut |entry| {
            told.put(entry);
            true
        })
        .unwrap();
    assert!(!segments.cut_if_due(&rule, 100));
    segments
        .take_changes(&mut |entry| {
            told.put(entry);
            true
        })
        .unwrap();
    for mut segments in [told.restore(), segments] {
        assert!(!segments.cut_if_due(&rule, 109));
        assert!(segments.cut_if_due(&rule, 110));
        assert_eq!(segments.cuts(), [0, 1, 2]);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A record so many offsets behind the last one.
    Record(i64),
    Pass(i64),
    Cut,
    /// A snapshot that ends at that part of all offsets up to now and some more.
    Snapshot(f64),
    /// Segments in front of a snapshot that has been adopted go.
    Drop(f64),
    /// Its changes are told, up to so many at once.
    Tell(usize),
    /// It is restored from what has been told.
    Restore,
    /// Everything is told, and committed.
    Commit,
    /// It is restored from the last commit: what was told since has been undone.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_i64..3).prop_map(Step::Record),
        1 => (0_i64..4).prop_map(Step::Pass),
        3 => Just(Step::Cut),
        3 => (0.0..1.2).prop_map(Step::Snapshot),
        1 => (0.0..1.0).prop_map(Step::Drop),
        3 => (1_usize..4).prop_map(Step::Tell),
        1 => Just(Step::Restore),
        2 => Just(Step::Commit),
        1 => Just(Step::Crash),
    ]
}

/// All that has been told, as a changelog has it.
#[derive(Clone, Default)]
struct Told(BTreeMap<Vec<u8>, Vec<u8>>);

impl Told {
    fn put(&mut self, entry: Entry<'_>) {
        let value = entry.value.expect("nothing is taken out").to_vec();
        self.0.insert(entry.key.to_vec(), value);
    }

    fn restore(&self) -> Segments<Offsets> {
        let mut restored = segments(0);
        for (key, value) in &self.0 {
            let value = Some(&value[..]);
            restored.restore(Entry { key, value }).unwrap();
        }
        assert_eq!(restored.restored(), !self.0.is_empty());
        restored
    }

    /// As after a crash: what was told behind the commit is there, and is taken back.
    fn undone(&self, later: &Self) -> Segments<Offsets> {
        let mut restored = segments(0);
        for (key, value) in &later.0 {
            let value = Some(&value[..]);
            restored.restore(Entry { key, value }).unwrap();
        }
        for key in later.0.keys() {
            let value = self.0.get(key).map(|value| &value[..]);
            restored.restore(Entry { key, value }).unwrap();
        }
        assert_eq!(restored.restored(), !self.0.is_empty());
        restored
    }
}

fn all_reads(segments: &Segments<Offsets>) -> Vec<Option<(Vec<i64>, i64)>> {
    let ends = 0..segments.applied() + 3;
    ends.map(|end| read(segments, end)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens, an answer behind a snapshot has exactly the records between the snapshot's end and
    /// the answer's, each once, also when it is restored from what was told.
    #[test]
    fn answers_have_every_record_once(steps in proptest::collection::vec(step(), 1..80)) {
        let mut segments = segments(0);
        let mut records = Vec::new();
        let (mut told, mut adopted) = (Told::default(), vec![0_i64]);
        let mut log_end = 0_i64;
        let mut commit = (Told::default(), Vec::new(), vec![0_i64], 0_i64);
        for step in steps {
            match step {
                Step::Record(gap) => {
                    let offset = log_end + gap;
                    log_end = offset + 1;
                    records.push(offset);
                    put(&mut segments, offset);
                }
                Step::Pass(gap) => {
                    log_end += gap;
                    segments.pass(log_end);
                }
                Step::Cut => {
                    let rule = CutRule { every: 0, records: 0 };
                    segments.cut_if_due(&rule, 0);
                }
                Step::Snapshot(part) => {
                    let end = (log_end as f64 * part) as i64;
                    let fit = segments.fit(end);
                    let before = all_reads(&segments);
                    match segments.reach(end, 0) {
                        Ok(()) => {
                            prop_assert!(matches!(fit, Fit::Edge | Fit::Ahead));
                            adopted.push(end);
                            // A snapshot that is ahead has what is between: it counts as read.
                            if fit == Fit::Ahead {
                                records.retain(|offset| *offset < segments.applied());
                                log_end = log_end.max(end);
                            }
                        }
                        Err(error) => {
                            prop_assert_eq!(Fit::Not(error), fit);
                            prop_assert_eq!(all_reads(&segments), before);
                        }
                    }
                }
                Step::Drop(part) => {
                    let at = (adopted.len() as f64 * part) as usize;
                    segments.drop_below(adopted[at]);
                    adopted.retain(|end| segments.behind(*end).is_some());
                }
                Step::Tell(most) => {
                    let mut left = most;
                    segments.take_changes(&mut |entry| {
                        told.put(entry);
                        left -= 1;
                        left > 0
                    }).unwrap();
                }
                Step::Commit => {
                    segments.take_changes(&mut |entry| { told.put(entry); true }).unwrap();
                    commit = (told.clone(), records.clone(), adopted.clone(), log_end);
                }
                Step::Crash => {
                    segments = commit.0.undone(&told);
                    (told, records, adopted, log_end) = commit.clone();
                    // Whoever reads with a snapshot makes sure of it anew.
                    adopted.retain(|end| segments.behind(*end).is_some());
                }
                Step::Restore => {
                    segments.take_changes(&mut |entry| { told.put(entry); true }).unwrap();
                    let restored = told.restore();
                    prop_assert_eq!(all_reads(&restored), all_reads(&segments));
                    prop_assert_eq!(restored.cuts(), segments.cuts());
                    let mut whole = Told::default();
                    segments.entries(&mut |entry| whole.put(entry)).unwrap();
                    prop_assert_eq!(all_reads(&whole.restore()), all_reads(&segments));
                    segments = restored;
                    // Nothing is left to be told of what has just been restored.
                    segments.take_changes(&mut |entry| panic!("{entry:?}")).unwrap();
                }
            }
            prop_assert!(!adopted.is_empty());
            for end in &adopted {
                let (found, to) = read(&segments, *end).expect("it was adopted");
                let between = records.iter().filter(|offset| (*end..to).contains(offset));
                let expected: Vec<i64> = between.copied().collect();
                prop_assert_eq!(found, expected, "behind {} up to {}", end, to);
            }
            let newest = adopted.iter().max().expect("there is one");
            let (_, to) = read(&segments, *newest).expect("it was adopted");
            prop_assert_eq!(to, segments.applied());
        }
    }

    /// What is not a segment's entry is refused.
    #[test]
    fn entries_of_others_are_refused(key in proptest::collection::vec(any::<u8>(), 0..12),
                                     value in proptest::collection::vec(any::<u8>(), 0..30)) {
        let mut segments = segments(0);
        let _ = segments.restore(Entry { key: &key, value: Some(&value) });
        segments.restored();
        prop_assert!(!segments.cuts().is_empty());
    }
}
