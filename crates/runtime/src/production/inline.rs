//! Disk operations that are cheaper on the shard's thread than the hop to another one.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};

use super::files;
use crate::{DiskOp, DiskOutcome, FileHandle};

/// The largest cached write or read performed on the shard's thread.
const INLINE_BYTES_MAX: usize = 256 << 10;
/// What one pass of a shard spends on inline operations; the rest goes to the pool.
pub(super) const INLINE_BYTES_PER_PASS: usize = 1 << 20;
/// The most pieces written by one call.
const PIECES_MAX: usize = 64;

/// Performs an operation at once if it needs no waiting and fits `budget`; otherwise gives it back.
pub(super) fn perform(op: DiskOp, budget: &mut usize) -> Result<io::Result<DiskOutcome>, DiskOp> {
    match op {
        DiskOp::Write { file, offset, data } => {
            let size_bytes: usize = data.iter().map(Bytes::len).sum();
            if size_bytes > INLINE_BYTES_MAX.min(*budget) {
                return Err(DiskOp::Write { file, offset, data });
            }
            *budget -= size_bytes;
            Ok(write(&file, offset, data).map(|()| DiskOutcome::Done))
        }
        DiskOp::Read { file, offset, len } => {
            if len > INLINE_BYTES_MAX.min(*budget) {
                return Err(DiskOp::Read { file, offset, len });
            }
            let mut data = BytesMut::zeroed(len);
            match files::read_resident_up_to(&file, &mut data, offset) {
                Ok(Some(count)) => {
                    *budget -= count;
                    data.truncate(count);
                    Ok(Ok(DiskOutcome::Data(data)))
                }
                Ok(None) => Err(DiskOp::Read { file, offset, len }),
                Err(error) => Ok(Err(error)),
            }
        }
        other => Err(other),
    }
}

fn write_one_by_one(file: &FileHandle, mut offset: u64, pieces: &[Bytes]) -> io::Result<()> {
    for piece in pieces {
        file.write_all_at(piece, offset)?;
        offset += piece.len() as u64;
    }
    Ok(())
}

fn write(file: &FileHandle, mut offset: u64, mut data: Vec<Bytes>) -> io::Result<()> {
    let Some(descriptor) = file.descriptor().filter(|_| data.len() > 1) else {
        return write_one_by_one(file, offset, &data);
    };
    let mut rest = &mut data[..];
    while !rest.is_empty() {
        let mut gathered = [IoSlice::new(&[]); PIECES_MAX];
        let count = rest.len().min(PIECES_MAX);
        for (slot, piece) in gathered.iter_mut().zip(&*rest) {
            *slot = IoSlice::new(piece);
        }
        let written = match rustix::io::pwritev(descriptor, &gathered[..count], offset) {
            Ok(0) if rest.iter().take(count).any(|piece| !piece.is_empty()) => {
                return Err(io::ErrorKind::WriteZero.into());
            }
            Ok(written) => written,
            Err(rustix::io::Errno::INTR) => continue,
            // The descriptor bypasses the page cache; the file itself knows the way through it.
            Err(rustix::io::Errno::INVAL) => return write_one_by_one(file, offset, rest),
            Err(error) => return Err(error.into()),
        };
        offset += written as u64;
        rest = skip(rest, written);
    }
    Ok(())
}

/// The pieces after the first `count` bytes.
fn skip(pieces: &mut [Bytes], mut count: usize) -> &mut [Bytes] {
    let mut whole = 0;
    while whole < pieces.len() && pieces[whole].len() <= count {
        count -= pieces[whole].len();
        whole += 1;
    }
    let rest = &mut pieces[whole..];
    if let Some(first) = rest.first_mut() {
        first.advance(count);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_stops_inside_a_piece() {
        let mut pieces = [&b"one"[..], b"", b"three"].map(Bytes::from_static);
        assert_eq!(skip(&mut pieces.clone(), 0).len(), 3);
        assert_eq!(
            skip(&mut pieces.clone(), 3).len(),
            1,
            "empty pieces are skipped with their predecessor"
        );
        assert_eq!(&skip(&mut pieces.clone(), 5)[0][..], b"ree");
        assert!(skip(&mut pieces, 8).is_empty());
    }
}
