//! Whether one connection has a shard to itself.
//!
//! Others wait while a connection sends, so it sends in short passes. A consumer that catches up alone pays for that
//! with a look at all sockets and a wake-up of its own per pass; as long as nobody else comes it may send more at once.

use std::time::Duration;

use hallows_types::Monotonic;

use crate::ConnectionId;

/// Who came within this time may come again. Short enough that a consumer's catch-up is hardly begun by then, long enough
/// that one who comes fifty times a second seldom waits for a long pass.
const LATELY: Duration = Duration::from_millis(20);

/// The connection that was worked for last, and since when for no other.
#[derive(Default)]
pub(super) struct Company {
    connection: Option<ConnectionId>,
    since: Monotonic,
}

impl Company {
    /// Notes work for a connection; `None` is another shard.
    pub(super) fn note(&mut self, connection: Option<ConnectionId>, now: Monotonic) {
        if connection.is_none() || connection != self.connection {
            *self = Self { connection, since: now };
        }
    }

    /// Whether nobody but `connection` came lately.
    pub(super) fn is_alone(&self, connection: ConnectionId, now: Monotonic) -> bool {
        self.connection == Some(connection) && now.since(self.since) >= LATELY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_alone_when_nobody_else_came_lately() {
        let (one, other) = (ConnectionId(1), ConnectionId(2));
        let start = Monotonic::default();
        let at = |count: u32| start.after(LATELY * count);
        let mut company = Company::default();
        company.note(Some(one), start);
        assert!(!company.is_alone(one, start), "another one may have been here just now");
        company.note(Some(one), at(1));
        assert!(company.is_alone(one, at(1)) && !company.is_alone(other, at(1)));
        company.note(Some(other), at(2));
        company.note(Some(one), at(2));
        assert!(!company.is_alone(one, at(2)) && company.is_alone(one, at(3)));
        company.note(None, at(4));
        company.note(Some(one), at(4));
        assert!(!company.is_alone(one, at(4)), "another shard came");
    }
}
