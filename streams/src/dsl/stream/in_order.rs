//! Streams in the order of event time.

use std::sync::Arc;
use std::time::Duration;

use super::Stream;
use crate::data::Data;
use crate::operator::in_order::in_order;
use crate::operator::portions::InPortions;
use crate::state::BufferStore;
use crate::time::{EventTime, millis};
use crate::topology::{Changelog, Edge, Make, Node, NodeKind, StoreSpec};

impl<K: Data, V: Data> Stream<K, V> {
    /// The stream in the order of event time: each record waits until the watermark, or stream time,
    /// has come to its timestamp and `wait` further. Records that come later than that go on at once,
    /// out of order.
    ///
    /// In front of a join with a [`crate::Table::versioned`] table it makes that one's changes be
    /// there in time, whatever the topics' records come in: with the watermark and no `wait`, the
    /// result is the same every time (Flink: temporal join; Kafka: a join with a grace period,
    /// KIP-923).
    #[must_use]
    pub fn in_order(&self, wait: Duration, time: EventTime) -> Self {
        let plan = &self.plan;
        let wait = millis(wait);
        let name = plan.unused_name(&format!("{}.in_order", plan.name(self.from.node)));
        let by_watermark = (time == EventTime::Watermark).then_some(wait);
        let store = plan.add_store(StoreSpec {
            name: name.clone(),
            make: Arc::new(move |seed| Box::new(BufferStore::<V>::new(seed, by_watermark, false))),
            holds: StoreSpec::holds::<K, V>("records"),
            changelog: Some(Changelog::Windows),
            reads: None,
        });
        let make = Make::Operator(Arc::new(move |cx| {
            let store = cx.store(store);
            let operator = in_order::<K, V>(name.clone(), wait, time, store);
            Box::new(InPortions::new(operator))
        }));
        let mut new = Node::new("in_order", NodeKind::Wait, make)
            .input(self.from)
            .output::<K, V>()
            .store(store);
        if let Some(wait) = by_watermark {
            new = new.keeps_time::<K, V>().holds_back(wait);
        }
        let node = plan.add(new);
        Self::new(plan.clone(), Edge { node, port: 0 }).with_key_changed(self.key_changed)
    }
}
