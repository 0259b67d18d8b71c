//! The one timer of a shard.
//!
//! The kernel's timer descriptor keeps deadlines below a millisecond, which tokio's timers round up.

use std::io;
use std::task::{Context, Poll};

use hallows_types::Monotonic;

/// Wakes the shard's loop at a deadline. Arming costs a system call, so a later deadline than the armed one waits
/// for the armed one to pass: an early wake-up is cheap, a call per request is not.
pub(super) struct Timer {
    armed: Monotonic,
    #[cfg(target_os = "linux")]
    descriptor: tokio::io::unix::AsyncFd<rustix::fd::OwnedFd>,
    #[cfg(not(target_os = "linux"))]
    thread: fallback::TimerThread,
}

#[cfg(target_os = "linux")]
impl Timer {
    /// A timer that is not armed; on the thread of its runtime.
    pub(super) fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            armed: Monotonic::NEVER,
            descriptor: super::readiness::watch(descriptor)?,
        })
    }

    /// Makes sure that the loop is woken at `deadline` or before.
    pub(super) fn arm(&mut self, deadline: Monotonic, now: Monotonic) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        if deadline >= self.armed {
            return Ok(());
        }
        // Zero would disarm it.
        let wait = deadline.since(now).max(std::time::Duration::from_nanos(1));
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: value,
        };
        timerfd_settime(self.descriptor.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        self.armed = deadline;
        Ok(())
    }

    /// Whether it fired; if not, the loop's task is woken when it does.
    pub(super) fn poll_fired(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut fired = false;
        while let Poll::Ready(guard) = self.descriptor.poll_read_ready(cx) {
            let read = guard?.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0_u8; 8])?));
            match read {
                Ok(result) => {
                    result?;
                    fired = true;
                }
                Err(_would_block) => continue,
            }
        }
        if fired {
            self.armed = Monotonic::NEVER;
        }
        Ok(fired)
    }
}

#[cfg(not(target_os = "linux"))]
impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            armed: Monotonic::NEVER,
            thread: fallback::TimerThread::start()?,
        })
    }

    pub(super) fn arm(&mut self, deadline: Monotonic, now: Monotonic) -> io::Result<()> {
        if deadline < self.armed {
            self.armed = deadline;
            self.thread.arm(deadline.since(now));
        }
        Ok(())
    }

    pub(super) fn poll_fired(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let fired = self.thread.poll_fired(cx.waker());
        if fired {
            self.armed = Monotonic::NEVER;
        }
        Ok(fired)
    }
}

/// Where there is no timer descriptor, a thread sleeps for the shard.
#[cfg(not(target_os = "linux"))]
mod fallback {
    use std::io;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::Waker;
    use std::thread;
    use std::time::{Duration, Instant};

    #[derive(Default)]
    struct Fired {
        fired: bool,
        waker: Option<Waker>,
    }

    pub(super) struct TimerThread {
        deadlines: Sender<Instant>,
        fired: Arc<Mutex<Fired>>,
    }

    impl TimerThread {
        pub(super) fn start() -> io::Result<Self> {
            let (deadlines, receiver) = channel();
            let fired = Arc::<Mutex<Fired>>::default();
            let shared = Arc::clone(&fired);
            thread::Builder::new()
                .name("timer".to_owned())
                .spawn(move || sleep(&receiver, &shared))?;
            Ok(Self { deadlines, fired })
        }

        pub(super) fn arm(&self, wait: Duration) {
            // A send fails only once the thread has ended, which it does after this sender.
            let _ = Instant::now().checked_add(wait).map(|at| self.deadlines.send(at));
        }

        pub(super) fn poll_fired(&self, waker: &Waker) -> bool {
            let mut fired = self.fired.lock().unwrap_or_else(PoisonError::into_inner);
            fired.waker = Some(waker.clone());
            std::mem::take(&mut fired.fired)
        }
    }

    fn sleep(deadlines: &Receiver<Instant>, fired: &Mutex<Fired>) {
        let mut next: Option<Instant> = None;
        loop {
            let received = match next {
                Some(at) => deadlines.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => deadlines.recv().map_err(RecvTimeoutError::from),
            };
            match received {
                Ok(at) => next = Some(next.map_or(at, |earlier| earlier.min(at))),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    next = None;
                    let mut state = fired.lock().unwrap_or_else(PoisonError::into_inner);
                    state.fired = true;
                    if let Some(waker) = state.waker.take() {
                        waker.wake();
                    }
                }
            }
        }
    }
}
