//! Clients that follow the protocol, at random speed, in several groups at once.
//!
//! Whatever they do and whenever they do it, a client that is in time never hears that it is
//! unknown or late (rule 50), and once everybody is quiet all groups are stable and everybody has
//! the assignment of the last generation.

use bytes::Bytes;

use super::super::command::*;
use super::super::*;
use super::lives::Random;
use super::story::{Stage, error_name};

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Join,
    Sync,
    Beat,
    /// It waits for an answer.
    Wait,
}

#[derive(Debug)]
struct Client {
    name: String,
    group_id: GroupId,
    instance_id: Option<InstanceId>,
    member_id: MemberId,
    generation: i32,
    /// The members it has to give an assignment to, when it leads.
    members: Vec<MemberId>,
    assignment: Bytes,
    /// Changes when it subscribes anew.
    metadata: u64,
    version: i16,
    step: Step,
    at: u64,
}

const SESSION_TIMEOUT_MS: i32 = 10_000;
const REBALANCE_TIMEOUT_MS: i32 = 30_000;
/// Clients act after at most this, far below both timeouts.
const MAX_PAUSE_MS: u64 = 3_000;

struct World {
    stage: Stage,
    clients: Vec<Client>,
    random: Random,
    seed: u64,
    ids: u64,
}

#[test]
fn rule_50_a_member_that_is_in_time_is_never_unknown() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..200 {
            world.step(true);
        }
        let quiet_from = world.stage.now + 120_000;
        while world.stage.now < quiet_from {
            world.step(false);
        }
        world.check_stable();
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let config = GroupConfig {
            initial_rebalance_delay_ms: [0, 3_000][random.below(2) as usize],
            ..GroupConfig::default()
        };
        let client = |index: u64, random: &mut Random| Client {
            name: format!("client{index}"),
            group_id: format!("group{}", index % 3).into(),
            instance_id: random.chance(4).then(|| format!("instance{index}").into()),
            member_id: "".into(),
            generation: -1,
            members: Vec::new(),
            assignment: Bytes::new(),
            metadata: 0,
            version: [3, 8, 9][random.below(3) as usize],
            step: Step::Join,
            at: random.below(MAX_PAUSE_MS),
        };
        let clients = (0..9).map(|index| client(index, &mut random)).collect();
        Self {
            stage: Stage::new(config),
            clients,
            random,
            seed,
            ids: 0,
        }
    }

    /// The next client in time acts; with `restless`, it may do something out of turn.
    fn step(&mut self, restless: bool) {
        let next = self
            .clients
            .iter()
            .enumerate()
            .filter(|(_, client)| client.step != Step::Wait)
            .map(|(index, client)| (client.at, index))
            .min();
        let Some((at, index)) = next else {
            // Everybody waits for an answer: only a timer can bring one.
            let timer = self
                .stage
                .timers
                .values()
                .min()
                .expect("every wait has an end")
                .0;
            self.stage.advance_to(timer);
            return self.take_answers();
        };
        self.stage.advance_to(at.max(self.stage.now));
        self.take_answers();
        // The time that has passed may have changed what it wants to do.
        if self.clients[index].step != Step::Wait && self.clients[index].at <= self.stage.now {
            if restless {
                self.disturb(index);
            }
            self.act(index);
            self.take_answers();
        }
    }

    /// Lets a member that only sends heartbeats subscribe anew, leave, crash or restart.
    fn disturb(&mut self, index: usize) {
        let Self {
            clients,
            random,
            stage,
            ..
        } = self;
        let client = &mut clients[index];
        if client.step != Step::Beat || !random.chance(4) {
            return;
        }
        match random.below(4) {
            0 => {
                client.metadata += 1;
                client.step = Step::Join;
            }
            1 => client.step = Step::Join,
            2 if client.instance_id.is_some() => {
                // A static member restarts: it has forgotten its member id.
                client.member_id = "".into();
                client.step = Step::Join;
            }
            _ => {
                let member_id = client.member_id.clone();
                let member = LeavingMember {
                    member_id,
                    group_instance_id: None,
                    reason: None,
                };
                let leave = LeaveGroup {
                    group_id: client.group_id.clone(),
                    members: vec![member],
                };
                stage.call(&client.name, Command::Leave(leave));
                client.member_id = "".into();
                client.step = Step::Join;
            }
        }
    }

    fn act(&mut self, index: usize) {
        self.ids += 1;
        let client = &mut self.clients[index];
        let command = match client.step {
            Step::Join => client.join(self.ids),
            Step::Sync => client.sync(),
            Step::Beat if self.random.chance(3) => client.commit(),
            Step::Beat => client.beat(),
            Step::Wait => return,
        };
        client.step = Step::Wait;
        self.stage.call(&client.name, command);
    }

    fn take_answers(&mut self) {
        for (name, reply) in std::mem::take(&mut self.stage.answers) {
            let now = self.stage.now;
            let pause = self.random.below(MAX_PAUSE_MS);
            let client = self.clients.iter_mut().find(|client| client.name == name);
            let client = client.expect("answers go to clients");
            client.at = now + pause;
            if let Err(error) = client.hear(reply) {
                let (name, seed) = (error_name(error), self.seed);
                panic!(
                    "seed {seed}: a live member is told {name}: {client:?}\n{}",
                    self.stage.told
                );
            }
        }
    }

    fn check_stable(&self) {
        let seed = self.seed;
        for group in self.stage.machine.groups() {
            assert_eq!(group.state(), GroupState::Stable, "seed {seed}: {group:?}");
        }
        for client in &self.clients {
            let group = self
                .stage
                .machine
                .group(&client.group_id)
                .expect("it has members");
            let member = group
                .members
                .get(&client.member_id)
                .expect("every client is a member");
            assert_eq!(
                client.generation,
                group.generation(),
                "seed {seed}: {client:?}"
            );
            assert_eq!(
                client.assignment, member.assignment,
                "seed {seed}: {client:?}"
            );
            assert!(!client.assignment.is_empty(), "seed {seed}: {client:?}");
        }
    }
}

