//! The log on standard error: whoever has something to say hands a line over, one thread writes.
//!
//! The log only reports, so it must not harm what it reports on: a reader that is gone, slow or out of room costs
//! lines, which are counted and told once writing works again, and never a shard's time or the process.

mod repeats;

use std::any::Any;
use std::env::VarError;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hallows_cli::{Exit, Failure};
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::MakeWriter;

use self::repeats::{Place, Repeats};
use crate::threads;

/// The variable that says what is logged.
const VARIABLE: &str = "HALLOWS_LOG";
/// Every target of ours begins with it.
const OUR_TARGETS: &str = "hallows";
/// Lines that wait for the thread that writes; what comes beyond is lost and counted.
const LINES_WAITING_MAX: usize = 1024;
/// The longest line in bytes; a longer one is cut.
const LINE_BYTES_MAX: usize = 4096;
/// How long the end of the process waits for the last lines.
const LAST_LINES_WAIT: Duration = Duration::from_millis(300);

/// To the thread that writes; set once it runs.
static WRITER: OnceLock<Lines> = OnceLock::new();

/// What the thread that writes is told.
enum Entry {
    Line {
        /// `None` for what is written whatever was written before.
        place: Option<Place>,
        text: Vec<u8>,
    },
    /// Everything before it is to be written; the sender is dropped then.
    Flush(SyncSender<()>),
}

/// Logs to standard error what `HALLOWS_LOG` asks for: a level, or directives like `warn,hallows_storage=debug`.
///
/// # Errors
/// [`Exit::Usage`] when the variable says neither; a failure when there is no thread to write.
pub(crate) fn start() -> Result<(), Failure> {
    let asked = match std::env::var(VARIABLE) {
        Ok(asked) => asked,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(value)) => return Err(unusable(&value.to_string_lossy(), "it is not text")),
    };
    let filter = filter(&asked)?;
    let (queue, entries) = sync_channel(LINES_WAITING_MAX);
    let lines = Lines {
        queue,
        lost: Arc::default(),
    };
    let lost = Arc::clone(&lines.lost);
    threads::spawn("log", move || write(&entries, &lost, io::stderr()))?;
    let lines = WRITER.get_or_init(|| lines).clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .log_internal_errors(false)
        .with_writer(lines)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        tracing::error!(
            thread = thread.name().unwrap_or("without a name"),
            at = panic.location().map(tracing::field::display),
            "a thread panicked, which is a fault of this program: {}",
            panic_text(panic.payload())
        );
    }));
    Ok(())
}

/// Says something that is no line of the log: why the program ends.
pub(crate) fn say(text: &str) {
    match WRITER.get() {
        Some(lines) => lines.send(None, format!("{text}\n").into_bytes()),
        // A program that cannot say why it ends still ends, with its code.
        None => drop(writeln!(io::stderr(), "{text}")),
    }
}

/// Lets the last lines be written, if somebody takes them.
pub(crate) fn finish() {
    let Some(lines) = WRITER.get() else { return };
    let deadline = Instant::now() + LAST_LINES_WAIT;
    let (done, written) = sync_channel(0);
    let mut flush = Entry::Flush(done);
    while Instant::now() < deadline {
        match lines.queue.try_send(flush) {
            Ok(()) => {
                // Either way the process ends.
                let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
                return;
            }
            Err(TrySendError::Full(entry)) => flush = entry,
            Err(TrySendError::Disconnected(_)) => return,
        }
        std::thread::yield_now();
    }
}

/// What a panic says of itself.
fn panic_text(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// `info` where nothing is said, and for every target that no directive names.
fn filter(asked: &str) -> Result<EnvFilter, Failure> {
    let mut filter = EnvFilter::new(Level::INFO.as_str());
    for word in asked.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let target = word.split(['=', '[']).next().unwrap_or(word);
        let is_level = word.parse::<tracing::level_filters::LevelFilter>().is_ok();
        if !is_level && !target.starts_with(OUR_TARGETS) {
            return Err(unusable(
                asked,
                &format!("`{word}` is neither a level nor a target of this program"),
            ));
        }
        let directive: Directive = word
            .parse()
            .map_err(|error| unusable(asked, &format!("`{word}` is not a directive ({error})")))?;
        filter = filter.add_directive(directive);
    }
    Ok(filter)
}

