use super::*;

fn key(topic: &'static str, partition: i32) -> Key {
    Key {
        topic: TopicKey::Name(StrBytes::from_static_str(topic)),
        partition,
    }
}

fn wanted(offset: i64) -> Wanted {
    Wanted {
        offset,
        max_bytes: 1 << 20,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn request(session_id: i32, epoch: i32, wanted_keys: &[(Key, i64)], forgotten: &[Key]) -> Request {
    Request {
        session_id,
        epoch,
        by_topic_id: false,
        wanted: wanted_keys
            .iter()
            .map(|(key, offset)| (key.clone(), wanted(*offset)))
            .collect(),
        forgotten: forgotten.to_vec(),
    }
}

const QUIET: Found = Found {
    has_records: false,
    failed: false,
    diverging: false,
    high_watermark: 5,
    log_start: 0,
};
const RECORDS: Found = Found {
    has_records: true,
    ..QUIET
};
const FAILED: Found = Found {
    failed: true,
    high_watermark: -1,
    log_start: -1,
    ..QUIET
};

fn run(
    sessions: &mut FetchSessions,
    now: u64,
    request: Request,
    found: &[Found],
) -> Result<(i32, ErrorCode, Vec<Key>), ErrorCode> {
    let plan = sessions.begin(request, Monotonic(now))?;
    let mut id = 41;
    let verdict = sessions.finish(&plan, found, Monotonic(now), || {
        id += 1;
        id
    });
    let keys = plan.partitions.iter().zip(&verdict.include);
    let keys = keys
        .filter(|(_, include)| **include)
        .map(|((key, _), _)| key.clone())
        .collect();
    Ok((verdict.session_id, verdict.error, keys))
}

#[test]
fn rule_23_an_incremental_answer_names_only_what_has_news() {
    let mut sessions = FetchSessions::new(10);
    let (a, b) = (key("a", 0), key("b", 1));
    let both = [(a.clone(), 5), (b.clone(), 5)];
    let (id, error, keys) =
        run(&mut sessions, 0, request(0, 0, &both, &[]), &[QUIET, QUIET]).unwrap();
    assert_eq!((id, error, keys.len()), (42, ErrorCode::None, 2));
    // Nothing new: nothing is named.
    let answer = run(&mut sessions, 1, request(id, 1, &[], &[]), &[QUIET, QUIET]);
    assert_eq!(answer, Ok((id, ErrorCode::None, vec![])));
    // Data for the first: it is named, and goes to the end of the line.
    let answer = run(
        &mut sessions,
        2,
        request(id, 2, &[], &[]),
        &[RECORDS, QUIET],
    );
    assert_eq!(answer, Ok((id, ErrorCode::None, vec![a.clone()])));
    let plan = sessions
        .begin(request(id, 3, &[], &[]), Monotonic(3))
        .unwrap();
    let order: Vec<_> = plan.partitions.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(order, [b.clone(), a.clone()]);
    // An error is named each time, and the success after it is news.
    let answer = run(&mut sessions, 4, request(id, 4, &[], &[]), &[FAILED, QUIET]);
    assert_eq!(answer, Ok((id, ErrorCode::None, vec![b.clone()])));
    let answer = run(&mut sessions, 5, request(id, 5, &[], &[]), &[QUIET, QUIET]);
    assert_eq!(answer, Ok((id, ErrorCode::None, vec![b.clone()])));
    // A forgotten partition is fetched no more; without partitions the session is over.
    let answer = run(&mut sessions, 6, request(id, 6, &[], &[a]), &[QUIET]);
    assert_eq!(answer, Ok((id, ErrorCode::None, vec![])));
    let answer = run(&mut sessions, 7, request(id, 7, &[], &[b]), &[]);
    assert_eq!(answer, Ok((NO_SESSION, ErrorCode::None, vec![])));
    assert!(sessions.is_empty());
    assert_eq!(sessions.partitions, 0);
}

#[test]
fn rule_23_wrong_epochs_and_unknown_sessions_are_refused() {
    let mut sessions = FetchSessions::new(10);
    let one = [(key("a", 0), 0)];
    let (id, ..) = run(&mut sessions, 0, request(0, 0, &one, &[]), &[QUIET]).unwrap();
    let refused = |sessions: &mut FetchSessions, request| {
        sessions
            .begin(request, Monotonic(0))
            .map(|plan| plan.partitions.len())
    };
    assert_eq!(
        refused(&mut sessions, request(id, 5, &[], &[])),
        Err(ErrorCode::InvalidFetchSessionEpoch)
    );
    assert_eq!(
        refused(&mut sessions, request(99, 1, &[], &[])),
        Err(ErrorCode::FetchSessionIdNotFound)
    );
    let by_id = Request {
        by_topic_id: true,
        ..request(id, 1, &[], &[])
    };
    assert_eq!(
        refused(&mut sessions, by_id),
        Err(ErrorCode::FetchSessionTopicIdError)
    );
    // (id, -1) closes the session and is served outside of one.
    let (none, ..) = run(&mut sessions, 0, request(id, -1, &one, &[]), &[QUIET]).unwrap();
    assert_eq!(none, NO_SESSION);
    assert_eq!(
        refused(&mut sessions, request(id, 1, &[], &[])),
        Err(ErrorCode::FetchSessionIdNotFound)
    );
}

#[test]
fn rule_23_epochs_wrap_to_one() {
    assert_eq!(next_epoch(1), 2);
    assert_eq!(next_epoch(i32::MAX), 1);
}

#[test]
fn rule_23_slots_are_bounded_and_stale_sessions_give_theirs_away() {
    let mut sessions = FetchSessions::new(2);
    let one = [(key("a", 0), 0)];
    let two = [(key("a", 0), 0), (key("b", 0), 0)];
    let mut next = 100;
    let mut create = |sessions: &mut FetchSessions, now: u64, wanted: &[(Key, i64)]| {
        let plan = sessions
            .begin(request(0, 0, wanted, &[]), Monotonic(now))
            .unwrap();
        let found = vec![QUIET; wanted.len()];
        next += 1;
        sessions
            .finish(&plan, &found, Monotonic(now), || next)
            .session_id
    };
    let first = create(&mut sessions, 0, &two);
    let second = create(&mut sessions, 1, &two);
    assert!(first != NO_SESSION && second != NO_SESSION);
    assert_eq!(
        create(&mut sessions, 2, &two),
        NO_SESSION,
        "no slot is free and none is stale"
    );
    // The first is long unused: it goes.
    assert!(
        sessions
            .begin(request(second, 1, &[], &[]), Monotonic(119_000))
            .is_ok()
    );
    let third = create(&mut sessions, 121_000, &one);
    assert!(third != NO_SESSION);
    assert!(
        sessions
            .begin(request(first, 1, &[], &[]), Monotonic(121_000))
            .is_err()
    );
    // The second is in use but old, and not larger than the newcomer: it goes too.
    assert!(create(&mut sessions, 122_000, &two) != NO_SESSION);
    assert_eq!(sessions.len(), 2);
    assert_eq!(sessions.partitions, 3);
}
