//! Client connections: bytes arrive in arbitrary pieces, late, and sometimes never.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::{Buf, Bytes, BytesMut};
use hallows_runtime::{CloseReason, ConnectionId, Event, FileHandle, ListenerId, Output, Slice, Turn};
use hallows_types::ShardId;

use super::connection::Connection;
use super::{Due, NANOSECONDS_PER_MILLISECOND, World, split};
use crate::random::Choose;

/// Above this much queued output a connection is not read.
const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// The most bytes that leave at once.
const TRANSMIT_BYTES_MAX: usize = 32 << 10;
/// The longest stall in milliseconds.
const STALL_MS_MAX: u64 = 3_000;

/// How often the surroundings interfered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(
    missing_docs,
    reason = "each field is explained by its line in `NetworkCounts::rows`"
)]
pub struct NetworkCounts {
    pub connections_cut: u64,
    pub connections_left_behind: u64,
    pub stalls_inwards: u64,
    pub stalls_outwards: u64,
    pub delays: u64,
    pub frames_split: u64,
    pub output_full: u64,
    pub wall_jumps: u64,
    pub handed_over: u64,
}

impl NetworkCounts {
    /// Every class by its printed name.
    #[must_use]
    pub const fn rows(&self) -> [(&'static str, u64); 9] {
        [
            ("connections_cut", self.connections_cut),
            ("connections_left_behind", self.connections_left_behind),
            ("stalls_inwards", self.stalls_inwards),
            ("stalls_outwards", self.stalls_outwards),
            ("delays", self.delays),
            ("frames_split", self.frames_split),
            ("output_full", self.output_full),
            ("wall_jumps", self.wall_jumps),
            ("handed_over", self.handed_over),
        ]
    }

    /// Adds the counts of another run.
    pub const fn add(&mut self, other: &Self) {
        self.connections_cut += other.connections_cut;
        self.connections_left_behind += other.connections_left_behind;
        self.stalls_inwards += other.stalls_inwards;
        self.stalls_outwards += other.stalls_outwards;
        self.delays += other.delays;
        self.frames_split += other.frames_split;
        self.output_full += other.output_full;
        self.wall_jumps += other.wall_jumps;
        self.handed_over += other.handed_over;
    }
}

impl<T: Turn> World<T> {
    /// Opens a connection to a shard.
    pub fn connect(&mut self, shard: ShardId) -> ConnectionId {
        self.next_connection += 1;
        let id = ConnectionId(self.next_connection);
        let mut connection = Connection::new(shard);
        let at = self.now + self.latencies.network(&mut self.random);
        connection.last_to_server = at;
        self.connections.insert(id, connection);
        self.schedule_at(at, Due::Accept(id));
        id
    }

    /// Sends bytes to the server, which receives them in pieces.
    pub fn transmit_to_server(&mut self, id: ConnectionId, bytes: &[u8]) {
        let mut rest = bytes;
        let pieces = if self.random.one_in(4) {
            1 + self.random.below(4)
        } else {
            1
        };
        self.network.frames_split += u64::from(pieces > 1);
        for left in (0..pieces).rev() {
            let count = if left == 0 {
                rest.len()
            } else {
                self.random.index(rest.len() + 1)
            };
            let (piece, after) = rest.split_at(count);
            rest = after;
            let wait = self.passage();
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            let at = (self.now + wait)
                .max(connection.last_to_server)
                .max(connection.stalled_in_until);
            connection.last_to_server = at;
            self.schedule_at(at, Due::ToServer(id, Bytes::copy_from_slice(piece)));
        }
    }

    /// A client turns to another connection and leaves this one open: the server has two of it for a while.
    pub const fn leave_behind(&mut self) {
        self.network.connections_left_behind += 1;
    }

    /// How long bytes are on their way.
    fn passage(&mut self) -> u64 {
        let (wait, is_late) = self.latencies.passage(&mut self.random);
        self.network.delays += u64::from(is_late);
        wait
    }

    /// Ends a connection from the client's side or in the middle. What is on its way in either direction is lost.
    pub fn cut(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        self.trace.note("cut", &[id.0, self.now]);
        self.network.connections_cut += 1;
        if connection.accepted {
            let reason = if self.random.one_in(2) {
                CloseReason::Peer
            } else {
                CloseReason::Error
            };
            self.deliver(connection.shard, Event::Closed { connection: id, reason });
        }
        self.end_client(id, self.now);
    }

