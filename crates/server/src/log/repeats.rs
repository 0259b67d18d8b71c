//! Lines that repeat are summed up, so that whoever causes them again and again does not fill a disk with them.
//!
//! Lines have one cause when they come from one place of the code and differ in digits only.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Level, Metadata};

/// After this time the repeats of a cause are told as a count.
const WINDOW: Duration = Duration::from_secs(60);
/// How many lines of one cause are written as they come; errors may each name another partition.
const ERRORS_PER_WINDOW: u32 = 100;
/// The same for warnings and information.
const OTHERS_PER_WINDOW: u32 = 20;
/// Causes told apart per place of the code: a client may choose a part of the line.
const CAUSES_PER_PLACE_MAX: usize = 32;

/// The place of the code that has something to say.
#[derive(Clone)]
pub(super) struct Place {
    callsite: Identifier,
    level: Level,
}

impl Place {
    pub(super) fn of(metadata: &Metadata<'_>) -> Self {
        Self {
            callsite: metadata.callsite(),
            level: *metadata.level(),
        }
    }
}

/// What was written lately, by place of the code and cause; places are as many as the program has.
#[derive(Default)]
pub(super) struct Repeats {
    places: HashMap<Identifier, HashMap<u64, Cause>>,
}

struct Cause {
    ends: Instant,
    /// How many more lines of this window are written.
    left: u32,
    /// Lines not written.
    held: u64,
    /// The last of them.
    last: Vec<u8>,
}

impl Cause {
    fn sum_up(&mut self, put: &mut impl FnMut(&[u8])) {
        let mut line = std::mem::take(&mut self.last);
        while line.last() == Some(&b'\n') {
            line.pop();
        }
        match self.held {
            1 => {}
            held => line.extend_from_slice(format!(" ({held} lines like this one since the last of them)").as_bytes()),
        }
        line.push(b'\n');
        put(&line);
        self.held = 0;
    }
}

impl Repeats {
    /// Whether a line is written now; otherwise it is counted.
    pub(super) fn admit(&mut self, now: Instant, place: &Place, line: &[u8]) -> bool {
        let per_window = match place.level {
            Level::ERROR => ERRORS_PER_WINDOW,
            Level::WARN | Level::INFO => OTHERS_PER_WINDOW,
            // Whoever asks for these wants every one of them.
            _ => return true,
        };
        let causes = self.places.entry(place.callsite.clone()).or_default();
        let mut key = cause_of(line);
        if causes.len() >= CAUSES_PER_PLACE_MAX && !causes.contains_key(&key) {
            // One for all that are too many to be told apart.
            key = 0;
        }
        let cause = causes.entry(key).or_insert(Cause {
            ends: now + WINDOW,
            left: per_window,
            held: 0,
            last: Vec::new(),
        });
        if let Some(left) = cause.left.checked_sub(1) {
            cause.left = left;
            return true;
        }
        cause.held += 1;
        cause.last.clear();
        cause.last.extend_from_slice(line);
        false
    }

    /// When a window with repeats in it, or none, ends next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let causes = self.places.values().flat_map(HashMap::values);
        causes.map(|cause| cause.ends).min()
    }

    /// Tells the repeats of every window that has ended. While a cause goes on, only its counts are told.
    pub(super) fn sum_up(&mut self, now: Instant, put: &mut impl FnMut(&[u8])) {
        for causes in self.places.values_mut() {
            causes.retain(|_, cause| {
                if cause.ends > now {
                    return true;
                }
                let goes_on = cause.held > 0;
                if goes_on {
                    cause.sum_up(put);
                    cause.ends = now + WINDOW;
                }
                goes_on
            });
        }
    }

    /// Tells all repeats, whether their windows have ended or not.
    pub(super) fn sum_up_all(&mut self, put: &mut impl FnMut(&[u8])) {
        let causes = self.places.values_mut().flat_map(HashMap::values_mut);
        causes
            .filter(|cause| cause.held > 0)
            .for_each(|cause| cause.sum_up(put));
    }
}

fn cause_of(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for byte in line.iter().filter(|byte| !byte.is_ascii_digit()) {
        hasher.write_u8(*byte);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite;
    use tracing::field::FieldSet;
    use tracing::metadata::Kind;
    use tracing::subscriber::Interest;

    use super::*;

    /// A place of the code that logs.
    struct Here;
    static METADATA: Metadata<'static> = Metadata::new(
        "event",
        "hallows_test",
        Level::INFO,
        None,
        None,
        None,
        FieldSet::new(&[], Identifier(&Here)),
        Kind::EVENT,
    );
    impl Callsite for Here {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &METADATA
        }
    }

    fn summed_up(repeats: &mut Repeats, now: Instant) -> Vec<String> {
        let mut told = Vec::new();
        repeats.sum_up(now, &mut |line| {
            told.push(String::from_utf8_lossy(line).into_owned());
        });
        told
    }

    #[test]
    fn repeats_are_counted_and_told_once_per_window() {
        let start = Instant::now();
        let mut repeats = Repeats::default();
        let mut written = 0;
        for port in 0..1000 {
            let line = format!("closing a connection peer=127.0.0.1:{port}\n");
            written += u32::from(repeats.admit(start, &Place::of(&METADATA), line.as_bytes()));
        }
        assert_eq!(written, OTHERS_PER_WINDOW);
        assert!(
            repeats.admit(start, &Place::of(&METADATA), b"another cause\n"),
            "causes are told apart"
        );
        assert!(summed_up(&mut repeats, start).is_empty(), "the window has not ended");
        let end = start + WINDOW;
        assert_eq!(
            summed_up(&mut repeats, end),
            ["closing a connection peer=127.0.0.1:999 (980 lines like this one since the last of them)\n"]
        );
        assert!(!repeats.admit(end, &Place::of(&METADATA), b"closing a connection peer=127.0.0.1:1\n"));
        assert_eq!(summed_up(&mut repeats, end + WINDOW).len(), 1, "it goes on");
        assert!(summed_up(&mut repeats, end + WINDOW * 2).is_empty());
        assert!(repeats.admit(
            end + WINDOW * 2,
            &Place::of(&METADATA),
            b"closing a connection peer=127.0.0.1:1\n"
        ));
    }

    #[test]
    fn what_a_client_makes_up_does_not_grow_the_table() {
        let now = Instant::now();
        let mut repeats = Repeats::default();
        let names = (b'a'..=b'z').flat_map(|one| (b'a'..=b'z').map(move |two| [one, two]));
        let written = names
            .filter(|name| repeats.admit(now, &Place::of(&METADATA), name))
            .count();
        assert_eq!(
            written,
            CAUSES_PER_PLACE_MAX + usize::try_from(OTHERS_PER_WINDOW).unwrap()
        );
        assert_eq!(
            repeats.places.values().map(HashMap::len).sum::<usize>(),
            CAUSES_PER_PLACE_MAX + 1
        );
    }
}
