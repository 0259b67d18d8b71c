//! What a cluster has replicas and controllers for, on one node: elections, moves, the quorum, what has settings.

use hallows_client::{Codec, Connection, ErrorCode};
use hallows_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use hallows_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use hallows_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use hallows_protocol::messages::describe_quorum_request::{DescribeQuorumRequest, PartitionData, TopicData};
use hallows_protocol::messages::describe_quorum_response::PartitionData as Quorum;
use hallows_protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use hallows_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use hallows_protocol::messages::list_config_resources_request::ListConfigResourcesRequest;
use hallows_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsRequest;
use hallows_testkit::Broker;

use crate::support::{append, batch, call, connect, fresh_name, shared, start, topic};

/// The node of a broker that sets no other.
const NODE: i32 = 1;
/// The types of elections.
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;
/// The kinds of resources with settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const GROUP: i8 = 32;

/// What becomes of an election in partitions of a topic, or in all there are.
fn elect(connection: &mut Connection, kind: i8, topic: Option<(&str, &[i32])>) -> Vec<(String, Vec<(i32, ErrorCode)>)> {
    let request = ElectLeadersRequest {
        election_type: kind,
        topic_partitions: topic.map(|(topic, partitions)| {
            vec![TopicPartitions {
                topic,
                partitions: partitions.to_vec(),
            }]
        }),
        ..ElectLeadersRequest::default()
    };
    let answer = call(connection, &request, 2);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let results = answer.replica_election_results.into_iter();
    let codes = results.map(|topic| {
        let partitions = topic.partition_result.iter();
        let codes = partitions.map(|result| (result.partition_id, result.error_code));
        (topic.topic, codes.collect())
    });
    codes.collect()
}

/// Where the broker says its logs lie.
fn log_dir(connection: &mut Connection) -> String {
    let request = DescribeLogDirsRequest {
        topics: Some(Vec::new()),
    };
    let mut answer = call(connection, &request, 1);
    assert_eq!(answer.results.len(), 1);
    answer.results.remove(0).log_dir
}

fn move_to(connection: &mut Connection, path: &str, name: &str, partitions: &[i32]) -> Vec<(i32, ErrorCode)> {
    let topic = AlterReplicaLogDirTopic {
        name,
        partitions: partitions.to_vec(),
    };
    let request = AlterReplicaLogDirsRequest {
        dirs: vec![AlterReplicaLogDir {
            path,
            topics: vec![topic],
        }],
    };
    let mut answer = call(connection, &request, 2);
    let partitions = answer.results.remove(0).partitions;
    partitions
        .iter()
        .map(|result| (result.partition_index, result.error_code))
        .collect()
}

#[test]
fn a_partition_with_a_leader_needs_no_election_and_is_left_out_where_all_are_meant() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 3);
    for kind in [PREFERRED, UNCLEAN] {
        let named = elect(&mut connection, kind, Some((&name, &[0, 2, 3])));
        let expected = vec![
            (0, ErrorCode::ELECTION_NOT_NEEDED),
            (2, ErrorCode::ELECTION_NOT_NEEDED),
            (3, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        ];
        assert_eq!(named, [(name.clone(), expected)]);
        let everything = elect(&mut connection, kind, None);
        assert!(everything.contains(&(name.clone(), Vec::new())), "{everything:?}");
    }
}

