//! Gives out producer ids (Kafka's `ProducerIdControlManager`).

use super::CatalogMachine;
use crate::catalog::command::{ErrorCode, ProducerIdBlock, Refusal, Reply};
use crate::catalog::records::{ProducerIdsRecord, Record};

impl CatalogMachine {
    pub(super) fn allocate_producer_ids(&self, count: i32) -> (Vec<Record>, Reply) {
        let first = self.image.next_producer_id();
        let next = first.0.checked_add(i64::from(count)).filter(|_| count > 0);
        let Some(next_producer_id) = next else {
            let refusal = Refusal::bare(ErrorCode::UnknownServerError);
            return (Vec::new(), Reply::ProducerIds(Err(refusal)));
        };
        let broker = self.image.broker(self.node_id);
        let record = ProducerIdsRecord {
            broker_id: self.node_id,
            broker_epoch: broker.map_or(-1, |broker| broker.broker_epoch),
            next_producer_id,
        };
        (
            vec![record.into()],
            Reply::ProducerIds(Ok(ProducerIdBlock { first, count })),
        )
    }
}
