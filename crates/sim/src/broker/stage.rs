//! What a client may touch while it acts.

use std::collections::BTreeMap;

use hallows_broker::Shard;
use hallows_runtime::{ConnectionId, Random};
use hallows_types::ShardId;

use super::book::Book;
use crate::random::Choose;
use crate::world::World;

/// The world, what is known of it, and the client's own choices.
pub(super) struct Stage<'a> {
    pub(super) world: &'a mut World<Shard>,
    pub(super) book: &'a mut Book,
    pub(super) random: &'a mut Random,
    /// Which client a connection belongs to.
    pub(super) routes: &'a mut BTreeMap<ConnectionId, usize>,
    /// Requests sent so far.
    pub(super) operations: &'a mut u64,
}

impl Stage<'_> {
    /// Opens a connection of a client. As with one port for all shards, any shard may get it.
    pub(super) fn connect(&mut self, owner: usize) -> ConnectionId {
        let shard = self.random.index(self.world.shard_count());
        let id = self
            .world
            .connect(ShardId(u16::try_from(shard).expect("a machine has few shards")));
        self.routes.insert(id, owner);
        id
    }
}
