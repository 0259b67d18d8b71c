//! What shards send each other.

use std::sync::Arc;

use hallows_types::TopicId;

use crate::fetch::Watcher;
use crate::metadata::Image;
use crate::op::{Op, OpAnswer, ReplyTo};

/// A message from shard to shard; delivered in order per sender.
pub struct Message(pub(crate) Body);

pub(crate) enum Body {
    /// Work, all of one request, with the place of each answer. `None` asks for no answer.
    Ask(Vec<(Option<ReplyTo>, Op)>),
    /// Answers to an earlier `Ask`.
    Tell(Vec<(ReplyTo, OpAnswer)>),
    /// A watched partition has something new for this session.
    Dirty(Watcher),
    /// A new image of the metadata, and the topics that changed since the previous one.
    Image { image: Arc<Image>, changed: Arc<[TopicId]> },
    /// The receiver of an image has installed it.
    Installed { version: u64 },
    /// Every shard has raised its leader epochs after an unclean stop: requests may start.
    Serve,
}
