//! ListConfigResources, versions 0 and 1 (KIP-714, KIP-1142): whose settings can be described.
//!
//! Version 0 lists client metrics only, as ListClientMetricsResources did; version 1 has kinds, and means all of them
//! where it names none. Topics and this broker always are; groups and client metrics are once they have a setting.
//! Deliberately missing: log levels, which cannot be described.

use std::collections::BTreeSet;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use hallows_protocol::messages::list_config_resources_response::{ConfigResource, ListConfigResourcesResponse};

use super::configs::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::metadata::{DynamicResource, Image};
use crate::response::answer;
use crate::shard::Shard;

/// The kinds that a version knows.
const fn kinds(version: i16) -> &'static [i8] {
    match version {
        0 => &[CLIENT_METRICS],
        _ => &[TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP],
    }
}

pub(crate) fn handle(shard: &Shard, context: &RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(ListConfigResourcesRequest, context, body);
    match wanted(context, &request) {
        Ok(wanted) => respond(
            context,
            ErrorCode::NONE,
            list(&shard.image, shard.identity.node_id, &wanted),
        ),
        Err(code) => respond(context, code, Vec::new()),
    }
}

fn wanted(context: &RequestContext, request: &ListConfigResourcesRequest) -> Result<BTreeSet<i8>, ErrorCode> {
    context.authorize(Operation::DescribeConfigs, Resource::Cluster)?;
    let known = kinds(context.version);
    if request.resource_types.is_empty() {
        return Ok(known.iter().copied().collect());
    }
    if request.resource_types.iter().any(|kind| !known.contains(kind)) {
        return Err(ErrorCode::UNSUPPORTED_VERSION);
    }
    Ok(request.resource_types.iter().copied().collect())
}

fn list(image: &Image, node_id: i32, wanted: &BTreeSet<i8>) -> Vec<ConfigResource> {
    let topics = image.topics.keys().map(|name| (TOPIC, name.to_string()));
    let broker = std::iter::once((BROKER, node_id.to_string()));
    let dynamic = image.dynamic_configs.keys().filter_map(|resource| match resource {
        DynamicResource::Group(name) => Some((GROUP, name.clone())),
        DynamicResource::ClientMetrics(name) => Some((CLIENT_METRICS, name.clone())),
        DynamicResource::Broker | DynamicResource::ClusterDefault => None,
    });
    topics
        .chain(broker)
        .chain(dynamic)
        .filter(|(kind, _)| wanted.contains(kind))
        .map(|(resource_type, resource_name)| ConfigResource {
            resource_name,
            resource_type,
        })
        .collect()
}

fn respond(context: &RequestContext, error_code: ErrorCode, config_resources: Vec<ConfigResource>) -> Outcome {
    answer(
        context,
        &ListConfigResourcesResponse {
            throttle_time_ms: 0,
            error_code,
            config_resources,
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metadata::Command;

    fn set(image: &mut Image, resource: DynamicResource) {
        let config = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        image.apply(&Command::SetDynamicConfig { resource, config });
    }

    #[test]
    fn defaults_of_all_brokers_are_no_resource_and_client_metrics_are_one() {
        let mut image = Image::new(1);
        set(&mut image, DynamicResource::ClusterDefault);
        set(&mut image, DynamicResource::ClientMetrics("m".to_owned()));
        let check = |kinds: &[i8], expected: &[(i8, &str)]| {
            let listed = list(&image, 7, &kinds.iter().copied().collect());
            let listed: Vec<(i8, &str)> = listed
                .iter()
                .map(|one| (one.resource_type, one.resource_name.as_str()))
                .collect();
            assert_eq!(listed, expected);
        };
        check(kinds(0), &[(CLIENT_METRICS, "m")]);
        check(kinds(1), &[(BROKER, "7"), (CLIENT_METRICS, "m")]);
        check(&[BROKER_LOGGER], &[]);
    }
}
