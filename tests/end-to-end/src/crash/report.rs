//! What the crash test prints: one line per durability class, and their sum.

use std::fmt;
use std::time::Duration;

use super::Class;
use super::ledger::Found;

/// The figures of all classes.
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    class: Class,
    cycles: u64,
    acked: u64,
    found: Found,
    recoveries: Vec<Duration>,
}

impl Report {
    pub(crate) fn new(classes: &[Class]) -> Self {
        let rows = classes.iter().map(|&class| Row {
            class,
            cycles: 0,
            acked: 0,
            found: Found::default(),
            recoveries: Vec::new(),
        });
        Self { rows: rows.collect() }
    }

    /// Adds what one restart showed.
    pub(crate) fn cycle(&mut self, class: Class, found: Found, recovery: Duration) {
        let row = self.row(class);
        row.cycles += 1;
        row.found.add(found);
        row.recoveries.push(recovery);
    }

    /// Adds what was wrong before any restart.
    pub(crate) fn found(&mut self, class: Class, found: Found) {
        self.row(class).found.add(found);
    }

    pub(crate) fn acked(&mut self, class: Class, acked: u64) {
        self.row(class).acked += acked;
    }

    /// Whether every class kept what it promises.
    pub(crate) fn is_good(&self) -> bool {
        self.rows.iter().all(|row| {
            let lost_is_fine = !row.class.keeps_all || row.found.lost == 0;
            lost_is_fine && row.found.reminted == 0 && row.found.repeated == 0 && row.found.corrupt == 0
        })
    }

    fn row(&mut self, class: Class) -> &mut Row {
        let row = self.rows.iter_mut().find(|row| row.class == class);
        row.expect("a report has a row per class")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let note = if row.class.keeps_all {
                ""
            } else {
                "  (may lose its tail)"
            };
            writeln!(f, "class={} {}{note}", row.class.name, Figures::of([row]))?;
        }
        // What `memory` loses it says in its own line.
        let keeping = self.rows.iter().filter(|row| row.class.keeps_all);
        write!(f, "sum of fsync and written: {}", Figures::of(keeping))
    }
}

struct Figures {
    cycles: u64,
    acked: u64,
    found: Found,
    p50: u128,
    p99: u128,
}

impl Figures {
    fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let (mut cycles, mut acked, mut found) = (0, 0, Found::default());
        let mut recoveries = Vec::new();
        for row in rows {
            cycles = cycles.max(row.cycles);
            acked += row.acked;
            found.add(row.found);
            recoveries.extend_from_slice(&row.recoveries);
        }
        recoveries.sort_unstable();
        Self {
            cycles,
            acked,
            found,
            p50: percentile(&recoveries, 50),
            p99: percentile(&recoveries, 99),
        }
    }
}

/// The nearest rank, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> u128 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0, Duration::as_millis)
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found {
            lost,
            reminted,
            repeated,
            corrupt,
        } = self.found;
        let Self {
            cycles,
            acked,
            p50,
            p99,
            ..
        } = self;
        write!(
            f,
            "cycles={cycles} acked={acked} lost={lost} reminted={reminted} recovery_p50_ms={p50} recovery_p99_ms={p99} \
             repeated={repeated} corrupt={corrupt}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_good_when_each_class_kept_what_it_promises() {
        let check = |name, found, good| {
            let class = *super::super::CLASSES
                .iter()
                .find(|class| class.name == name)
                .expect("a class");
            let mut report = Report::new(&super::super::CLASSES);
            report.cycle(class, found, Duration::ZERO);
            assert_eq!(report.is_good(), good, "{name}: {found:?}");
        };
        let (lost, reminted) = (
            Found {
                lost: 1,
                ..Found::default()
            },
            Found {
                reminted: 1,
                ..Found::default()
            },
        );
        let (repeated, corrupt) = (
            Found {
                repeated: 1,
                ..Found::default()
            },
            Found {
                corrupt: 1,
                ..Found::default()
            },
        );
        for name in ["fsync", "written", "memory"] {
            check(name, Found::default(), true);
            check(name, lost, name == "memory");
            check(name, reminted, false);
            check(name, repeated, false);
            check(name, corrupt, false);
        }
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), 50);
        assert_eq!(percentile(&sorted, 99), 99);
        assert_eq!(percentile(&sorted[..1], 99), 1);
        assert_eq!(percentile(&[], 50), 0);
    }
}
