//! What the admin APIs share: refusals as the wire carries them, and answers of the catalog that
//! did not come.

use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::context::code;
use crate::catalog::command::{Refusal, Reply};
use crate::coordinator::runtime::Failure;

/// The results that the catalog's answer holds, or why there are none. `pick` takes them out of
/// the kind of reply that belongs to the command.
pub(super) fn results<T>(
    answer: Result<Reply, Failure>,
    pick: impl FnOnce(Reply) -> Option<T>,
) -> Result<T, Refusal> {
    let reply = answer.map_err(|error| failed(&error))?;
    pick(reply).ok_or_else(|| {
        let text = "The catalog answered something else than it was asked.";
        Refusal::new(ErrorCode::UnknownServerError, text)
    })
}

/// As [`results`], for an answer that was waited for no longer than the request allows; `None` is
/// one that had not come by then.
pub(super) fn results_in_time<T>(
    answer: Option<Result<Reply, Failure>>,
    pick: impl FnOnce(Reply) -> Option<T>,
) -> Result<T, Refusal> {
    match answer {
        Some(answer) => results(answer, pick),
        // What was asked for may still happen, as in Kafka: only the waiting is over.
        None => Err(Refusal::bare(ErrorCode::RequestTimedOut)),
    }
}

/// The catalog's log cannot be written, or the broker is stopping: the client may try again. Or it
/// has asked for too much at once.
fn failed(error: &Failure) -> Refusal {
    let code = match error {
        Failure::Unavailable(_) => ErrorCode::KafkaStorageError,
        Failure::TooLarge { .. } => ErrorCode::PolicyViolation,
    };
    Refusal::new(code, error.to_string())
}

/// Error code and text of a result; NONE and null if it is none.
pub(super) fn wire<T>(result: &Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(_) => (code(ErrorCode::None), None),
        Err(refusal) => {
            let text = refusal.message.clone().map(StrBytes::from_string);
            (code(refusal.code), text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::runtime::Unavailable;

    fn check(answer: Option<Result<Reply, Failure>>, expected: Result<i64, ErrorCode>) {
        let picked = results_in_time(answer, |reply| match reply {
            Reply::BrokerRegistered(epoch) => epoch.ok(),
            _ => None,
        });
        assert_eq!(picked.map_err(|refusal| refusal.code), expected);
    }

    #[test]
    fn every_way_of_not_answering_has_its_error() {
        check(Some(Ok(Reply::BrokerRegistered(Ok(7)))), Ok(7));
        check(
            Some(Ok(Reply::TopicsCreated(Vec::new()))),
            Err(ErrorCode::UnknownServerError),
        );
        check(
            Some(Err(Unavailable("disk".into()).into())),
            Err(ErrorCode::KafkaStorageError),
        );
        check(None, Err(ErrorCode::RequestTimedOut));
    }

    #[test]
    fn a_result_on_the_wire() {
        assert_eq!(wire(&Ok(())), (0, None));
        let bare: Result<(), _> = Err(Refusal::bare(ErrorCode::TopicDeletionDisabled));
        assert_eq!(wire(&bare), (73, None));
        let told: Result<(), _> = Err(Refusal::new(ErrorCode::InvalidConfig, "why"));
        assert_eq!(wire(&told), (40, Some("why".into())));
    }
}
