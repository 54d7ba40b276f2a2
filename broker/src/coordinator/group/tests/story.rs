//! Runs a machine by hand and tells what it does.
//!
//! A story is a text. A line that starts with `>` is a command, the lines after it are what the
//! machine is expected to say. [`check`] runs the commands and compares the whole text.
//!
//! ```text
//! > join a                 client `a` calls JoinGroup; it is offered the member id `a-1`
//! a: join MEMBER_ID_REQUIRED id=a-1
//! > wait 3000              time passes and timers fire
//! ```
//!
//! Answers are told as `client: ...`, records as `log: ...`. After each command the invariants
//! are checked. Options of commands are `key=value`; see the methods for names and defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bytes::Bytes;
use uuid::Uuid;

use super::super::command::*;
use super::super::*;
use super::invariants;
use crate::coordinator::{Answer, Decision, KeyValue, Machine, ReplyToken, When};
use crate::types::{Monotonic, Now, Offset, Timestamp};

/// Runs a story with a configuration that does not wait for more members to join.
#[track_caller]
pub(super) fn check(story: &str) {
    check_with(
        GroupConfig {
            initial_rebalance_delay_ms: 0,
            ..GroupConfig::default()
        },
        story,
    );
}

/// Runs a story.
#[track_caller]
pub(super) fn check_with(config: GroupConfig, story: &str) {
    let lines: Vec<&str> = story
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let mut stage = Stage::new(config);
    let mut told = String::new();
    for line in lines.iter().filter(|line| line.starts_with('>')) {
        let _ = writeln!(told, "{line}");
        stage.run(line.trim_start_matches('>').trim());
        told.push_str(&std::mem::take(&mut stage.told));
    }
    let expected: String = lines.iter().map(|line| format!("{line}\n")).collect();
    assert!(told == expected, "expected:\n{expected}\ntold:\n{told}");
}

/// A machine with a hand-set clock, a timer table and a log.
pub(super) struct Stage {
    pub(super) machine: GroupMachine,
    pub(super) config: GroupConfig,
    pub(super) now: u64,
    pub(super) timers: BTreeMap<Timer, Monotonic>,
    pub(super) log: Vec<KeyValue>,
    /// Who waits for an answer.
    pub(super) parked: BTreeMap<ReplyToken, String>,
    /// Answers that nobody has taken yet.
    pub(super) answers: Vec<(String, Reply)>,
    /// What the log says about each group, as it was written.
    pub(super) written: BTreeMap<GroupId, Arc<Group>>,
    pub(super) told: String,
    tokens: u64,
    ids: u64,
}

/// The wall clock shows this when the monotonic one starts.
const EPOCH_MS: i64 = 1_000_000;

impl Stage {
    pub(super) fn new(config: GroupConfig) -> Self {
        let mut stage = Self {
            machine: GroupMachine::new(config.clone()),
            config,
            now: 0,
            timers: BTreeMap::new(),
            log: Vec::new(),
            parked: BTreeMap::new(),
            answers: Vec::new(),
            written: BTreeMap::new(),
            told: String::new(),
            tokens: 0,
            ids: 0,
        };
        stage.restart();
        stage
    }

    pub(super) fn clock(&self) -> Now {
        let wall = Timestamp(EPOCH_MS + i64::try_from(self.now).expect("a test is short"));
        Now {
            wall,
            monotonic: Monotonic(self.now),
        }
    }

    /// Calls the machine for `client`.
    pub(super) fn call(&mut self, client: &str, command: Command) {
        self.tokens += 1;
        let token = ReplyToken(self.tokens);
        self.parked.insert(token, client.to_owned());
        let decision = self.machine.decide(self.clock(), command, token);
        self.settle(decision);
    }

