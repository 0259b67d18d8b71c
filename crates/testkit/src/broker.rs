//! A `hallows` process under test.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::DataDirectory;

/// What a broker prints before each address it listens on.
const LISTENING: &str = "listening on PLAINTEXT://";
/// How long a broker may take to stop when it is asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// How a broker under test is started.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The `hallows` program; [`find_program`] finds it.
    pub program: PathBuf,
    /// `--shards`.
    pub shards: u16,
    /// Settings beyond listener, directory and shards: name and value.
    pub settings: Vec<(String, String)>,
    /// How long recovery may take until the broker listens.
    pub start_timeout: Duration,
}

impl BrokerOptions {
    /// Two shards, default settings, a minute to start.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        Self {
            program,
            shards: 2,
            settings: Vec::new(),
            start_timeout: Duration::from_secs(60),
        }
    }

    /// The same with one more setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A broker and its data directory. Dropping it kills the process.
pub struct Broker {
    options: BrokerOptions,
    directory: DataDirectory,
    process: Option<Child>,
    /// Chosen by the first start, kept by later ones, so that clients find the broker again.
    port: u16,
}

impl Broker {
    /// Starts a broker on a free port of the loopback and waits until it listens.
    ///
    /// # Errors
    /// When it does not listen in time; the message has the end of what it wrote.
    pub fn start(options: BrokerOptions, directory: DataDirectory) -> Result<Self> {
        let mut broker = Self {
            options,
            directory,
            process: None,
            port: 0,
        };
        broker.restart()?;
        Ok(broker)
    }

    /// `host:port`, the same through all restarts.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the data lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the next start uses.
    pub fn options(&mut self) -> &mut BrokerOptions {
        &mut self.options
    }

    /// The process, while there is one.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// How the process ended, if it did so by itself since it was started.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let process = self.process.as_mut().context("the broker was started")?;
        process.try_wait().context("cannot ask for the broker")
    }

    /// Kills the process as `kill -9` does; everything it had not handed to the system is gone.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself; either way it is gone and waited for.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Asks the process to stop, as Ctrl-C does, and waits for it.
    ///
    /// # Errors
    /// When it does not stop in time, or not with success.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let asked = Command::new("kill").args(["-TERM", &process.id().to_string()]).status();
        asked.context("cannot run kill")?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            match process.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the broker stopped with {status}; it wrote:\n{}", self.log_end()),
                None if Instant::now() > deadline => {
                    let _ = process.kill();
                    let _ = process.wait();
                    bail!("the broker did not stop within {} s", STOP_TIMEOUT.as_secs());
                }
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Starts the process again on the same port and directory; returns how long it took until it listened.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn restart(&mut self) -> Result<Duration> {
        self.kill();
        let start = Instant::now();
        let mut process = self.spawn()?;
        let output = process.stdout.take().context("the output is a pipe")?;
        self.process = Some(process);
        self.port = self.await_port(BufReader::new(output))?;
        Ok(start.elapsed())
    }

    /// Starts the process and kills it after `life`, wherever it is then.
    ///
    /// # Errors
    /// When it cannot be started at all.
    pub fn restart_and_kill_after(&mut self, life: Duration) -> Result<()> {
        self.kill();
        let mut process = self.spawn()?;
        // Its words are of no interest, but a full pipe would stop it.
        let output = process.stdout.take().context("the output is a pipe")?;
        let reader = thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).count());
        self.process = Some(process);
        thread::sleep(life);
        self.kill();
        let _ = reader.join();
        Ok(())
    }

    /// Kills the process and leaves its data behind; returns where.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.kill();
        let path = self.directory.path().to_owned();
        let kept = DataDirectory::Named(path);
        std::mem::replace(&mut self.directory, kept).keep()
    }

    /// Where the process writes its log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.directory.path().with_extension("log")
    }

    fn spawn(&self) -> Result<Child> {
        let program = &self.options.program;
        let log = self.open_log()?;
        let mut command = Command::new(program);
        command
            .arg("serve")
            .args(["--listeners", &format!("PLAINTEXT://127.0.0.1:{}", self.port)])
            .arg("--log.dirs")
            .arg(self.directory.path())
            .args(["--shards", &self.options.shards.to_string()]);
        for (name, value) in &self.options.settings {
            command.args(["--set", &format!("{name}={value}")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))
    }

    fn open_log(&self) -> Result<File> {
        let path = self.log_path();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        log.with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads on behind the port until the process ends, so that it never writes into a closed pipe.
    fn await_port(&mut self, output: BufReader<impl std::io::Read + Send + 'static>) -> Result<u16> {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let address = line.strip_prefix(LISTENING);
                if let Some(port) = address.and_then(|address| address.rsplit(':').next()) {
                    let _ = tell.send(port.parse::<u16>());
                }
            }
        });
        match told.recv_timeout(self.options.start_timeout) {
            Ok(port) => port.context("the broker prints a port"),
            Err(reason) => {
                self.kill();
                let what = match reason {
                    RecvTimeoutError::Timeout => "did not listen in time",
                    RecvTimeoutError::Disconnected => "ended before it listened",
                };
                bail!("the broker {what}; it wrote:\n{}", self.log_end())
            }
        }
    }

    /// The last lines of the log, for messages.
    #[must_use]
    pub fn log_end(&self) -> String {
        const LINES: usize = 20;
        let text = std::fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if matches!(self.directory, DataDirectory::Fresh(_)) {
            let _ = std::fs::remove_file(self.log_path());
        }
    }
}

/// The `hallows` program: `BROKER_PROGRAM`, or the one built beside the running test.
///
/// # Errors
/// When there is neither; the message says how to build it.
pub fn find_program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("BROKER_PROGRAM") {
        return Ok(program.into());
    }
    let test = std::env::current_exe()?;
    let beside = test.ancestors().skip(1).take(2).map(|folder| folder.join("hallows"));
    beside.into_iter().find(|program| program.is_file()).context(
        "there is no `hallows` beside this test. Build it with `cargo build -p hallows-server`, \
         or name one in BROKER_PROGRAM",
    )
}
