//! What an incremental fetch costs in a session over one partition and over 1,000 of which one is active.
//!
//! Time says little here, so the broker runs under callgrind, which counts instructions. A round of produces alone is
//! counted first and a round of produces each followed by a fetch next; the difference is what the fetches cost, the
//! work of noticing the new record included.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::class::Class;
use crate::codec::set_correlation;
use crate::connection::{Receiver, Sender, open};
use crate::frame::{FetchBounds, ProduceFrame, batch, fetched, session_fetch};
use crate::load::number;
use crate::metric::{Figures, Metric};
use crate::run::Programs;
use crate::subject::{HallowsOptions, Kind, Subject};
use crate::topic::{ACKS_LEADER, Target, await_broker, now_ms};

/// Produces, and fetches, per count.
const ROUNDS: i32 = 200;
/// Rounds before counting starts.
const ROUNDS_UNCOUNTED: i32 = 20;
/// Partitions of the large session.
const MANY: i32 = 1_000;

/// Counts instructions per fetch on hallows; a virtual machine's own instructions would say nothing.
pub(crate) fn measure(kind: Kind, programs: &Programs) -> Result<Figures> {
    ensure!(kind == Kind::Hallows, "instructions are counted for hallows only");
    let options = HallowsOptions {
        shards: Some(1),
        callgrind: true,
        settings: &[],
    };
    let subject = Subject::hallows(&programs.places, options)?;
    await_broker(subject.address)?;
    let one = instructions_per_fetch(&subject, 1)?;
    let thousand = instructions_per_fetch(&subject, MANY)?;
    Ok(vec![
        (Metric::FetchOfOne, one),
        (Metric::FetchOfThousand, thousand),
        (Metric::SessionRatio, thousand / one),
    ])
}

fn instructions_per_fetch(subject: &Subject, partitions: i32) -> Result<f64> {
    let target = subject.fresh_topic(Class::Written, partitions)?;
    let mut client = Client::start(&target, partitions)?;
    client.rounds(ROUNDS_UNCOUNTED, true)?;
    control(subject, "--instr=on")?;
    let alone = client.counted(subject, false)?;
    // What the produces left is taken before fetches are counted.
    client.fetch()?;
    let both = client.counted(subject, true)?;
    control(subject, "--instr=off")?;
    let per_fetch = (both - alone) / f64::from(ROUNDS);
    ensure!(
        per_fetch > 0.0,
        "fetches cost nothing: {alone} instructions without, {both} with them"
    );
    Ok(per_fetch)
}

/// A producer and a consumer in one fetch session.
struct Client<'a> {
    target: &'a Target,
    produce: (Sender, Receiver),
    consume: (Sender, Receiver),
    frame: ProduceFrame,
    session: (i32, i32),
    offset: i64,
}

impl<'a> Client<'a> {
    /// Makes the session: a full fetch that names every partition at its end, partition 0 before its end.
    fn start(target: &'a Target, partitions: i32) -> Result<Self> {
        let mut client = Self {
            target,
            produce: open(target.leader)?,
            consume: open(target.leader)?,
            frame: ProduceFrame::new(&target.topic, 0, ACKS_LEADER, &batch(1, 1024, now_ms())),
            session: (0, 0),
            offset: 0,
        };
        let all: Vec<(i32, i64)> = (0..partitions).map(|index| (index, i64::from(index != 0))).collect();
        client.exchange(&all)?;
        ensure!(client.session.0 != 0, "the broker made no fetch session");
        Ok(client)
    }

    fn counted(&mut self, subject: &Subject, fetching: bool) -> Result<f64> {
        control(subject, "--zero")?;
        self.rounds(ROUNDS, fetching)?;
        instructions(subject)
    }

    fn rounds(&mut self, rounds: i32, fetching: bool) -> Result<()> {
        for id in 0..rounds {
            self.produce.0.send(self.frame.numbered(id))?;
            self.frame.check(self.produce.1.receive()?, id)?;
            if fetching {
                self.fetch()?;
            }
        }
        Ok(())
    }

    /// One incremental fetch, which must bring partition 0 and nothing else.
    fn fetch(&mut self) -> Result<()> {
        let before = self.offset;
        self.exchange(&[(0, before)])?;
        ensure!(
            self.offset > before,
            "an incremental fetch from offset {before} brought nothing"
        );
        Ok(())
    }

    fn exchange(&mut self, partitions: &[(i32, i64)]) -> Result<()> {
        let mut frame = session_fetch(&self.target.topic, self.session, partitions, FetchBounds::CONSUMER);
        set_correlation(&mut frame, self.session.1);
        self.consume.0.send(&frame)?;
        let answer = fetched(self.consume.1.receive()?)?;
        let named = if self.session.0 == 0 { partitions.len() } else { 1 };
        ensure!(
            answer.partitions <= named,
            "a fetch brought {} partitions, not {named}",
            answer.partitions
        );
        self.session = (answer.session_id, self.session.1 + 1);
        self.offset = answer.end_offset.unwrap_or(self.offset);
        Ok(())
    }
}

fn control(subject: &Subject, option: &str) -> Result<()> {
    let pid = subject.pid().context("a local subject has a process")?;
    let output = Command::new("callgrind_control")
        .arg(option)
        .arg(pid.to_string())
        .output()
        .context("cannot run callgrind_control, which comes with valgrind")?;
    ensure!(
        output.status.success(),
        "callgrind_control {option}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// Writes out the counts and reads their sum. Each dump goes to a new file, numbered from 1.
fn instructions(subject: &Subject) -> Result<f64> {
    control(subject, "--dump")?;
    let mut newest = None;
    for entry in std::fs::read_dir(&subject.directory)? {
        let path = entry?.path();
        let number = path.extension().and_then(|text| text.to_str()?.parse::<u32>().ok());
        newest = newest.max(number.map(|number| (number, path)));
    }
    let Some((_, path)) = newest else {
        bail!("callgrind wrote no counts")
    };
    let text = std::fs::read_to_string(path)?;
    let sum = text
        .lines()
        .find_map(|line| line.strip_prefix("summary:").or_else(|| line.strip_prefix("totals:")))
        .context("callgrind's counts have no sum")?;
    Ok(number(sum.trim().parse()?))
}
