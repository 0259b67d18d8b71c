//! A cluster as a client sees it: its brokers, who leads what, and calls that find the right one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::thread;
use std::time::{Duration, Instant};

use hallows_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use hallows_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use hallows_protocol::messages::metadata_response::{MetadataResponse, MetadataResponseTopic};
use hallows_protocol::{ErrorCode, Request};
use hallows_types::TopicId;

use crate::error::check;
use crate::{ClientError, Connection, ConnectionOptions, Result};

/// The newest version of FindCoordinator that asks for one key; later ones ask for lists.
const FIND_COORDINATOR_NEWEST: i16 = 3;
/// FindCoordinator's key type of groups.
const GROUP: i8 = 0;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Of each connection.
    pub connection: ConnectionOptions,
    /// How long a call is tried again while its errors are such that it may succeed later.
    pub retry_timeout: Duration,
    /// The pause between two tries.
    pub retry_pause: Duration,
    /// How long an unknown topic is asked for again: a cluster learns of a new one a little after it was created.
    pub topic_wait: Duration,
    /// Whether asking for an unknown topic may create it, where the broker allows that.
    pub create_topics: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connection: ConnectionOptions::default(),
            retry_timeout: Duration::from_secs(30),
            retry_pause: Duration::from_millis(50),
            topic_wait: Duration::from_secs(1),
            create_topics: false,
        }
    }
}

/// What Metadata says about a topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; zero where the broker is too old to have one.
    pub id: TopicId,
    /// Whether it is one of the broker's own.
    pub is_internal: bool,
    /// Its partitions, by index.
    pub partitions: BTreeMap<i32, Partition>,
}

/// What Metadata says about a partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// The node that leads it, if there is one.
    pub leader: Option<i32>,
    /// The leader's epoch; -1 where the broker is too old to say.
    pub leader_epoch: i32,
    /// The nodes that have it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub in_sync: Vec<i32>,
}

/// A cluster.
pub struct Client {
    bootstrap: Vec<String>,
    options: ClientOptions,
    /// By node id; the connection that metadata came from is under no node.
    connections: BTreeMap<Option<i32>, Connection>,
    brokers: BTreeMap<i32, String>,
    controller: Option<i32>,
    cluster_id: Option<String>,
    topics: BTreeMap<String, Topic>,
    coordinators: BTreeMap<String, i32>,
}

impl Client {
    /// Connects to the first broker of `bootstrap` that answers; each is written `host:port`.
    ///
    /// # Errors
    /// The last broker's error when none answers.
    pub fn connect<S: AsRef<str>>(bootstrap: &[S], options: ClientOptions) -> Result<Self> {
        let mut client = Self {
            bootstrap: bootstrap.iter().map(|address| address.as_ref().to_owned()).collect(),
            options,
            connections: BTreeMap::new(),
            brokers: BTreeMap::new(),
            controller: None,
            cluster_id: None,
            topics: BTreeMap::new(),
            coordinators: BTreeMap::new(),
        };
        client.refresh(Some(&[]))?;
        Ok(client)
    }

    /// How this client behaves.
    #[must_use]
    pub fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// Node ids and addresses of the brokers.
    #[must_use]
    pub fn brokers(&self) -> &BTreeMap<i32, String> {
        &self.brokers
    }

