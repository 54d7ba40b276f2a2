//! Random lives of a machine: calls that make sense and calls that do not, time, restarts.
//!
//! The invariants are checked after each step (see `story`). Here it is also checked that the log
//! alone makes the same durable state, that generations only grow, that the same seed leads to
//! the same life, and that in the end nothing is left: no group, no offset, no waiting call.

use std::collections::BTreeMap;

use super::super::*;
use super::story::{Stage, replay};

/// SplitMix64: a random sequence that is a function of its seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `times`.
    pub(super) fn chance(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}

#[test]
fn the_log_tells_everything_that_must_not_be_lost() {
    for seed in 0..150 {
        assert_eq!(live(seed), live(seed), "seed {seed}");
    }
}

/// One life; what it told.
fn live(seed: u64) -> String {
    let mut random = Random(seed);
    let config = GroupConfig {
        initial_rebalance_delay_ms: [0, 3_000][random.below(2) as usize],
        max_size: [2, 4, usize::MAX][random.below(3) as usize],
        offsets_retention_ms: 60_000,
        offsets_retention_check_interval_ms: 7_000,
        ..GroupConfig::default()
    };
    let mut stage = Stage::new(config);
    let mut told = format!("seed {seed}\n");
    let mut ids = vec!["stranger".to_owned()];
    for _ in 0..150 {
        let generations = generations(&stage);
        let command = next_command(&mut random, &ids, &stage);
        told.push_str(&format!("> {command}\n{}", stage.tell(&command)));
        if command != "restart" {
            check_generations(&generations, &stage, &told);
        }
        for (_, reply) in std::mem::take(&mut stage.answers) {
            if let Reply::Join(joined) = reply {
                ids.push(joined.member_id.to_string());
            }
        }
        check_replay(&stage, &told);
    }
    told.push_str(&stage.tell("wait 90000000"));
    assert!(stage.parked.is_empty(), "{told}");
    assert_eq!(stage.machine.groups().count(), 0, "{told}");
    assert_eq!(stage.machine.offsets, Default::default(), "{told}");
    check_replay(&stage, &told);
    told
}

fn next_command(random: &mut Random, ids: &[String], stage: &Stage) -> String {
    let group_id = random.pick(&["g", "h"]);
    let recent = ids.len() as u64;
    let id = ids[(recent - 1 - random.below(recent.min(6))) as usize].clone();
    let id = if id.is_empty() {
        "stranger".to_owned()
    } else {
        id
    };
    let current = stage.machine.group(group_id).map_or(0, Group::generation);
    let gen_ = if random.chance(6) {
        current - 1
    } else {
        current
    };
    let inst = random.pick(&["", "", "", "inst=i", "inst=j"]);
    let session = random.pick(&["session=6000", "session=10000", "session=30000"]);
    let rebalance = random.pick(&["rebalance=5000", "rebalance=20000"]);
    let protos = random.pick(&[
        "protos=range:[t]",
        "protos=range:[t],sticky:[t]",
        "protos=sticky:[u],range:[u]",
        "protos=range:[t]",
        "protos=other",
    ]);
    let kind = random.pick(&["", "", "", "", "", "", "type=connect"]);
    let join = format!("join c g={group_id} {inst} {session} {rebalance} {protos} {kind}");
    match random.below(24) {
        0..3 => format!("{join} v={}", random.pick(&["3", "9"])),
        3..7 => format!("{join} id={id}"),
        7..12 => format!("sync g={group_id} id={id} gen={gen_} {inst} assign={id}:x"),
        12..14 => format!("beat g={group_id} id={id} gen={gen_} {inst}"),
        14 => format!("leave g={group_id} {id} @i"),
        15 => format!("leave g={group_id} {id}@j stranger"),
        16 => format!("commit g={group_id} id={id} gen={gen_} {inst} t-0={gen_} u-1=7:m"),
        17 => format!(
            "commit g={group_id} t-1=5 t-2=6 keep={}",
            random.pick(&["-1", "3000"])
        ),
        18 => format!("delete-offsets g={group_id} t-0 u-1"),
        19 => random
            .pick(&["delete-group g=g", "forget t", "describe", "list", "fetch"])
            .into(),
        20 => "restart".into(),
        _ => format!(
            "wait {}",
            [random.below(500), random.below(4_000), 15_000][random.below(3) as usize]
        ),
    }
}

fn generations(stage: &Stage) -> BTreeMap<String, i32> {
    let groups = stage.machine.groups();
    groups
        .map(|group| (group.group_id.to_string(), group.generation()))
        .collect()
}

/// A generation does not go back, unless the group was removed and made anew, which starts at 0.
fn check_generations(before: &BTreeMap<String, i32>, stage: &Stage, told: &str) {
    for (group_id, generation) in generations(stage) {
        let was = before.get(&group_id).copied().unwrap_or(0);
        assert!(
            generation >= was || told.contains(&format!("{group_id} is gone")),
            "{told}"
        );
    }
}

/// What is durable of a group: what its record says, without the calls that wait and without the
/// protocols that were not chosen.
fn durable(group: &Group) -> Group {
    let mut durable = group.clone();
    durable.previous_state = None;
    durable.pending_join.clear();
    durable.pending_sync.clear();
    for member_id in group.members.keys() {
        let Some(member) = durable.remove_member(member_id) else {
            continue;
        };
        let mut member = Member::clone(&member);
        let chosen = group.protocol_name.clone();
        member
            .protocols
            .retain(|(name, _)| Some(name) == chosen.as_ref());
        durable.insert_member(member);
    }
    durable
}

fn check_replay(stage: &Stage, told: &str) {
    let replayed = replay(&stage.config, &stage.log);
    assert_eq!(replayed.offsets, stage.machine.offsets, "{told}");
    let groups: Vec<Group> = replayed.groups().cloned().collect();
    let written: Vec<Group> = stage.written.values().map(|group| durable(group)).collect();
    assert_eq!(groups, written, "{told}");
    // Compaction keeps the last record of each key; the result must be the same.
    let mut last = BTreeMap::new();
    for record in &stage.log {
        let key = record.key.clone();
        last.remove(&key);
        last.insert(key, record.clone());
    }
    let mut compacted: Vec<_> = stage
        .log
        .iter()
        .filter(|record| last.get(&record.key) == Some(record))
        .cloned()
        .collect();
    compacted.dedup();
    let compacted = replay(&stage.config, &compacted);
    assert_eq!(compacted.offsets, replayed.offsets, "{told}");
    assert!(substantial(&compacted).eq(substantial(&replayed)), "{told}");
    // What is in the log is what the machine goes by, apart from rebalances under way.
    for group in replayed.groups() {
        assert!(stage.machine.group(&group.group_id).is_some(), "{told}");
    }
}

/// The groups apart from those that only ever stored offsets and have none left: nothing in the
/// log speaks of them.
fn substantial(machine: &GroupMachine) -> impl Iterator<Item = &Group> {
    machine.groups().filter(|group| {
        **group != Group::new(group.group_id.clone())
            || machine.offsets.of_group(&group.group_id).is_some()
    })
}