    fn end_client(&mut self, id: ConnectionId, earliest: u64) {
        let wait = self.latencies.network(&mut self.random);
        self.schedule_at(earliest.max(self.now + wait), Due::ClientEnd(id));
    }

    pub(super) fn cut_one(&mut self) {
        if let Some(id) = self.any_connection() {
            self.cut(id);
        }
    }

    pub(super) fn stall_one(&mut self) {
        let Some(id) = self.any_connection() else { return };
        let until = self.now + self.random.below(STALL_MS_MAX) * NANOSECONDS_PER_MILLISECOND;
        let inwards = self.random.one_in(2);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let stalled = if inwards {
            &mut connection.stalled_in_until
        } else {
            &mut connection.stalled_out_until
        };
        *stalled = until;
        if inwards {
            self.network.stalls_inwards += 1;
        } else {
            self.network.stalls_outwards += 1;
        }
    }

    fn any_connection(&mut self) -> Option<ConnectionId> {
        if self.connections.is_empty() {
            return None;
        }
        let place = self.random.index(self.connections.len());
        self.connections.keys().nth(place).copied()
    }

    pub(super) fn accept(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.accepted = true;
        let port = u16::try_from(id.0 % 60_000).expect("below 2^16");
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let shard = connection.shard;
        self.deliver(
            shard,
            Event::Accepted {
                connection: id,
                peer,
                listener: ListenerId(0),
            },
        );
        self.tell(id);
    }

    pub(super) fn arrive(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.trace.note("arrive", &[id.0, bytes.len() as u64, self.now]);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.arrived.extend_from_slice(bytes);
        self.tell(id);
    }

    /// Tells the shard of arrived bytes, if it may be told now.
    fn tell(&mut self, id: ConnectionId) {
        let Some(connection) = self
            .connections
            .get_mut(&id)
            .filter(|connection| connection.is_readable())
        else {
            return;
        };
        let mut bytes = connection.kept.take().unwrap_or_default();
        let arrived = std::mem::take(&mut connection.arrived);
        if bytes.is_empty() {
            bytes = arrived
        } else {
            bytes.extend_from_slice(&arrived)
        }
        connection.told = true;
        let shard = connection.shard;
        self.deliver(shard, Event::Received { connection: id, bytes });
    }

    /// A shard has had its turn: it knows everything it was told.
    pub(super) fn after_turn(&mut self, shard: ShardId) {
        for connection in self
            .connections
            .values_mut()
            .filter(|connection| connection.shard == shard)
        {
            connection.told = false;
        }
    }

    /// Tells a shard of what has arrived during its turn.
    pub(super) fn feed(&mut self, shard: ShardId) {
        let readable = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.shard == shard);
        let ids: Vec<_> = readable
            .filter(|(_, connection)| connection.is_readable())
            .map(|(id, _)| *id)
            .collect();
        ids.into_iter().for_each(|id| self.tell(id));
    }

