//! A member that leads its group shares the partitions out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{Joined, Membership};
use crate::consumer::assignor::Member;
use crate::consumer::protocol::{Subscription, encode_assignment};

impl Membership {
    /// The topics whose partitions the leader has to know, of an answer that makes it leader.
    pub(crate) fn topics_of(joined: &Joined) -> BTreeSet<Arc<str>> {
        let told = joined
            .members
            .iter()
            .filter_map(|(_, _, data)| Subscription::decode(data));
        told.flat_map(|subscription| subscription.topics).collect()
    }

    pub(super) fn share_out(
        &self,
        joined: &Joined,
        counts: &BTreeMap<Arc<str>, i32>,
    ) -> Result<Vec<(String, Bytes)>, String> {
        let assignor = self
            .settings
            .assignors
            .iter()
            .find(|assignor| assignor.name() == joined.protocol)
            .ok_or_else(|| format!("the group chose the assignor {:?}", joined.protocol))?;
        let members = joined.members.iter().map(|(id, instance, data)| {
            // One that cannot be understood gets nothing, and the others their share.
            let told = Subscription::decode(data).unwrap_or_default();
            let member = Member {
                topics: told.topics,
                owned: told.owned,
                generation: told.generation,
                user_data: told.user_data,
                instance_id: instance.clone(),
            };
            (id.clone(), member)
        });
        let shared = assignor.assign(counts, &members.collect());
        shared
            .into_iter()
            .map(|(id, partitions)| {
                let bytes = encode_assignment(&partitions);
                bytes
                    .map(|bytes| (id, bytes))
                    .ok_or_else(|| "an assignment does not fit the protocol".to_owned())
            })
            .collect()
    }
}
