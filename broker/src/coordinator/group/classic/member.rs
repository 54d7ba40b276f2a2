//! A member of a classic group.

use std::sync::Arc;

use bytes::Bytes;

use super::super::command::{InstanceId, JoinGroup, MemberId};
use crate::coordinator::ReplyToken;

/// A member of a classic group, with the calls of it that wait for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub member_id: MemberId,
    /// Set for a static member.
    pub group_instance_id: Option<InstanceId>,
    /// The client id it joined with.
    pub client_id: Arc<str>,
    /// The address it joined from.
    pub client_host: Arc<str>,
    /// How long a rebalance waits for it, in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// The protocols it supports with its metadata for each, best first. After a restart only the
    /// group's chosen protocol is known.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// What the leader gave it; empty before that.
    pub assignment: Bytes,
    /// Its parked JoinGroup call.
    pub(in super::super) join: Option<ReplyToken>,
    /// Its parked SyncGroup call.
    pub(in super::super) sync: Option<ReplyToken>,
    /// It has not been through a completed join phase: it may not know its id and can send no
    /// heartbeats, so its parked call does not count as a sign of life for ever.
    pub(in super::super) is_new: bool,
}

impl Member {
    /// The member that `request` brings, under the id `member_id`.
    pub(super) fn from_request(member_id: MemberId, request: &JoinGroup) -> Self {
        Self {
            member_id,
            group_instance_id: request.group_instance_id.clone(),
            client_id: request.client_id.clone(),
            client_host: request.client_host.clone(),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: owned_protocols(request),
            assignment: Bytes::new(),
            join: None,
            sync: None,
            is_new: false,
        }
    }

    /// Takes over what a rejoining member may change.
    pub(super) fn update(&mut self, request: &JoinGroup) {
        self.protocols = owned_protocols(request);
        self.rebalance_timeout_ms = request.rebalance_timeout_ms;
        self.session_timeout_ms = request.session_timeout_ms;
    }

    /// Its metadata for a protocol; empty when it does not support it.
    pub fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self
            .protocols
            .iter()
            .find(|(name, _)| Some(name.as_ref()) == protocol);
        found
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default()
    }

    /// Whether it supports a protocol.
    pub fn supports(&self, protocol: &str) -> bool {
        self.protocols
            .iter()
            .any(|(name, _)| name.as_ref() == protocol)
    }

    /// Whether a parked call proves that it is alive.
    pub(super) fn is_alive_by_waiting(&self) -> bool {
        !self.is_new && (self.join.is_some() || self.sync.is_some())
    }
}

/// Copies the metadata: a slice of the request would keep the connection's whole read buffer in
/// memory for as long as the member lives.
fn owned_protocols(request: &JoinGroup) -> Vec<(Arc<str>, Bytes)> {
    let copy =
        |(name, metadata): &(Arc<str>, Bytes)| (name.clone(), Bytes::copy_from_slice(metadata));
    request.protocols.iter().map(copy).collect()
}
