//! Kafka's coordinator of one classic group, as far as members can tell.

use super::*;

/// Who is to get an answer: the actor, which of its lives, and the ticket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) actor: usize,
    pub(super) life: u32,
    pub(super) ticket: u64,
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Joined(Joined),
    Share(Bytes),
    Beaten,
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    Empty,
    /// Waits for everybody to join, until then.
    Preparing(u64),
    /// Waits for the leader's assignment, until then.
    Completing(u64),
    Stable,
}

#[derive(Clone, Debug)]
struct Seat {
    instance: Option<String>,
    data: Bytes,
    join: Option<Asker>,
    sync: Option<Asker>,
    expires: u64,
    share: Bytes,
}

#[derive(Clone)]
struct State {
    phase: Phase,
    generation: i32,
    seats: BTreeMap<String, Seat>,
    leader: String,
}

pub(super) struct Coordinator {
    protocol: &'static str,
    state: State,
    /// As of the last assignment: what a coordinator that takes over finds.
    written: State,
    /// Ids that were given and not used yet, and until when.
    pending: BTreeMap<String, u64>,
    ids: u32,
    pub(super) answers: Vec<(Asker, Answer)>,
    /// Members that it does not count on any more.
    pub(super) thrown_out: Vec<String>,
}

impl Coordinator {
    pub(super) fn new(protocol: &'static str) -> Self {
        let state = State {
            phase: Phase::Empty,
            generation: 0,
            seats: BTreeMap::new(),
            leader: String::new(),
        };
        Self {
            protocol,
            written: state.clone(),
            state,
            pending: BTreeMap::new(),
            ids: 0,
            answers: Vec::new(),
            thrown_out: Vec::new(),
        }
    }

    pub(super) fn is_settled(&self, id: &str, generation: i32) -> bool {
        let state = &self.state;
        state.phase == Phase::Stable
            && state.generation == generation
            && state.seats.contains_key(id)
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.state.phase
    }

    fn say(&mut self, to: Option<Asker>, answer: Answer) {
        if let Some(to) = to {
            self.answers.push((to, answer));
        }
    }

    fn refuse(&mut self, to: Option<Asker>, code: ErrorCode) {
        self.say(to, Answer::Failed(Failure::Code(code)));
    }

    fn new_id(&mut self) -> String {
        self.ids += 1;
        format!("m{:03}", self.ids)
    }

    /// Another broker takes over.
    pub(super) fn move_away(&mut self, now: u64) {
        let mut waiting: Vec<Asker> = Vec::new();
        for seat in self.state.seats.values_mut() {
            waiting.extend(seat.join.take());
            waiting.extend(seat.sync.take());
        }
        for to in waiting {
            self.refuse(Some(to), ErrorCode::NotCoordinator);
        }
        let known: Vec<String> = self.state.seats.keys().cloned().collect();
        self.state = self.written.clone();
        self.pending.clear();
        for seat in self.state.seats.values_mut() {
            (seat.join, seat.sync) = (None, None);
            seat.expires = now + SESSION;
        }
        let forgotten = known
            .into_iter()
            .filter(|id| !self.state.seats.contains_key(id));
        self.thrown_out.extend(forgotten);
    }

    pub(super) fn take(&mut self, now: u64, from: Asker, instance: Option<&str>, call: &Call) {
        let from = Some(from);
        match call {
            Call::Join(_, join) => self.join(now, from, instance, join),
            Call::Sync(_, sync) => match self.check(&sync.identity) {
                Err(code) => self.refuse(from, code),
                Ok(()) => self.sync(now, from, sync),
            },
            Call::Heartbeat(_, identity) => match self.check(identity) {
                Err(code) => self.refuse(from, code),
                Ok(()) => {
                    if let Some(seat) = self.state.seats.get_mut(&identity.member_id) {
                        seat.expires = now + SESSION;
                    }
                    match self.state.phase {
                        Phase::Preparing(_) => self.refuse(from, ErrorCode::RebalanceInProgress),
                        _ => self.say(from, Answer::Beaten),
                    }
                }
            },
            Call::Leave { member_id, .. } => {
                self.pending.remove(member_id);
                self.remove(now, member_id);
                self.complete_if_all_are_here(now);
            }
        }
    }

    fn check(&self, identity: &CommitIdentity) -> Result<(), ErrorCode> {
        self.check_instance(identity.instance_id.as_deref(), &identity.member_id)?;
        if !self.state.seats.contains_key(&identity.member_id) {
            return Err(ErrorCode::UnknownMemberId);
        }
        match identity.generation == self.state.generation {
            true => Ok(()),
            false => Err(ErrorCode::IllegalGeneration),
        }
    }

