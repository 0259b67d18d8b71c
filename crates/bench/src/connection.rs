//! One blocking connection that costs next to nothing: no delay, one buffer, usually one read per answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How long an answer may take before the run is given up.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(120);
/// How long a connection may take to open.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Starting size of the buffer; it grows to the largest answer seen.
const BUFFER_BYTES: usize = 64 << 10;
/// The largest answer accepted.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The sending half.
pub(crate) struct Sender {
    stream: TcpStream,
}

impl Sender {
    /// Sends one prepared frame.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.stream.write_all(frame).context("cannot send a request")
    }
}

/// The receiving half.
pub(crate) struct Receiver {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Receiver {
    /// Waits for the next answer; returns it without its length prefix.
    pub(crate) fn receive(&mut self) -> Result<&[u8]> {
        self.fill(4)?;
        let prefix: [u8; 4] = self.buffer[self.start..self.start + 4]
            .try_into()
            .expect("fill gave four bytes");
        let length = usize::try_from(u32::from_be_bytes(prefix)).expect("32 bits fit the address space");
        ensure!(
            length <= ANSWER_BYTES_MAX,
            "an answer of {length} bytes is above the bench's bound"
        );
        self.fill(4 + length)?;
        let from = self.start + 4;
        self.start = from + length;
        Ok(&self.buffer[from..from + length])
    }

    /// Reads until `wanted` bytes are in the buffer.
    fn fill(&mut self, wanted: usize) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let size = self.buffer.len().max(wanted);
            self.buffer.resize(size, 0);
        }
        while self.end - self.start < wanted {
            let count = self.stream.read(&mut self.buffer[self.end..]).context("no answer")?;
            ensure!(count > 0, "the broker closed the connection");
            self.end += count;
        }
        Ok(())
    }
}

/// Opens a connection to `address`.
///
/// # Errors
/// When nothing accepts there within five seconds.
pub(crate) fn open(address: SocketAddr) -> Result<(Sender, Receiver)> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_WAIT_MAX)
        .with_context(|| format!("cannot connect to {address}; is a broker listening there?"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_WAIT_MAX))?;
    let sender = Sender {
        stream: stream.try_clone()?,
    };
    Ok((
        sender,
        Receiver {
            stream,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
        },
    ))
}
