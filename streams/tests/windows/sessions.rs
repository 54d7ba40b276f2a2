//! Sessions.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidemark_streams::Emit;
use tidemark_streams::time::{EventTime, SessionWindows, Window};

use crate::harness::{
    Event, Input, LateRow, Row, end_of, event_time, events, input, ms, partitions, run, sorted,
    topology,
};
use crate::seed::cases;

#[derive(Clone, Copy, Debug)]
struct Session {
    start: i64,
    end: i64,
    sum: i64,
    fired: bool,
}

impl Session {
    fn window(&self) -> Window {
        Window {
            start: self.start,
            end: self.end,
        }
    }
}

/// What a session goes by.
#[derive(Clone, Copy)]
struct Rules {
    time: EventTime,
    emit: Emit,
    gap: i64,
    grace: i64,
    longest: i64,
}

/// The sessions that a record goes on with: the one that it is in; or those that are near enough in front
/// of it and behind it, as many of them as do not get too long together, the one in front first.
fn nearest(sessions: &[Session], t: i64, rules: &Rules) -> Vec<Session> {
    if let Some(inside) = sessions.iter().find(|s| s.start <= t && t <= s.end) {
        return vec![*inside];
    }
    let before = sessions
        .iter()
        .filter(|s| s.end < t && t - s.end <= rules.gap);
    let before = before.max_by_key(|s| s.end).copied();
    let behind = sessions
        .iter()
        .filter(|s| s.start > t && s.start - t <= rules.gap);
    let behind = behind.min_by_key(|s| s.start).copied();
    let fits = |found: &[Session]| {
        let start = found.iter().map(|s| s.start).fold(t, i64::min);
        let end = found.iter().map(|s| s.end).fold(t, i64::max);
        end - start <= rules.longest
    };
    let both: Vec<Session> = before.into_iter().chain(behind).collect();
    let all = [
        both,
        before.into_iter().collect(),
        behind.into_iter().collect(),
    ];
    let mut fitting = all
        .into_iter()
        .filter(|found| !found.is_empty() && fits(found));
    fitting.next().unwrap_or_default()
}

/// Sessions as plain lists that are searched from one end to the other.
fn model(input: &Input, rules: &Rules) -> (Vec<Row>, Vec<LateRow>) {
    let Rules {
        time,
        emit,
        gap,
        grace,
        ..
    } = *rules;
    let (mut rows, mut late) = (Vec::new(), Vec::new());
    let by_watermark = time == EventTime::Watermark;
    let reach = if by_watermark { (gap - 1).max(0) } else { gap };
    let closes_at = |end: i64| end + reach + grace + i64::from(!by_watermark);
    let fires_at = |end: i64| match emit {
        Emit::Close if by_watermark => end + reach,
        _ => closes_at(end),
    };
    let timestamp = |end: i64| if by_watermark { end + reach } else { end };
    for partition in partitions(input, time) {
        let mut state: BTreeMap<i64, Vec<Session>> = BTreeMap::new();
        let pass = |state: &mut BTreeMap<i64, Vec<Session>>, rows: &mut Vec<Row>, now: i64| {
            for (key, sessions) in state.iter_mut() {
                for session in sessions.iter_mut() {
                    if emit != Emit::Update && !session.fired && fires_at(session.end) <= now {
                        session.fired = true;
                        let at = timestamp(session.end);
                        rows.push((*key, session.window(), Some(session.sum), at));
                    }
                }
                // Kafka goes on with sessions that have closed, as long as it has them.
                let longer = if !by_watermark && emit == Emit::Update {
                    gap + grace
                } else {
                    0
                };
                sessions.retain(|session| closes_at(session.end) + longer > now);
            }
        };
        for (event, now) in &partition {
            let Event {
                key,
                timestamp: t,
                value,
            } = *event;
            if by_watermark {
                pass(&mut state, &mut rows, *now);
            } else if emit == Emit::Update {
                // Nothing comes out: what is over for this record can go before it.
                pass(&mut state, &mut rows, *now);
            }
            let sessions = state.entry(key).or_default();
            let open = |s: &&Session| emit == Emit::Update || closes_at(s.end) > *now;
            let open: Vec<Session> = sessions.iter().filter(open).copied().collect();
            let found = nearest(&open, t, rules);
            let start = found.iter().map(|s| s.start).fold(t, i64::min);
            let end = found.iter().map(|s| s.end).fold(t, i64::max);
            if closes_at(end) <= *now {
                late.push((key, value, (t, t), false, 1));
            } else {
                let changed = match &found[..] {
                    [only] => (only.start, only.end) != (start, end),
                    _ => true,
                };
                let replaces = if by_watermark {
                    changed
                } else {
                    (start, end) != (t, t)
                };
                for session in &found {
                    let out = emit == Emit::Update || session.fired;
                    if replaces && out {
                        let at = if emit == Emit::Update {
                            session.end
                        } else {
                            timestamp(session.end)
                        };
                        rows.push((key, session.window(), None, at));
                    }
                }
                sessions.retain(|s| !found.iter().any(|gone| gone.start == s.start));
                let sum = value + found.iter().map(|s| s.sum).sum::<i64>();
                let fired = emit == Emit::Close && by_watermark && fires_at(end) <= *now;
                let new = Session {
                    start,
                    end,
                    sum,
                    fired,
                };
                if emit == Emit::Update || fired {
                    let at = if emit == Emit::Update {
                        end
                    } else {
                        timestamp(end)
                    };
                    rows.push((key, new.window(), Some(sum), at));
                }
                sessions.push(new);
            }
            if !by_watermark {
                pass(&mut state, &mut rows, *now);
            }
        }
        pass(&mut state, &mut rows, end_of(&partition, time));
    }
    (rows, late)
}

