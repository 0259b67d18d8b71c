//! A coordinator's rows as records of `__consumer_offsets`, in Kafka's own format.

use bytes::{Bytes, BytesMut};
use hallows_group_coordinator::{CommittedOffset, GroupRow, MemberRow, Row};
use hallows_protocol::messages::group_metadata_value::MemberMetadata;
use hallows_protocol::messages::{GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue};
use hallows_protocol::records::{GroupRecordKey, GroupRecordValue};
use hallows_protocol::{DecodeError, EncodeError};
use hallows_record::{BatchBuilder, BuildError, Codec, NewRecord};
use hallows_types::{LeaderEpoch, Offset, WallTime};

/// The version of offsets without, and with, an expiry of their own, as Kafka writes them.
const OFFSET_VERSION: i16 = 3;
const OFFSET_VERSION_EXPIRING: i16 = 1;
const GROUP_VERSION: i16 = 3;
const NEVER: i64 = -1;
/// A batch without records.
const BATCH_HEAD_BYTES: usize = 61;
/// What a record adds to its key and value: lengths, attributes, and what it differs by in time and offset.
const RECORD_FRAME_BYTES_MAX: usize = 32;

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    /// A name or blob is longer than its field.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The batch would be too large.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// One batch with a record per row.
pub(crate) fn encode(rows: &[Row], wall: WallTime) -> Result<BytesMut, RowError> {
    let mut builder = BatchBuilder::new(Codec::None);
    for row in rows {
        let (key, value) = record(row)?;
        builder.append(&NewRecord {
            timestamp: wall,
            key: Some(&key),
            value: value.as_deref(),
            headers: &[],
        })?;
    }
    Ok(BytesMut::from(&builder.build()?[..]))
}

/// Batches of at most `bytes_max` bytes, or of a single larger record, in the order of the rows.
pub(crate) fn encode_all<'a>(
    rows: impl Iterator<Item = &'a Row>,
    bytes_max: usize,
    wall: WallTime,
) -> Result<Vec<BytesMut>, RowError> {
    let mut batches = Vec::new();
    let (mut builder, mut size_bytes) = (BatchBuilder::new(Codec::None), BATCH_HEAD_BYTES);
    for row in rows {
        let (key, value) = record(row)?;
        let record_bytes = RECORD_FRAME_BYTES_MAX + key.len() + value.as_ref().map_or(0, Vec::len);
        if size_bytes > BATCH_HEAD_BYTES && size_bytes + record_bytes > bytes_max {
            let full = std::mem::replace(&mut builder, BatchBuilder::new(Codec::None));
            batches.push(BytesMut::from(&full.build()?[..]));
            size_bytes = BATCH_HEAD_BYTES;
        }
        size_bytes += record_bytes;
        builder.append(&NewRecord {
            timestamp: wall,
            key: Some(&key),
            value: value.as_deref(),
            headers: &[],
        })?;
    }
    if size_bytes > BATCH_HEAD_BYTES {
        batches.push(BytesMut::from(&builder.build()?[..]));
    }
    Ok(batches)
}

/// What a batch takes in the log.
pub(crate) fn size_of(batch: &BytesMut) -> u64 {
    u64::try_from(batch.len()).expect("a batch fits into memory")
}

fn record(row: &Row) -> Result<(Vec<u8>, Option<Vec<u8>>), EncodeError> {
    match row {
        Row::Offset {
            group,
            topic,
            partition,
            value,
        } => {
            let key = GroupRecordKey::OffsetCommit(OffsetCommitKey {
                group,
                topic,
                partition: *partition,
            });
            Ok((key.encode()?, value.as_ref().map(offset_value).transpose()?))
        }
        Row::Group { group, value } => {
            let key = GroupRecordKey::GroupMetadata(GroupMetadataKey { group });
            Ok((key.encode()?, value.as_ref().map(group_value).transpose()?))
        }
    }
}

fn offset_value(value: &CommittedOffset) -> Result<Vec<u8>, EncodeError> {
    let (version, expire_timestamp) = match value.expires_at {
        Some(expires_at) => (OFFSET_VERSION_EXPIRING, expires_at.0),
        None => (OFFSET_VERSION, NEVER),
    };
    let leader_epoch = if version == OFFSET_VERSION {
        value.leader_epoch.0
    } else {
        LeaderEpoch::UNKNOWN.0
    };
    let written = OffsetCommitValue {
        offset: value.offset.0,
        leader_epoch,
        metadata: &value.metadata,
        commit_timestamp: value.committed_at.0,
        expire_timestamp,
        ..OffsetCommitValue::default()
    };
    GroupRecordValue::OffsetCommit(written).encode(version)
}

