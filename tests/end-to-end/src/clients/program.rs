//! A client program under test: how it is called, and what it says. The language is that of `tests/clients/README.md`.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::java_tools::JavaTools;
use super::kcat;

/// How long a program may take for something that should take a second or two on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How much of what a program complains about is repeated in a message.
const COMPLAINTS_MAX: usize = 1_500;

/// Name and value pairs of one call.
pub(crate) type Options<'a> = &'a [(&'a str, &'a str)];

/// How a client is called.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// Speaks the language itself: the words before the verb.
    Own(Vec<PathBuf>),
    /// Debian's kcat; its command line is translated.
    Kcat,
    /// Kafka's console programs; their command lines are translated.
    JavaTools(JavaTools),
}

/// What a program says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Acked {
        partition: i32,
        offset: i64,
        line: usize,
    },
    Record(Record),
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
    /// The program's clock before what it says next, in nanoseconds since 1970.
    Time(u64),
    /// It begins to commit these offsets, by partition.
    Committing(Vec<(i32, i64)>),
    Committed,
    /// The commit was refused, or nobody knows what became of it.
    Uncommitted,
    Partitions(usize),
    Config(String, String),
    /// How many records a perf program saw.
    Counted(usize),
}

/// A record as a client saw it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: String,
    pub(crate) length: usize,
    pub(crate) crc: u32,
    pub(crate) headers: String,
}

impl Program {
    /// Whether acknowledgements are told record by record.
    pub(crate) fn tells_acks(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// Starts the program with one verb.
    pub(crate) fn start(&self, verb: &str, bootstrap: &str, options: Options<'_>) -> Result<Running> {
        let mut command = match self {
            Self::Own(words) => own_command(words, verb, bootstrap, options)?,
            Self::Kcat => kcat::command(verb, bootstrap, options)?,
            Self::JavaTools(tools) => tools.command(verb, bootstrap, options)?,
        };
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let (tell, said) = mpsc::channel();
        let tell_rebalance = tell.clone();
        let read = match self {
            Self::Own(_) => read_own,
            Self::Kcat => kcat::read,
            Self::JavaTools(_) => super::java_tools::read,
        };
        let output = BufReader::new(child.stdout.take().context("a pipe")?);
        thread::spawn(move || lines(output, |line| _ = read(&line).map(|said| tell.send(said))));
        let complaints = BufReader::new(child.stderr.take().context("a pipe")?);
        let complaints = thread::spawn(move || {
            let mut all = String::new();
            lines(complaints, |line| {
                if let Some(said) = kcat::read_rebalance(&line) {
                    let _ = tell_rebalance.send(said);
                } else {
                    all += &line;
                    all.push('\n');
                }
            });
            all
        });
        Ok(Running {
            input: child.stdin.take(),
            ends_by_signal: !matches!(self, Self::Own(_)) && verb == "consume",
            child,
            said,
            complaints: Some(complaints),
            events: Vec::new(),
        })
    }
}

fn own_command(words: &[PathBuf], verb: &str, bootstrap: &str, options: Options<'_>) -> Result<Command> {
    let (program, before) = words.split_first().context("a program has a name")?;
    let mut command = Command::new(program);
    command
        .args(before)
        .arg(verb)
        .arg(format!("bootstrap={bootstrap}"))
        .args(options.iter().map(|(name, value)| format!("{name}={value}")));
    Ok(command)
}

fn lines(reader: BufReader<impl Read>, mut each: impl FnMut(String)) {
    for line in reader.split(b'\n').map_while(Result::ok) {
        each(String::from_utf8_lossy(&line).into_owned());
    }
}

fn read_own(line: &str) -> Option<Said> {
    let fields: Vec<&str> = line.split('\t').collect();
    Some(match *fields.first()? {
        "acked" => Said::Acked {
            partition: fields.get(1)?.parse().ok()?,
            offset: fields.get(2)?.parse().ok()?,
            line: fields.get(3)?.parse().ok()?,
        },
        "record" => Said::Record(Record {
            partition: fields.get(1)?.parse().ok()?,
            offset: fields.get(2)?.parse().ok()?,
            timestamp: fields.get(3)?.parse().ok()?,
            key: (*fields.get(4)?).to_owned(),
            length: fields.get(5)?.parse().ok()?,
            crc: fields.get(6)?.parse().ok()?,
            headers: (*fields.get(7)?).to_owned(),
        }),
        "assigned" => Said::Assigned(partitions(fields.get(1)?)),
        "revoked" => Said::Revoked(partitions(fields.get(1)?)),
        "time" => Said::Time(fields.get(1)?.parse().ok()?),
        "committing" => Said::Committing(offsets(fields.get(1)?)),
        "committed" => Said::Committed,
        "uncommitted" => Said::Uncommitted,
        "partitions" => Said::Partitions(fields.get(1)?.parse().ok()?),
        "config" => Said::Config(
            (*fields.get(1)?).to_owned(),
            fields.get(2).copied().unwrap_or("").to_owned(),
        ),
        _ => return None,
    })
}

fn partitions(text: &str) -> Vec<i32> {
    text.split(',').filter_map(|number| number.parse().ok()).collect()
}

fn offsets(text: &str) -> Vec<(i32, i64)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)))
        .collect()
}