    fn check_instance(&self, instance: Option<&str>, id: &str) -> Result<(), ErrorCode> {
        match self.seat_of(instance) {
            Some(known) if known != id => Err(ErrorCode::FencedInstanceId),
            _ => Ok(()),
        }
    }

    fn seat_of(&self, instance: Option<&str>) -> Option<String> {
        let instance = instance?;
        let mut seats = self.state.seats.iter();
        let found = seats.find(|(_, seat)| seat.instance.as_deref() == Some(instance));
        found.map(|(id, _)| id.clone())
    }

    fn join(&mut self, now: u64, from: Option<Asker>, instance: Option<&str>, join: &Join) {
        let data = join.protocols[0].1.clone();
        let id = join.member_id.clone();
        if id.is_empty() {
            let id = self.new_id();
            if instance.is_none() {
                self.pending.insert(id.clone(), now + SESSION);
                return self.say(from, Answer::Failed(Failure::MemberId(id)));
            }
            let Some(old) = self.seat_of(instance) else {
                return self.seat(now, from, id, instance, data);
            };
            return self.come_back(now, from, &old, id, data);
        }
        if let Err(code) = self.check_instance(instance, &id) {
            return self.refuse(from, code);
        }
        if self.pending.remove(&id).is_some() {
            return self.seat(now, from, id, instance, data);
        }
        let Some(seat) = self.state.seats.get_mut(&id) else {
            return self.refuse(from, ErrorCode::UnknownMemberId);
        };
        let same = seat.data == data;
        seat.data = data;
        seat.expires = now + SESSION;
        let leads = self.state.leader == id;
        match self.state.phase {
            Phase::Stable if same && !leads => self.tell(from, &id, false),
            Phase::Completing(_) if same => self.tell(from, &id, false),
            _ => self.wait_for_all(now, from, &id),
        }
    }

    fn seat(
        &mut self,
        now: u64,
        from: Option<Asker>,
        id: String,
        instance: Option<&str>,
        data: Bytes,
    ) {
        let seat = Seat {
            instance: instance.map(str::to_owned),
            data,
            join: None,
            sync: None,
            expires: now + SESSION,
            share: Bytes::new(),
        };
        self.state.seats.insert(id.clone(), seat);
        self.wait_for_all(now, from, &id);
    }

    /// A static member is back, under another id.
    fn come_back(&mut self, now: u64, from: Option<Asker>, old: &str, id: String, data: Bytes) {
        let Some(mut seat) = self.state.seats.remove(old) else {
            return;
        };
        self.thrown_out.push(old.to_owned());
        for waits in [seat.join.take(), seat.sync.take()] {
            self.refuse(waits, ErrorCode::FencedInstanceId);
        }
        seat.data = data;
        seat.expires = now + SESSION;
        self.state.seats.insert(id.clone(), seat);
        if self.state.leader == old {
            self.state.leader.clone_from(&id);
        }
        match self.state.phase {
            Phase::Stable => {
                let leads = self.state.leader == id;
                self.tell(from, &id, leads);
                self.written = self.state.clone();
            }
            _ => self.wait_for_all(now, from, &id),
        }
    }

    fn wait_for_all(&mut self, now: u64, from: Option<Asker>, id: &str) {
        self.prepare(now);
        if let Some(seat) = self.state.seats.get_mut(id) {
            seat.join = from;
        }
        self.complete_if_all_are_here(now);
    }

    fn prepare(&mut self, now: u64) {
        if matches!(self.state.phase, Phase::Preparing(_)) {
            return;
        }
        let seats = self.state.seats.values_mut();
        let waiting: Vec<_> = seats.filter_map(|seat| seat.sync.take()).collect();
        for to in waiting {
            self.refuse(Some(to), ErrorCode::RebalanceInProgress);
        }
        self.state.phase = Phase::Preparing(now + POLL);
    }

    fn remove(&mut self, now: u64, id: &str) {
        let Some(seat) = self.state.seats.remove(id) else {
            return;
        };
        self.thrown_out.push(id.to_owned());
        for waits in [seat.join, seat.sync] {
            self.refuse(waits, ErrorCode::UnknownMemberId);
        }
        self.prepare(now);
    }

