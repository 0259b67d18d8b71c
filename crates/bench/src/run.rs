//! A run: every cell in every class on every subject, interleaved, several times.

#![expect(clippy::print_stderr, reason = "progress of a task, for the person at the terminal")]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cell::{Cell, Settings, measure};
use crate::class::Class;
use crate::load::{connections, consume, one_in_flight, throughput};
use crate::report::{Preface, render};
use crate::result::CellResult;
use crate::subject::{HallowsOptions, Kind, Places, Subject};
use crate::{kafka, machine, own, topic};

/// How long Kafka's virtual machine is loaded before anything is measured.
const KAFKA_WARM_UP: Duration = Duration::from_secs(45);
/// Repeats of the cells whose figures hardly vary and whose runs are long.
const REPEATS_OF_LONG_CELLS: usize = 3;

/// What a local run does.
pub struct Plan {
    /// Cells, in order.
    pub cells: Vec<Cell>,
    /// Classes, in order.
    pub classes: Vec<Class>,
    /// Runs of each cell on each subject.
    pub repeats: usize,
    /// How long one run lasts, warm-up apart.
    pub length: Duration,
    /// Subjects besides the floor.
    pub subjects: Vec<Kind>,
    /// Shards of hallows in cells that do not name a count; `None` leaves it to the program.
    pub shards: Option<u32>,
    /// Where programs and data lie.
    pub places: Places,
    /// How the run was asked for.
    pub command: String,
}

/// How subjects are started.
pub(crate) struct Programs {
    pub(crate) places: Places,
    /// Kafka's jars, when it is compared with.
    kafka: Option<PathBuf>,
}

impl Programs {
    /// Starts a subject.
    pub(crate) fn start(&self, kind: Kind, class: Class, shards: Option<u32>) -> Result<Subject> {
        match kind {
            Kind::Floor => Subject::floor(&self.places, class),
            Kind::Hallows => Subject::hallows(
                &self.places,
                HallowsOptions {
                    shards,
                    callgrind: false,
                    settings: &[],
                },
            ),
            Kind::Kafka => Subject::kafka(
                &self.places,
                self.kafka.as_deref().context("Kafka is not compared with")?,
            ),
            Kind::Remote => anyhow::bail!("a remote broker is not started"),
        }
    }
}

/// Runs the plan and returns the report.
///
/// # Errors
/// When a subject cannot be started at all. A cell that fails is named in the report, and the others go on.
pub fn run(plan: &Plan) -> Result<String> {
    ensure!(plan.repeats > 0, "--repeats must be at least 1");
    machine::precise_sleeps();
    std::fs::create_dir_all(&plan.places.data)
        .with_context(|| format!("cannot create {}", plan.places.data.display()))?;
    let compared = plan.subjects.contains(&Kind::Kafka);
    let kafka = compared.then(|| kafka::libraries(&plan.places.cache)).transpose()?;
    let programs = Programs {
        places: plan.places.clone(),
        kafka,
    };
    let warm = plan.cells.iter().any(|cell| !cell.owns_subject());
    let kafka = (compared && warm).then(|| warm_kafka(&programs)).transpose()?;
    let mut results = Vec::new();
    for &cell in &plan.cells {
        for &class in cell.classes().iter().filter(|class| plan.classes.contains(class)) {
            let mut result = CellResult::new(cell, class);
            if cell.owns_subject() {
                run_own(plan, &programs, &mut result);
            } else if let Err(error) = run_cell(plan, &programs, kafka.as_ref(), &mut result) {
                result.failures.push(format!("{error:#}"));
            }
            eprintln!("{}", crate::report::cell(&result));
            results.push(result);
        }
    }
    Ok(render(&preface(plan), &results))
}

fn preface(plan: &Plan) -> Preface {
    let against = if plan.subjects.contains(&Kind::Kafka) {
        format!(
            "Against Apache Kafka {}, one node, 1 GiB heap, warmed for {} s",
            kafka::VERSION,
            KAFKA_WARM_UP.as_secs()
        )
    } else {
        "Against the floor alone".to_owned()
    };
    Preface {
        command: plan.command.clone(),
        commit: commit(),
        machine: machine::facts(&plan.places.data),
        against: format!(
            "{against}; medians (least to most) of {} runs of {:?}",
            plan.repeats, plan.length
        ),
    }
}

