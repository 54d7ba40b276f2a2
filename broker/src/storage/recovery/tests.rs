use super::*;

fn name_of(short: &str) -> String {
    match short.split_once('.') {
        Some((digits, rest)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{:0>20}.{rest}", digits)
        }
        _ => short.to_owned(),
    }
}

/// File names are given without leading zeros. `expected` lists actions (`-name` or `name>name`),
/// then segments (`base` or `base!` if to be scanned), then snapshots (`@offset`).
fn check(names: &[&str], swap_ends: &[(i64, i64)], clean: bool, point: i64, expected: &[&str]) {
    let mut names: Vec<String> = names.iter().map(|name| name_of(name)).collect();
    names.sort();
    let swap_ends = swap_ends
        .iter()
        .map(|(base, end)| (Offset(*base), Offset(*end)))
        .collect();
    let facts = Facts {
        names: &names,
        swap_ends: &swap_ends,
        clean,
        recovery_point: Offset(point),
    };
    let plan = plan(&facts);
    let short = |name: &str| {
        let short = name.trim_start_matches('0');
        if short.starts_with('.') {
            format!("0{short}")
        } else {
            short.to_owned()
        }
    };
    let mut found: Vec<String> = plan
        .actions
        .iter()
        .map(|action| match action {
            Action::Delete(name, _) => format!("-{}", short(name)),
            Action::Rename(from, to) => format!("{}>{}", short(from), short(to)),
        })
        .collect();
    found.extend(
        plan.segments
            .iter()
            .map(|segment| format!("{}{}", segment.base, if segment.scan { "!" } else { "" })),
    );
    found.extend(plan.snapshots.iter().map(|offset| format!("@{offset}")));
    assert_eq!(found, expected);
}

#[test]
fn a_directory_in_order_needs_nothing() {
    let names = [
        "0.log",
        "0.index",
        "0.timeindex",
        "0.txnindex",
        "5.log",
        "5.index",
        "5.timeindex",
        "5.snapshot",
        "9.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
        "notes.txt",
    ];
    check(&names, &[], true, 0, &["0", "5", "@5", "@9"]);
    check(&[], &[], true, 0, &[]);
}

#[test]
fn an_unclean_stop_scans_from_the_recovery_point() {
    let names = ["0.log", "10.log", "20.log"];
    let check = |point, expected: &[&str]| check(&names, &[], false, point, expected);
    check(0, &["0!", "10!", "20!"]);
    check(10, &["0!", "10!", "20!"]);
    check(11, &["0", "10!", "20!"]);
    check(20, &["0", "10!", "20!"]);
    check(21, &["0", "10", "20!"]);
    check(99, &["0", "10", "20!"]);
    check(-1, &["0!", "10!", "20!"]);
}

#[test]
fn leftovers_are_removed() {
    check(
        &[
            "0.log.deleted",
            "3.log.cleaned",
            "5.log",
            "4.index",
            "4.timeindex",
            "4.txnindex",
            "leader-epoch-checkpoint.tmp",
            "garbage.deleted",
        ],
        &[],
        true,
        0,
        &[
            "-0.log.deleted",
            "-3.log.cleaned",
            "-garbage.deleted",
            "-leader-epoch-checkpoint.tmp",
            "-4.index",
            "-4.timeindex",
            "-4.txnindex",
            "5",
        ],
    );
}

#[test]
fn snapshots_without_a_segment_are_removed_but_for_the_newest_at_the_end() {
    check(
        &[
            "0.log",
            "10.log",
            "4.snapshot",
            "10.snapshot",
            "12.snapshot",
            "15.snapshot",
        ],
        &[],
        true,
        0,
        &["-4.snapshot", "-12.snapshot", "0", "10", "@10", "@15"],
    );
    check(
        &["10.log", "7.snapshot"],
        &[],
        true,
        0,
        &["-7.snapshot", "10"],
    );
}

#[test]
fn rule_38_an_interrupted_swap_heals() {
    // Killed before the old segments were removed.
    check(
        &[
            "0.log",
            "0.index",
            "5.log",
            "5.index",
            "9.log",
            "0.log.swap",
            "0.index.swap",
        ],
        &[(0, 9)],
        true,
        0,
        &[
            "-0.log",
            "-0.index",
            "-5.log",
            "-5.index",
            "0.index.swap>0.index",
            "0.log.swap>0.log",
            "0",
            "9",
        ],
    );
    // Killed after the log was renamed: its index follows, nothing else is touched.
    check(
        &["0.log", "0.index.swap", "9.log"],
        &[],
        true,
        0,
        &["0.index.swap>0.index", "0", "9"],
    );
    // Killed while the second segment was still being written: nothing of it counts.
    check(
        &[
            "0.log",
            "5.log",
            "0.log.cleaned",
            "0.log.swap",
            "5.log.swap",
        ],
        &[(0, 5), (5, 9)],
        true,
        0,
        &["-0.log.cleaned", "-0.log.swap", "-5.log.swap", "0", "5"],
    );
}
