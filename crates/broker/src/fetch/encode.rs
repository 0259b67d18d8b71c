//! From a fetch's answer to its bytes: headers in memory, records as slices that are never copied here.

use hallows_net::Answer;
use hallows_protocol::fetch::{FetchChunk, FetchFrame, FetchResponseHead, FetchResponseWriter};
use hallows_protocol::messages::fetch_response::{EpochEndOffset, PartitionData};
use hallows_protocol::{EncodeError, ErrorCode};
use hallows_runtime::Slice;
use smallvec::SmallVec;

use super::{FetchAnswer, FetchedPartition, ReadAnswer};
use crate::context::{Outcome, RequestContext};
use crate::errors::partition_code;

type Records = Vec<SmallVec<[Slice; 4]>>;

/// Encodes the answer to a fetch.
pub(crate) fn answer(context: &RequestContext, read_committed: bool, fetched: FetchAnswer) -> Outcome {
    let mut records: Records = Vec::with_capacity(fetched.partitions.len());
    match frame(context, read_committed, fetched, &mut records) {
        Ok(frame) => Outcome::Answer(interleave(frame, &mut records)),
        Err(error) => Outcome::Close(format!("cannot encode the answer to Fetch: {error}")),
    }
}

fn frame(
    context: &RequestContext,
    read_committed: bool,
    fetched: FetchAnswer,
    records: &mut Records,
) -> Result<FetchFrame, EncodeError> {
    let groups = || fetched.partitions.chunk_by(|one, other| one.topic == other.topic);
    let head = FetchResponseHead {
        correlation_id: context.correlation_id,
        throttle_time_ms: 0,
        error_code: fetched.error,
        session_id: fetched.session_id,
        topics: groups().count(),
    };
    let mut writer = FetchResponseWriter::new(context.version, &head)?;
    for group in groups() {
        let topic = &group[0].topic;
        writer.topic(&topic.name, topic.id, group.len())?;
        for fetched in group {
            write_partition(&mut writer, read_committed, fetched)?;
        }
    }
    let frame = writer.finish(&[])?;
    records.extend(fetched.partitions.into_iter().map(|partition| match partition.result {
        Ok(data) => data.slices,
        Err(_) => SmallVec::new(),
    }));
    Ok(frame)
}

fn write_partition(
    writer: &mut FetchResponseWriter,
    read_committed: bool,
    fetched: &FetchedPartition,
) -> Result<(), EncodeError> {
    let records_length = fetched.result.as_ref().map_or(0, |data| data.size_bytes as usize);
    let data = partition_data(fetched.partition, read_committed, &fetched.result);
    writer.partition(&data, records_length)?;
    Ok(())
}

fn partition_data(partition_index: i32, read_committed: bool, result: &ReadAnswer) -> PartitionData {
    let base = PartitionData {
        partition_index,
        preferred_read_replica: -1,
        ..PartitionData::default()
    };
    match result {
        Ok(data) => PartitionData {
            error_code: ErrorCode::NONE,
            high_watermark: data.high_watermark.0,
            last_stable_offset: data.last_stable_offset.0,
            log_start_offset: data.log_start.0,
            diverging_epoch: data
                .diverging
                .map_or_else(EpochEndOffset::default, |(epoch, end)| EpochEndOffset {
                    epoch: epoch.0,
                    end_offset: end.0,
                }),
            // There are no transactions yet, so none was aborted.
            aborted_transactions: read_committed.then(Vec::new),
            ..base
        },
        Err(failure) => PartitionData {
            error_code: partition_code(failure),
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            // As Kafka does: an empty list for what does not exist, none for what could not be read.
            aborted_transactions: failure.is_missing().then(Vec::new),
            ..base
        },
    }
}

fn interleave(frame: FetchFrame, records: &mut Records) -> Answer {
    let mut answer = Answer::new();
    for chunk in frame.chunks {
        match chunk {
            FetchChunk::Bytes(bytes) => answer.push(Slice::Memory(bytes)),
            FetchChunk::Records { slot, length } => {
                let slices = std::mem::take(&mut records[slot]);
                debug_assert_eq!(slices.iter().map(Slice::len).sum::<usize>(), length);
                answer.extend(slices);
            }
        }
    }
    answer
}
