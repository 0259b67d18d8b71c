//! Administrative calls. Each goes to the broker that takes it and is tried again while its error may pass.

use std::fmt;

use hallows_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use hallows_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest};
use hallows_protocol::messages::create_topics_response::CreatableTopicResult;
use hallows_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use hallows_protocol::messages::delete_topics_request::DeleteTopicsRequest;
use hallows_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use hallows_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use hallows_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use hallows_protocol::messages::describe_groups_response::DescribedGroup;
use hallows_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use hallows_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use hallows_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use hallows_protocol::messages::list_groups_request::ListGroupsRequest;
use hallows_protocol::messages::list_groups_response::ListedGroup;

use crate::error::check;
use crate::{Client, ClientError, Result, Topic};

/// The newest version of DeleteTopics that takes names in a list of their own.
const DELETE_TOPICS_NEWEST: i16 = 5;
/// How long a broker may take for an administrative request.
const TIMEOUT_MS: i32 = 30_000;

/// A topic to create.
#[derive(Clone, Copy, Debug)]
pub struct NewTopic<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many partitions; -1 takes the broker's default.
    pub partitions: i32,
    /// How many replicas of each; -1 takes the broker's default.
    pub replicas: i16,
    /// Its settings.
    pub configs: &'a [(&'a str, &'a str)],
    /// Only asks whether it could be created.
    pub validate_only: bool,
}

/// What has settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A broker, by its node id.
    Broker(i32),
    /// All brokers of the cluster.
    Brokers,
    /// A group.
    Group(&'a str),
}

impl Resource<'_> {
    const fn number(self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::Brokers => 4,
            Self::Group(_) => 32,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Topic(name) | Self::Group(name) => name.to_owned(),
            Self::Broker(node) => node.to_string(),
            Self::Brokers => String::new(),
        }
    }
}

impl fmt::Display for Resource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(node) => write!(f, "broker {node}"),
            Self::Brokers => f.write_str("all brokers"),
            Self::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// A change to one setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigChange<'a> {
    /// Sets it.
    Set(&'a str, &'a str),
    /// Goes back to the default.
    Delete(&'a str),
    /// Adds to a list.
    Append(&'a str, &'a str),
    /// Removes from a list.
    Subtract(&'a str, &'a str),
}

impl<'a> ConfigChange<'a> {
    const fn encoded(self) -> AlterableConfig<'a> {
        let (name, config_operation, value) = match self {
            Self::Set(name, value) => (name, 0, Some(value)),
            Self::Delete(name) => (name, 1, None),
            Self::Append(name, value) => (name, 2, Some(value)),
            Self::Subtract(name, value) => (name, 3, Some(value)),
        };
        AlterableConfig {
            name,
            config_operation,
            value,
        }
    }
}

impl Client {
    /// Creates a topic.
    ///
    /// # Errors
    /// The broker's refusal, for example TOPIC_ALREADY_EXISTS.
    pub fn create_topic(&mut self, topic: &NewTopic<'_>) -> Result<CreatableTopicResult> {
        let configs = topic.configs.iter().map(|&(name, value)| CreatableTopicConfig {
            name,
            value: Some(value),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name,
                num_partitions: topic.partitions,
                replication_factor: topic.replicas,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            timeout_ms: TIMEOUT_MS,
            validate_only: topic.validate_only,
        };
        self.retry(|client| {
            let answer = client.call_controller(&request, i16::MAX)?;
            let result = first("CreateTopics", topic.name, answer.topics)?;
            let message = result.error_message.as_deref();
            check("CreateTopics", result.error_code, message, || {
                format!("topic {}", topic.name)
            })?;
            Ok(result)
        })
    }

    /// Deletes a topic.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn delete_topic(&mut self, topic: &str) -> Result<()> {
        let request = DeleteTopicsRequest {
            topic_names: vec![topic],
            timeout_ms: TIMEOUT_MS,
            ..DeleteTopicsRequest::default()
        };
        self.forget(topic);
        self.retry(|client| {
            let answer = client.call_controller(&request, DELETE_TOPICS_NEWEST)?;
            let result = first("DeleteTopics", topic, answer.responses)?;
            let message = result.error_message.as_deref();
            check("DeleteTopics", result.error_code, message, || format!("topic {topic}"))
        })
    }