    /// Lets time pass up to `until`, timer by timer.
    pub(super) fn advance_to(&mut self, until: u64) {
        loop {
            let next = self
                .timers
                .iter()
                .map(|(timer, deadline)| (deadline.0, timer.clone()))
                .min();
            match next {
                Some((deadline, timer)) if deadline <= until => {
                    self.now = self.now.max(deadline);
                    self.timers.remove(&timer);
                    let decision = self.machine.on_timer(self.clock(), timer);
                    self.settle(decision);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// Forgets everything that is not in the log. Whoever waits gets no answer.
    pub(super) fn restart(&mut self) {
        self.parked.clear();
        self.timers.clear();
        self.machine = replay(&self.config, &self.log);
        let decision = self.machine.on_loaded(self.clock());
        self.settle(decision);
    }

    /// Runs commands that are separated by `;` and returns what the machine said to the last one.
    pub(super) fn tell(&mut self, commands: &str) -> String {
        for command in commands.split(';') {
            self.told.clear();
            self.run(command.trim());
        }
        std::mem::take(&mut self.told)
    }

    fn settle(&mut self, decision: Decision<GroupMachine>) {
        for event in decision.events {
            if let Some(record) = self.machine.encode(&event) {
                let _ = writeln!(self.told, "log: {}", told_event(&event));
                self.log.push(record);
                self.remember(&event);
            }
            self.machine.apply(Offset(self.log.len() as i64), event);
        }
        for change in decision.timers {
            match change.deadline {
                Some(deadline) => self.timers.insert(change.timer, deadline),
                None => self.timers.remove(&change.timer),
            };
        }
        for Answer { token, when, reply } in decision.answers {
            let client = self
                .parked
                .remove(&token)
                .expect("every call is answered once");
            let is_refusal = matches!(when, When::Now);
            assert_eq!(
                is_refusal,
                may_leave_at_once(&reply),
                "{when:?} for {reply:?}"
            );
            let _ = writeln!(self.told, "{client}: {}", told_reply(&reply));
            self.answers.push((client, reply));
        }
        invariants::check(self);
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::GroupChanged { group, .. } => {
                self.written.insert(group.group_id.clone(), group.clone());
            }
            Event::GroupRemoved { group_id } => {
                self.written.remove(group_id);
            }
            Event::OffsetCommitted { key, .. } => {
                let simple = || Arc::new(Group::new(key.group_id.clone()));
                self.written
                    .entry(key.group_id.clone())
                    .or_insert_with(simple);
            }
            Event::OffsetRemoved { .. } => {}
        }
    }

    fn run(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a command has a verb");
        let args = Args::new(words);
        match verb {
            "wait" => self.advance_to(self.now + args.plain[0].parse::<u64>().expect("a duration")),
            "restart" => self.restart(),
            "max-size" => self.config.max_size = args.plain[0].parse().expect("a size"),
            "join" => self.run_join(&args),
            _ => {
                let client = args.option("as").unwrap_or("-").to_owned();
                let command = args.command(verb);
                self.call(&client, command);
            }
        }
    }

    /// `join CLIENT`, options `g`, `id`, `inst`, `type`, `protos` (`name:metadata,...`), `session`,
    /// `rebalance`, `v`, `host`.
    fn run_join(&mut self, args: &Args<'_>) {
        let client = args.plain[0];
        let mut join = args.join(client);
        if join.member_id.is_empty() {
            self.ids += 1;
            let prefix = join.group_instance_id.as_deref().unwrap_or(client);
            join.generated_member_id = format!("{prefix}-{}", self.ids).into();
        }
        self.call(client, Command::Join(join));
    }
}

/// The machine that a log makes.
pub(super) fn replay(config: &GroupConfig, log: &[KeyValue]) -> GroupMachine {
    let mut machine = GroupMachine::new(config.clone());
    for (offset, record) in log.iter().enumerate() {
        let event = machine.decode(record).expect("own records can be read");
        machine.apply(Offset(offset as i64), event.expect("own records are known"));
    }
    machine
}

/// Refusals and heartbeats rest on nothing that is still to be written.
fn may_leave_at_once(reply: &Reply) -> bool {
    match reply {
        Reply::Join(joined) => joined.error != ErrorCode::None,
        Reply::Sync(synced) => synced.error != ErrorCode::None,
        Reply::Heartbeat(_) => true,
        Reply::Leave(left) => {
            left.error != ErrorCode::None
                || left
                    .members
                    .iter()
                    .all(|member| member.error != ErrorCode::None)
        }
        Reply::CommitOffsets(topics) => {
            let mut errors = topics.iter().flat_map(|topic| &topic.partitions);
            errors.all(|(_, error)| {
                let per_partition = [
                    ErrorCode::None,
                    ErrorCode::OffsetMetadataTooLarge,
                    ErrorCode::InvalidRequest,
                ];
                !per_partition.contains(error)
            })
        }
        Reply::DeleteOffsets(deleted) => deleted.error != ErrorCode::None,
        Reply::DeleteGroup(error) => *error != ErrorCode::None,
        Reply::FetchOffsets(_)
        | Reply::Describe(_)
        | Reply::List(_)
        | Reply::ForgetTopics { .. } => false,
    }
}

/// The words of a command.
struct Args<'a> {
    plain: Vec<&'a str>,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Args<'a> {
    fn new(words: impl Iterator<Item = &'a str>) -> Self {
        let (named, plain): (Vec<_>, Vec<_>) = words.partition(|word| {
            word.split_once('=')
                .is_some_and(|(key, _)| !key.contains('-'))
        });
        let options = named
            .into_iter()
            .filter_map(|word| word.split_once('='))
            .collect();
        Self { plain, options }
    }

    fn option(&self, key: &str) -> Option<&'a str> {
        self.options.get(key).copied()
    }

    fn number(&self, key: &str, default: i32) -> i32 {
        self.option(key)
            .map_or(default, |value| value.parse().expect("a number"))
    }

    fn text(&self, key: &str) -> Arc<str> {
        self.option(key).unwrap_or_default().into()
    }

    fn group(&self) -> GroupId {
        self.option("g").unwrap_or("g").into()
    }

    fn instance(&self) -> Option<InstanceId> {
        self.option("inst").map(Into::into)
    }

    fn list(&self, key: &str) -> Vec<&'a str> {
        let words = self
            .option(key)
            .into_iter()
            .flat_map(|value| value.split(','));
        words.filter(|word| !word.is_empty()).collect()
    }

    fn join(&self, client: &str) -> JoinGroup {
        let version = self.number("v", 9);
        let protocols = match self.option("protos") {
            Some(_) => self.list("protos"),
            None => vec!["range"],
        };
        let protocol = |word: &str| {
            let (name, metadata) = word.split_once(':').unwrap_or((word, ""));
            (name.into(), metadata_bytes(metadata))
        };
        JoinGroup {
            group_id: self.group(),
            member_id: self.text("id"),
            group_instance_id: self.instance(),
            protocol_type: self.option("type").unwrap_or("consumer").into(),
            protocols: protocols.into_iter().map(protocol).collect(),
            session_timeout_ms: self.number("session", 10_000),
            rebalance_timeout_ms: self.number("rebalance", 60_000),
            client_id: client.into(),
            client_host: self.option("host").unwrap_or("/127.0.0.1").into(),
            require_known_member_id: version >= 4,
            supports_skipping_assignment: version >= 9,
            reason: None,
            generated_member_id: "".into(),
        }
    }

    fn command(&self, verb: &str) -> Command {
        match verb {
            "sync" => Command::Sync(SyncGroup {
                group_id: self.group(),
                generation_id: self.number("gen", 1),
                member_id: self.text("id"),
                group_instance_id: self.instance(),
                protocol_type: self.option("type").map(Into::into),
                protocol_name: self.option("proto").map(Into::into),
                assignments: pairs(&self.list("assign")),
            }),
            "beat" => Command::Heartbeat(Heartbeat {
                group_id: self.group(),
                generation_id: self.number("gen", 1),
                member_id: self.text("id"),
                group_instance_id: self.instance(),
            }),
            "leave" => Command::Leave(LeaveGroup {
                group_id: self.group(),
                members: self.plain.iter().map(|word| leaving(word)).collect(),
            }),
            "commit" => Command::CommitOffsets(CommitOffsets {
                group_id: self.group(),
                generation_id: self.number("gen", -1),
                member_id: self.text("id"),
                group_instance_id: self.instance(),
                retention_time_ms: i64::from(self.number("keep", -1)),
                expects_group_id_not_found: self.number("v", 9) >= 9,
                topics: self.plain.iter().map(|word| commit(word, self)).collect(),
            }),
            "fetch" => Command::FetchOffsets(FetchOffsets {
                group_id: self.group(),
                topics: (!self.plain.is_empty()).then(|| {
                    self.plain
                        .iter()
                        .map(|word| fetch_topic(word, self))
                        .collect()
                }),
            }),
            "delete-offsets" => Command::DeleteOffsets(DeleteOffsets {
                group_id: self.group(),
                topics: self.plain.iter().map(|word| partition_of(word)).collect(),
            }),
            "describe" => Command::Describe(DescribeGroup {
                group_id: self.group(),
                expects_group_id_not_found: self.number("v", 6) >= 6,
            }),
            "list" => {
                let names = |key| self.list(key).into_iter();
                Command::List(ListGroups::named(names("states"), names("types")))
            }
            "delete-group" => Command::DeleteGroup {
                group_id: self.group(),
            },
            "forget" => Command::ForgetTopics {
                topics: self.plain.iter().map(|word| (*word).into()).collect(),
            },
            _ => panic!("no such command: {verb}"),
        }
    }
}

/// `[topic+topic]` makes a consumer subscription; anything else stands for itself.
pub(super) fn metadata_bytes(word: &str) -> Bytes {
    let Some(topics) = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'))
    else {
        return Bytes::copy_from_slice(word.as_bytes());
    };
    let topics: BTreeSet<&str> = topics
        .split('+')
        .filter(|topic| !topic.is_empty())
        .collect();
    let mut bytes = vec![0, 1];
    bytes.extend((topics.len() as u32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as u16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xff; 4]);
    bytes.extend([0; 4]);
    bytes.into()
}

/// `member:assignment` pairs.
fn pairs(words: &[&str]) -> Vec<(MemberId, Bytes)> {
    let pair = |word: &&str| {
        let (member_id, part) = word.split_once(':').unwrap_or((word, ""));
        (member_id.into(), Bytes::copy_from_slice(part.as_bytes()))
    };
    words.iter().map(pair).collect()
}

/// `member`, `member@instance` or `@instance`.
fn leaving(word: &str) -> LeavingMember {
    let (member_id, instance_id) = match word.split_once('@') {
        Some((member_id, instance_id)) => (member_id, Some(instance_id.into())),
        None => (word, None),
    };
    let member_id = member_id.into();
    LeavingMember {
        member_id,
        group_instance_id: instance_id,
        reason: None,
    }
}

/// `topic-partition`.
fn partition_of(word: &str) -> (Arc<str>, Vec<i32>) {
    let (topic, partition) = word.rsplit_once('-').expect("topic-partition");
    (topic.into(), vec![partition.parse().expect("a partition")])
}

fn topic_id(args: &Args<'_>) -> Uuid {
    Uuid::from_u128(args.number("tid", 0).unsigned_abs().into())
}

/// `topic-partition=offset` or `topic-partition=offset:metadata`; option `epoch`.
fn commit(word: &str, args: &Args<'_>) -> CommitTopic {
    let (partition, offset) = word.split_once('=').expect("topic-partition=offset");
    let (topic, partitions) = partition_of(partition);
    let (offset, metadata) = match offset.split_once(':') {
        Some((offset, metadata)) => (offset, Some(metadata.into())),
        None => (offset, None),
    };
    let partition = CommitPartition {
        partition: partitions[0],
        offset: offset.parse().expect("an offset"),
        leader_epoch: args.number("epoch", -1),
        metadata,
    };
    CommitTopic {
        topic,
        topic_id: topic_id(args),
        partitions: vec![partition],
    }
}

fn fetch_topic(word: &str, args: &Args<'_>) -> FetchTopic {
    let (topic, partitions) = partition_of(word);
    FetchTopic {
        topic,
        topic_id: topic_id(args),
        partitions,
    }
}

/// Kafka's spelling of an error.
pub(super) fn error_name(error: ErrorCode) -> String {
    let name = format!("{error:?}");
    let mut spelled = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            spelled.push('_');
        }
        spelled.extend(letter.to_uppercase());
    }
    spelled
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|letter| !letter.is_control())
        .collect()
}

