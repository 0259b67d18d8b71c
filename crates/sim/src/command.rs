//! The command: runs many seeds and says what they showed. Shared by `hallows sim` and `cargo xtask sim`.

use std::io::{self, Write};
use std::num::NonZeroU16;
use std::ops::ControlFlow;

use crate::jobs;
use crate::minimise::minimise;
use crate::options::{Outcome, Report, Sabotage};
use crate::plan::{Level, Part, Plan};
use crate::simulate;

/// From so many seeds on, every fault class must have struck.
const SEEDS_FOR_EVERY_FAULT: u64 = 50;
/// Seeds between two lines that say how far a long run is.
const SEEDS_PER_PROGRESS: u64 = 500;
/// Seeds until a broken promise must be noticed.
#[cfg(feature = "sabotage")]
const SEEDS_UNTIL_NOTICED: u64 = 40;

/// Runs simulated machines, kills them, and looks for what they promised.
#[derive(clap::Args, Clone, Debug)]
pub struct Arguments {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// Run only this seed.
    #[arg(long)]
    seed: Option<u64>,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only `storage`, or only `broker`: whole brokers with their clients.
    #[arg(long, value_parser = level)]
    level: Option<Level>,
    /// A promise to break on purpose, to see that the harness notices.
    // Not shown: a build of the whole workspace has the feature, and its users are those of `cargo xtask sim`.
    #[cfg(feature = "sabotage")]
    #[arg(long, hide = true, value_parser = sabotage)]
    sabotage: Option<Sabotage>,
    /// Break every promise in turn, and show how soon that is noticed.
    #[cfg(feature = "sabotage")]
    #[arg(long, hide = true, conflicts_with = "sabotage")]
    switches: bool,
    /// Stop asking after so many operations.
    #[arg(long)]
    operations: Option<u64>,
    /// Parts of the run to leave out, separated by commas: cuts, stalls, clock-jumps, writebacks, disk-errors,
    /// full-disk, interruptions, shard-counts, stops, or a client, like client-3.
    #[arg(long, value_delimiter = ',', value_parser = part)]
    without: Vec<Part>,
    /// Shorten the history of the first violation.
    #[arg(long)]
    minimise: bool,
    /// Seeds that run beside each other, one per thread; all cores if not given. It changes nothing but the time.
    #[arg(long)]
    jobs: Option<NonZeroU16>,
    /// Go on after a violation instead of ending with the first one.
    #[arg(long)]
    keep_going: bool,
    /// Print one line per seed, with the fingerprint of its run.
    #[arg(long)]
    verbose: bool,
}

impl Arguments {
    fn jobs(&self) -> NonZeroU16 {
        self.jobs.unwrap_or_else(jobs::cores)
    }

    fn plan(&self, level: Level, seed: u64) -> Plan {
        Plan {
            operations: self.operations,
            without: self.without.iter().copied().collect(),
            ..Plan::whole(level, seed, self.broken().unwrap_or_default())
        }
    }

    #[cfg(feature = "sabotage")]
    const fn broken(&self) -> Option<Sabotage> {
        self.sabotage
    }

    /// Programs that serve cannot break promises.
    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_self, reason = "as the other one")]
    const fn broken(&self) -> Option<Sabotage> {
        None
    }
}

#[cfg(feature = "sabotage")]
fn sabotage(name: &str) -> Result<Sabotage, String> {
    let known = Sabotage::ALL.map(|(name, _)| name).join(", ");
    Sabotage::from_name(name).ok_or_else(|| format!("known are {known}"))
}

fn level(name: &str) -> Result<Level, String> {
    let found = [Level::Storage, Level::Broker]
        .into_iter()
        .find(|level| level.name() == name);
    found.ok_or_else(|| "known are storage and broker".to_owned())
}

fn part(name: &str) -> Result<Part, String> {
    let known = Part::FAULTS.map(|(name, _)| name).join(", ");
    Part::from_name(name).ok_or_else(|| format!("known are {known} and client-NUMBER"))
}

/// Whether everything held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It did.
    Held,
    /// Something was broken, or not shown.
    Broken,
}

