//! One direction of one connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::frames::Frames;
use super::{Direction, Shared, Weather};
use crate::Random;

/// The largest piece that is passed on at once.
const PIECE_BYTES: usize = 16 << 10;

/// How a direction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// An end closed it.
    Closed,
    /// The weather did, or what was on its way must not arrive any more.
    Reset,
    /// [`Weather::Refuse`] did.
    Refused,
}

pub(super) struct Pump<'a> {
    direction: Direction,
    from: &'a TcpStream,
    to: &'a TcpStream,
    shared: &'a Arc<Shared>,
    weather: watch::Receiver<Weather>,
    random: Random,
    frames: Frames,
    /// Bytes that pass before the cut, drawn when the weather came.
    cut_after: Option<u64>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        direction: Direction,
        from: &'a TcpStream,
        to: &'a TcpStream,
        shared: &'a Arc<Shared>,
        seed: u64,
    ) -> Self {
        Self {
            direction,
            from,
            to,
            shared,
            weather: shared.weather.clone(),
            random: Random::from_seed(seed),
            frames: Frames::default(),
            cut_after: None,
        }
    }

    /// Passes bytes on until something ends the connection.
    pub(super) async fn run(&mut self) -> End {
        self.pass_all().await.unwrap_or(End::Closed)
    }

    async fn pass_all(&mut self) -> io::Result<End> {
        let mut piece = vec![0; PIECE_BYTES];
        let mut was_held_back = false;
        self.weather.mark_changed();
        loop {
            tokio::select! {
                biased;
                changed = self.weather.changed() => {
                    let weather = *self.weather.borrow_and_update();
                    if changed.is_err() {
                        return Ok(End::Reset);
                    }
                    if let Some(end) = self.meet(weather) {
                        return Ok(end);
                    }
                }
                ready = self.from.ready(Interest::READABLE) => {
                    let ready = ready?;
                    let weather = *self.weather.borrow();
                    if weather == Weather::Stall(self.direction) {
                        self.hold_back().await;
                        was_held_back = true;
                        continue;
                    }
                    // A client that gave up meanwhile takes its requests along: they would come after later ones.
                    if was_held_back && self.direction == Direction::ToBroker && ready.is_read_closed() {
                        return Ok(End::Reset);
                    }
                    was_held_back = false;
                    match self.from.try_read(&mut piece) {
                        Ok(0) => return Ok(End::Closed),
                        Ok(size) => {
                            if let Some(end) = self.pass(&piece[..size], weather).await? {
                                return Ok(end);
                            }
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// New weather.
    fn meet(&mut self, weather: Weather) -> Option<End> {
        self.cut_after = None;
        match weather {
            Weather::Refuse => return Some(End::Refused),
            Weather::Cut { after_bytes_max } => {
                // Not before the first byte of a length.
                self.cut_after = Some(8 + self.random.below(after_bytes_max.saturating_sub(8)));
            }
            Weather::Fair | Weather::Delay(_) | Weather::Stall(_) => {}
        }
        None
    }

    /// There are bytes, and they must wait until the weather changes.
    async fn hold_back(&mut self) {
        count(match self.direction {
            Direction::ToBroker => &self.shared.counters.stalled_to_broker,
            Direction::ToClient => &self.shared.counters.stalled_to_client,
        });
        let stalled = Weather::Stall(self.direction);
        // An error means that the proxy is gone; the caller sees that next.
        let _ = self.weather.wait_for(|weather| *weather != stalled).await;
        self.weather.mark_changed();
    }

    async fn pass(&mut self, piece: &[u8], weather: Weather) -> io::Result<Option<End>> {
        if let Weather::Delay(max) = weather {
            count(&self.shared.counters.delayed);
            let micros = u64::try_from(max.as_micros()).unwrap_or(u64::MAX);
            tokio::time::sleep(Duration::from_micros(self.random.below(micros))).await;
        }
        let size = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        match self.cut_after {
            Some(left) if left <= size => {
                let cut_at = usize::try_from(left).unwrap_or(piece.len());
                self.cut(&piece[..cut_at]).await.map(Some)
            }
            left => {
                self.cut_after = left.map(|left| left - size);
                self.frames.pass(piece);
                self.write(piece).await?;
                Ok(None)
            }
        }
    }

    /// Passes these bytes, one less where the frame would be whole, and ends the connection.
    async fn cut(&mut self, last: &[u8]) -> io::Result<End> {
        let mut passed = last;
        if let [before @ .., end] = last {
            self.frames.pass(before);
            passed = before;
            let mut with_end = Frames::default();
            std::mem::swap(&mut with_end, &mut self.frames);
            let was_inside = with_end.is_inside();
            with_end.pass(&[*end]);
            // Where the last byte is the only one that lies inside a frame, it goes along.
            if with_end.is_inside() || !was_inside {
                passed = last;
            }
        }
        count(&self.shared.counters.cut);
        self.write(passed).await?;
        Ok(End::Reset)
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.to.writable().await?;
            match self.to.try_write(bytes) {
                Ok(size) => bytes = &bytes[size..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
