//! What waits to be sent on one connection, and how it is sent.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::files;
use crate::{FileHandle, Slice};

/// The most bytes sent on one connection before others have their turn.
pub(super) const PASS_BYTES_MAX: usize = 256 << 10;
/// The same while there are no others.
pub(super) const PASS_ALONE_BYTES_MAX: usize = 1 << 20;
/// More than this is long: others with less are sent first.
const SHORT_BYTES_MAX: usize = 64 << 10;
/// A file range up to this size is copied next to its neighbours: one call for all of them beats one each.
const SMALL_FILE_BYTES: u32 = 32 << 10;
/// The most slices gathered into one call.
const GATHER_MAX: usize = 64;
/// How much of a cold file range is read ahead at once.
const READ_AHEAD_BYTES: u32 = 1 << 20;

/// Why sending came to its end for now.
#[derive(Debug)]
pub(super) enum Sent {
    /// The queue is empty.
    All,
    /// The pass is over; more can be sent at once.
    More,
    /// The socket takes no more; go on when it is writable.
    Blocked,
    /// The next range is not in memory: read it ahead off the shard, then go on.
    Cold { file: FileHandle, offset: u64, len: u32 },
}

/// The output queue of one connection.
#[derive(Default)]
pub(super) struct OutputQueue {
    slices: VecDeque<Slice>,
    bytes: usize,
    /// Bytes at the front that were found in memory or read ahead; not checked again.
    resident: u32,
}

impl OutputQueue {
    pub(super) fn push(&mut self, slice: Slice) {
        self.bytes += slice.len();
        self.slices.push_back(slice);
    }

    /// Bytes still to be sent.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether sending takes so long that others should not wait for it.
    pub(super) const fn is_long(&self) -> bool {
        self.bytes > SHORT_BYTES_MAX
    }

    /// Notes that the next `len` bytes have been read ahead.
    pub(super) const fn read_ahead(&mut self, len: u32) {
        self.resident = len;
    }

    /// Sends about as much as a pass may, as far as the socket takes it.
    pub(super) fn send(&mut self, stream: &TcpStream, pass_bytes_max: usize) -> io::Result<Sent> {
        let mut budget = pass_bytes_max;
        while !self.slices.is_empty() {
            if budget == 0 {
                return Ok(Sent::More);
            }
            if let Some(cold) = self.copy_small_files()? {
                return Ok(cold);
            }
            let sent = match self.slices.front() {
                Some(Slice::File { .. }) => self.send_file(stream, budget),
                _ => self.send_memory(stream, budget).map(Progress::Sent),
            };
            match sent {
                Ok(Progress::Sent(count)) => budget = budget.saturating_sub(count),
                Ok(Progress::Cold(cold)) => return Ok(cold),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Sent::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Sent::All)
    }

    /// Copies small file ranges among the next slices into memory, so that they leave in one call with their neighbours.
    /// Returns the front range when it is cold; a cold one further back waits until it is the front.
    fn copy_small_files(&mut self) -> io::Result<Option<Sent>> {
        let mut gathered = 0;
        for (index, slice) in self.slices.iter_mut().enumerate().take(GATHER_MAX) {
            gathered += slice.len();
            let Slice::File { file, offset, len } = slice else {
                continue;
            };
            if *len > SMALL_FILE_BYTES || (index > 0 && gathered > PASS_BYTES_MAX) {
                break;
            }
            let mut data = BytesMut::zeroed(*len as usize);
            if index == 0 && self.resident >= *len {
                read_exactly(file, &mut data, *offset)?;
                self.resident = 0;
            } else if !files::read_resident(file, &mut data, *offset)? {
                let (file, offset, len) = (file.clone(), *offset, *len);
                return Ok((index == 0).then_some(Sent::Cold { file, offset, len }));
            }
            *slice = Slice::Memory(data.freeze());
        }
        Ok(None)
    }

    fn send_memory(&mut self, stream: &TcpStream, budget: usize) -> io::Result<usize> {
        let mut gathered = [IoSlice::new(&[]); GATHER_MAX];
        let mut count = 0;
        let mut room = budget;
        let mut more = false;
        for slice in &self.slices {
            let Slice::Memory(bytes) = slice else {
                more = true;
                break;
            };
            if count == GATHER_MAX || room == 0 {
                break;
            }
            let piece = &bytes[..bytes.len().min(room)];
            room -= piece.len();
            gathered[count] = IoSlice::new(piece);
            count += 1;
        }
        let sent = stream.try_io(Interest::WRITABLE, || {
            files::send_gathered(stream, &gathered[..count], more)
        })?;
        self.advance(sent);
        Ok(sent)
    }

    fn send_file(&mut self, stream: &TcpStream, budget: usize) -> io::Result<Progress> {
        let Some(Slice::File { file, offset, len }) = self.slices.front() else {
            return Ok(Progress::Sent(0));
        };
        let (offset, len) = (*offset, *len);
        let budget = u32::try_from(budget).unwrap_or(u32::MAX);
        if self.resident == 0 {
            let window = without_crumbs(len, READ_AHEAD_BYTES);
            if !files::is_resident(file, offset, window) {
                let file = file.clone();
                return Ok(Progress::Cold(Sent::Cold {
                    file,
                    offset,
                    len: window,
                }));
            }
            self.resident = window;
        }
        let count = without_crumbs(len, budget).min(self.resident);
        if !files::CAN_SEND_FILE || file.descriptor().is_none() {
            let mut data = BytesMut::zeroed(count as usize);
            read_exactly(file, &mut data, offset)?;
            self.replace_front(data.freeze());
            return Ok(Progress::Sent(0));
        }
        let sent = stream.try_io(Interest::WRITABLE, || files::send_file(stream, file, offset, count))?;
        if sent == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file ends before the range to be sent",
            ));
        }
        self.advance(sent);
        Ok(Progress::Sent(sent))
    }

    /// Puts the first bytes of the file range at the front into memory.
    fn replace_front(&mut self, data: Bytes) {
        let count = u32::try_from(data.len()).expect("a pass is far below 4 GiB");
        self.resident -= count;
        if let Some(Slice::File { offset, len, .. }) = self.slices.front_mut() {
            *offset += u64::from(count);
            *len -= count;
            if *len == 0 {
                self.slices.pop_front();
            }
        }
        self.slices.push_front(Slice::Memory(data));
    }

    /// Forgets the first `count` bytes.
    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while count > 0 {
            let front = self.slices.front_mut().expect("no more is sent than was queued");
            let step = count.min(front.len());
            match front {
                Slice::Memory(bytes) => bytes.advance(step),
                Slice::File { offset, len, .. } => {
                    let step = u32::try_from(step).expect("at most the range's own length");
                    *offset += u64::from(step);
                    *len -= step;
                    self.resident = self.resident.saturating_sub(step);
                }
            }
            count -= step;
            if front.is_empty() {
                self.slices.pop_front();
            }
        }
    }
}

/// How much of `len` bytes is one step of about `step`: a little more when what is left would not be worth a call.
const fn without_crumbs(len: u32, step: u32) -> u32 {
    if len.saturating_sub(step) <= SMALL_FILE_BYTES {
        len
    } else {
        step
    }
}

enum Progress {
    Sent(usize),
    Cold(Sent),
}

fn read_exactly(file: &FileHandle, data: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(data, offset)? < data.len() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "a file ends before the range to be sent",
        ));
    }
    Ok(())
}