fn instance(instance_id: Option<&InstanceId>) -> String {
    instance_id
        .map(|instance_id| format!("@{instance_id}"))
        .unwrap_or_default()
}

fn told_event(event: &Event) -> String {
    match event {
        Event::GroupChanged { group, .. } => {
            let members: Vec<String> = group
                .members()
                .map(|member| format!("{}:{}", member.member_id, text(&member.assignment)))
                .collect();
            let (id, state, generation) = (&group.group_id, group.state(), group.generation());
            format!("{id} is {state} gen={generation} [{}]", members.join(" "))
        }
        Event::GroupRemoved { group_id } => format!("{group_id} is gone"),
        Event::OffsetCommitted { key, value } => {
            format!(
                "{}/{}-{} = {}",
                key.group_id, key.topic, key.partition, value.offset
            )
        }
        Event::OffsetRemoved { key } => {
            format!("{}/{}-{} is gone", key.group_id, key.topic, key.partition)
        }
    }
}

fn told_reply(reply: &Reply) -> String {
    match reply {
        Reply::Join(joined) => told_joined(joined),
        Reply::Sync(synced) if synced.error == ErrorCode::None => format!(
            "synced {}/{} '{}'",
            synced.protocol_type.as_deref().unwrap_or("-"),
            synced.protocol_name.as_deref().unwrap_or("-"),
            text(&synced.assignment)
        ),
        Reply::Sync(synced) => format!("sync {}", error_name(synced.error)),
        Reply::Heartbeat(error) => format!("beat {}", error_name(*error)),
        Reply::Leave(left) => {
            let member = |member: &LeftMember| {
                let instance = instance(member.group_instance_id.as_ref());
                format!(
                    " {}{instance}:{}",
                    member.member_id,
                    error_name(member.error)
                )
            };
            let members: String = left.members.iter().map(member).collect();
            format!("leave {}{members}", error_name(left.error))
        }
        Reply::CommitOffsets(topics) => {
            let told: String = topics
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|part| (&topic.topic, part)))
                .map(|(topic, (part, error))| format!(" {topic}-{part}:{}", error_name(*error)))
                .collect();
            format!("commit{told}")
        }
        Reply::FetchOffsets(topics) => {
            let told: String = topics
                .iter()
                .flat_map(|topic| {
                    topic
                        .partitions
                        .iter()
                        .map(|part| told_fetched(topic, part))
                })
                .collect();
            format!("fetch{told}")
        }
        Reply::DeleteOffsets(deleted) => {
            let told: String = deleted
                .topics
                .iter()
                .flat_map(|(topic, parts)| parts.iter().map(move |part| (topic, part)))
                .map(|(topic, (part, error))| format!(" {topic}-{part}:{}", error_name(*error)))
                .collect();
            format!("delete-offsets {}{told}", error_name(deleted.error))
        }
        Reply::Describe(described) => told_described(described),
        Reply::List(groups) => {
            let group = |group: &ListedGroup| {
                let ListedGroup {
                    group_id,
                    protocol_type,
                    state,
                    group_type,
                } = group;
                format!(" {group_id}({protocol_type},{state},{group_type})")
            };
            format!("list{}", groups.iter().map(group).collect::<String>())
        }
        Reply::DeleteGroup(error) => format!("delete-group {}", error_name(*error)),
        Reply::ForgetTopics { offsets } => format!("forget {offsets} offsets"),
    }
}

