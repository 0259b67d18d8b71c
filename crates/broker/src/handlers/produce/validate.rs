//! Whether a batch may be appended, and what the topic's rules make of it.
//!
//! A large compressed batch is unpacked on the pool, since unpacking may take longer than a shard may stand still. Until
//! its request is back no later one of its connection starts, so batches of a producer stay in order.

use bytes::BytesMut;
use hallows_config::{CleanupPolicy, TimestampType};
use hallows_protocol::ErrorCode;
use hallows_record::{
    BatchError, BatchHeader, Codec, MaxTimestampCheck, RecordLimits, Scratch, StructureLimits, TimestampBounds,
    assign_offset_and_epoch, check_records, check_structure, set_log_append_time, set_max_timestamp, single_batch,
};
use hallows_types::{LeaderEpoch, Offset, PartitionId, WallTime};

use super::{Validated, append};
use crate::context::{Outcome, RequestContext};
use crate::errors::{append_code, append_reason, batch_code, record_code};
use crate::metadata::Topic;
use crate::op::AppendFailure;
use crate::rows::RowKey;
use crate::shard::{Life, Shard};

/// The oldest version whose clients can read zstd (KIP-110).
const ZSTD_VERSION_MIN: i16 = 7;
/// From this size on, compressed batches are validated on the pool: below it the way there and back costs more than
/// unpacking usually does.
const POOL_BATCH_BYTES_MIN: usize = 128 << 10;

/// Every in-sync replica has to have the batch before it is acknowledged.
const ACKS_ALL: i16 = -1;
/// How many replicas a partition of a node alone has.
pub(crate) const REPLICAS: u32 = 1;

/// Why a batch is not even tried.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
    pub(super) record_index: Option<i32>,
}

impl Refusal {
    pub(super) const fn code(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
            record_index: None,
        }
    }

    pub(super) fn of_append(failure: &AppendFailure) -> Self {
        Self {
            message: append_reason(failure),
            ..Self::code(append_code(failure))
        }
    }
}

/// The rules of one topic for one request, in a form that can leave the shard.
pub(super) struct Checks {
    version: i16,
    has_transactional_id: bool,
    batch_bytes_max: usize,
    limits: RecordLimits,
    /// The time that all records get, where the broker says when they came.
    append_time: Option<WallTime>,
    /// How many replicas acks=all is to wait for, where there are fewer.
    replicas_missing: Option<u32>,
}

/// A batch that may be appended if it passes.
pub(super) struct Candidate {
    /// Its place among the request's partitions.
    pub(super) part: usize,
    pub(super) partition: PartitionId,
    pub(super) checks: Checks,
    pub(super) records: BytesMut,
}

/// What became of a candidate.
pub(crate) struct Verdict {
    pub(super) part: usize,
    pub(super) partition: PartitionId,
    pub(super) result: Result<BytesMut, Refusal>,
}

/// A request whose batches are being validated on the pool.
pub(crate) struct Validating {
    context: RequestContext,
    request: Validated,
}

/// Whether unpacking this batch may take long.
pub(super) fn is_for_pool(records: &[u8]) -> bool {
    records.len() >= POOL_BATCH_BYTES_MIN
        && BatchHeader::parse(records).is_ok_and(|header| header.codec() != Ok(Codec::None))
}

impl Checks {
    pub(super) fn new(shard: &Shard, topic: &Topic, version: i16, acks: i16, has_transactional_id: bool) -> Self {
        let config = shard.topic_config(topic);
        let assigns_time = config.timestamp_type == TimestampType::LogAppendTime;
        Self {
            version,
            has_transactional_id,
            batch_bytes_max: usize::try_from(config.batch_bytes_max).unwrap_or(usize::MAX),
            limits: RecordLimits {
                key_required: config.cleanup_policy == CleanupPolicy::Compact,
                timestamps: (!assigns_time).then(|| bounds(shard.now.wall, &config)),
                max_timestamp: MaxTimestampCheck::Report,
                ..RecordLimits::produced()
            },
            append_time: assigns_time.then_some(shard.now.wall),
            replicas_missing: (acks == ACKS_ALL && config.min_insync_replicas > REPLICAS)
                .then_some(config.min_insync_replicas),
        }
    }
}

/// Whether the field holds one batch.
pub(super) fn check_shape(records: &[u8]) -> Result<(), Refusal> {
    single_batch(records).map(|_| ()).map_err(|error| invalid(&error))
}

fn invalid(error: &BatchError) -> Refusal {
    Refusal {
        code: batch_code(error),
        message: Some(error.to_string()),
        record_index: None,
    }
}

