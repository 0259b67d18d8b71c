//! `cargo xtask fuzz`: builds the targets of `fuzz/` with coverage instrumentation and lets libFuzzer run them.
//!
//! Works with the stable compiler and without cargo-fuzz: what the instrumentation needs are stable code generation
//! flags, and libFuzzer comes with the crate `libfuzzer-sys`. `fuzz/README.md` has the reasons.
//! New inputs gather in `target/fuzz/found`; an input that breaks a promise is kept in `fuzz/regressions` and runs first
//! from then on; `--minimise` brings the committed corpora up to date.

mod run;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail, ensure};

use run::Outcome;

/// What `cargo fuzz --sanitizer none` gives to the compiler, without the flags that only nightly knows.
const INSTRUMENTATION: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];

/// Runs the fuzz targets.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this target; may be repeated.
    #[arg(long)]
    target: Vec<String>,
    /// How long each target runs. The corpus and every kept input run in any case.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many targets run at the same time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Replaces the committed corpora by the fewest inputs that cover what the old ones, the seeds and all inputs found
    /// cover, instead of looking for new ones.
    #[arg(long)]
    minimise: bool,
}

/// Where everything lies.
struct Places {
    root: PathBuf,
    /// The programs.
    programs: PathBuf,
}

impl Places {
    fn corpus(&self, target: &str) -> PathBuf {
        self.root.join("fuzz/corpus").join(target)
    }

    fn regressions(&self, target: &str) -> PathBuf {
        self.root.join("fuzz/regressions").join(target)
    }

    fn found(&self, target: &str) -> PathBuf {
        self.root.join("target/fuzz/found").join(target)
    }

    fn scratch(&self, kind: &str, target: &str) -> PathBuf {
        self.root.join("target/fuzz").join(kind).join(target)
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the package lies in a folder of the workspace")?;
    let all = targets(root)?;
    let chosen: Vec<&str> = all
        .iter()
        .map(String::as_str)
        .filter(|name| arguments.target.is_empty() || arguments.target.iter().any(|wanted| wanted == name))
        .collect();
    for wanted in &arguments.target {
        ensure!(
            all.contains(wanted),
            "no target is named {wanted}; there are: {}",
            all.join(", ")
        );
    }
    let places = Places {
        root: root.to_owned(),
        programs: build(root)?,
    };
    if arguments.minimise {
        return chosen.iter().try_for_each(|target| run::minimise(&places, target));
    }
    report(&run_all(&places, &chosen, arguments)?)
}

/// The names of the targets, as their programs are named.
fn targets(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(
            name.to_str()
                .and_then(|name| name.strip_suffix(".rs"))
                .map(str::to_owned),
        );
    }
    names.sort();
    Ok(names)
}

/// Builds every target; gives the folder of the programs.
fn build(root: &Path) -> Result<PathBuf> {
    let host = host()?;
    let target = root.join("target/fuzz");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // A target of its own keeps the flags away from build scripts and macros, which run without libFuzzer.
    let status = Command::new(cargo)
        .args(["build", "--release", "--bins"])
        .arg("--manifest-path")
        .arg(root.join("fuzz/Cargo.toml"))
        .args(["--target", &host])
        .arg("--target-dir")
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", INSTRUMENTATION.join("\u{1f}"))
        .status()
        .context("cannot run cargo")?;
    ensure!(
        status.success(),
        "the fuzz targets do not build; libFuzzer needs a C++ compiler (Debian: apt-get install g++)"
    );
    Ok(target.join(host).join("release"))
}

/// The triple that the compiler builds for.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say its host")
}

fn run_all(places: &Places, targets: &[&str], arguments: &Arguments) -> Result<Vec<(String, Outcome)>> {
    let waiting: Mutex<VecDeque<&str>> = Mutex::new(targets.iter().copied().collect());
    let work = || -> Result<Vec<(String, Outcome)>> {
        let mut outcomes = Vec::new();
        loop {
            let next = waiting.lock().map_or(None, |mut waiting| waiting.pop_front());
            let Some(target) = next else { return Ok(outcomes) };
            outcomes.push((target.to_owned(), run::fuzz(places, target, arguments.seconds)?));
        }
    };
    let mut outcomes = thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = workers
            .into_iter()
            .map(|worker| worker.join().expect("a worker does not panic"));
        joined.collect::<Result<Vec<_>>>()
    })?
    .concat();
    outcomes.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(outcomes)
}

fn report(outcomes: &[(String, Outcome)]) -> Result<()> {
    println!("{:<16} {:>12} {:>8} {:>8}", "target", "executions", "corpus", "crashes");
    let mut sum = Outcome::default();
    for (target, outcome) in outcomes {
        println!(
            "{target:<16} {:>12} {:>8} {:>8}",
            outcome.executions, outcome.corpus, outcome.crashes
        );
        sum.executions += outcome.executions;
        sum.corpus += outcome.corpus;
        sum.crashes += outcome.crashes;
    }
    println!(
        "targets={} executions={} corpus={} crashes={}",
        outcomes.len(),
        sum.executions,
        sum.corpus,
        sum.crashes
    );
    if sum.crashes > 0 {
        bail!(
            "{} inputs break a promise; they are kept in fuzz/regressions",
            sum.crashes
        );
    }
    Ok(())
}