impl Client {
    fn join(&self, id: u64) -> Command {
        let prefix = self.instance_id.as_deref().unwrap_or(&self.name);
        let metadata = Bytes::from(self.metadata.to_string());
        Command::Join(JoinGroup {
            group_id: self.group_id.clone(),
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: "consumer".into(),
            protocols: vec![
                ("range".into(), metadata.clone()),
                ("sticky".into(), metadata),
            ],
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            client_id: self.name.as_str().into(),
            client_host: "/127.0.0.1".into(),
            require_known_member_id: self.version >= 4,
            supports_skipping_assignment: self.version >= 9,
            reason: None,
            generated_member_id: format!("{prefix}-{id}").into(),
        })
    }

    fn sync(&self) -> Command {
        let part = |member_id: &MemberId| {
            (
                member_id.clone(),
                Bytes::from(format!("{member_id} in {}", self.generation)),
            )
        };
        Command::Sync(SyncGroup {
            group_id: self.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: self.members.iter().map(part).collect(),
        })
    }

    fn beat(&self) -> Command {
        Command::Heartbeat(Heartbeat {
            group_id: self.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
        })
    }

    fn commit(&self) -> Command {
        let partition = CommitPartition {
            partition: 0,
            offset: 1,
            leader_epoch: -1,
            metadata: None,
        };
        let topic = CommitTopic {
            topic: "t".into(),
            topic_id: uuid::Uuid::nil(),
            partitions: vec![partition],
        };
        Command::CommitOffsets(CommitOffsets {
            group_id: self.group_id.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            group_instance_id: self.instance_id.clone(),
            retention_time_ms: -1,
            expects_group_id_not_found: true,
            topics: vec![topic],
        })
    }

    /// Follows an answer, as consumers do.
    fn hear(&mut self, reply: Reply) -> Result<(), ErrorCode> {
        let error = match reply {
            Reply::Join(joined) => return self.hear_joined(joined),
            Reply::Sync(synced) => {
                self.assignment = synced.assignment;
                synced.error
            }
            Reply::Heartbeat(error) => error,
            Reply::CommitOffsets(topics) => topics[0].partitions[0].1,
            Reply::Leave(left) => {
                return match left.members[0].error {
                    ErrorCode::None => Ok(()),
                    error => Err(error),
                };
            }
            other => panic!("nobody asked for {other:?}"),
        };
        self.step = match error {
            ErrorCode::None => Step::Beat,
            ErrorCode::RebalanceInProgress => Step::Join,
            error => return Err(error),
        };
        Ok(())
    }

    fn hear_joined(&mut self, joined: Joined) -> Result<(), ErrorCode> {
        match joined.error {
            ErrorCode::MemberIdRequired => {
                self.member_id = joined.member_id;
                self.step = Step::Join;
            }
            ErrorCode::None => {
                let leads = joined.leader == joined.member_id && !joined.skip_assignment;
                assert_eq!(!joined.members.is_empty(), leads || joined.skip_assignment);
                self.members = joined
                    .members
                    .into_iter()
                    .map(|member| member.member_id)
                    .collect();
                self.member_id = joined.member_id;
                self.generation = joined.generation_id;
                self.step = Step::Sync;
            }
            error => return Err(error),
        }
        Ok(())
    }
}