impl Candidate {
    pub(super) fn check(self, scratch: &mut Scratch) -> Verdict {
        let Self {
            part,
            partition,
            checks,
            mut records,
        } = self;
        let result = checks.apply(&mut records, scratch).map(|()| records);
        Verdict {
            part,
            partition,
            result,
        }
    }
}

impl Checks {
    /// Validates a batch and applies the topic's rules to it, in place.
    fn apply(&self, records: &mut BytesMut, scratch: &mut Scratch) -> Result<(), Refusal> {
        self.check_replicas()?;
        self.check_head(records)?;
        let summary = check_records(records, &self.limits, scratch).map_err(|error| Refusal {
            code: record_code(&error),
            message: Some(error.to_string()),
            record_index: error.record_index,
        })?;
        if let Some(time) = self.append_time {
            set_log_append_time(records, time);
        } else if !summary.max_timestamp_matches_header {
            set_max_timestamp(records, summary.max_timestamp);
        }
        // Storage assigns the real ones; what the client wrote there must not survive a refused append.
        assign_offset_and_epoch(records, Offset::ZERO, LeaderEpoch::UNKNOWN);
        Ok(())
    }

    /// Nothing is appended that could not be acknowledged as the topic asks.
    fn check_replicas(&self) -> Result<(), Refusal> {
        let Some(wanted) = self.replicas_missing else {
            return Ok(());
        };
        Err(Refusal {
            message: Some(format!(
                "min.insync.replicas is {wanted}, and each partition has {REPLICAS} replica here: \
                 nothing can be acknowledged with acks=all. Lower the setting, or send with acks=1"
            )),
            ..Refusal::code(ErrorCode::NOT_ENOUGH_REPLICAS)
        })
    }

    /// What can be said without looking at records.
    fn check_head(&self, records: &[u8]) -> Result<(), Refusal> {
        check_shape(records)?;
        let limits = StructureLimits::produced(self.batch_bytes_max);
        let header = check_structure(records, &limits).map_err(|error| invalid(&error))?;
        if header.is_control() {
            return Err(Refusal::code(ErrorCode::INVALID_RECORD));
        }
        if header.is_transactional() {
            // Kafka asks whether the producer may use its transactional id, and none is not allowed.
            return Err(Refusal::code(if self.has_transactional_id {
                ErrorCode::INVALID_TXN_STATE
            } else {
                ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            }));
        }
        if header.base_offset != Offset::ZERO {
            return Err(Refusal {
                code: ErrorCode::INVALID_RECORD,
                message: Some("the base offset of a batch that is to be appended must be 0".to_owned()),
                record_index: None,
            });
        }
        if header.codec() == Ok(Codec::Zstd) && self.version < ZSTD_VERSION_MIN {
            return Err(Refusal::code(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE));
        }
        Ok(())
    }
}

fn bounds(wall: WallTime, config: &hallows_config::TopicConfig) -> TimestampBounds {
    let ms = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    TimestampBounds::around(
        wall,
        ms(config.timestamp_before_ms_max),
        ms(config.timestamp_after_ms_max),
    )
}

impl Shard {
    /// Sends a request's batches to the pool. At most one request of a connection is there, and all of them count
    /// among `delayed.requests.max`.
    pub(super) fn validate_on_pool(
        &mut self,
        context: RequestContext,
        request: Validated,
        candidates: Vec<Candidate>,
    ) -> Outcome {
        self.hold(context.connection);
        let bytes_max = self.limits.decompressed_batch_bytes_max;
        let row = self.validations.insert(Validating { context, request });
        let job = move || -> Box<dyn std::any::Any + Send> {
            let mut scratch = Scratch::new(bytes_max);
            let verdicts = candidates.into_iter().map(|candidate| candidate.check(&mut scratch));
            Box::new(verdicts.collect::<Vec<Verdict>>())
        };
        self.effects.compute(row.to_token(), Box::new(job));
        Outcome::Later
    }

    /// The pool is done with a request.
    pub(crate) fn validated(&mut self, token: u64, output: Box<dyn std::any::Any + Send>) {
        let Some(Validating { context, request }) = self.validations.remove(RowKey::from_token(token)) else {
            return;
        };
        let verdicts = output
            .downcast::<Vec<Verdict>>()
            .expect("validation is the only job that shards give to the pool");
        let (connection, slot) = (context.connection, context.slot);
        self.release(connection);
        let outcome = if self.life == Life::Serving {
            append(self, context, request, *verdicts)
        } else {
            Outcome::Close("the broker is stopping".to_owned())
        };
        self.conclude(connection, slot, outcome);
    }
}
