//! The simulated world and its checkers.
//!
//! One thread, no runtime, virtual time: a seed decides which turn, delivery, completion or timer comes next, what the
//! disk loses and when the machine dies. The same seed always gives the same run.
//! Nothing above the runtime seam is mocked: the code under test is the code that serves.

pub mod disk;
mod random;
mod trace;
pub mod world;

pub use disk::SimDisk;
pub use random::Choose;
pub use trace::Trace;
pub use world::World;