fn group_value(value: &GroupRow) -> Result<Vec<u8>, EncodeError> {
    let written = GroupMetadataValue {
        protocol_type: &value.protocol_type,
        generation: value.generation,
        protocol: value.protocol.as_deref(),
        leader: value.leader.as_deref(),
        current_state_timestamp: value.state_since.0,
        members: value.members.iter().map(member_metadata).collect(),
    };
    GroupRecordValue::GroupMetadata(written).encode(GROUP_VERSION)
}

fn member_metadata(member: &MemberRow) -> MemberMetadata<'_> {
    MemberMetadata {
        member_id: &member.member_id,
        group_instance_id: member.instance_id.as_deref(),
        client_id: &member.client_id,
        client_host: &member.client_host,
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: &member.subscription,
        assignment: &member.assignment,
    }
}

/// Reads a record; `None` for a kind of record that classic groups do not have, which Kafka's readers skip too.
///
/// # Errors
/// [`DecodeError`] when the bytes are no such record.
pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Row>, DecodeError> {
    let key = match GroupRecordKey::decode(key) {
        Ok(key) => key,
        Err(DecodeError::UnknownRecordType { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let record_type = key.record_type();
    let value = value
        .map(|value| GroupRecordValue::decode(record_type, value))
        .transpose()?;
    Ok(match (key, value.map(|(_, value)| value)) {
        (GroupRecordKey::OffsetCommit(key), value) => Some(Row::Offset {
            group: key.group.to_owned(),
            topic: key.topic.to_owned(),
            partition: key.partition,
            value: value.and_then(|value| match value {
                GroupRecordValue::OffsetCommit(value) => Some(committed_offset(&value)),
                _ => None,
            }),
        }),
        (GroupRecordKey::GroupMetadata(key), value) => Some(Row::Group {
            group: key.group.to_owned(),
            value: value.and_then(|value| match value {
                GroupRecordValue::GroupMetadata(value) => Some(group_row(&value)),
                _ => None,
            }),
        }),
        _ => None,
    })
}

fn committed_offset(value: &OffsetCommitValue<'_>) -> CommittedOffset {
    CommittedOffset {
        offset: Offset(value.offset),
        leader_epoch: LeaderEpoch(value.leader_epoch),
        metadata: value.metadata.to_owned(),
        committed_at: WallTime(value.commit_timestamp),
        expires_at: (value.expire_timestamp != NEVER).then_some(WallTime(value.expire_timestamp)),
    }
}

fn group_row(value: &GroupMetadataValue<'_>) -> GroupRow {
    let member = |member: &MemberMetadata<'_>| MemberRow {
        member_id: member.member_id.to_owned(),
        instance_id: member.group_instance_id.map(ToOwned::to_owned),
        client_id: member.client_id.to_owned(),
        client_host: member.client_host.to_owned(),
        rebalance_timeout_ms: member.rebalance_timeout,
        session_timeout_ms: member.session_timeout,
        subscription: Bytes::copy_from_slice(member.subscription),
        assignment: Bytes::copy_from_slice(member.assignment),
    };
    GroupRow {
        protocol_type: value.protocol_type.to_owned(),
        generation: value.generation,
        protocol: value.protocol.map(ToOwned::to_owned),
        leader: value.leader.map(ToOwned::to_owned),
        state_since: WallTime(value.current_state_timestamp),
        members: value.members.iter().map(member).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_the_log() {
        let offset = |expires_at| Row::Offset {
            group: "g".into(),
            topic: "t".into(),
            partition: 3,
            value: Some(CommittedOffset {
                offset: Offset(7),
                leader_epoch: LeaderEpoch::UNKNOWN,
                metadata: "note".into(),
                committed_at: WallTime(1),
                expires_at,
            }),
        };
        let member = MemberRow {
            member_id: "m".into(),
            instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout_ms: 5,
            session_timeout_ms: 6,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
        };
        let group = GroupRow {
            protocol_type: "consumer".into(),
            generation: 2,
            protocol: Some("range".into()),
            leader: Some("m".into()),
            state_since: WallTime(9),
            members: vec![member],
        };
        for row in [
            offset(None),
            offset(Some(WallTime(5))),
            Row::Offset {
                group: "g".into(),
                topic: "t".into(),
                partition: 3,
                value: None,
            },
            Row::Group {
                group: "g".into(),
                value: Some(group),
            },
            Row::Group {
                group: "g".into(),
                value: None,
            },
        ] {
            let (key, value) = record(&row).unwrap();
            assert_eq!(decode(&key, value.as_deref()).unwrap(), Some(row));
        }
    }

    #[test]
    fn records_of_newer_kinds_are_skipped() {
        assert_eq!(decode(&[0, 99, 1], Some(&[0, 0])), Ok(None));
        assert!(decode(&[0], None).is_err());
    }
}
