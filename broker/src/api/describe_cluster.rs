//! DescribeCluster (key 60, versions 0 to 2, KIP-700, KIP-919, KIP-1073): who makes up the cluster.
//!
//! One node is all of it, and its controller. This is a broker's endpoint: a request for
//! controllers is refused with MISMATCHED_ENDPOINT_TYPE. There are no fenced brokers.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;
use tidemark_protocol::error::ErrorCode;

use super::context::{Context, ErrorCodes, code};
use super::metadata::{CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED};
use super::step::Step;
use super::view::{Endpoint, View};

/// Kafka's `EndpointType`.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(view: &View, context: &Context, request: DescribeClusterRequest) -> Step {
    let endpoint = view.endpoint(&context.listener);
    context.reply(&respond(
        &request,
        &view.node.cluster_id,
        view.node.id,
        endpoint,
    ))
}

fn respond(
    request: &DescribeClusterRequest,
    cluster_id: &str,
    node_id: i32,
    endpoint: Endpoint,
) -> DescribeClusterResponse {
    let refused = |error, text: String| {
        DescribeClusterResponse::default()
            .with_error_code(code(error))
            .with_error_message(Some(StrBytes::from_string(text)))
    };
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            let text = "This is an endpoint of brokers; controllers have none of their own.";
            return refused(ErrorCode::MismatchedEndpointType, text.to_owned());
        }
        other => {
            let text = format!("Unsupported endpoint type {other}");
            return refused(ErrorCode::UnsupportedEndpointType, text);
        }
    }
    let operations = match request.include_cluster_authorized_operations {
        true => CLUSTER_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(node_id))
        .with_host(StrBytes::from_string(endpoint.host))
        .with_port(i32::from(endpoint.port));
    DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(cluster_id.to_owned()))
        .with_controller_id(BrokerId(node_id))
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(operations)
}

impl ErrorCodes for DescribeClusterResponse {
    fn error_codes(&self, visit: &mut dyn FnMut(i16)) {
        visit(self.error_code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::each_version;

    fn answer(request: &DescribeClusterRequest) -> DescribeClusterResponse {
        respond(
            request,
            "cluster",
            3,
            Endpoint {
                host: "host".into(),
                port: 9092,
            },
        )
    }

    #[test]
    fn every_version_names_the_one_node() {
        for asked in [false, true] {
            let request = DescribeClusterRequest::default()
                .with_include_cluster_authorized_operations(asked)
                .with_include_fenced_brokers(true);
            for (version, read) in each_version(60, |_| answer(&request)) {
                assert_eq!((read.error_code, read.error_message.as_deref()), (0, None));
                assert_eq!((&*read.cluster_id, read.controller_id.0), ("cluster", 3));
                let [node] = read.brokers.as_slice() else {
                    panic!("one broker in {version}")
                };
                assert_eq!(
                    (node.broker_id.0, &*node.host, node.port),
                    (3, "host", 9092)
                );
                assert_eq!((node.rack.as_deref(), node.is_fenced), (None, false));
                assert_eq!(read.endpoint_type, BROKERS);
                // CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS and
                // IDEMPOTENT_WRITE.
                let all = 0b1_1111_1010_0000;
                let operations = if asked { all } else { i32::MIN };
                assert_eq!(read.cluster_authorized_operations, operations);
            }
        }
    }

    #[test]
    fn other_endpoints_are_refused() {
        for (endpoint_type, expected) in [(2, 114), (0, 115), (3, 115), (-1, 115)] {
            let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
            for (version, read) in each_version(60, |_| answer(&request)) {
                assert_eq!(
                    read.error_code, expected,
                    "type {endpoint_type} in {version}"
                );
                assert!(read.error_message.is_some() && read.brokers.is_empty());
                assert_eq!(read.controller_id.0, -1);
            }
        }
    }
}
