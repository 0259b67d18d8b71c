//! What the broker's own logs hold, for fuzzing and offline tools.

use bytes::BytesMut;
use hallows_group_coordinator::Row;
use hallows_protocol::DecodeError;
use hallows_types::WallTime;

use crate::coordinator;
use crate::metadata::{Command, CommandError, Image};

/// Reads the values of records of the metadata log and folds them as a broker of one shard does; gives each value as
/// this build would write it, and the number of topics and partitions that exist then.
///
/// # Errors
/// [`CommandError`] for the first that is no command this build knows.
pub fn fold_metadata<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<Vec<u8>>, usize, u64), CommandError> {
    let mut image = Image::new(1);
    let mut written = Vec::new();
    for (offset, value) in (0..).zip(values) {
        let command = Command::decode(value, offset)?;
        image.apply(&command);
        written.push(command.encode());
    }
    Ok((written, image.topics.len(), image.partition_count()))
}

/// Reads a record of `__consumer_offsets`; `None` for a kind that classic groups do not have.
///
/// # Errors
/// [`DecodeError`] when the bytes are no such record.
pub fn decode_group_record(key: &[u8], value: Option<&[u8]>) -> Result<Option<Row>, DecodeError> {
    coordinator::decode_row(key, value)
}

/// One batch with a record per row; `None` where a name or blob is longer than its field.
#[must_use]
pub fn encode_group_records(rows: &[Row], wall: WallTime) -> Option<BytesMut> {
    coordinator::encode_rows(rows, wall).ok()
}
