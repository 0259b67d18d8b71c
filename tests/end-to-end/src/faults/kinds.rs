//! The kinds of faults, and the order in which they strike.

use hallows_testkit::Random;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// The network delays.
    ProxyDelay,
    /// The network resets connections inside a frame.
    ProxyCut,
    /// Requests do not arrive.
    ProxyStallToBroker,
    /// Answers do not arrive.
    ProxyStallToClient,
    /// No connection can be made.
    ProxyRefuse,
    /// The broker is killed with -9 and started again.
    Kill,
    /// The broker stands still (SIGSTOP) and goes on (SIGCONT).
    Stop,
    /// A member of a group is killed with -9 and another one started.
    MemberKill,
    /// The disk is full for a while.
    DiskFull,
    /// The broker may open no more files and sockets for a while.
    Descriptors,
    /// The broker gets no more memory for a while.
    Memory,
    /// The disk loses power and forgets what was not synced.
    PowerLoss,
}

const ALL: [(Kind, &str); 12] = [
    (Kind::ProxyDelay, "proxy-delay"),
    (Kind::ProxyCut, "proxy-cut"),
    (Kind::ProxyStallToBroker, "proxy-stall-to-broker"),
    (Kind::ProxyStallToClient, "proxy-stall-to-client"),
    (Kind::ProxyRefuse, "proxy-refuse"),
    (Kind::Kill, "kill"),
    (Kind::Stop, "stop"),
    (Kind::MemberKill, "member-kill"),
    (Kind::DiskFull, "disk-full"),
    (Kind::Descriptors, "descriptors"),
    (Kind::Memory, "memory"),
    (Kind::PowerLoss, "power-loss"),
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        let found = ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("", |(_, name)| name)
    }

    /// Those whose names contain one of `parts`; all without parts.
    pub(super) fn chosen(parts: &[String]) -> Vec<Self> {
        let wanted = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()));
        ALL.iter()
            .filter(|(_, name)| wanted(name))
            .map(|(kind, _)| *kind)
            .collect()
    }
}

/// Rounds of all kinds, each round in an order of its own, so that every kind strikes in a short run, too.
pub(super) struct Schedule {
    kinds: Vec<Kind>,
    round: Vec<Kind>,
}

impl Schedule {
    pub(super) const fn new(kinds: Vec<Kind>) -> Self {
        Self {
            kinds,
            round: Vec::new(),
        }
    }

    /// The next kind; `None` only without any.
    pub(super) fn next(&mut self, random: &mut Random) -> Option<Kind> {
        if self.round.is_empty() {
            self.round.clone_from(&self.kinds);
        }
        let bound = u64::try_from(self.round.len()).ok()?;
        let place = usize::try_from(random.below(bound)).ok()?;
        (place < self.round.len()).then(|| self.round.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kinds_and_parts_choose() {
        assert_eq!(Kind::chosen(&[]).len(), ALL.len());
        let chosen = Kind::chosen(&["kill".into(), "stall-to-client".into()]);
        assert_eq!(chosen, [Kind::ProxyStallToClient, Kind::Kill, Kind::MemberKill]);
        assert!(ALL.iter().all(|(kind, name)| kind.name() == *name));
    }

    #[test]
    fn every_round_has_every_kind_once() {
        let mut schedule = Schedule::new(Kind::chosen(&[]));
        let mut random = Random::from_seed(1);
        for _ in 0..3 {
            let mut round: Vec<_> = ALL.iter().filter_map(|_| schedule.next(&mut random)).collect();
            round.sort_unstable();
            assert_eq!(round, Kind::chosen(&[]));
        }
    }
}
