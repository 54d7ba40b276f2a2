//! The speed layer as a topology: each source topic is read by its offsets into segments.

use std::sync::Arc;

use super::cut_rule::CutRule;
use super::operator::Segmenter;
use super::store::SegmentStore;
use crate::data::Data;
use crate::dsl::{Consumed, StreamsBuilder};
use crate::error::StreamsError;
use crate::operator::source::{Undecided, Undecoded};
use crate::serving::aggregate::Aggregate;
use crate::serving::merged::Site;
use crate::topology::{Changelog, Make, Node, NodeKind, StoreSpec, Topology};

/// What keeps a view between snapshots; the site is given the segments of its tasks.
pub(crate) fn topology<K: Data, A: Aggregate>(
    site: &Arc<Site<K, A>>,
    rule: CutRule,
) -> Result<Topology, StreamsError> {
    let builder = StreamsBuilder::new();
    let topics: Vec<String> = site.view.topics().map(str::to_owned).collect();
    for (number, topic) in topics.iter().enumerate() {
        let consumed = Consumed::<(), Undecided>::undecoded(Arc::new(Undecoded));
        let stream = builder.stream_with([&**topic], consumed);
        let plan = builder.plan();
        let changed = Arc::clone(&site.changed);
        let store = plan.add_store(StoreSpec {
            name: format!("{topic}.segments"),
            make: Arc::new(move |seed| {
                let changed = Arc::clone(&changed);
                Box::new(SegmentStore::<A::State>::new(seed, rule, changed))
            }),
            holds: site.view.definition(),
            changelog: Some(Changelog::Windows),
            reads: None,
        });
        let site = Arc::clone(site);
        let make = Make::Operator(Arc::new(move |cx| {
            let part = (number, cx.partition as i32);
            Box::new(Segmenter::new(Arc::clone(&site), part, cx.store(store)))
        }));
        let node = Node::new("segments", NodeKind::Aggregate, make)
            .input(stream.from)
            .store(store)
            .keeps_time::<(), Undecided>()
            .keeps_place();
        plan.add(node);
    }
    builder.build()
}