fn emits() -> impl Strategy<Value = Emit> {
    prop_oneof![Just(Emit::Update), Just(Emit::Close), Just(Emit::Final)]
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn as_a_plain_list(
        input in input(-60),
        time in event_time(),
        emit in emits(),
        gap in 0..15_i64,
        grace in 0..20_i64,
        longest in prop_oneof![Just(i64::MAX), 0..40_i64],
    ) {
        let windows = SessionWindows::with_gap(ms(gap))
            .allowed_lateness(ms(grace))
            .max_length(ms(longest))
            .event_time(time);
        let made = topology(&input, |grouped| {
            grouped.windowed_by_session(windows).emit(emit).reduce(|a, b| a + b)
        });
        let output = run(&made, &input)?;
        let rules = Rules { time, emit, gap, grace, longest };
        let (rows, late) = model(&input, &rules);
        prop_assert_eq!(sorted(output.rows), sorted(rows));
        prop_assert_eq!(sorted(output.late), sorted(late));
    }

    #[test]
    fn whatever_the_order_if_nothing_is_late(input in input(-60), gap in 0..15_i64) {
        let windows = SessionWindows::with_gap(ms(gap)).allowed_lateness(ms(100_000));
        let made = topology(&input, |grouped| {
            grouped.windowed_by_session(windows).emit(Emit::Final).reduce(|a, b| a + b)
        });
        let output = run(&made, &input)?;
        let mut wanted = Vec::new();
        for key in 0..3 {
            let events = input.events.iter().filter(|event| event.key == key);
            let events = sorted(events.map(|event| (event.timestamp, event.value)));
            for part in events.chunk_by(|a, b| b.0 - a.0 <= gap) {
                let (start, end) = (part[0].0, part[part.len() - 1].0);
                let sum = part.iter().map(|(_, value)| value).sum();
                wanted.push((key, Window { start, end }, Some(sum), end + (gap - 1).max(0)));
            }
        }
        prop_assert_eq!(sorted(output.rows), sorted(wanted));
        prop_assert!(output.late.is_empty());
    }

    #[test]
    fn no_session_is_too_long(
        input in input(-60),
        time in event_time(),
        emit in emits(),
        gap in 0..15_i64,
        length in 0..40_i64,
    ) {
        let windows = SessionWindows::with_gap(ms(gap))
            .allowed_lateness(ms(100_000))
            .max_length(ms(length))
            .event_time(time);
        let made = topology(&input, |grouped| {
            grouped.windowed_by_session(windows).emit(emit).reduce(|a, b| a + b)
        });
        let output = run(&made, &input)?;
        prop_assert!(output.late.is_empty());
        if time == EventTime::StreamTime && emit != Emit::Update {
            // Nothing closes.
            prop_assert!(output.rows.is_empty());
            return Ok(());
        }
        let mut last: BTreeMap<(i64, Window), Option<i64>> = BTreeMap::new();
        for (key, window, value, _) in output.rows {
            prop_assert!(window.end - window.start <= length);
            last.insert((key, window), value);
        }
        // Sessions that are left do not overlap, and hold every record once.
        let left: Vec<_> = last.into_iter().filter_map(|(at, value)| Some((at, value?))).collect();
        for pair in left.windows(2) {
            let ((key, window), _) = pair[0];
            let ((next_key, next), _) = pair[1];
            prop_assert!(key != next_key || window.end < next.start);
        }
        let all: i64 = left.iter().map(|(_, sum)| sum).sum();
        let events = events(&input, time);
        prop_assert_eq!(all, events.iter().map(|event| event.value).sum::<i64>());
        for ((key, window), sum) in left {
            let inside = events.iter().filter(|event| {
                event.key == key && window.start <= event.timestamp && event.timestamp <= window.end
            });
            prop_assert_eq!(sum, inside.map(|event| event.value).sum::<i64>());
        }
    }
}