/// Spoils the only manifest of a topic: no other topic has written one.
fn damage_topic_of_one_partition(broker: &Broker) {
    let metadata = format!("{:032x}", 1);
    let topics = std::fs::read_dir(broker.directory().join("partitions")).expect("a data directory");
    let mut damaged = 0;
    for topic in topics.map(|topic| topic.expect("readable").path()) {
        let files: Vec<_> = std::fs::read_dir(&topic)
            .expect("a topic's folder")
            .map(|file| file.expect("readable").path())
            .collect();
        if files.len() == 1 && !topic.ends_with(&metadata) {
            std::fs::write(&files[0], "damaged").expect("the file is there");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1, "one topic has records");
}

#[test]
fn a_partition_that_cannot_be_read_has_nobody_to_lead_it_and_cannot_be_moved() {
    let mut broker = start(&[]);
    let mut connection = connect(&broker);
    let (broken, whole) = (topic(&mut connection, 1), topic(&mut connection, 2));
    append(&mut connection, &broken, &batch(Codec::None, &[b"value"]));
    broker.stop().expect("it stops cleanly");
    damage_topic_of_one_partition(&broker);
    broker.restart().expect("the other partitions are served");
    let mut connection = connect(&broker);
    for (kind, code) in [
        (PREFERRED, ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE),
        (UNCLEAN, ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE),
    ] {
        let named = elect(&mut connection, kind, Some((&broken, &[0])));
        assert_eq!(named, [(broken.clone(), vec![(0, code)])]);
        let everything = elect(&mut connection, kind, None);
        assert!(
            everything.contains(&(broken.clone(), vec![(0, code)])),
            "{everything:?}"
        );
        assert!(everything.contains(&(whole.clone(), Vec::new())), "{everything:?}");
    }
    let here = log_dir(&mut connection);
    assert_eq!(
        move_to(&mut connection, &here, &broken, &[0]),
        [(0, ErrorCode::KAFKA_STORAGE_ERROR)]
    );
    assert_eq!(move_to(&mut connection, &here, &whole, &[1]), [(1, ErrorCode::NONE)]);
}

#[test]
fn a_replica_can_be_moved_to_the_directory_that_describe_log_dirs_names_and_nowhere_else() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 2);
    let here = log_dir(&mut connection);
    assert!(std::path::Path::new(&here).is_absolute(), "{here}");
    assert_eq!(
        move_to(&mut connection, &here, &name, &[0, 1, 2]),
        [
            (0, ErrorCode::NONE),
            (1, ErrorCode::NONE),
            (2, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
        ]
    );
    assert_eq!(
        move_to(&mut connection, "/no/such/directory", &name, &[0]),
        [(0, ErrorCode::LOG_DIR_NOT_FOUND)]
    );
}

#[test]
fn a_partition_can_be_assigned_to_this_node_only_and_no_reassignment_goes_on() {
    let broker = shared();
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 1);
    let reassign = |connection: &mut Connection, replicas: Option<Vec<i32>>| {
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![ReassignableTopic {
                name: &name,
                partitions: vec![ReassignablePartition {
                    partition_index: 0,
                    replicas,
                }],
            }],
            ..AlterPartitionReassignmentsRequest::default()
        };
        let answer = call(connection, &request, 1);
        assert_eq!(answer.error_code, ErrorCode::NONE);
        answer.responses[0].partitions[0].error_code
    };
    assert_eq!(reassign(&mut connection, Some(vec![NODE])), ErrorCode::NONE);
    for elsewhere in [vec![NODE + 1], vec![NODE, NODE + 1], vec![NODE, NODE], vec![]] {
        assert_eq!(
            reassign(&mut connection, Some(elsewhere)),
            ErrorCode::INVALID_REPLICA_ASSIGNMENT
        );
    }
    assert_eq!(reassign(&mut connection, None), ErrorCode::NO_REASSIGNMENT_IN_PROGRESS);
    let list = ListPartitionReassignmentsRequest {
        topics: None,
        ..ListPartitionReassignmentsRequest::default()
    };
    let going_on = call(&mut connection, &list, 0);
    assert_eq!((going_on.error_code, going_on.topics.len()), (ErrorCode::NONE, 0));
}

/// What is told of the metadata log.
fn quorum(connection: &mut Connection) -> Quorum {
    let request = DescribeQuorumRequest {
        topics: vec![TopicData {
            topic_name: "__cluster_metadata",
            partitions: vec![PartitionData { partition_index: 0 }],
        }],
    };
    let mut answer = call(connection, &request, 2);
    assert_eq!(answer.error_code, ErrorCode::NONE);
    assert_eq!(answer.nodes.iter().map(|node| node.node_id).collect::<Vec<_>>(), [NODE]);
    answer.topics.remove(0).partitions.remove(0)
}

