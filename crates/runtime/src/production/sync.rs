//! What threads share: the standard library's and `rtrb`'s, or loom's, which tries every order of their steps.

#[cfg(all(test, feature = "loom"))]
pub(super) use self::explored::*;
#[cfg(not(all(test, feature = "loom")))]
pub(super) use self::real::*;

#[cfg(not(all(test, feature = "loom")))]
mod real {
    pub(in super::super) use std::sync::atomic::{AtomicBool, Ordering, fence};
    pub(in super::super) use std::sync::{Mutex, MutexGuard};

    pub(in super::super) use rtrb::{Consumer, Producer, PushError, RingBuffer};
}

#[cfg(all(test, feature = "loom"))]
mod explored {
    pub(in super::super) use loom::sync::atomic::{AtomicBool, Ordering, fence};
    pub(in super::super) use loom::sync::{Mutex, MutexGuard};

    pub(in super::super) use super::super::models::ring::{Consumer, Producer, PushError, RingBuffer};
}