/// The commit of the working tree, and whether it was changed since.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git").args(arguments).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|text| !text.is_empty());
    if changed {
        format!("{commit} with uncommitted changes")
    } else {
        commit
    }
}

/// A cell whose subjects run through all repeats, taking turns.
fn run_cell(plan: &Plan, programs: &Programs, kafka: Option<&Subject>, result: &mut CellResult) -> Result<()> {
    let (cell, class) = (result.cell, result.class);
    let mut started = Vec::new();
    if cell.has_floor() {
        started.push(programs.start(Kind::Floor, class, None)?);
    }
    if plan.subjects.contains(&Kind::Hallows) {
        let subject = programs.start(Kind::Hallows, class, cell.shards().or(plan.shards))?;
        topic::await_broker(subject.address)?;
        started.push(subject);
    }
    started.iter().try_for_each(Subject::pause)?;
    let subjects: Vec<&Subject> = started.iter().chain(kafka).collect();
    let settings = Settings {
        class,
        length: plan.length,
    };
    for repeat in 1..=plan.repeats {
        for subject in &subjects {
            eprintln!(
                "{cell:?} {} {repeat}/{} {}",
                class.name(),
                plan.repeats,
                subject.kind.name()
            );
            result.background_percent_max = result.background_percent_max.max(machine::background_percent());
            let figures = subject.resume().and_then(|()| measure(cell, subject, settings));
            let paused = subject.pause();
            note(
                result,
                subject.kind,
                figures.and_then(|figures| paused.map(|()| figures)),
                || subject.output_tail(),
            );
        }
    }
    Ok(())
}

/// A cell that starts a fresh subject for each run.
fn run_own(plan: &Plan, programs: &Programs, result: &mut CellResult) {
    let (cell, repeats) = match result.cell {
        Cell::FetchSessions => (Cell::FetchSessions, 1),
        cell @ (Cell::Memory1 | Cell::Memory1000) => (cell, plan.repeats.min(REPEATS_OF_LONG_CELLS)),
        cell => (cell, plan.repeats),
    };
    for repeat in 1..=repeats {
        for &kind in plan
            .subjects
            .iter()
            .filter(|&&kind| cell != Cell::FetchSessions || kind == Kind::Hallows)
        {
            eprintln!("{cell:?} {repeat}/{repeats} {}", kind.name());
            result.background_percent_max = result.background_percent_max.max(machine::background_percent());
            let figures = own::measure(cell, kind, programs);
            note(result, kind, figures, String::new);
        }
    }
}

/// Keeps the figures of a run, or its failure with the last words of the subject.
fn note(
    result: &mut CellResult,
    kind: Kind,
    figures: Result<crate::metric::Figures>,
    last_words: impl FnOnce() -> String,
) {
    let figures = match figures {
        Ok(figures) => Some(figures),
        Err(error) => {
            eprintln!("failed on {}: {error:#}\n{}", kind.name(), last_words());
            result.failures.push(format!("{}: {error:#}", kind.name()));
            None
        }
    };
    result.runs.entry(kind).or_default().push(figures);
}

/// Starts Kafka and loads it with a bit of everything, so that its virtual machine has compiled what it will run.
fn warm_kafka(programs: &Programs) -> Result<Subject> {
    eprintln!("warming Kafka for {} s", KAFKA_WARM_UP.as_secs());
    let subject = programs.start(Kind::Kafka, Class::Written, None)?;
    topic::await_broker(subject.address)?;
    let share = KAFKA_WARM_UP / 4;
    let target = subject.fresh_topic(Class::Written, 1)?;
    one_in_flight::run(&target, 1024, share)?;
    connections::run(&target, 50, 100, share)?;
    let large = subject.fresh_topic(Class::Written, 1)?;
    for value_bytes in [100, 1024] {
        let limit = throughput::Limit {
            length: share,
            bytes: 1 << 30,
        };
        let outcome = throughput::run(&large, value_bytes, limit)?;
        consume::run(&large, i64::try_from(outcome.records)?)?;
    }
    let synced = subject.fresh_topic(Class::Fsync, 1)?;
    connections::run(&synced, 50, 100, share)?;
    for name in [&target.topic, &large.topic, &synced.topic] {
        subject.drop_topic(name)?;
    }
    subject.pause()?;
    Ok(subject)
}
