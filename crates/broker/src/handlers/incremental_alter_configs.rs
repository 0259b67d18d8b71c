//! IncrementalAlterConfigs, versions 0 and 1 (KIP-339): sets, deletes, appends and subtracts single values.
//!
//! APPEND and SUBTRACT work on lists only. Deliberately missing: log levels and client metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use hallows_config::{BrokerConfig, ConfigError, TopicOverrides};
use hallows_protocol::ErrorCode;
use hallows_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, IncrementalAlterConfigsRequest,
};
use hallows_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use hallows_types::Monotonic;

use super::admin::ItemResult;
use super::configs::ConfigResource;
use super::decode_or_close;
use crate::context::{Operation, Outcome, RequestContext, Resource};
use crate::controller::{AdminAnswer, Propose};
use crate::metadata::{Command, Image};
use crate::response::answer;
use crate::shard::Shard;

/// One step on one setting.
pub(crate) enum Step {
    Set(String, String),
    Delete(String),
    Append(String, String),
    Subtract(String, String),
}

impl Step {
    const fn is_on_list(&self) -> bool {
        matches!(self, Self::Append(..) | Self::Subtract(..))
    }

    fn name(&self) -> &str {
        match self {
            Self::Set(name, _) | Self::Delete(name) | Self::Append(name, _) | Self::Subtract(name, _) => name,
        }
    }
}

/// What is to become of a resource's settings.
pub(crate) enum Change {
    /// Exactly these.
    Replace(BTreeMap<String, String>),
    /// These steps on what is there.
    Steps(Vec<Step>),
}

pub(crate) fn handle(shard: &mut Shard, context: RequestContext, body: &[u8]) -> Outcome {
    let request = decode_or_close!(IncrementalAlterConfigsRequest<'_>, context, body);
    let name = |resource: &AlterConfigsResource<'_>| (resource.resource_type, resource.resource_name.to_owned());
    let (named, changes) = each_once(&request.resources, name, |resource| change(shard, &context, resource));
    let propose = propose(Arc::clone(&shard.config), changes, request.validate_only);
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
                &IncrementalAlterConfigsResponse {
                    throttle_time_ms: 0,
                    responses,
                },
            )
        },
    )
}

/// A resource as requests name it: its type and its name.
type Named = (i8, String);
/// A change of one resource, or why it is refused.
type Proposed = Result<(ConfigResource, Change), ItemResult>;

/// The names of resources and what is to become of them; one that appears more than once is refused each time.
pub(crate) fn each_once<R>(
    resources: &[R],
    name: impl Fn(&R) -> Named,
    change: impl Fn(&R) -> Proposed,
) -> (Vec<Named>, Vec<Proposed>) {
    let named: Vec<Named> = resources.iter().map(name).collect();
    let mut times = BTreeMap::new();
    for name in &named {
        *times.entry(name).or_insert(0) += 1;
    }
    let changes = resources.iter().zip(&named).map(|(resource, name)| match times[name] {
        1 => change(resource),
        _ => Err(ItemResult::error(
            ErrorCode::INVALID_REQUEST,
            "Each resource must appear at most once.",
        )),
    });
    let changes = changes.collect();
    (named, changes)
}

/// Asks whether the settings of a resource may be changed.
pub(crate) fn authorize(context: &RequestContext, named: &ConfigResource) -> Result<(), ItemResult> {
    let resource = match named {
        ConfigResource::Topic(name) => Resource::Topic(name),
        ConfigResource::Group(name) => Resource::Group(name),
        ConfigResource::AllBrokers | ConfigResource::ThisBroker => Resource::Cluster,
    };
    context
        .authorize(Operation::AlterConfigs, resource)
        .map_err(|code| ItemResult { code, message: None })
}

