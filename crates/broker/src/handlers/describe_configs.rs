//! DescribeConfigs, versions 1 to 4 (KIP-133, KIP-226, KIP-569).
//!
//! Every key with default, source, synonyms, type and documentation; sensitive values are null.
//! Deliberately missing: log levels and client metrics.

use hallows_config::{DescribedSetting, describe_all_brokers, describe_broker, describe_group, describe_topic};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use hallows_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::admin::{ItemResult, check_topic_name};
use super::configs::{ConfigResource, topic_overrides};
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::response::answer;
use crate::shard::Shard;

pub(crate) fn handle(shard: &Shard, context: &RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(DescribeConfigsRequest<'_>, context, body);
    let results = request
        .resources
        .iter()
        .map(|resource| describe(shard, context, &request, resource))
        .collect();
    answer(
        context,
        &DescribeConfigsResponse {
            throttle_time_ms: 0,
            results,
        },
    )
}

fn describe(
    shard: &Shard,
    context: &RequestContext,
    request: &DescribeConfigsRequest<'_>,
    resource: &DescribeConfigsResource<'_>,
) -> DescribeConfigsResult {
    let described = settings_of(shard, context, resource);
    let (result, settings) = match described {
        Ok(settings) => (ItemResult::OK, settings),
        Err(refused) => (refused, Vec::new()),
    };
    let wanted = |name: &str| {
        resource
            .configuration_keys
            .as_ref()
            .is_none_or(|keys| keys.is_empty() || keys.contains(&name))
    };
    let configs = settings
        .into_iter()
        .filter(|setting| wanted(setting.name))
        .map(|setting| described_setting(request, setting))
        .collect();
    DescribeConfigsResult {
        error_code: result.code,
        // Kafka says nothing with an empty text here, and only here.
        error_message: Some(result.message.unwrap_or_default()),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.to_owned(),
        configs,
    }
}

fn settings_of(
    shard: &Shard,
    context: &RequestContext,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<DescribedSetting>, ItemResult> {
    let named = ConfigResource::new(resource.resource_type, resource.resource_name, shard.identity.node_id)?;
    let denied = |code| ItemResult { code, message: None };
    match &named {
        ConfigResource::Topic(name) => {
            context
                .authorize(Operation::DescribeConfigs, Resource::Topic(name))
                .map_err(denied)?;
            check_topic_name(name)?;
            let overrides = topic_overrides(&shard.image, name).ok_or(ItemResult {
                code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                message: None,
            })?;
            Ok(describe_topic(&shard.config, &overrides))
        }
        ConfigResource::AllBrokers => {
            context
                .authorize(Operation::DescribeConfigs, Resource::Cluster)
                .map_err(denied)?;
            Ok(describe_all_brokers(&shard.config))
        }
        ConfigResource::ThisBroker => {
            context
                .authorize(Operation::DescribeConfigs, Resource::Cluster)
                .map_err(denied)?;
            Ok(describe_broker(&shard.config))
        }
        ConfigResource::Group(name) => {
            context
                .authorize(Operation::DescribeConfigs, Resource::Group(name))
                .map_err(denied)?;
            Ok(describe_group(&shard.config))
        }
    }
}

fn described_setting(request: &DescribeConfigsRequest<'_>, setting: DescribedSetting) -> DescribeConfigsResourceResult {
    let synonyms = setting.synonyms.into_iter().map(|synonym| DescribeConfigsSynonym {
        name: synonym.name.to_owned(),
        value: synonym.value,
        source: synonym.source.wire_id(),
    });
    DescribeConfigsResourceResult {
        name: setting.name.to_owned(),
        value: setting.value,
        read_only: setting.read_only,
        config_source: setting.source.wire_id(),
        is_sensitive: setting.sensitive,
        synonyms: if request.include_synonyms {
            synonyms.collect()
        } else {
            Vec::new()
        },
        config_type: setting.kind.wire_id(),
        documentation: request.include_documentation.then(|| setting.documentation.to_owned()),
        ..DescribeConfigsResourceResult::default()
    }
}
