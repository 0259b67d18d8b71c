//! What one connection is to its shard: frames in, answers out in the order of their requests.
//!
//! Pure: bytes come as values, what to do comes back as values. It never decodes a request.

mod answers;
mod frame;

pub use answers::{Answer, AnswerQueue, Pace, Slot};
pub use frame::{FRAME_HEADER_BYTES, FrameError, missing_bytes, next_frame};
