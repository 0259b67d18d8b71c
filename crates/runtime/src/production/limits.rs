//! How many connections there may be, altogether and per address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The counts of open connections, shared by all shards; touched only when a connection opens or closes.
pub(super) struct Limits {
    connections_max: usize,
    connections_per_ip_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: usize,
    /// Addresses without connections have no entry; so it is bounded by `connections`.
    per_ip: BTreeMap<IpAddr, usize>,
    /// Acceptors waiting for a connection to close; at most one per listener.
    waiting: Vec<Waker>,
}

/// The right to one connection; given back when dropped.
pub(super) struct Permit {
    limits: Arc<Limits>,
    ip: Option<IpAddr>,
}

impl Limits {
    pub(super) fn new(connections_max: usize, connections_per_ip_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connections_max,
            connections_per_ip_max,
            state: Mutex::default(),
        })
    }

    /// A permit for a connection still to be accepted, or `None` and a wake-up once one closes.
    pub(super) fn acquire(self: &Arc<Self>, waker: &Waker) -> Option<Permit> {
        let mut state = self.lock();
        if state.connections >= self.connections_max {
            if !state.waiting.iter().any(|known| known.will_wake(waker)) {
                state.waiting.push(waker.clone());
            }
            return None;
        }
        state.connections += 1;
        Some(Permit {
            limits: Arc::clone(self),
            ip: None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The counts are changed by single steps that do not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Binds the permit to the peer's address; `None` when that address has its share already.
    pub(super) fn bind(mut self, ip: IpAddr) -> Option<Self> {
        let ip = ip.to_canonical();
        {
            let mut state = self.limits.lock();
            let count = state.per_ip.entry(ip).or_insert(0);
            if *count >= self.limits.connections_per_ip_max {
                if *count == 0 {
                    state.per_ip.remove(&ip);
                }
                return None;
            }
            *count += 1;
        }
        self.ip = Some(ip);
        Some(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.limits.lock();
            state.connections -= 1;
            if let Some(ip) = self.ip
                && let Some(count) = state.per_ip.get_mut(&ip)
            {
                *count -= 1;
                if *count == 0 {
                    state.per_ip.remove(&ip);
                }
            }
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back() {
        let limits = Limits::new(2, 1);
        let ip = IpAddr::from([127, 0, 0, 1]);
        let waker = Waker::noop();
        let first = limits
            .acquire(waker)
            .and_then(|permit| permit.bind(ip))
            .expect("the first fits");
        let second = limits.acquire(waker).expect("two fit");
        assert!(limits.acquire(waker).is_none(), "three do not");
        assert!(second.bind(ip).is_none(), "one per address");
        drop(first);
        assert!(limits.lock().per_ip.is_empty());
        assert_eq!(limits.lock().connections, 0);
    }
}
