//! What must always hold, one file per invariant.

pub mod epochs;
pub mod high_watermark;
pub mod idempotence;
pub mod log_start;
pub mod reads;
pub mod recovery;
pub mod remint;
pub mod survival;
pub mod times;
