//! InitProducerId (key 22, versions 0 to 5, KIP-98 and KIP-360): an id for an idempotent producer.
//!
//! Without a transactional id every call gets a new id with epoch 0, as in Kafka, also when the
//! producer names the id it had. Transactions are not served yet: a transactional id is refused
//! with INVALID_REQUEST.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::step::Step;
use super::view::View;

pub(super) fn handle(_: &View, context: &Context, request: InitProducerIdRequest) -> Step {
    // An id without an epoch, or the other way round, is nothing (Kafka's `KafkaApis`).
    let half_named = (request.producer_id.0 == -1) != (request.producer_epoch == -1);
    if request.transactional_id.is_some() || half_named {
        return context.reply(&refused(ErrorCode::InvalidRequest));
    }
    let context = context.clone();
    Step::ProducerId(Box::new(move |_, id| match id {
        Ok(id) => {
            let response = InitProducerIdResponse::default();
            context.reply(
                &response
                    .with_producer_id(ProducerId(id))
                    .with_producer_epoch(0),
            )
        }
        Err(error) => {
            tracing::warn!(%error, "no producer id");
            context.reply(&refused(ErrorCode::CoordinatorNotAvailable))
        }
    }))
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(code(error))
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

impl ErrorCodes for InitProducerIdResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}
