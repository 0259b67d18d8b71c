//! A toy machine on which the world proves that it loses what was promised too early, and nothing else.

use std::sync::Arc;

use hallows_runtime::{AlignedBuffer, Disk, DiskOp, DiskToken, FileHandle, OpenMode, Output, Slice};

use super::*;

const BLOCK: usize = 4096;
const FILE: &str = "log";

/// Messages of the toy: numbers to remember, and their acknowledgements.
#[derive(Debug)]
enum Toy {
    Remember(u64),
    Remembered(u64),
    Forward(u64),
}

/// Writes each number into a block of its own and acknowledges it, honestly or too early.
struct Notebook {
    id: ShardId,
    file: FileHandle,
    end: u64,
    waiting: BTreeMap<DiskToken, u64>,
    honest: bool,
    shutting_down: bool,
}

const DRIVER: ShardId = ShardId(99);

impl Notebook {
    fn open(id: ShardId, disk: &SimDisk, honest: bool) -> Self {
        let path = format!("{FILE}{}", id.0);
        if disk.open(&path, OpenMode::Read).is_err() {
            DiskOp::Create {
                path: path.clone(),
                data: Bytes::new(),
                durable: true,
            }
            .perform(disk)
            .expect("creating");
        }
        let file = disk.open(&path, OpenMode::Direct).expect("it exists");
        let end = file.size().expect("alive").next_multiple_of(BLOCK as u64);
        Self {
            id,
            file,
            end,
            waiting: BTreeMap::new(),
            honest,
            shutting_down: false,
        }
    }

    fn remember(&mut self, number: u64, effects: &mut Effects<Toy>) {
        let mut data = AlignedBuffer::with_capacity(BLOCK);
        data.extend_from_slice(&number.to_be_bytes());
        data.pad_to(BLOCK);
        let token = DiskToken(self.end);
        effects.disk(
            token,
            DiskOp::WriteDurable {
                file: self.file.clone(),
                offset: self.end,
                data,
            },
        );
        self.end += BLOCK as u64;
        self.waiting.insert(token, number);
        if !self.honest {
            effects.message(DRIVER, Toy::Remembered(number));
        }
    }
}

impl Turn for Notebook {
    type Message = Toy;

    fn turn(&mut self, _now: Now, inbox: &mut Inbox<Toy>, effects: &mut Effects<Toy>) {
        while let Some(item) = inbox.pop() {
            match item.event {
                Event::Message {
                    message: Toy::Remember(number),
                    ..
                } if self.id.0 == 0 && number % 2 == 1 => {
                    effects.message(ShardId(1), Toy::Forward(number));
                }
                Event::Message {
                    message: Toy::Remember(number) | Toy::Forward(number),
                    ..
                } => {
                    self.remember(number, effects);
                }
                Event::Disk(DiskCompletion { token, result }) => {
                    let number = self.waiting.remove(&token).expect("a token of this shard");
                    if self.honest && result.is_ok() {
                        effects.message(DRIVER, Toy::Remembered(number));
                    }
                }
                Event::Received { connection, bytes } => {
                    effects
                        .outputs
                        .push(Output::Send(connection, Slice::Memory(bytes.freeze())));
                }
                Event::Shutdown => self.shutting_down = true,
                _ => {}
            }
        }
        effects.stop = self.shutting_down && self.waiting.is_empty();
    }

    fn next_deadline(&self) -> Monotonic {
        Monotonic::NEVER
    }
}

/// Runs one seed; gives acknowledged numbers that are gone, how many were acknowledged, and the run's fingerprint.
fn run(seed: u64, honest: bool) -> (usize, usize, u64) {
    let disk = SimDisk::new(seed, 1 << 30);
    let mut world = World::new(
        seed,
        disk.clone(),
        Weather {
            write_back_one_in: 4,
            ..Weather::default()
        },
    );
    let mut acknowledged = Vec::new();
    for round in 0..4_u64 {
        let disk = world.disk().clone();
        world.start((0..2).map(|id| Notebook::open(ShardId(id), &disk, honest)).collect());
        (0..100).for_each(|index| world.send(DRIVER, ShardId(0), Toy::Remember(round * 100 + index)));
        let wait = world.random().below(100_000_000);
        world.alarm(wait, round);
        while let Some(happening) = world.step() {
            match happening {
                Happening::Outside {
                    message: Toy::Remembered(number),
                    ..
                } => acknowledged.push(number),
                Happening::Alarm(token) if token == round => break,
                _ => {}
            }
        }
        let killed = world.random().one_in(3);
        let _ = world.end(if killed { Ending::Kill } else { Ending::PowerLoss });
    }
    let found: Vec<u64> = ["log0", "log1"]
        .iter()
        .flat_map(|path| numbers(world.disk(), path))
        .collect();
    let lost = acknowledged.iter().filter(|number| !found.contains(number)).count();
    (lost, acknowledged.len(), world.trace().hash())
}

fn numbers(disk: &SimDisk, path: &str) -> Vec<u64> {
    let bytes = disk.peek(path).expect("created durably");
    let starts = bytes.chunks(BLOCK).filter_map(|block| block.first_chunk::<8>());
    starts.map(|start| u64::from_be_bytes(*start)).collect()
}

#[test]
fn an_honest_machine_loses_nothing() {
    let mut acknowledged = 0;
    for seed in 0..100 {
        let (lost, count, _) = run(seed, true);
        assert_eq!(lost, 0, "seed {seed}");
        acknowledged += count;
    }
    assert!(acknowledged > 5_000, "{acknowledged} acknowledged");
}

#[test]
fn a_machine_that_acknowledges_early_is_caught() {
    let caught = (0..10).find(|seed| run(*seed, false).0 > 0);
    assert!(caught.is_some(), "no loss in 10 seeds");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..10 {
        assert_eq!(run(seed, true), run(seed, true), "seed {seed}");
    }
    assert_ne!(run(1, true).2, run(2, true).2);
}

#[test]
fn connections_keep_the_order_of_bytes_in_both_directions() {
    for seed in 0..50 {
        let weather = Weather {
            stall_one_in: 5,
            ..Weather::default()
        };
        let disk = Arc::new(SimDisk::new(seed, 1 << 20));
        let mut world = World::new(seed, (*disk).clone(), weather);
        world.start(vec![Notebook::open(ShardId(0), &disk, true)]);
        let id = world.connect(ShardId(0));
        let sent: Vec<u8> = (0..20_000_u32).flat_map(u32::to_be_bytes).collect();
        sent.chunks(5000).for_each(|chunk| world.transmit_to_server(id, chunk));
        let mut received = Vec::new();
        while received.len() < sent.len() {
            match world.step() {
                Some(Happening::Received(from, bytes)) if from == id => received.extend_from_slice(&bytes),
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        assert_eq!(received, sent, "seed {seed}");
    }
}

#[test]
fn machines_stop_when_asked() {
    let disk = SimDisk::new(1, 1 << 30);
    let mut world = World::new(1, disk.clone(), Weather::default());
    world.start((0..2).map(|id| Notebook::open(ShardId(id), &disk, true)).collect());
    world.send(DRIVER, ShardId(1), Toy::Remember(8));
    world.shut_down();
    let mut stopped = 0;
    while stopped < 2 {
        stopped += usize::from(matches!(
            world.step().expect("weather never ends"),
            Happening::Stopped(_)
        ));
    }
    let _ = world.end(Ending::Stop);
    assert_eq!(world.shards().len(), 0);
}
