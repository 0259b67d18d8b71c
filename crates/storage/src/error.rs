//! What can go wrong, with the data a caller or a person needs.

use std::io;

use hallows_types::{Offset, PartitionId};

/// Why an append was refused. The log is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The batch is larger than the log accepts.
    #[error("the batch of {size_bytes} bytes is larger than max.message.bytes = {max_bytes}")]
    TooLarge {
        /// Size of the batch.
        size_bytes: usize,
        /// The log's bound.
        max_bytes: u32,
    },
    /// Not one whole record batch v2.
    #[error("not a valid record batch: {reason}")]
    Invalid {
        /// What is wrong.
        reason: &'static str,
    },
    /// A sequence number that does not follow the producer's last one.
    #[error("producer {producer_id} sent sequence {sequence} where {expected} was expected")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// What it sent.
        sequence: i32,
        /// What had to come.
        expected: i32,
    },
    /// A producer epoch older than the latest one.
    #[error("producer {producer_id} has epoch {latest}, the batch carries {epoch}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// What it sent.
        epoch: i16,
        /// The latest epoch seen.
        latest: i16,
    },
    /// Too much is waiting to be written; try again after the next commit.
    #[error("too many bytes wait to be written")]
    Busy,
    /// The disk has no room for it.
    #[error(
        "the disk is full: delete topics or records, or lower their retention; appends are accepted again by themselves \
             once there is room"
    )]
    Full,
    /// The partition no longer accepts appends.
    #[error("the partition failed: {0}")]
    Failed(Failure),
    /// No further offset can be assigned.
    #[error("the partition has used its last offset")]
    OffsetsExhausted,
}

/// Why a partition or its journal stopped for good; only a restart, after repair, helps.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// A durable write or sync failed, so nothing is known of unsynced bytes.
    #[error(
        "a write to {what} failed ({kind}: {message}). Nothing more is accepted, so that nothing acknowledged is lost. \
             Check the disk and start again"
    )]
    Write {
        /// The file or kind of file.
        what: String,
        /// The kind of error.
        kind: io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// Bytes that are on disk cannot be read.
    #[error("reading {what} failed ({kind}: {message}). Check the disk")]
    Read {
        /// The file.
        what: String,
        /// The kind of error.
        kind: io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// The data directory is no longer where it was.
    #[error(
        "the data directory is gone while it is used ({message}). Nothing more is accepted, so that nothing acknowledged \
             is lost. Bring it back, by mounting its file system or from a copy, and start again"
    )]
    Gone {
        /// How that shows.
        message: String,
    },
    /// Bytes on disk are not what was written.
    #[error("{0}")]
    Damaged(Damage),
}

impl Failure {
    pub(crate) fn write(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Write {
            what: what.into(),
            kind: error.kind(),
            message: error.to_string(),
        }
    }

    pub(crate) fn read(what: impl Into<String>, error: &io::Error) -> Self {
        Self::Read {
            what: what.into(),
            kind: error.kind(),
            message: error.to_string(),
        }
    }
}

/// Damage found on disk: what, where, and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{path}: {what} at byte {position}. {advice}")]
pub struct Damage {
    /// The file.
    pub path: String,
    /// Where in the file.
    pub position: u64,
    /// What is wrong.
    pub what: String,
    /// How to go on.
    pub advice: &'static str,
    /// The partition that fails because of it, where it is only one.
    pub partition: Option<PartitionId>,
}

/// Why a read was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Below the log start or above the log end.
    #[error("offset {offset} is outside {log_start}..={log_end}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset.
        log_start: Offset,
        /// The end, exclusive.
        log_end: Offset,
    },
    /// The partition failed.
    #[error("the partition failed: {0}")]
    Failed(Failure),
}

/// Why records were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Above the high watermark.
    #[error("offset {offset} is above the high watermark {high_watermark}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The highest possible value.
        high_watermark: Offset,
    },
    /// The storage is being shut down: the checkpoint that ends it may have noted the log start already.
    #[error("the storage is being shut down")]
    Stopping,
    /// The partition failed.
    #[error("the partition failed: {0}")]
    Failed(Failure),
}

/// Why a data directory cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Written by a newer release.
    #[error(
        "cannot start: the data directory uses format {found}, this build reads formats 1 to {known}. \
             Run a newer release, or point log.dirs at an empty directory"
    )]
    NewerFormat {
        /// The directory's format.
        found: u32,
        /// The newest format this build reads.
        known: u32,
    },
    /// Somebody else keeps data here.
    #[error(
        "cannot start: the data directory belongs to Apache Kafka, since it holds {found}, and Kafka's files are not read. \
             Point log.dirs at an empty directory, and copy the topics from a running Kafka, with MirrorMaker for example"
    )]
    Foreign {
        /// The entry that says so.
        found: String,
    },
    /// Not a data directory, or a damaged one.
    #[error("cannot start: {0}")]
    Damaged(Damage),
    /// The operating system refused.
    #[error("cannot start: {action} {path} failed: {source}. {advice}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// How to go on.
        advice: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}