    /// Time passes.
    pub(super) fn tick(&mut self, now: u64) {
        self.pending.retain(|_, until| *until > now);
        let silent =
            self.state.seats.iter().filter(|(_, seat)| {
                seat.join.is_none() && seat.sync.is_none() && seat.expires <= now
            });
        let silent: Vec<String> = silent.map(|(id, _)| id.clone()).collect();
        for id in silent {
            self.remove(now, &id);
        }
        match self.state.phase {
            Phase::Completing(until) if until <= now => {
                let late = self
                    .state
                    .seats
                    .iter()
                    .filter(|(_, seat)| seat.sync.is_none());
                let late: Vec<String> = late.map(|(id, _)| id.clone()).collect();
                for id in late {
                    self.remove(now, &id);
                }
            }
            Phase::Preparing(until) if until <= now => self.complete(now),
            _ => {}
        }
        self.complete_if_all_are_here(now);
    }

    fn complete_if_all_are_here(&mut self, now: u64) {
        let here = self.state.seats.values().all(|seat| seat.join.is_some());
        if matches!(self.state.phase, Phase::Preparing(_)) && here && self.pending.is_empty() {
            self.complete(now);
        }
    }

    fn complete(&mut self, now: u64) {
        // Static members that have not joined keep their seats for their session.
        let absent = self
            .state
            .seats
            .iter()
            .filter(|(_, seat)| seat.join.is_none());
        let absent: Vec<_> = absent
            .map(|(id, seat)| (id.clone(), seat.instance.is_some()))
            .collect();
        for (id, is_static) in absent {
            self.thrown_out.push(id.clone());
            if !is_static {
                self.state.seats.remove(&id);
            }
        }
        let mut here = self
            .state
            .seats
            .iter()
            .filter(|(_, seat)| seat.join.is_some());
        let leads = |id: &String| *id == self.state.leader;
        let first = here.clone().map(|(id, _)| id).next();
        let leader = here.find(|(id, _)| leads(id)).map(|(id, _)| id).or(first);
        let Some(leader) = leader.cloned() else {
            self.state.phase = match self.state.seats.is_empty() {
                true => Phase::Empty,
                false => Phase::Preparing(now + POLL),
            };
            return;
        };
        self.state.leader = leader;
        self.state.generation += 1;
        self.state.phase = Phase::Completing(now + POLL);
        let mut waiting = Vec::new();
        for (id, seat) in &mut self.state.seats {
            seat.expires = now + SESSION;
            seat.share = Bytes::new();
            waiting.extend(seat.join.take().map(|to| (id.clone(), to)));
        }
        for (id, to) in waiting {
            self.tell(Some(to), &id, false);
        }
    }

    /// What has come of the join.
    fn tell(&mut self, to: Option<Asker>, id: &str, skip_assignment: bool) {
        let members = self.state.seats.iter();
        let members =
            members.map(|(id, seat)| (id.clone(), seat.instance.clone(), seat.data.clone()));
        let members = match self.state.leader == id {
            true => members.collect(),
            false => Vec::new(),
        };
        let joined = Joined {
            member_id: id.to_owned(),
            generation: self.state.generation,
            leader: self.state.leader.clone(),
            protocol: self.protocol.to_owned(),
            skip_assignment,
            members,
        };
        self.say(to, Answer::Joined(joined));
    }

    fn sync(&mut self, now: u64, from: Option<Asker>, sync: &Sync) {
        let id = &sync.identity.member_id;
        let Some(seat) = self.state.seats.get_mut(id) else {
            return;
        };
        seat.expires = now + SESSION;
        match self.state.phase {
            Phase::Stable => {
                let share = seat.share.clone();
                self.say(from, Answer::Share(share));
            }
            Phase::Completing(_) => {
                seat.sync = from;
                if self.state.leader == *id {
                    self.hand_out(now, &sync.assignments);
                }
            }
            _ => self.refuse(from, ErrorCode::RebalanceInProgress),
        }
    }

    fn hand_out(&mut self, now: u64, shares: &[(String, Bytes)]) {
        let shares: BTreeMap<&String, &Bytes> =
            shares.iter().map(|(id, share)| (id, share)).collect();
        self.state.phase = Phase::Stable;
        let mut answers = Vec::new();
        for (id, seat) in &mut self.state.seats {
            seat.share = shares
                .get(id)
                .map(|share| (*share).clone())
                .unwrap_or_default();
            seat.expires = now + SESSION;
            answers.extend(
                seat.sync
                    .take()
                    .map(|to| (to, Answer::Share(seat.share.clone()))),
            );
        }
        self.answers.append(&mut answers);
        self.written = self.state.clone();
    }
}