/// Runs what was asked for. `program` is how the reader repeats it.
///
/// # Errors
/// When nothing can be written.
pub fn run(arguments: &Arguments, program: &str, out: &mut dyn Write) -> io::Result<Verdict> {
    #[cfg(feature = "sabotage")]
    if arguments.switches {
        return switches(arguments.jobs(), out);
    }
    let levels = arguments
        .level
        .map_or_else(|| vec![Level::Storage, Level::Broker], |level| vec![level]);
    let mut verdict = Verdict::Held;
    let mut whole = Report::default();
    for level in levels {
        let report = run_level(arguments, level, program, out)?;
        writeln!(out, "{}: {report}", level.name())?;
        let mut faults = report.activity(level);
        faults.extend(report.faults(level));
        let counts: Vec<String> = faults.iter().map(|(name, count)| format!("{name}={count}")).collect();
        writeln!(out, "{}: {}", level.name(), counts.join(" "))?;
        let never: Vec<&str> = faults
            .iter()
            .filter(|(_, count)| *count == 0)
            .map(|(name, _)| *name)
            .collect();
        if report.seeds >= SEEDS_FOR_EVERY_FAULT && arguments.without.is_empty() && !never.is_empty() {
            writeln!(out, "{}: these never happened: {}", level.name(), never.join(", "))?;
            verdict = Verdict::Broken;
        }
        if !report.violations.is_empty() {
            verdict = Verdict::Broken;
        }
        whole.merge(report);
    }
    writeln!(out, "{whole}")?;
    Ok(verdict)
}

fn run_level(arguments: &Arguments, level: Level, program: &str, out: &mut dyn Write) -> io::Result<Report> {
    let seeds = arguments
        .seed
        .map_or(arguments.from..arguments.from + arguments.seeds, |seed| seed..seed + 1);
    let first = seeds.start;
    let mut report = Report::default();
    let run = |seed| simulate(&arguments.plan(level, seed));
    let failed = jobs::in_order(arguments.jobs(), seeds, run, |seed, outcome| {
        let plan = arguments.plan(level, seed);
        let taken = take(arguments, &plan, outcome, program, &mut report, out);
        progress(level, seed + 1 - first, &report);
        match taken {
            Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => ControlFlow::Break(None),
            Err(error) => ControlFlow::Break(Some(error)),
        }
    });
    failed.flatten().map_or(Ok(report), Err)
}

/// Adds what a seed's run gave, and says what it broke.
fn take(
    arguments: &Arguments,
    plan: &Plan,
    outcome: Outcome,
    program: &str,
    report: &mut Report,
    out: &mut dyn Write,
) -> io::Result<ControlFlow<()>> {
    if arguments.verbose {
        line(plan, &outcome, out)?;
    }
    let (seed, operations) = (plan.seed, outcome.operations);
    let violated = outcome.violation.clone();
    report.add(seed, outcome);
    let Some(violation) = violated else {
        return Ok(ControlFlow::Continue(()));
    };
    writeln!(out, "seed {seed}: {violation}\nrepeat it with: {program} {plan}")?;
    if arguments.minimise {
        let found = minimise(plan, operations, violation);
        let (plan, violation, tries) = (found.plan, found.violation, found.tries);
        writeln!(out, "shortest of {tries} runs: {program} {plan}\n{violation}")?;
    }
    out.flush()?;
    Ok(if arguments.keep_going {
        ControlFlow::Continue(())
    } else {
        ControlFlow::Break(())
    })
}

/// Says on standard error how far a long run is.
fn progress(level: Level, done: u64, report: &Report) {
    if done.is_multiple_of(SEEDS_PER_PROGRESS) {
        // Nothing is lost where nobody can read it.
        let _ = writeln!(io::stderr(), "{}, so far: {report}", level.name());
    }
}

fn line(plan: &Plan, outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let (operations, crashes, acknowledged) = (outcome.operations, outcome.crashes, outcome.acknowledged);
    let fingerprint = outcome.fingerprint;
    let seed = plan.seed;
    writeln!(
        out,
        "seed={seed} operations={operations} crashes={crashes} acked={acknowledged} fingerprint={fingerprint:016x}"
    )
}

/// Breaks every promise in turn at every level that can see it.
#[cfg(feature = "sabotage")]
fn switches(jobs: NonZeroU16, out: &mut dyn Write) -> io::Result<Verdict> {
    writeln!(out, "{:<28} {:<8} {:>5}  noticed as", "promise broken", "level", "seed")?;
    let mut verdict = Verdict::Held;
    for (name, switch) in Sabotage::ALL {
        for level in [Level::Storage, Level::Broker] {
            if !switch.concerns(level) {
                continue;
            }
            let run = |seed| simulate(&Plan::whole(level, seed, switch)).violation;
            let noticed = jobs::in_order(jobs, 0..SEEDS_UNTIL_NOTICED, run, |seed, violation| match violation {
                Some(violation) => ControlFlow::Break((seed, violation)),
                None => ControlFlow::Continue(()),
            });
            match noticed {
                Some((seed, violation)) => {
                    writeln!(out, "{name:<28} {:<8} {seed:>5}  {}", level.name(), violation.invariant)?;
                }
                None => {
                    writeln!(
                        out,
                        "{name:<28} {:<8} {:>5}  NOT in {SEEDS_UNTIL_NOTICED} seeds",
                        level.name(),
                        "-"
                    )?;
                    verdict = Verdict::Broken;
                }
            }
        }
    }
    Ok(verdict)
}