fn told_fetched(topic: &FetchedTopic, part: &FetchedPartition) -> String {
    assert_eq!(part.error, ErrorCode::None);
    let epoch = if part.leader_epoch == -1 {
        String::new()
    } else {
        format!("@{}", part.leader_epoch)
    };
    let metadata = if part.metadata.is_empty() {
        String::new()
    } else {
        format!(":{}", part.metadata)
    };
    format!(
        " {}-{}={}{epoch}{metadata}",
        topic.topic, part.partition, part.offset
    )
}

fn told_joined(joined: &Joined) -> String {
    let id = &joined.member_id;
    if joined.error != ErrorCode::None {
        assert_eq!((joined.generation_id, &*joined.leader), (-1, ""));
        assert!(joined.members.is_empty() && joined.protocol_name.is_none());
        return format!("join {} id={id}", error_name(joined.error));
    }
    let member = |member: &JoinedMember| {
        let instance = instance(member.group_instance_id.as_ref());
        format!("{}{instance}:{}", member.member_id, text(&member.metadata))
    };
    let members: Vec<String> = joined.members.iter().map(member).collect();
    format!(
        "joined gen={} {}/{} leader={} id={id}{}{}",
        joined.generation_id,
        joined.protocol_type.as_deref().unwrap_or("-"),
        joined.protocol_name.as_deref().unwrap_or("-"),
        joined.leader,
        if joined.skip_assignment { " skip" } else { "" },
        if members.is_empty() {
            String::new()
        } else {
            format!(" [{}]", members.join(" "))
        },
    )
}

fn told_described(described: &DescribedGroup) -> String {
    if described.error != ErrorCode::None {
        let message = described.error_message.as_deref().unwrap_or("-");
        return format!(
            "describe {} {}: {message}",
            error_name(described.error),
            described.state
        );
    }
    let member = |member: &DescribedMember| {
        let instance = instance(member.group_instance_id.as_ref());
        let (metadata, assignment) = (text(&member.metadata), text(&member.assignment));
        let (client, host) = (&member.client_id, &member.client_host);
        format!(
            " {}{instance}({client}{host} '{metadata}' '{assignment}')",
            member.member_id
        )
    };
    let members: String = described.members.iter().map(member).collect();
    let (kind, protocol) = (&described.protocol_type, &described.protocol);
    format!(
        "describe {} {} {kind}/{protocol}{members}",
        described.group_id, described.state
    )
}
