//! Where frames begin and end in a stream of Kafka's: four bytes of length, then so many bytes.

/// Follows one direction of a connection.
#[derive(Default)]
pub(super) struct Frames {
    /// Bytes of the length seen so far, 0..4.
    head: Vec<u8>,
    /// Bytes of the frame that are still to come.
    left: u64,
}

impl Frames {
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let step = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                self.left -= u64::try_from(step).unwrap_or(0);
                bytes = &bytes[step..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let Ok(length) = <[u8; 4]>::try_from(self.head.as_slice()) {
                self.left = u64::from(u32::from_be_bytes(length));
                self.head.clear();
            }
        }
    }

    /// Whether a frame has begun and not ended.
    pub(super) fn is_inside(&self) -> bool {
        self.left > 0 || !self.head.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_followed_byte_by_byte() {
        let stream = [0, 0, 0, 2, 7, 8, 0, 0, 0, 1, 9];
        let mut frames = Frames::default();
        let inside: Vec<bool> = stream
            .iter()
            .map(|byte| {
                frames.pass(&[*byte]);
                frames.is_inside()
            })
            .collect();
        let outside: Vec<usize> = (0..stream.len()).filter(|place| !inside[*place]).collect();
        assert_eq!(outside, [5, 10]);
        let mut at_once = Frames::default();
        at_once.pass(&stream);
        assert!(!at_once.is_inside());
    }
}
