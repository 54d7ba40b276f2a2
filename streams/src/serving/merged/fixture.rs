//! An instance as tests need it, without a cluster.

use std::sync::Arc;

use super::{Live, Site};
use crate::data::{Data, Payload};
use crate::record::Headers;
use crate::serving::aggregate::Aggregate;
use crate::serving::kept::Kept;
use crate::serving::lambda::SourceTopic;
use crate::serving::speed::cut_rule::CutRule;
use crate::serving::speed::segments::Segments;
use crate::serving::view::{Raw, Scratch, View};

const NOW: CutRule = CutRule {
    every: 0,
    records: 0,
};

/// An instance that has read these records, by partition, of the view's only topic. The first half of each
/// partition is in a segment that does not change any more.
pub(crate) fn site_of<K: Data, A: Aggregate>(
    view: View<K, A>,
    partitions: &[Vec<Vec<u8>>],
) -> Arc<Site<K, A>> {
    let site = Site::new(Arc::new(view), 2);
    site.set_sources(vec![SourceTopic {
        id: "1".to_owned(),
        partitions: partitions.len() as i32,
    }]);
    for (partition, records) in (0..).zip(partitions) {
        let segments = segments_of(&site.view, partition, records);
        let live = Live::new(segments, Arc::clone(&site.changed));
        site.enter((0, partition), Arc::new(live), 0).unwrap();
    }
    Arc::new(site)
}

fn segments_of<K: Data, A: Aggregate>(
    view: &View<K, A>,
    partition: i32,
    records: &[Vec<u8>],
) -> Segments<Kept<A::State>> {
    let aggregate = view.aggregate();
    let mut segments = Segments::new(0, 1, 0);
    let mut scratch = Scratch::default();
    for (offset, value) in (0..).zip(records) {
        let raw = Raw {
            partition,
            offset,
            timestamp: 0,
            key: Payload::new(None),
            value: Payload::new(Some(value)),
            headers: Headers::default(),
        };
        segments.record(offset, |adding| {
            let read = view.read(0, &raw, &mut scratch, |name, place, event| {
                adding.add(name, place.time, |state| {
                    let state = state.get_or_insert_with(|| Kept(aggregate.empty()));
                    aggregate.add(event, place, &mut state.0);
                });
            });
            read.unwrap();
        });
        if offset as usize == records.len() / 2 {
            segments.cut_if_due(&NOW, 0);
        }
    }
    segments
}