    /// The node that takes administrative requests.
    #[must_use]
    pub fn controller(&self) -> Option<i32> {
        self.controller
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Asks for metadata of `topics`, or of all with `None`; returns one answer per topic, errors included.
    ///
    /// # Errors
    /// When no broker answers.
    pub fn refresh(&mut self, topics: Option<&[&str]>) -> Result<Vec<MetadataResponseTopic>> {
        let named = |name| MetadataRequestTopic {
            topic_id: TopicId::ZERO,
            name: Some(name),
        };
        let request = MetadataRequest {
            topics: topics.map(|topics| topics.iter().copied().map(named).collect()),
            allow_auto_topic_creation: self.options.create_topics,
            ..MetadataRequest::default()
        };
        let answer: MetadataResponse = self.call_any(&request, i16::MAX)?;
        self.brokers = answer
            .brokers
            .into_iter()
            .map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port)))
            .collect();
        self.controller = Some(answer.controller_id).filter(|&node| node >= 0);
        self.cluster_id = answer.cluster_id;
        for topic in &answer.topics {
            self.remember(topic);
        }
        Ok(answer.topics)
    }

    fn remember(&mut self, answer: &MetadataResponseTopic) {
        let Some(name) = answer.name.clone() else { return };
        if answer.error_code.is_error() {
            self.topics.remove(&name);
            return;
        }
        let partitions = answer.partitions.iter().map(|partition| {
            let known = Partition {
                leader: Some(partition.leader_id).filter(|&node| node >= 0),
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.clone(),
                in_sync: partition.isr_nodes.clone(),
            };
            (partition.partition_index, known)
        });
        let topic = Topic {
            name: name.clone(),
            id: answer.topic_id,
            is_internal: answer.is_internal,
            partitions: partitions.collect(),
        };
        self.topics.insert(name, topic);
    }

    /// What is known about `topic`; asked for when nothing is, again and again while the broker says it may come.
    ///
    /// # Errors
    /// [`ClientError::Broker`] with UNKNOWN_TOPIC_OR_PARTITION when there is no such topic.
    pub fn topic(&mut self, topic: &str) -> Result<&Topic> {
        if !self.topics.contains_key(topic) {
            self.retry(|client| client.refresh_topic(topic))?;
        }
        self.topics.get(topic).ok_or_else(|| ClientError::Missing {
            api: "Metadata",
            subject: topic.to_owned(),
        })
    }

    fn refresh_topic(&mut self, topic: &str) -> Result<()> {
        let answers = self.refresh(Some(&[topic]))?;
        let answer = answers.iter().find(|answer| answer.name.as_deref() == Some(topic));
        let answer = answer.ok_or_else(|| ClientError::Missing {
            api: "Metadata",
            subject: topic.to_owned(),
        })?;
        check("Metadata", answer.error_code, None, || format!("topic {topic}"))
    }

    /// Forgets what is known about `topic`, so that the next use asks again.
    pub fn forget(&mut self, topic: &str) {
        self.topics.remove(topic);
    }

    /// The node that leads a partition.
    ///
    /// # Errors
    /// [`ClientError::NoSuchPartition`], [`ClientError::NobodyIs`], and those of [`Client::topic`].
    pub fn leader(&mut self, topic: &str, partition: i32) -> Result<i32> {
        let known = self.topic(topic)?;
        let Some(found) = known.partitions.get(&partition) else {
            let count = known.partitions.len();
            return Err(ClientError::NoSuchPartition {
                topic: topic.to_owned(),
                partition,
                count,
            });
        };
        let leader = found.leader;
        leader.ok_or_else(|| {
            self.forget(topic);
            ClientError::NobodyIs {
                role: "leader",
                subject: format!("partition {partition} of {topic}"),
            }
        })
    }

    /// Calls any broker; when a connection turns out to be dead, the next broker.
    ///
    /// # Errors
    /// The last broker's error.
    pub fn call_any<R: Request>(&mut self, request: &R, newest: i16) -> Result<R::Response> {
        if let Some(connection) = self.connections.get_mut(&None) {
            let version = connection.version_of::<R>(newest)?;
            match connection.call(request, version) {
                Err(error) if error.breaks_connection() => self.connections.remove(&None),
                answer => return answer,
            };
        }
        let mut last = ClientError::NobodyIs {
            role: "a member",
            subject: "an empty list of brokers".to_owned(),
        };
        let addresses: Vec<String> = self.bootstrap.iter().chain(self.brokers.values()).cloned().collect();
        for address in addresses {
            let answer = Connection::open(&address, &self.options.connection).and_then(|mut connection| {
                let version = connection.version_of::<R>(newest)?;
                Ok((connection.call(request, version)?, connection))
            });
            match answer {
                Ok((answer, connection)) => {
                    self.connections.insert(None, connection);
                    return Ok(answer);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The connection to `node`, opened if necessary.
    ///
    /// # Errors
    /// When the node is unknown or does not accept.
    pub fn connection(&mut self, node: i32) -> Result<&mut Connection> {
        match self.connections.entry(Some(node)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let nobody = || ClientError::NobodyIs {
                    role: "broker",
                    subject: format!("number {node}"),
                };
                let address = self.brokers.get(&node).ok_or_else(nobody)?;
                Ok(entry.insert(Connection::open(address, &self.options.connection)?))
            }
        }
    }

    /// Closes the connection to `node`, after an error or to start afresh.
    pub fn disconnect(&mut self, node: i32) {
        self.connections.remove(&Some(node));
    }

    /// Calls one node.
    ///
    /// # Errors
    /// Those of the connection, which is closed when it cannot be used any more.
    pub fn call_node<R: Request>(&mut self, node: i32, request: &R, newest: i16) -> Result<R::Response> {
        let connection = self.connection(node)?;
        let answer = connection
            .version_of::<R>(newest)
            .and_then(|version| connection.call(request, version));
        self.close_if_broken(node, answer)
    }

    /// Passes `result` on; a connection that the error broke is closed.
    pub(crate) fn close_if_broken<T>(&mut self, node: i32, result: Result<T>) -> Result<T> {
        if result.as_ref().is_err_and(ClientError::breaks_connection) {
            self.disconnect(node);
        }
        result
    }

    /// Calls the node that takes administrative requests.
    ///
    /// # Errors
    /// [`ClientError::NobodyIs`], and those of [`Client::call_node`].
    pub fn call_controller<R: Request>(&mut self, request: &R, newest: i16) -> Result<R::Response> {
        if self.controller.is_none() {
            self.refresh(Some(&[]))?;
        }
        let nobody = || ClientError::NobodyIs {
            role: "controller",
            subject: "the cluster".to_owned(),
        };
        let node = self.controller.ok_or_else(nobody)?;
        self.call_node(node, request, newest)
    }

    /// Calls the coordinator of `group`.
    ///
    /// # Errors
    /// Those of FindCoordinator and of [`Client::call_node`].
    pub fn call_coordinator<R: Request>(&mut self, group: &str, request: &R, newest: i16) -> Result<R::Response> {
        let node = self.coordinator(group)?;
        let answer = self.call_node(node, request, newest);
        if answer.is_err() {
            self.coordinators.remove(group);
        }
        answer
    }

    /// The node that coordinates `group`.
    ///
    /// # Errors
    /// [`ClientError::Broker`] while there is none.
    pub fn coordinator(&mut self, group: &str) -> Result<i32> {
        if let Some(&node) = self.coordinators.get(group) {
            return Ok(node);
        }
        let request = FindCoordinatorRequest {
            key: group,
            key_type: GROUP,
            ..FindCoordinatorRequest::default()
        };
        let answer = self.call_any(&request, FIND_COORDINATOR_NEWEST)?;
        let message = answer.error_message.as_deref();
        check("FindCoordinator", answer.error_code, message, || {
            format!("group {group}")
        })?;
        self.brokers
            .insert(answer.node_id, format!("{}:{}", answer.host, answer.port));
        self.coordinators.insert(group.to_owned(), answer.node_id);
        Ok(answer.node_id)
    }

    /// Forgets who coordinates `group`, after an answer that says so.
    pub fn forget_coordinator(&mut self, group: &str) {
        self.coordinators.remove(group);
    }

    /// Repeats `call` while its error may pass, until the retry timeout; what was known is asked for again.
    ///
    /// That a topic is unknown passes only shortly after it was created, so it has a shorter bound of its own.
    ///
    /// # Errors
    /// The last error.
    pub fn retry<T>(&mut self, mut call: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let start = Instant::now();
        loop {
            let error = match call(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let bound = match error.code() {
                Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => self.options.topic_wait,
                _ => self.options.retry_timeout,
            };
            if !error.is_retriable() || start.elapsed() >= bound {
                return Err(error);
            }
            self.coordinators.clear();
            self.controller = None;
            thread::sleep(self.options.retry_pause);
        }
    }
}
