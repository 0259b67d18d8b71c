//! Domain errors as Kafka's error codes. The only place where one becomes the other.

use hallows_protocol::ErrorCode;
use hallows_record::{BatchError, RecordError, RecordErrorKind};
use hallows_storage::AppendError;

use crate::op::{AppendFailure, PartitionFailure};

/// The code of a partition that cannot answer.
pub(crate) fn partition_code(failure: &PartitionFailure) -> ErrorCode {
    match failure {
        PartitionFailure::Unknown => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        PartitionFailure::Failed(_) => ErrorCode::KAFKA_STORAGE_ERROR,
        PartitionFailure::Stopping => ErrorCode::REQUEST_TIMED_OUT,
        PartitionFailure::OffsetOutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
        PartitionFailure::FencedLeaderEpoch => ErrorCode::FENCED_LEADER_EPOCH,
        PartitionFailure::UnknownLeaderEpoch => ErrorCode::UNKNOWN_LEADER_EPOCH,
        PartitionFailure::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
        PartitionFailure::InconsistentTopicId => ErrorCode::INCONSISTENT_TOPIC_ID,
    }
}

/// The code of an append that was refused or not acknowledged.
///
/// Back-pressure and a full disk are retriable codes, so that a stock producer tries again by itself.
pub(crate) fn append_code(failure: &AppendFailure) -> ErrorCode {
    match failure {
        AppendFailure::Partition(failure) => partition_code(failure),
        AppendFailure::Storage(error) => match error {
            AppendError::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
            AppendError::Invalid { .. } => ErrorCode::CORRUPT_MESSAGE,
            AppendError::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            AppendError::InvalidProducerEpoch { .. } => ErrorCode::INVALID_PRODUCER_EPOCH,
            AppendError::Busy => ErrorCode::REQUEST_TIMED_OUT,
            AppendError::Full | AppendError::Failed(_) => ErrorCode::KAFKA_STORAGE_ERROR,
            AppendError::OffsetsExhausted => ErrorCode::UNKNOWN_SERVER_ERROR,
        },
    }
}

/// Why an append was refused or not acknowledged, in words, where its code does not say it.
pub(crate) fn append_reason(failure: &AppendFailure) -> Option<String> {
    match failure {
        AppendFailure::Storage(error @ (AppendError::Full | AppendError::Failed(_))) => Some(error.to_string()),
        AppendFailure::Partition(PartitionFailure::Failed(failure)) => {
            Some(AppendError::Failed(failure.clone()).to_string())
        }
        AppendFailure::Storage(_) | AppendFailure::Partition(_) => None,
    }
}

/// The newest record batch version there is.
const MAGIC_MAX: i8 = 2;

/// The code of a batch that is refused as a whole.
pub(crate) fn batch_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::TooLarge { .. } => ErrorCode::MESSAGE_TOO_LARGE,
        // Clients send these again: the bytes may have been damaged on their way.
        BatchError::ChecksumMismatch { .. } | BatchError::LengthInvalid { .. } => ErrorCode::CORRUPT_MESSAGE,
        BatchError::UnsupportedMagic { magic } if *magic > MAGIC_MAX => ErrorCode::CORRUPT_MESSAGE,
        // Kafka has no better code for a codec that does not exist; it is not tried again.
        BatchError::UnknownCodec { .. } => ErrorCode::UNKNOWN_SERVER_ERROR,
        _ => ErrorCode::INVALID_RECORD,
    }
}

/// The code of a batch that is refused for one of its records.
pub(crate) fn record_code(error: &RecordError) -> ErrorCode {
    match error.kind {
        RecordErrorKind::TimestampTooOld { .. } | RecordErrorKind::TimestampTooNew { .. } => {
            ErrorCode::INVALID_TIMESTAMP
        }
        RecordErrorKind::TimestampTypeInvalid => ErrorCode::INVALID_TIMESTAMP,
        // As Kafka answers it; CORRUPT_MESSAGE would have clients send the same bytes again and again.
        RecordErrorKind::Compression(_) => ErrorCode::UNKNOWN_SERVER_ERROR,
        _ => ErrorCode::INVALID_RECORD,
    }
}
