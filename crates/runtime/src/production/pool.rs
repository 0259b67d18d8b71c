//! Threads for what must not run on a shard: syncs, opens, cold reads, computations.
//!
//! All shards share them. The first thread takes only what an acknowledgement or a reader waits for,
//! so that a checkpoint or the zeroing of a journal file never stands before it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::files;
use super::mailbox::{Delivery, Mailbox};
use super::precedence::Precedence;
use crate::{ConnectionId, Disk, DiskCompletion, DiskOp, DiskToken, FileHandle, Job};

/// The fewest threads: one for what is waited for, one for the rest.
const THREADS_MIN: usize = 2;
/// What one shard has on the pool at most; more waits in the shard, which reads no connection meanwhile.
const OUTSTANDING_MAX: usize = 1024;
/// How much of a range is read at a time when it is read ahead.
const READ_AHEAD_STEP: usize = 256 << 10;
/// The same while something is written, which may have to wait behind such a step.
const READ_AHEAD_STEP_BESIDE_WRITES: usize = 64 << 10;
/// How long a step gives way to writes at most; a reader then still gets some 25 MB/s.
const GIVE_WAY_MAX: Duration = Duration::from_micros(2_500);

/// Work for a thread of the pool.
pub(super) enum Work {
    Disk {
        token: DiskToken,
        op: DiskOp,
    },
    Compute {
        token: u64,
        job: Job,
    },
    ReadAhead {
        connection: ConnectionId,
        file: FileHandle,
        offset: u64,
        len: u32,
    },
}

impl Work {
    /// Whether an acknowledgement or a reader waits for it.
    const fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::ReadAhead { .. }
                | Self::Disk {
                    op: DiskOp::WriteDurable { .. } | DiskOp::Read { .. } | DiskOp::Write { .. },
                    ..
                }
        )
    }
}

struct Task {
    work: Work,
    reply: Arc<Mailbox>,
}

#[derive(Default)]
struct Queues {
    /// Bounded, like `ordinary`, by `OUTSTANDING_MAX` per shard.
    urgent: VecDeque<Task>,
    ordinary: VecDeque<Task>,
    /// The thread that takes urgent work only is waiting for some.
    urgent_idle: bool,
    closed: bool,
}

struct Shared {
    queues: Mutex<Queues>,
    /// For the thread that takes urgent work only.
    urgent: Condvar,
    any: Condvar,
    disk: Arc<dyn Disk>,
    precedence: Precedence,
    /// Work has panicked; `stop` was called.
    panicked: AtomicBool,
    /// Asks the shards to end.
    stop: Box<dyn Fn() + Send + Sync>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Queues are changed by single pushes and pops; work runs outside the lock.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work; when it panics the thread lives on, so that the shards can still write what they have and end.
    fn guard<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(work)).ok();
        if done.is_none() {
            self.panicked.store(true, Ordering::Release);
            (self.stop)();
        }
        done
    }
}

