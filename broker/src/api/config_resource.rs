//! Kinds of resources that have configs (Kafka's `ConfigResource.Type`), and what is said about
//! the kinds that have none here.

use tidemark_protocol::error::ErrorCode;

use crate::catalog::command::Refusal;

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Every kind that Kafka knows.
pub(super) const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Why nothing of this kind can be described or altered. Kafka has loggers, client metrics
/// subscriptions and group configs; here they do not exist, which is said rather than played.
pub(super) fn unsupported(kind: i8) -> Refusal {
    let text = match kind {
        BROKER_LOGGER => "Log levels are set when the broker is started; loggers have no configs.",
        CLIENT_METRICS => "Client metrics subscriptions (KIP-714) are not supported.",
        GROUP => "Configs of single groups are not supported; the broker's configs count for all.",
        _ => {
            return Refusal::new(
                ErrorCode::InvalidRequest,
                format!("Unknown resource type {kind}"),
            );
        }
    };
    Refusal::new(ErrorCode::InvalidRequest, text)
}

/// Checks that a broker resource's name is this node's id, in any spelling of the number. The
/// empty name, the default of all brokers, is the caller's affair.
pub(super) fn check_node_id(name: &str, node_id: i32) -> Result<(), Refusal> {
    let refuse = |text| Err(Refusal::new(ErrorCode::InvalidRequest, text));
    match name.parse::<i32>() {
        Ok(id) if id == node_id => Ok(()),
        Ok(_) => refuse(format!(
            "Unexpected broker id, expected {node_id} or empty string, but received {name}"
        )),
        Err(_) => refuse(format!("Broker id must be an integer, but it is: {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_node_is_described() {
        let check = |name: &str, expected: Option<&str>| {
            let refusal = check_node_id(name, 3).err();
            assert!(
                refusal
                    .iter()
                    .all(|refusal| refusal.code == ErrorCode::InvalidRequest)
            );
            let text = refusal.and_then(|refusal| refusal.message);
            assert_eq!(text.is_some(), expected.is_some(), "{name}");
            assert!(
                text.unwrap_or_default()
                    .contains(expected.unwrap_or_default()),
                "{name}"
            );
        };
        check("3", None);
        check("+3", None);
        check("4", Some("expected 3 or empty string, but received 4"));
        check("-1", Some("received -1"));
        check("three", Some("must be an integer, but it is: three"));
        check("99999999999", Some("must be an integer"));
    }

    #[test]
    fn every_kind_without_configs_says_why() {
        for kind in [BROKER_LOGGER, CLIENT_METRICS, GROUP, 0, 1, 64, -1] {
            let refusal = unsupported(kind);
            assert_eq!(refusal.code, ErrorCode::InvalidRequest);
            assert!(
                refusal.message.is_some_and(|text| !text.is_empty()),
                "{kind}"
            );
        }
    }
}
