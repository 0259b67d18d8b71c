//! What is measured: the floor, hallows, Apache Kafka, or a broker somewhere else.
//!
//! A local subject is a process of its own, so that its processor time and memory can be read, in a fresh directory.
//! While another subject is measured it is stopped (SIGSTOP), so that its idle work disturbs nobody.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::class::Class;
use crate::connection;
use crate::kafka;
use crate::topic::{self, NewTopic, Target};

/// How long a subject may take until it accepts connections. A program under valgrind is slow.
const START_WAIT_MAX: Duration = Duration::from_secs(60);
/// How often a starting subject is tried.
const START_POLL: Duration = Duration::from_millis(1);
/// How long a subject may take to end before it is killed.
const STOP_WAIT_MAX: Duration = Duration::from_secs(10);
/// Ports below the usual ephemeral range, so that no client's own port takes one.
const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// Kinds of subjects, in the order of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A blocking server that writes frames to a file.
    Floor,
    /// This project's broker.
    Hallows,
    /// Apache Kafka.
    Kafka,
    /// A broker that somebody else started.
    Remote,
}

impl Kind {
    /// The column's head.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Hallows => "hallows",
            Self::Kafka => "Kafka",
            Self::Remote => "broker",
        }
    }
}

/// Where programs and data lie.
#[derive(Clone)]
pub struct Places {
    /// The program `hallows`.
    pub hallows: PathBuf,
    /// Fresh directories are made below this one.
    pub data: PathBuf,
    /// Kafka's jars are kept here.
    pub cache: PathBuf,
}

/// How to start hallows.
#[derive(Clone, Copy, Default)]
pub(crate) struct HallowsOptions<'a> {
    /// Threads that own partitions; `None` leaves it to the program.
    pub(crate) shards: Option<u32>,
    /// Whether it runs under callgrind, with counting switched off at first.
    pub(crate) callgrind: bool,
    /// Further settings, as name and value.
    pub(crate) settings: &'a [(&'a str, &'a str)],
}

/// One running subject.
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) directory: PathBuf,
    /// From the start of the process until it accepted a connection.
    pub(crate) started_at: Instant,
    process: Option<Child>,
    /// How it was started, to start it again.
    command: Option<Command>,
    topics: AtomicU32,
    configs: Vec<(String, String)>,
}

impl Subject {
    /// Starts the floor.
    pub(crate) fn floor(places: &Places, class: Class) -> Result<Self> {
        let (address, directory) = (free_address()?, fresh_directory(places, Kind::Floor)?);
        let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
        command.arg("floor").arg("--address").arg(address.to_string());
        command
            .arg("--directory")
            .arg(&directory)
            .arg("--class")
            .arg(class.name());
        Self::spawn(Kind::Floor, address, directory, command)
    }

