//! The faults themselves. Each strikes, holds for a while, and leaves everything as it was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hallows_testkit::{Broker, Direction, Proxy, Random, Weather};
use rustix::process::{Pid, Signal, kill_process};

use super::kinds::Kind;
use super::load::Shared;

/// The longest that a piece waits in the proxy.
const DELAY_MAX: Duration = Duration::from_millis(150);
/// The most that a connection carries before it is cut.
const CUT_AFTER_BYTES_MAX: u64 = 16 << 10;

/// What the faults strike.
pub(super) struct Target {
    pub(super) broker: Broker,
    pub(super) proxy: Proxy,
    pub(super) shared: Arc<Shared>,
    pub(super) random: Random,
    /// How often each kind struck, but for what the proxy and the members count themselves.
    struck: BTreeMap<Kind, u64>,
}

impl Target {
    pub(super) fn new(broker: Broker, proxy: Proxy, shared: Arc<Shared>, random: Random) -> Self {
        Self {
            broker,
            proxy,
            shared,
            random,
            struck: BTreeMap::new(),
        }
    }

    /// Strikes once.
    ///
    /// # Errors
    /// When the broker does not come back, or has ended although nothing killed it.
    pub(super) fn strike(&mut self, kind: Kind) -> Result<()> {
        match kind {
            Kind::ProxyDelay => self.weather(Weather::Delay(DELAY_MAX), 1_500..3_000),
            Kind::ProxyCut => {
                let cut = Weather::Cut {
                    after_bytes_max: CUT_AFTER_BYTES_MAX,
                };
                self.weather(cut, 1_500..3_000);
            }
            Kind::ProxyStallToBroker => self.weather(Weather::Stall(Direction::ToBroker), 500..4_000),
            Kind::ProxyStallToClient => self.weather(Weather::Stall(Direction::ToClient), 500..4_000),
            Kind::ProxyRefuse => self.weather(Weather::Refuse, 200..1_500),
            Kind::Kill => self.kill()?,
            Kind::Stop => self.stop()?,
            Kind::MemberKill => _ = self.shared.kill_members.fetch_add(1, Ordering::SeqCst),
        }
        if let Some(status) = self.broker.ended()? {
            bail!(
                "the broker ended by itself with {status} under {}; it wrote:\n{}",
                kind.name(),
                self.broker.log_end()
            );
        }
        Ok(())
    }

    /// How often a kind struck.
    pub(super) fn struck(&self, kind: Kind) -> u64 {
        let proxy = self.proxy.struck();
        match kind {
            Kind::ProxyDelay => proxy.delayed,
            Kind::ProxyCut => proxy.cut,
            Kind::ProxyStallToBroker => proxy.stalled_to_broker,
            Kind::ProxyStallToClient => proxy.stalled_to_client,
            Kind::ProxyRefuse => proxy.refused,
            Kind::MemberKill => self.shared.members_killed.load(Ordering::SeqCst),
            _ => self.struck.get(&kind).copied().unwrap_or(0),
        }
    }

    fn count(&mut self, kind: Kind) {
        *self.struck.entry(kind).or_default() += 1;
    }

    /// Lets a random time pass, in milliseconds.
    pub(super) fn hold(&mut self, range: std::ops::Range<u64>) {
        let length = range.end.saturating_sub(range.start);
        thread::sleep(Duration::from_millis(range.start + self.random.below(length)));
    }

    fn weather(&mut self, weather: Weather, hold: std::ops::Range<u64>) {
        self.proxy.set(weather);
        self.hold(hold);
        // Every other stall ends with the connections: what was held back never arrives.
        if matches!(weather, Weather::Stall(_)) && self.random.below(2) == 0 {
            self.proxy.set(Weather::Refuse);
            self.hold(20..50);
        }
        self.proxy.set(Weather::Fair);
    }

    fn kill(&mut self) -> Result<()> {
        self.broker.kill();
        self.count(Kind::Kill);
        self.hold(20..500);
        self.broker.restart()?;
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        let process = self.process()?;
        kill_process(process, Signal::STOP)?;
        self.count(Kind::Stop);
        self.hold(500..3_500);
        kill_process(process, Signal::CONT)?;
        Ok(())
    }

    fn process(&self) -> Result<Pid> {
        let id = self.broker.process_id().context("the broker runs")?;
        Pid::from_raw(i32::try_from(id)?).context("a process has a number")
    }
}