    /// Raises the number of a topic's partitions to `count`.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn create_partitions(&mut self, topic: &str, count: i32) -> Result<()> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic,
                count,
                assignments: None,
            }],
            timeout_ms: TIMEOUT_MS,
            validate_only: false,
        };
        self.forget(topic);
        self.retry(|client| {
            let answer = client.call_controller(&request, i16::MAX)?;
            let result = first("CreatePartitions", topic, answer.results)?;
            let message = result.error_message.as_deref();
            check("CreatePartitions", result.error_code, message, || {
                format!("topic {topic}")
            })
        })
    }

    /// All topics, in the order of their names.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn list_topics(&mut self) -> Result<Vec<Topic>> {
        let answers = self.retry(|client| client.refresh(None))?;
        let mut names: Vec<String> = answers.into_iter().filter_map(|topic| topic.name).collect();
        names.sort_unstable();
        // A topic that was deleted this moment is named with an error and not kept.
        names
            .iter()
            .map(|name| self.topic(name).cloned())
            .filter(Result::is_ok)
            .collect()
    }

    /// The settings of something: those named, or all with an empty list.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn describe_configs(
        &mut self,
        resource: Resource<'_>,
        names: &[&str],
    ) -> Result<Vec<DescribeConfigsResourceResult>> {
        let resource_name = resource.name();
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.number(),
                resource_name: &resource_name,
                configuration_keys: (!names.is_empty()).then(|| names.to_vec()),
            }],
            ..DescribeConfigsRequest::default()
        };
        self.retry(|client| {
            let answer = match resource {
                Resource::Broker(node) => client.call_node(node, &request, i16::MAX)?,
                _ => client.call_any(&request, i16::MAX)?,
            };
            let result = first("DescribeConfigs", &resource_name, answer.results)?;
            check(
                "DescribeConfigs",
                result.error_code,
                result.error_message.as_deref(),
                || resource.to_string(),
            )?;
            Ok(result.configs)
        })
    }

    /// Changes settings of something; those not named stay.
    ///
    /// # Errors
    /// The broker's refusal, for example INVALID_CONFIG; then nothing is changed.
    pub fn alter_configs(&mut self, resource: Resource<'_>, changes: &[ConfigChange<'_>]) -> Result<()> {
        let resource_name = resource.name();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.number(),
                resource_name: &resource_name,
                configs: changes.iter().map(|change| change.encoded()).collect(),
            }],
            validate_only: false,
        };
        self.retry(|client| {
            let answer = match resource {
                Resource::Broker(node) => client.call_node(node, &request, i16::MAX)?,
                _ => client.call_controller(&request, i16::MAX)?,
            };
            let result = first("IncrementalAlterConfigs", &resource_name, answer.responses)?;
            let message = result.error_message.as_deref();
            check("IncrementalAlterConfigs", result.error_code, message, || {
                resource.to_string()
            })
        })
    }

    /// All groups of all brokers, in the order of their names.
    ///
    /// # Errors
    /// When a broker does not answer.
    pub fn list_groups(&mut self) -> Result<Vec<ListedGroup>> {
        let mut groups = self.retry(|client| {
            let mut groups = Vec::new();
            let nodes: Vec<i32> = client.brokers().keys().copied().collect();
            for node in nodes {
                let answer = client.call_node(node, &ListGroupsRequest::default(), i16::MAX)?;
                check("ListGroups", answer.error_code, None, || format!("broker {node}"))?;
                groups.extend(answer.groups);
            }
            Ok(groups)
        })?;
        groups.sort_by(|one, other| one.group_id.cmp(&other.group_id));
        Ok(groups)
    }

    /// The state and the members of a group; an unknown group is in state `Dead`.
    ///
    /// # Errors
    /// Those of the coordinator.
    pub fn describe_group(&mut self, group: &str) -> Result<DescribedGroup> {
        let request = DescribeGroupsRequest {
            groups: vec![group],
            ..DescribeGroupsRequest::default()
        };
        self.retry(|client| {
            let answer = client.call_coordinator(group, &request, i16::MAX)?;
            let result = first("DescribeGroups", group, answer.groups)?;
            check(
                "DescribeGroups",
                result.error_code,
                result.error_message.as_deref(),
                || format!("group {group}"),
            )?;
            Ok(result)
        })
    }

    /// Deletes a group without members.
    ///
    /// # Errors
    /// NON_EMPTY_GROUP while it has members.
    pub fn delete_group(&mut self, group: &str) -> Result<()> {
        let request = DeleteGroupsRequest {
            groups_names: vec![group],
        };
        self.retry(|client| {
            let answer = client.call_coordinator(group, &request, i16::MAX)?;
            let result = first("DeleteGroups", group, answer.results)?;
            check("DeleteGroups", result.error_code, None, || format!("group {group}"))
        })
    }

    /// The data directories of a broker, with the size of every partition in them.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub fn describe_log_dirs(&mut self, node: i32) -> Result<Vec<DescribeLogDirsResult>> {
        let request = DescribeLogDirsRequest { topics: None };
        self.retry(|client| {
            let answer = client.call_node(node, &request, i16::MAX)?;
            check("DescribeLogDirs", answer.error_code, None, || format!("broker {node}"))?;
            Ok(answer.results)
        })
    }
}

/// The first of an answer's results, which must be there.
fn first<T>(api: &'static str, subject: &str, results: Vec<T>) -> Result<T> {
    results.into_iter().next().ok_or_else(|| ClientError::Missing {
        api,
        subject: subject.to_owned(),
    })
}