/// A program that runs. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    said: Receiver<Said>,
    complaints: Option<thread::JoinHandle<String>>,
    /// Everything it has said so far.
    events: Vec<Said>,
    /// Whether it goes on at the end of its input, and must be asked to stop.
    ends_by_signal: bool,
}

impl Running {
    /// Writes a line of input.
    pub(crate) fn write(&mut self, key: &str, value: &str) -> Result<()> {
        let input = self.input.as_mut().context("the input is open")?;
        let written = input.write_all(format!("{key}\t{value}\n").as_bytes());
        written.context("the program does not read its input any more")
    }

    /// Takes in what was said meanwhile.
    pub(crate) fn events(&mut self) -> &[Said] {
        self.events.extend(self.said.try_iter());
        &self.events
    }

    /// What was said since the last call, and forgets it.
    pub(crate) fn take_events(&mut self) -> Vec<Said> {
        self.events();
        std::mem::take(&mut self.events)
    }

    /// Records seen so far.
    pub(crate) fn records(&mut self) -> Vec<Record> {
        let records = self.events().iter().filter_map(|said| match said {
            Said::Record(record) => Some(record.clone()),
            _ => None,
        });
        records.collect()
    }

    /// The partitions that a member owns after all it was told.
    pub(crate) fn owned(&mut self) -> Vec<i32> {
        let mut owned: Vec<i32> = Vec::new();
        for said in self.events() {
            match said {
                Said::Assigned(more) => owned.extend(more),
                Said::Revoked(less) => owned.retain(|partition| !less.contains(partition)),
                _ => {}
            }
        }
        owned.sort_unstable();
        owned.dedup();
        owned
    }

    /// Whether it has ended, by itself or not.
    pub(crate) fn has_ended(&mut self) -> bool {
        // A child that cannot be asked is as good as gone.
        self.child.try_wait().map_or(true, |status| status.is_some())
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends the input and waits for the program; returns everything it said.
    pub(crate) fn finish(mut self) -> Result<Vec<Said>> {
        drop(self.input.take());
        if self.ends_by_signal {
            let pid = self.child.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
        }
        self.wait()
    }

    /// Waits for a program that ends by itself; returns everything it said.
    pub(crate) fn wait(mut self) -> Result<Vec<Said>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.said.recv_timeout(Duration::from_millis(50)) {
                Ok(said) => self.events.push(said),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(Duration::from_millis(5)),
            }
            if let Some(status) = self.child.try_wait()? {
                return self.ended(status);
            }
            if Instant::now() > deadline {
                self.kill();
                let said = self.events().len();
                bail!(
                    "it did not end within {} s, having said {said} things; it complained: {}",
                    PATIENCE.as_secs(),
                    self.complaints()
                );
            }
        }
    }

    fn ended(&mut self, status: ExitStatus) -> Result<Vec<Said>> {
        let complaints = self.complaints();
        if !(status.success() || self.ends_by_signal) {
            bail!("it ended with {status}; it complained: {complaints}");
        }
        // The reader has come to the end of the pipe once the program is gone.
        while let Ok(said) = self.said.recv_timeout(Duration::from_secs(1)) {
            self.events.push(said);
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// The end of what it complained about; the program must have ended.
    fn complaints(&mut self) -> String {
        let all = self
            .complaints
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        let start = all.len().saturating_sub(COMPLAINTS_MAX);
        let start = (start..all.len()).find(|&at| all.is_char_boundary(at)).unwrap_or(0);
        all[start..].trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// CRC-32 of IEEE 802.3, which all languages have at hand.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_record_is_read() {
        let said = read_own("record\t1\t20\t1000\tkey\t3\t7\tline=4;empty=");
        let record = Record {
            partition: 1,
            offset: 20,
            timestamp: 1000,
            key: "key".into(),
            length: 3,
            crc: 7,
            headers: "line=4;empty=".into(),
        };
        assert_eq!(said, Some(Said::Record(record)));
        assert_eq!(read_own("assigned\t"), Some(Said::Assigned(vec![])));
        assert_eq!(
            read_own("committing\t0=5,2=7"),
            Some(Said::Committing(vec![(0, 5), (2, 7)]))
        );
        assert_eq!(read_own("something else"), None);
    }
}
