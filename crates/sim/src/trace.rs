//! The fingerprint of a run: equal fingerprints mean that the same things happened in the same order.

/// A running hash over everything that happens (FNV-1a, 64 bits; not a checksum of data).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    hash: u64,
    steps: u64,
}

/// The offset basis and prime of FNV-1a.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

impl Default for Trace {
    fn default() -> Self {
        Self { hash: BASIS, steps: 0 }
    }
}

impl Trace {
    /// Notes one step: what kind, and its numbers.
    pub fn note(&mut self, kind: &str, numbers: &[u64]) {
        self.steps += 1;
        self.bytes(kind.as_bytes());
        for number in numbers {
            self.bytes(&number.to_le_bytes());
        }
    }

    /// Notes bytes that somebody saw.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }

    /// The fingerprint so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// Steps noted so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_matters() {
        let run = |steps: [(&str, u64); 2]| {
            let mut trace = Trace::default();
            steps.iter().for_each(|(kind, number)| trace.note(kind, &[*number]));
            trace.hash()
        };
        assert_eq!(run([("a", 1), ("b", 2)]), run([("a", 1), ("b", 2)]));
        assert_ne!(run([("a", 1), ("b", 2)]), run([("b", 2), ("a", 1)]));
        assert_ne!(run([("a", 1), ("b", 2)]), run([("a", 2), ("b", 2)]));
    }
}
