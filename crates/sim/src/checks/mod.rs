//! What must always hold, one file per invariant.

pub mod assignments;
pub mod committed_offsets;
pub mod delivered;
pub mod epochs;
pub mod high_watermark;
pub mod idempotence;
pub mod log_start;
pub mod memory;
pub mod producer_ids;
pub mod reads;
pub mod recovery;
pub mod recreated;
pub mod remint;
pub mod survival;
pub mod times;
pub mod truncation;