    /// Starts hallows.
    pub(crate) fn hallows(places: &Places, options: HallowsOptions<'_>) -> Result<Self> {
        let (address, directory) = (free_address()?, fresh_directory(places, Kind::Hallows)?);
        let mut command = if options.callgrind {
            let mut valgrind = Command::new("valgrind");
            valgrind.args(["--tool=callgrind", "--instr-atstart=no", "--fair-sched=yes"]);
            valgrind.arg(format!(
                "--callgrind-out-file={}",
                directory.join("callgrind.out").display()
            ));
            valgrind.arg(&places.hallows);
            valgrind
        } else {
            Command::new(&places.hallows)
        };
        command.args(["serve", "--listeners", &format!("PLAINTEXT://{address}"), "--log.dirs"]);
        command.arg(directory.join("data"));
        if let Some(shards) = options.shards {
            command.arg("--shards").arg(shards.to_string());
        }
        for (name, value) in options.settings {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        Self::spawn(Kind::Hallows, address, directory, command)
    }

    /// Starts Apache Kafka, whose jars must be in `libraries`.
    pub(crate) fn kafka(places: &Places, libraries: &Path) -> Result<Self> {
        let (address, directory) = (free_address()?, fresh_directory(places, Kind::Kafka)?);
        let properties = kafka::format(libraries, &directory, address, free_address()?)?;
        Self::spawn(Kind::Kafka, address, directory, kafka::serve(libraries, &properties))
    }

    /// Names a broker that somebody else started; new topics get `configs`.
    pub(crate) fn remote(address: SocketAddr, configs: Vec<(String, String)>) -> Self {
        Self {
            kind: Kind::Remote,
            address,
            directory: PathBuf::new(),
            started_at: Instant::now(),
            process: None,
            command: None,
            topics: AtomicU32::new(0),
            configs,
        }
    }

    fn spawn(kind: Kind, address: SocketAddr, directory: PathBuf, mut command: Command) -> Result<Self> {
        let log = directory.join("output");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let started_at = Instant::now();
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {}: {}", kind.name(), command.get_program().display()))?;
        let mut subject = Self {
            kind,
            address,
            directory,
            started_at,
            process: Some(process),
            command: Some(command),
            topics: AtomicU32::new(0),
            configs: Vec::new(),
        };
        subject.await_listening(&log)?;
        Ok(subject)
    }

    fn await_listening(&mut self, log: &Path) -> Result<()> {
        while TcpStream::connect_timeout(&self.address, START_WAIT_MAX).is_err() {
            let ended = self
                .process
                .as_mut()
                .and_then(|process| process.try_wait().ok().flatten());
            if let Some(status) = ended {
                let output = fs::read_to_string(log).unwrap_or_default();
                bail!(
                    "{} ended with {status} instead of listening:\n{}",
                    self.kind.name(),
                    tail(&output)
                );
            }
            ensure!(
                self.started_at.elapsed() < START_WAIT_MAX,
                "{} does not listen on {} after {START_WAIT_MAX:?}; its output is in {}",
                self.kind.name(),
                self.address,
                log.display()
            );
            thread::sleep(START_POLL);
        }
        Ok(())
    }

    /// Stops the process as an operator does and starts it again on the same directory.
    ///
    /// Returns how long the stop took; `started_at` is then the time of the second start.
    pub(crate) fn restart(&mut self) -> Result<Duration> {
        let asked_at = Instant::now();
        self.signal("-TERM")?;
        let mut process = self.process.take().context("a local subject has a process")?;
        let status = process.wait().context("cannot wait for a process that was stopped")?;
        ensure!(status.success(), "{} stopped with {status}", self.kind.name());
        let took = asked_at.elapsed();
        let command = self.command.as_mut().context("a local subject has a command")?;
        self.started_at = Instant::now();
        self.process = Some(command.spawn().context("cannot start it again")?);
        self.await_listening(&self.directory.join("output"))?;
        Ok(took)
    }

    /// The process, when it is ours.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Stops the process where it is.
    pub(crate) fn pause(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets the process run on.
    pub(crate) fn resume(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let status = Command::new("kill")
            .arg(signal)
            .arg(pid.to_string())
            .status()
            .context("cannot run kill")?;
        ensure!(status.success(), "{} (process {pid}) is gone", self.kind.name());
        Ok(())
    }

    /// A new topic whose leaders answer. The floor has no topics: there the name only has the usual length.
    pub(crate) fn fresh_topic(&self, class: Class, partitions: i32) -> Result<Target> {
        self.fresh_topic_with(class, partitions, &[])
    }

    /// The same, with further topic settings.
    pub(crate) fn fresh_topic_with(&self, class: Class, partitions: i32, extra: &[(&str, &str)]) -> Result<Target> {
        let name = self.create_topic(class, partitions, extra)?;
        if self.kind == Kind::Floor {
            return Ok(Target {
                leader: self.address,
                topic: name,
                next_offset: 0,
            });
        }
        // A broker that deals connections out to its threads in turn would otherwise give every repeat the same
        // pairing of connection and partition; so half of the repeats get the other one.
        if self.topics.load(Ordering::Relaxed).is_multiple_of(2) {
            connection::open(self.address)?;
        }
        topic::await_leader(self.address, &name, partitions)
    }

    /// Creates a topic without waiting for its leaders; returns its name.
    pub(crate) fn create_topic(&self, class: Class, partitions: i32, extra: &[(&str, &str)]) -> Result<String> {
        let number = self.topics.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-{}-{number:04}", std::process::id());
        if self.kind == Kind::Floor {
            return Ok(name);
        }
        let mut configs = match (self.kind, class) {
            (Kind::Hallows, class) => vec![("durability", class.name())],
            (Kind::Kafka, Class::Fsync) => vec![("flush.messages", "1"), ("file.delete.delay.ms", "1000")],
            // A deleted topic gives its space back at once, or the disk would fill.
            (Kind::Kafka, Class::Written) => vec![("file.delete.delay.ms", "1000")],
            (Kind::Floor | Kind::Remote, _) => Vec::new(),
        };
        configs.extend(self.configs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        configs.extend_from_slice(extra);
        topic::create(
            self.address,
            &NewTopic {
                name: &name,
                partitions,
                configs: &configs,
            },
        )?;
        Ok(name)
    }

    /// Deletes a topic that a cell is done with.
    pub(crate) fn drop_topic(&self, name: &str) -> Result<()> {
        if self.kind == Kind::Floor {
            return Ok(());
        }
        topic::delete(self.address, name)
    }

    /// The end of what the process wrote, for the report of a failure.
    pub(crate) fn output_tail(&self) -> String {
        tail(&fs::read_to_string(self.directory.join("output")).unwrap_or_default()).to_owned()
    }
}

impl Drop for Subject {
    /// Ends the process and removes its directory; what cannot be removed only takes space.
    fn drop(&mut self) {
        let _ = self.resume();
        let _ = self.signal("-TERM");
        if let Some(process) = self.process.as_mut() {
            let deadline = Instant::now() + STOP_WAIT_MAX;
            while matches!(process.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(10));
            }
            let _ = process.kill();
            let _ = process.wait();
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// The last lines of a program's output.
fn tail(output: &str) -> &str {
    let start = output.char_indices().rev().nth(1_500).map_or(0, |(at, _)| at);
    output[start..].trim()
}

fn fresh_directory(places: &Places, kind: Kind) -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{}-{number}", kind.name().to_lowercase(), std::process::id());
    let directory = places.data.join(name);
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    // The processes are started with another working directory in mind than a relative path would mean.
    directory.canonicalize().context("a directory that was just made")
}

/// A loopback address that nobody listens on.
fn free_address() -> Result<SocketAddr> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = u32::from(PORTS.end - PORTS.start);
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (std::process::id().wrapping_mul(37).wrapping_add(step)) % span;
        let port = PORTS.start + u16::try_from(offset).expect("the span of ports fits 16 bits");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port between {} and {} is free", PORTS.start, PORTS.end)
}
