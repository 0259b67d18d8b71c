//! Limits of a running process: descriptors and memory, lowered and given back.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Descriptors that the process may still open.
const DESCRIPTORS_LEFT: u64 = 2;
/// Memory that the process may still take.
const MEMORY_LEFT_BYTES: u64 = 2 << 20;
/// Connections that ask for more than there is.
const CONNECTIONS: usize = 64;
/// How long a connection waits in a full queue.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(100);
/// What each of them sends of a request that never ends.
const UNFINISHED_BYTES: usize = 1 << 20;

/// A lowered limit; [`Lowered::restore`] gives it back.
pub(super) struct Lowered {
    process: Pid,
    resource: Resource,
    before: Rlimit,
    /// What the process had in use, in the resource's unit, and may use now.
    pub(super) limit: u64,
}

impl Lowered {
    /// Leaves two descriptors.
    pub(super) fn descriptors(process: Pid) -> Result<Self> {
        let limit = open_descriptors(process)? + DESCRIPTORS_LEFT;
        Self::lower(process, Resource::Nofile, limit)
    }

    /// Leaves two mebibytes of private writable memory (`RLIMIT_DATA`), which needs neither root nor a control group.
    /// A program that gets no memory ends; that is what a control group would do to it, too.
    pub(super) fn memory(process: Pid) -> Result<Self> {
        let limit = memory_bytes(process)? + MEMORY_LEFT_BYTES;
        Self::lower(process, Resource::Data, limit)
    }

    /// Only the soft limit: raising it again takes no privilege.
    fn lower(process: Pid, resource: Resource, limit: u64) -> Result<Self> {
        let now = prlimit(Some(process), resource, rlimit(process, resource, limit)?)?;
        Ok(Self {
            process,
            resource,
            before: now,
            limit,
        })
    }

    /// # Errors
    /// When the process has ended.
    pub(super) fn restore(self) -> Result<()> {
        prlimit(Some(self.process), self.resource, self.before)?;
        Ok(())
    }
}

/// The hard limit stays as it is. It is read from the system, since asking by `prlimit` means setting.
fn rlimit(process: Pid, resource: Resource, limit: u64) -> Result<Rlimit> {
    let name = match resource {
        Resource::Nofile => "Max open files",
        _ => "Max data size",
    };
    let text = read(process, "limits")?;
    let line = text.lines().find(|line| line.starts_with(name)).context("a limit")?;
    let hard = line[name.len()..].split_whitespace().nth(1).context("a hard limit")?;
    Ok(Rlimit {
        current: Some(limit),
        // "unlimited" is no number.
        maximum: hard.parse().ok(),
    })
}

/// How many descriptors the process has open.
pub(super) fn open_descriptors(process: Pid) -> Result<u64> {
    let folder = format!("/proc/{}/fd", process.as_raw_nonzero());
    Ok(u64::try_from(std::fs::read_dir(folder)?.count())?)
}

/// How much private writable memory the process has.
pub(super) fn memory_bytes(process: Pid) -> Result<u64> {
    let text = read(process, "status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmData:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("VmData")?
        .parse()?;
    Ok(kib << 10)
}

fn read(process: Pid, what: &str) -> Result<String> {
    let path = format!("/proc/{}/{what}", process.as_raw_nonzero());
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

/// Connections that come and want a descriptor each, until the queue of those that wait is full.
pub(super) fn crowd(address: &str) -> Result<Vec<TcpStream>> {
    let address = address.parse().context("the broker's address")?;
    let connect = |_| TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).ok();
    Ok((0..CONNECTIONS).map_while(connect).collect())
}

/// Connections that each send most of a large request, and want its memory.
pub(super) fn greedy_crowd(address: &str) -> Result<Vec<TcpStream>> {
    let mut crowd = crowd(address)?;
    let mut bytes = vec![0; UNFINISHED_BYTES];
    let length = u32::try_from(2 * UNFINISHED_BYTES).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    // A Produce request of version 9, as far as its key and version go.
    bytes[4..8].copy_from_slice(&[0, 0, 0, 9]);
    for stream in &mut crowd {
        // The broker may read no further, or be gone: then this one has had its effect.
        let _ = stream.set_nonblocking(true);
        let _ = stream.write(&bytes);
        let _ = stream.write(&bytes);
    }
    Ok(crowd)
}