/// The threads. Dropping it lets queued work end and waits for it.
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// `stop` is called when work panics: whoever asked for it may wait for ever, so everything has to end.
    pub(super) fn start(
        threads: usize,
        disk: Arc<dyn Disk>,
        stop: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queues: Mutex::default(),
            urgent: Condvar::new(),
            any: Condvar::new(),
            disk,
            precedence: Precedence::default(),
            panicked: AtomicBool::new(false),
            stop: Box::new(stop),
        });
        let mut pool = Self {
            shared,
            threads: Vec::new(),
        };
        for index in 0..threads.max(THREADS_MIN) {
            let shared = Arc::clone(&pool.shared);
            let thread = thread::Builder::new()
                .name(format!("pool-{index}"))
                .spawn(move || work(&shared, index == 0))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Lets queued work end and waits for it; says whether any panicked.
    pub(super) fn end(self) -> bool {
        let shared = Arc::clone(&self.shared);
        drop(self);
        shared.panicked.load(Ordering::Acquire)
    }

    pub(super) fn client(&self, mailbox: Arc<Mailbox>) -> PoolClient {
        PoolClient {
            shared: Arc::clone(&self.shared),
            mailbox,
            outstanding: 0,
            waiting: VecDeque::new(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.urgent.notify_all();
        self.shared.any.notify_all();
        for thread in self.threads.drain(..) {
            // Panics of work are caught, and told by `end`.
            let _ = thread.join();
        }
    }
}

/// One shard's access to the pool.
pub(super) struct PoolClient {
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    outstanding: usize,
    /// Bounded by what one pass of the shard asks for while its connections are not read.
    waiting: VecDeque<Work>,
}

impl PoolClient {
    pub(super) fn submit(&mut self, work: Work) {
        if self.outstanding == OUTSTANDING_MAX {
            self.waiting.push_back(work);
            return;
        }
        self.outstanding += 1;
        let urgent = work.is_urgent();
        let task = Task {
            work,
            reply: Arc::clone(&self.mailbox),
        };
        let mut queues = self.shared.lock();
        if urgent {
            queues.urgent.push_back(task);
        } else {
            queues.ordinary.push_back(task);
        }
        let to_urgent_thread = urgent && std::mem::take(&mut queues.urgent_idle);
        drop(queues);
        if to_urgent_thread {
            self.shared.urgent.notify_one();
        } else {
            self.shared.any.notify_one();
        }
    }

    /// The writes that reads of cold data give way to.
    pub(super) fn precedence(&self) -> &Precedence {
        &self.shared.precedence
    }

    /// Notes that one piece of work has come back.
    pub(super) fn completed(&mut self) {
        self.outstanding -= 1;
        if let Some(work) = self.waiting.pop_front() {
            self.submit(work);
        }
    }

    /// Whether work waits for room on the pool.
    pub(super) fn is_congested(&self) -> bool {
        !self.waiting.is_empty()
    }
}

fn work(shared: &Shared, urgent_only: bool) {
    let mut scratch = Vec::new();
    while let Some(Task { work, reply }) = next(shared, urgent_only) {
        let delivery = match work {
            Work::Disk { token, op } => {
                let writes = writes(&op);
                if writes {
                    shared.precedence.begin();
                }
                let result = shared.guard(|| op.perform(&*shared.disk));
                if writes {
                    shared.precedence.end();
                }
                // To its shard it has failed, as if the disk had.
                let result = result.unwrap_or_else(|| Err(io::Error::other("the thread that performed it panicked")));
                Some(Delivery::Disk(DiskCompletion { token, result }))
            }
            Work::Compute { token, job } => shared.guard(job).map(|output| Delivery::Computed { token, output }),
            Work::ReadAhead {
                connection,
                file,
                offset,
                len,
            } => shared
                .guard(|| read_ahead(&shared.precedence, &file, offset, len, &mut scratch))
                .map(|()| Delivery::ReadAhead { connection }),
        };
        if let Some(delivery) = delivery {
            reply.deliver(delivery);
        }
    }
}

fn next(shared: &Shared, urgent_only: bool) -> Option<Task> {
    let mut queues = shared.lock();
    loop {
        if let Some(task) = queues.urgent.pop_front() {
            return Some(task);
        }
        if !urgent_only && let Some(task) = queues.ordinary.pop_front() {
            return Some(task);
        }
        if queues.closed {
            return None;
        }
        queues.urgent_idle |= urgent_only;
        let wake = if urgent_only { &shared.urgent } else { &shared.any };
        queues = wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Whether reads of cold data give way to it. Besides acknowledgements that wait for the disk itself, there are those
/// that wait for the file system, which in turn waits for what a sync or a new file has it write.
const fn writes(op: &DiskOp) -> bool {
    !matches!(
        op,
        DiskOp::Read { .. } | DiskOp::Open { .. } | DiskOp::MeasureSpace | DiskOp::Close { .. }
    )
}

/// Reads a range so that the page cache holds it. An error shows again when the range is sent, and is handled there.
fn read_ahead(precedence: &Precedence, file: &FileHandle, offset: u64, len: u32, scratch: &mut Vec<u8>) {
    files::read_only_what_is_asked_for(file);
    scratch.resize(READ_AHEAD_STEP, 0);
    let end = offset + u64::from(len);
    let mut position = offset;
    while position < end {
        let step_max = if precedence.give_way(GIVE_WAY_MAX) {
            READ_AHEAD_STEP_BESIDE_WRITES
        } else {
            READ_AHEAD_STEP
        };
        let step = usize::try_from(end - position).map_or(step_max, |rest| rest.min(step_max));
        match file.read_at(&mut scratch[..step], position) {
            Ok(0) | Err(_) => return,
            Ok(count) => position += count as u64,
        }
    }
}