    pub(super) fn output(&mut self, output: Output) {
        match output {
            Output::Send(id, slice) => self.queue_output(id, slice),
            Output::CloseAfterSend(id) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.close_after_send = true;
                    self.see_to_transmission(id);
                }
            }
            Output::Close(id) => self.close(id),
            Output::PauseReading(id) => self.set_paused(id, true),
            Output::ResumeReading(id) => self.set_paused(id, false),
            Output::HandOver {
                connection,
                to,
                received,
            } => self.hand_over(connection, to, received),
            Output::Keep { connection, bytes, .. } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.kept = Some(bytes);
                }
            }
        }
    }

    /// Moves a connection to another shard, or has its own accept it once more, as the real pump does.
    fn hand_over(&mut self, id: ConnectionId, to: ShardId, received: BytesMut) {
        let declines = self.random.one_in(4);
        let wait = self.latencies.message(&mut self.random);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        // What the real pump has sent by then is still on its way here.
        if !connection.above_output_max && !declines {
            connection.shard = to;
            self.network.handed_over += 1;
        }
        let mut bytes = received;
        bytes.extend_from_slice(&connection.kept.take().unwrap_or_default());
        bytes.extend_from_slice(&connection.arrived);
        connection.arrived = bytes;
        connection.accepted = false;
        connection.paused = false;
        self.schedule(wait, Due::Accept(id));
    }

    fn set_paused(&mut self, id: ConnectionId, paused: bool) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.paused = paused;
        }
    }

    fn queue_output(&mut self, id: ConnectionId, slice: Slice) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.output_bytes += slice.len();
        connection.output.push_back(slice);
        let shard = connection.shard;
        if connection.output_bytes > OUTPUT_BYTES_MAX && !connection.above_output_max {
            connection.above_output_max = true;
            self.network.output_full += 1;
            self.deliver(shard, Event::OutputFull { connection: id });
        }
        self.see_to_transmission(id);
    }

    fn see_to_transmission(&mut self, id: ConnectionId) {
        let wait = self.latencies.turn(&mut self.random);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if !std::mem::replace(&mut connection.transmitting, true) {
            let at = (self.now + wait).max(connection.stalled_out_until);
            self.schedule_at(at, Due::Transmit(id));
        }
    }

    /// Sends some of a connection's output on its way.
    pub(super) fn transmit(&mut self, id: ConnectionId) {
        let mut bytes = BytesMut::new();
        let limit = 1 + self.random.index(TRANSMIT_BYTES_MAX);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.transmitting = false;
        while bytes.len() < limit
            && let Some(slice) = connection.output.front_mut()
        {
            let Ok(taken) = take(slice, limit - bytes.len(), &mut bytes) else {
                // As the real pump does: a range that cannot be read ends the connection.
                return self.break_off(id);
            };
            connection.output_bytes -= taken;
            if slice.is_empty() {
                connection.output.pop_front();
            }
        }
        self.trace.note("transmit", &[id.0, bytes.len() as u64, self.now]);
        self.send_to_client(id, bytes);
        self.after_transmission(id);
    }

    fn send_to_client(&mut self, id: ConnectionId, mut bytes: BytesMut) {
        while !bytes.is_empty() {
            let count = if self.random.one_in(4) {
                1 + self.random.index(bytes.len())
            } else {
                bytes.len()
            };
            let piece = split(&mut bytes, count);
            let wait = self.passage();
            let Some(connection) = self.connections.get_mut(&id) else {
                return;
            };
            let at = (self.now + wait).max(connection.last_to_client);
            connection.last_to_client = at;
            self.schedule_at(at, Due::ToClient(id, piece));
        }
    }

    fn after_transmission(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let shard = connection.shard;
        if connection.above_output_max && connection.output_bytes < OUTPUT_BYTES_MAX / 2 {
            connection.above_output_max = false;
            self.deliver(shard, Event::OutputDrained { connection: id });
            self.tell(id);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if !connection.output.is_empty() {
            self.see_to_transmission(id);
        } else if connection.close_after_send {
            self.close(id);
        }
    }

    /// The shard wants a connection closed: it hears no more of it.
    fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.end_client(id, connection.last_to_client);
        }
    }

    fn break_off(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(&id) {
            let reason = CloseReason::Error;
            self.deliver(connection.shard, Event::Closed { connection: id, reason });
            self.end_client(id, connection.last_to_client);
        }
    }
}

/// Moves up to `max` bytes of a slice into `bytes`; returns how many.
fn take(slice: &mut Slice, max: usize, bytes: &mut BytesMut) -> std::io::Result<usize> {
    let count = slice.len().min(max);
    match slice {
        Slice::Memory(memory) => {
            bytes.extend_from_slice(&memory[..count]);
            memory.advance(count);
        }
        Slice::File { file, offset, len } => {
            let start = bytes.len();
            bytes.resize(start + count, 0);
            read_all(file, &mut bytes[start..], *offset)?;
            *offset += count as u64;
            *len -= u32::try_from(count).expect("at most the slice's own length");
        }
    }
    Ok(count)
}

/// Fills `buffer` from a file; a short read is asked for the rest, as the kernel does for `sendfile`.
pub(crate) fn read_all(file: &FileHandle, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}
