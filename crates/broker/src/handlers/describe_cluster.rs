//! DescribeCluster, versions 0 to 2 (KIP-700, KIP-919).

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_cluster_request::DescribeClusterRequest;
use hallows_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};

use super::admin::{CLUSTER_OPERATIONS, OPERATIONS_UNKNOWN};
use super::decode_or_close;
use crate::context::{Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

/// The only kind of endpoint that a broker has; controllers are asked elsewhere.
const BROKERS: i8 = 1;
/// The other kind.
const CONTROLLERS: i8 = 2;

pub(crate) fn handle(shard: &Shard, context: &RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DescribeClusterRequest, context, body);
    let base = DescribeClusterResponse {
        cluster_authorized_operations: OPERATIONS_UNKNOWN,
        endpoint_type: BROKERS,
        controller_id: -1,
        ..DescribeClusterResponse::default()
    };
    if context.version >= 1 && request.endpoint_type != BROKERS {
        let response = DescribeClusterResponse {
            error_code: if request.endpoint_type == CONTROLLERS {
                ErrorCode::MISMATCHED_ENDPOINT_TYPE
            } else {
                ErrorCode::UNSUPPORTED_ENDPOINT_TYPE
            },
            error_message: Some("The request was sent to an endpoint of type BROKER.".to_owned()),
            ..base
        };
        return answer(context, &response);
    }
    let advertised = &shard.identity.advertised[usize::from(context.listener.0)];
    let broker = DescribeClusterBroker {
        broker_id: shard.identity.node_id,
        host: advertised.host.to_string(),
        port: i32::from(advertised.port),
        rack: shard.config.rack.clone(),
        is_fenced: false,
    };
    let operations = if request.include_cluster_authorized_operations {
        CLUSTER_OPERATIONS
    } else {
        OPERATIONS_UNKNOWN
    };
    let response = DescribeClusterResponse {
        cluster_id: shard.identity.cluster_id.to_string(),
        controller_id: shard.identity.node_id,
        brokers: vec![broker],
        cluster_authorized_operations: operations,
        ..base
    };
    answer(context, &response)
}
