//! Where there is no io_uring, no value of this type exists and durable writes go to the pool.

use std::io;
use std::task::Context;

use crate::{AlignedBuffer, DiskCompletion, DiskToken, FileHandle};

/// Never built.
pub(super) enum Ring {}

pub(super) fn probe() -> Result<(), String> {
    Err("this operating system has no io_uring".to_owned())
}

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn write(
        &mut self,
        _token: DiskToken,
        _file: FileHandle,
        _offset: u64,
        _data: AlignedBuffer,
    ) -> Result<(), (FileHandle, AlignedBuffer)> {
        match *self {}
    }

    pub(super) fn submit(&mut self) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn is_busy(&self) -> bool {
        match *self {}
    }

    pub(super) fn poll_ready(&mut self, _cx: &mut Context<'_>) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn complete(&mut self, _each: impl FnMut(DiskCompletion)) {
        match *self {}
    }
}
