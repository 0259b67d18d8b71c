//! The bounded queue of answer slots of one connection.
//!
//! Invariant: answers leave in the order in which their slots were opened, whatever the order in which they are filled.

use std::collections::VecDeque;

use hallows_runtime::Slice;
use smallvec::SmallVec;

/// The bytes of one answer, in order.
pub type Answer = SmallVec<[Slice; 2]>;

/// Names the place of one answer on its connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot(u64);

/// Whether a request may start behind unanswered ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// Behind other pipelined requests only: Produce.
    Pipelined,
    /// Only when everything before it is answered, as Kafka mutes a connection while a request is in progress.
    Alone,
}

struct Place {
    pace: Pace,
    answer: Option<Answer>,
}

/// The open slots of a connection, oldest first.
pub struct AnswerQueue {
    places: VecDeque<Place>,
    /// The slot number of `places[0]`.
    first: u64,
    places_max: usize,
}

impl AnswerQueue {
    /// An empty queue of at most `places_max` unanswered requests.
    #[must_use]
    pub const fn new(places_max: usize) -> Self {
        Self {
            places: VecDeque::new(),
            first: 0,
            places_max,
        }
    }

    /// Whether a request of this pace may start now.
    #[must_use]
    pub fn admits(&self, pace: Pace) -> bool {
        match pace {
            Pace::Alone => self.places.is_empty(),
            Pace::Pipelined => {
                self.places.len() < self.places_max && self.places.iter().all(|place| place.pace == Pace::Pipelined)
            }
        }
    }

    /// Opens the next slot. The caller has asked [`AnswerQueue::admits`].
    ///
    /// # Panics
    /// When the request may not start now.
    pub fn open(&mut self, pace: Pace) -> Slot {
        assert!(self.admits(pace));
        self.places.push_back(Place { pace, answer: None });
        Slot(self.first + self.places.len() as u64 - 1)
    }

    /// Fills a slot and hands every answer that may leave now to `send`, in order.
    /// An answer to a slot that is gone or filled already is a bug of the caller.
    ///
    /// # Panics
    /// When `slot` is not open.
    pub fn fill(&mut self, slot: Slot, answer: Answer, mut send: impl FnMut(Slice)) {
        let index = usize::try_from(slot.0 - self.first).expect("an open slot is near the first");
        let place = &mut self.places[index];
        assert!(place.answer.is_none());
        place.answer = Some(answer);
        while let Some(Place { answer: Some(_), .. }) = self.places.front() {
            self.first += 1;
            let done = self.places.pop_front().and_then(|place| place.answer);
            done.into_iter().flatten().for_each(&mut send);
        }
    }

    /// How many requests are unanswered.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use smallvec::smallvec;

    use super::*;

    fn answer(text: &'static str) -> Answer {
        smallvec![Slice::Memory(Bytes::from_static(text.as_bytes()))]
    }

    fn fill(queue: &mut AnswerQueue, slot: Slot, text: &'static str) -> Vec<usize> {
        let mut sent = Vec::new();
        queue.fill(slot, answer(text), |slice| sent.push(slice.len()));
        sent
    }

    #[test]
    fn answers_leave_in_the_order_of_their_requests() {
        let mut queue = AnswerQueue::new(3);
        let (one, two, three) = (
            queue.open(Pace::Pipelined),
            queue.open(Pace::Pipelined),
            queue.open(Pace::Pipelined),
        );
        assert!(!queue.admits(Pace::Pipelined));
        assert!(fill(&mut queue, two, "22").is_empty());
        assert_eq!(fill(&mut queue, one, "1"), [1, 2]);
        assert_eq!(fill(&mut queue, three, "333"), [3]);
        assert_eq!(queue.open_count(), 0);
    }

    #[test]
    fn only_a_produce_may_start_behind_a_waiting_produce() {
        let mut queue = AnswerQueue::new(8);
        let produce = queue.open(Pace::Pipelined);
        assert!(queue.admits(Pace::Pipelined));
        assert!(!queue.admits(Pace::Alone));
        fill(&mut queue, produce, "1");
        queue.open(Pace::Alone);
        assert!(!queue.admits(Pace::Pipelined));
    }
}
