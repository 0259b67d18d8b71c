//! AlterConfigs, versions 0 to 2 (KIP-133): replaces all settings of a resource.

use std::collections::BTreeMap;

use hallows_protocol::ErrorCode;
use hallows_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use hallows_protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};
use hallows_types::Monotonic;

use super::admin::ItemResult;
use super::configs::ConfigResource;
use super::decode_or_close;
use super::incremental_alter_configs::{Change, authorize, each_once, propose};
use crate::context::{Outcome, RequestContext};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(AlterConfigsRequest<'_>, context, body);
    let name = |resource: &AlterConfigsResource<'_>| (resource.resource_type, resource.resource_name.to_owned());
    let (named, changes) = each_once(&request.resources, name, |resource| change(shard, &context, resource));
    let propose = propose(std::sync::Arc::clone(&shard.config), changes, request.validate_only);
    shard.change(
        context,
        named.len(),
        Monotonic::NEVER,
        propose,
        move |_, context, results| {
            let responses = named
                .into_iter()
                .zip(results)
                .map(
                    |((resource_type, resource_name), result)| AlterConfigsResourceResponse {
                        error_code: result.code,
                        error_message: result.message,
                        resource_type,
                        resource_name,
                    },
                )
                .collect();
            answer(
                &context,
                &AlterConfigsResponse {
                    throttle_time_ms: 0,
                    responses,
                },
            )
        },
    )
}

fn change(
    shard: &Shard,
    context: &RequestContext,
    resource: &AlterConfigsResource<'_>,
) -> Result<(ConfigResource, Change), ItemResult> {
    let named = ConfigResource::new(resource.resource_type, resource.resource_name, shard.identity.node_id)?;
    authorize(context, &named)?;
    let mut config = BTreeMap::new();
    for entry in &resource.configs {
        let Some(value) = entry.value else {
            let message = format!("Null value not supported for : {}", entry.name);
            return Err(ItemResult::error(ErrorCode::INVALID_REQUEST, message));
        };
        config.insert(entry.name.to_owned(), value.trim().to_owned());
    }
    Ok((named, Change::Replace(config)))
}