#[test]
fn the_quorum_is_this_node_and_its_offsets_are_those_of_the_metadata_log() {
    let mut broker = start(&[]);
    // With two shards, one of these connections is not on the shard of that log.
    let mut connections = [connect(&broker), connect(&broker)];
    let mut end = 0;
    for round in 0..3 {
        for connection in &mut connections {
            let told = quorum(connection);
            assert_eq!((told.error_code, told.leader_id), (ErrorCode::NONE, NODE));
            assert_eq!(told.high_watermark, end, "round {round}");
            let voters: Vec<_> = told
                .current_voters
                .iter()
                .map(|voter| (voter.replica_id, voter.log_end_offset))
                .collect();
            assert_eq!(voters, [(NODE, end)]);
        }
        // One command each.
        topic(&mut connections[0], 1);
        end += 1;
    }
    broker.stop().expect("it stops cleanly");
    broker.restart().expect("it starts again");
    assert_eq!(quorum(&mut connect(&broker)).high_watermark, end);
}

fn set_group(connection: &mut Connection, name: &str, operation: i8, value: Option<&str>) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: GROUP,
            resource_name: name,
            configs: vec![AlterableConfig {
                name: "consumer.session.timeout.ms",
                config_operation: operation,
                value,
            }],
        }],
        validate_only: false,
    };
    assert_eq!(call(connection, &request, 1).responses[0].error_code, ErrorCode::NONE);
}

#[test]
fn topics_brokers_and_groups_with_settings_are_listed_by_kind() {
    let broker = shared();
    let mut connection = connect(&broker);
    let (name, group) = (topic(&mut connection, 1), fresh_name("configured"));
    let list = |connection: &mut Connection, resource_types: &[i8]| -> Vec<(i8, String)> {
        let request = ListConfigResourcesRequest {
            resource_types: resource_types.to_vec(),
        };
        let answer = call(connection, &request, 1);
        assert_eq!(answer.error_code, ErrorCode::NONE);
        let listed = answer.config_resources.into_iter();
        listed.map(|one| (one.resource_type, one.resource_name)).collect()
    };
    let of_group = (GROUP, group.clone());
    assert!(!list(&mut connection, &[GROUP]).contains(&of_group));
    set_group(&mut connection, &group, 0, Some("45000"));
    assert!(list(&mut connection, &[GROUP]).contains(&of_group));
    assert_eq!(list(&mut connection, &[BROKER]), [(BROKER, NODE.to_string())]);
    assert!(list(&mut connection, &[TOPIC]).contains(&(TOPIC, name.clone())));
    let everything = list(&mut connection, &[]);
    for expected in [(TOPIC, name), (BROKER, NODE.to_string()), of_group.clone()] {
        assert!(everything.contains(&expected), "{expected:?} is not in {everything:?}");
    }
    set_group(&mut connection, &group, 1, None);
    assert!(!list(&mut connection, &[GROUP]).contains(&of_group));
}

/// A request of which every partition waits for its owner is bounded like any other.
#[test]
fn a_request_about_more_partitions_than_one_may_name_ends_its_connection_and_all_of_them_may_be_meant() {
    let broker = start(&[("request.partitions.max", "4")]);
    let mut connection = connect(&broker);
    let name = topic(&mut connection, 5);
    assert_eq!(elect(&mut connection, PREFERRED, None), [(name.clone(), Vec::new())]);
    assert_eq!(
        elect(&mut connection, PREFERRED, Some((&name, &[0, 1, 2, 3])))[0]
            .1
            .len(),
        4
    );
    let request = ElectLeadersRequest {
        topic_partitions: Some(vec![TopicPartitions {
            topic: &name,
            partitions: vec![0, 1, 2, 3, 4],
        }]),
        ..ElectLeadersRequest::default()
    };
    connection.call(&request, 2).expect_err("the connection is closed");
}
