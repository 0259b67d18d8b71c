//! One budget of memory for what clients make a node hold. Fetch sessions are charged to it; requests, answers and
//! members of groups are not yet.
//!
//! What is about to take memory asks first ([`MemoryBudget::try_charge`]) and keeps the [`Charge`] for as long as it
//! holds the memory; dropping it gives the bytes back, on whichever thread that happens. A counter without a lock is all
//! that shards share of it. Small things are not worth a charge: each owner says from which size on it asks.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use bytes::Bytes;

/// The bytes that a node may hold for its clients, and how many it holds.
#[derive(Debug)]
pub struct MemoryBudget {
    bytes_max: u64,
    used: AtomicU64,
}

impl MemoryBudget {
    /// A budget of `bytes_max` bytes, none of them taken.
    #[must_use]
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            used: AtomicU64::new(0),
        })
    }

    /// The bound in bytes.
    #[must_use]
    pub const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, or nothing and `None` when there is not that much left.
    #[must_use]
    pub fn try_charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let mut charge = Charge::nothing(self);
        charge.try_resize(bytes).then_some(charge)
    }

    fn take(&self, bytes: u64) -> bool {
        let room = |used: u64| used.checked_add(bytes).filter(|used| *used <= self.bytes_max);
        // A plain counter: nobody reads other memory by what it says.
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        taken.is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A part of a [`MemoryBudget`]; given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<MemoryBudget>,
    bytes: u64,
}

impl Charge {
    /// A charge of 0 bytes, to grow later.
    #[must_use]
    pub fn nothing(budget: &Arc<MemoryBudget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
        }
    }

    /// Bytes it holds.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it `bytes` large. Shrinking always works; `false`, and no change, when there is no room to grow.
    #[must_use]
    pub fn try_resize(&mut self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Some(more) = bytes.checked_sub(self.bytes) {
            if !self.budget.take(more) {
                return false;
            }
        } else {
            self.budget.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
        true
    }

    /// Gives back what goes beyond `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(self.bytes);
        self.budget.give_back(self.bytes - bytes);
        self.bytes = bytes;
    }

    /// `bytes` that hold this charge until their last reference is dropped, wherever they have gone meanwhile.
    #[must_use]
    pub fn around(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Charged { bytes, _charge: self })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

struct Charged {
    bytes: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_charged_is_bounded_and_comes_back() {
        let budget = MemoryBudget::new(100);
        let mut one = budget.try_charge(60).expect("there is room");
        assert!(budget.try_charge(41).is_none(), "60 and 41 are above 100");
        assert_eq!(budget.used_bytes(), 60, "a refusal takes nothing");
        let other = budget.try_charge(40).expect("exactly the rest");
        assert!(!one.try_resize(61));
        assert_eq!((one.bytes(), budget.used_bytes()), (60, 100));
        drop(other);
        assert!(one.try_resize(61));
        one.shrink(10);
        one.shrink(20);
        assert_eq!((one.bytes(), budget.used_bytes()), (10, 10));
        drop(one);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn bytes_keep_their_charge_until_the_last_reference_goes() {
        let budget = MemoryBudget::new(100);
        let charge = budget.try_charge(50).expect("there is room");
        let bytes = charge.around(vec![7; 50]);
        let part = bytes.slice(10..20);
        drop(bytes);
        assert_eq!(budget.used_bytes(), 50);
        let elsewhere = std::thread::spawn(move || drop(part));
        elsewhere.join().expect("no panic");
        assert_eq!(budget.used_bytes(), 0);
    }
}