fn change(
    shard: &Shard,
    context: &RequestContext,
    resource: &AlterConfigsResource<'_>,
) -> Result<(ConfigResource, Change), ItemResult> {
    let named = ConfigResource::new(resource.resource_type, resource.resource_name, shard.identity.node_id)?;
    authorize(context, &named)?;
    let mut steps: Vec<Step> = Vec::new();
    for entry in &resource.configs {
        if steps.iter().any(|step| step.name() == entry.name) {
            let message = "Error due to duplicate config keys";
            return Err(ItemResult::error(ErrorCode::INVALID_REQUEST, message));
        }
        let name = entry.name.to_owned();
        let value = || match entry.value {
            Some(value) => Ok(value.to_owned()),
            None => Err(ItemResult::error(
                ErrorCode::INVALID_REQUEST,
                format!("Null value not supported for : {}", entry.name),
            )),
        };
        steps.push(match entry.config_operation {
            0 => Step::Set(name, value()?),
            1 => Step::Delete(name),
            2 => Step::Append(name, value()?),
            3 => Step::Subtract(name, value()?),
            other => {
                let message = format!("Unknown operation {other}");
                return Err(ItemResult::error(ErrorCode::INVALID_REQUEST, message));
            }
        });
    }
    Ok((named, Change::Steps(steps)))
}

/// Decides changes of settings: one result per change, in order.
pub(crate) fn propose(config: Arc<BrokerConfig>, changes: Vec<Proposed>, validate_only: bool) -> Propose {
    Box::new(move |image, _| {
        let mut commands = Vec::new();
        let results = changes
            .into_iter()
            .map(
                |change| match change.and_then(|(named, change)| decide(image, &config, &named, change)) {
                    Ok(command) => {
                        commands.extend(command);
                        ItemResult::OK
                    }
                    Err(refused) => refused,
                },
            )
            .collect();
        if validate_only {
            commands.clear();
        }
        (commands, AdminAnswer::Items(results))
    })
}

/// Checks in Kafka's order: whether lists are lists, the name, the values, and last whether the resource exists.
fn decide(
    image: &Image,
    config: &BrokerConfig,
    named: &ConfigResource,
    change: Change,
) -> Result<Option<Command>, ItemResult> {
    let present = named.present(image);
    let mut settings = present.clone().unwrap_or_default();
    match change {
        Change::Replace(replacement) => {
            named.check_name()?;
            for (name, value) in &replacement {
                named.validate(name, value)?;
            }
            settings = replacement;
        }
        Change::Steps(steps) => {
            // Each setting is in one step only, so their order does not matter.
            let (on_lists, others): (Vec<_>, Vec<_>) = steps.into_iter().partition(Step::is_on_list);
            for step in on_lists {
                apply(config, named, &mut settings, step)?;
            }
            named.check_name()?;
            for step in others {
                apply(config, named, &mut settings, step)?;
            }
        }
    }
    present?;
    Ok(named.command(image, settings))
}

fn apply(
    config: &BrokerConfig,
    named: &ConfigResource,
    settings: &mut BTreeMap<String, String>,
    step: Step,
) -> Result<(), ItemResult> {
    match step {
        Step::Set(name, value) => {
            named.validate(&name, &value)?;
            settings.insert(name, value.trim().to_owned());
        }
        Step::Delete(name) => {
            settings.remove(&name);
        }
        Step::Append(name, value) => on_list(named, settings, |list| list.append(config, &name, &value))?,
        Step::Subtract(name, value) => {
            on_list(named, settings, |list| list.subtract(config, &name, &value))?;
        }
    }
    Ok(())
}

/// Appends to or subtracts from a list of a topic; brokers and groups have no list that can change.
fn on_list(
    named: &ConfigResource,
    settings: &mut BTreeMap<String, String>,
    step: impl FnOnce(&mut TopicOverrides) -> Result<(), ConfigError>,
) -> Result<(), ItemResult> {
    if !matches!(named, ConfigResource::Topic(_)) {
        let message = "Config value append and subtract are not allowed for this resource: it has no list to change.";
        return Err(ItemResult::error(ErrorCode::INVALID_CONFIG, message));
    }
    let mut list = TopicOverrides::default();
    for (name, value) in &*settings {
        list.restore(name, value);
    }
    step(&mut list).map_err(|error| named.refusal(&error))?;
    *settings = list
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Ok(())
}