fn unusable(value: &str, why: &str) -> Failure {
    let message = format!(
        "cannot use the configuration: environment variable {VARIABLE}={value}: {why}. \
         Give a level (error, warn, info, debug, trace, off) or directives such as `warn,hallows_storage=debug`"
    );
    Failure::new(Exit::Usage, anyhow::anyhow!(message))
}

/// Where lines go: a bounded queue that nobody waits for.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Entry>,
    /// Lines that were not written and not yet told to be missing.
    lost: Arc<AtomicU64>,
}

impl Lines {
    fn send(&self, place: Option<Place>, text: Vec<u8>) {
        if self.queue.try_send(Entry::Line { place, text }).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            lines: self,
            place: None,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line {
            lines: self,
            place: Some(Place::of(metadata)),
        }
    }
}

/// Takes one line, which the subscriber writes in one piece.
struct Line<'a> {
    lines: &'a Lines,
    place: Option<Place>,
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut line = text[..text.len().min(LINE_BYTES_MAX)].to_vec();
        if line.len() < text.len() {
            line.extend_from_slice("… (the line is longer)\n".as_bytes());
        }
        self.lines.send(self.place.clone(), line);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines until nobody can send any more.
fn write(entries: &Receiver<Entry>, lost: &AtomicU64, mut out: impl Write) {
    let mut repeats = Repeats::default();
    let mut put = |text: &[u8]| {
        if out.write_all(text).is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 && writeln!(out, "{missing} lines of the log were lost: nobody took them").is_err() {
            lost.fetch_add(missing, Ordering::Relaxed);
        }
    };
    loop {
        let entry = match repeats.next_deadline() {
            None => entries.recv().map_err(RecvTimeoutError::from),
            Some(at) => entries.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match entry {
            Ok(Entry::Line { place, text }) => {
                if place
                    .as_ref()
                    .is_none_or(|place| repeats.admit(Instant::now(), place, &text))
                {
                    put(&text);
                }
            }
            Ok(Entry::Flush(_done)) => repeats.sum_up_all(&mut put),
            Err(RecvTimeoutError::Timeout) => repeats.sum_up(Instant::now(), &mut put),
            Err(RecvTimeoutError::Disconnected) => return repeats.sum_up_all(&mut put),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: &str, expected: Result<&str, &str>) {
        match (filter(asked), expected) {
            (Ok(filter), Ok(expected)) => {
                let mut directives: Vec<_> = filter.to_string().split(',').map(str::to_owned).collect();
                directives.sort();
                assert_eq!(directives.join(","), expected, "{asked}");
            }
            (Err(failure), Err(part)) => {
                assert_eq!(failure.exit(), Exit::Usage);
                assert!(failure.to_string().contains(part), "{asked}: {failure}");
            }
            (result, _) => panic!("{asked}: {:?}", result.map(|filter| filter.to_string())),
        }
    }

    #[test]
    fn a_directive_changes_what_it_names_and_nothing_else() {
        check("", Ok("info"));
        check("debug", Ok("debug"));
        check("OFF", Ok("off"));
        check("hallows_storage=debug", Ok("hallows_storage=debug,info"));
        check("warn, hallows_storage=debug", Ok("hallows_storage=debug,warn"));
    }

    #[test]
    fn what_is_no_level_and_no_target_of_ours_is_refused_by_name() {
        check("verbose", Err("`verbose` is neither"));
        check("warn,tokio=debug", Err("`tokio=debug` is neither"));
        check("hallows_storage=loud", Err("`hallows_storage=loud` is not"));
    }

    #[test]
    fn lines_that_nobody_took_are_counted_and_told_once_somebody_does() {
        struct Sometimes {
            taken: Vec<u8>,
            refusals: u32,
        }
        impl Write for &mut Sometimes {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                if self.refusals > 0 {
                    self.refusals -= 1;
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.taken.extend_from_slice(text);
                Ok(text.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (queue, entries) = sync_channel(2);
        let lines = Lines {
            queue,
            lost: Arc::default(),
        };
        for text in ["one\n", "two\n", "no room\n"] {
            lines.send(None, text.into());
        }
        let lost = Arc::clone(&lines.lost);
        assert_eq!(lost.load(Ordering::Relaxed), 1);
        drop(lines);
        let mut out = Sometimes {
            taken: Vec::new(),
            refusals: 1,
        };
        write(&entries, &lost, &mut out);
        let taken = String::from_utf8_lossy(&out.taken);
        assert_eq!(taken, "two\n2 lines of the log were lost: nobody took them\n");
    }
}
