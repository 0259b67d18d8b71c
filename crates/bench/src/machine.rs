//! What the machine tells: facts for the report, processor time and memory of a process, flushes, background load.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
    thread_native_id,
};

/// Processor time in `/proc` counts in these steps per second, on every Linux that matters.
const TICKS_PER_SECOND: f64 = 100.0;
/// Memory touched before a throughput cell.
const TOUCH_BYTES: usize = 3 << 30;
/// How long the background load is watched.
const BACKGROUND_WATCH: Duration = Duration::from_millis(300);

/// Processor seconds, user and system, that the process `pid` has used.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
    // The name in parentheses may hold spaces; the fields after it do not.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| -> Result<f64> { Ok(fields.get(index).context("a short stat line")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Resident memory of the process `pid` in MiB.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    memory_line(pid, "VmRSS:")
}

fn memory_line(pid: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("no process {pid}"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("no line {name}"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib / 1024.0)
}

/// The most resident memory that the process `pid` has had since [`forget_peak`], in MiB.
///
/// # Errors
/// When there is no such process.
pub(crate) fn peak_mib(pid: u32) -> Result<f64> {
    memory_line(pid, "VmHWM:")
}

/// Lets the peak of the process `pid` start anew from what it has now.
///
/// # Errors
/// When there is no such process, or it is another user's.
pub(crate) fn forget_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak of a process's memory")
}

/// Open descriptors of the process `pid`: all, and those that are sockets.
///
/// # Errors
/// When there is no such process.
pub(crate) fn descriptors(pid: u32) -> Result<(usize, usize)> {
    let (mut all, mut sockets) = (0, 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("no process {pid}"))? {
        all += 1;
        // One that was closed meanwhile has no target any more.
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        sockets += usize::from(target.to_string_lossy().starts_with("socket:"));
    }
    Ok((all, sockets))
}

/// Lets this process open as many files as it may, and returns how many that is.
///
/// # Errors
/// When the system refuses.
pub(crate) fn allow_open_files() -> Result<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit on open files")?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Has the page cache forget every file below `directory`; what is dirty is written back before.
///
/// # Errors
/// When a file cannot be opened.
pub(crate) fn forget_pages(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget_pages(&entry.path())?;
        } else {
            let file = fs::File::open(entry.path())?;
            file.sync_all()?;
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
    }
    Ok(())
}

/// Flushes that all disks have completed since the machine started; `None` where the kernel does not count them.
///
/// The count is the machine's, so nothing else may sync meanwhile.
pub(crate) fn flushes() -> Option<u64> {
    let text = fs::read_to_string("/proc/diskstats").ok()?;
    let counts = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let whole_disk = Path::new("/sys/block").join(fields.get(2)?).exists();
        whole_disk.then(|| fields.get(18)?.parse::<u64>().ok()).flatten()
    });
    let counts: Vec<u64> = counts.collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

/// Share of all processors that was busy during a short watch, in percent of one processor.
pub(crate) fn background_percent() -> f64 {
    let Some(before) = busy_ticks() else { return 0.0 };
    thread::sleep(BACKGROUND_WATCH);
    let after = busy_ticks().unwrap_or(before);
    (after - before) / TICKS_PER_SECOND / BACKGROUND_WATCH.as_secs_f64() * 100.0
}

/// Ticks that were neither idle nor waiting for a disk, of all processors since the start.
fn busy_ticks() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<f64> = text
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    Some(fields.iter().sum::<f64>() - fields.get(3)? - fields.get(4)?)
}

/// Touches and frees 3 GiB and writes back what is dirty.
///
/// A virtual machine's free memory may not be backed by its host yet; the first to touch it would pay for it.
pub(crate) fn prepare_memory() -> Result<()> {
    sync()?;
    let touched = vec![1_u8; TOUCH_BYTES];
    std::hint::black_box(touched.last());
    Ok(())
}

/// Writes back every dirty page of the machine.
pub(crate) fn sync() -> Result<()> {
    Command::new("sync").status().context("cannot run sync")?;
    Ok(())
}

/// Lets this process's threads wake on time: the default slack of a sleep is 50 µs.
pub(crate) fn precise_sleeps() {
    // Without the right to do so the generator is late by a little more, and the report shows it.
    let _ = fs::write("/proc/self/timerslack_ns", "1");
}

/// Has the system run the calling thread, and those it starts, before all threads of normal priority (`SCHED_FIFO`).
///
/// # Errors
/// When this process has no right to do so.
pub(crate) fn run_before_others() -> Result<()> {
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
        .map_err(|error| anyhow!("cannot run a thread before others, which takes root or CAP_SYS_NICE: {error}"))
}

/// One line about the machine and the file system that `directory` lies on.
pub(crate) fn facts(directory: &Path) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let gib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok())
        .map_or(0.0, |kib| kib / f64::from(1 << 20));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores ({model}), {gib:.0} GiB, Linux {}, {}",
        kernel.trim(),
        file_system(directory)
    )
}

/// The type of the file system that holds `directory`.
fn file_system(directory: &Path) -> String {
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .filter(|(point, _)| directory.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map_or_else(|| "unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}
