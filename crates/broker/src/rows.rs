//! A table of delayed requests: rows with a key that is never taken for another row's.

use slab::Slab;

/// Names a row. A key of a row that is gone finds nothing, even after its place was taken again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RowKey {
    place: u32,
    generation: u32,
}

impl RowKey {
    /// As a number, for those who only give back what they were given.
    pub(crate) fn to_token(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.place)
    }

    /// The key whose number this is.
    pub(crate) fn from_token(token: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("masked");
        Self {
            place: half(token),
            generation: half(token >> 32),
        }
    }
}

struct Row<T> {
    generation: u32,
    value: T,
}

/// Rows by key. Bounded by whoever inserts: every row belongs to a request in progress.
pub(crate) struct Rows<T> {
    rows: Slab<Row<T>>,
    generation: u32,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self {
            rows: Slab::new(),
            generation: 0,
        }
    }
}

impl<T> Rows<T> {
    /// Adds a row.
    pub(crate) fn insert(&mut self, value: T) -> RowKey {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let place = self.rows.insert(Row { generation, value });
        RowKey {
            place: u32::try_from(place).expect("fewer than 2^32 requests in progress"),
            generation,
        }
    }

    /// The row, unless it is gone.
    pub(crate) fn get_mut(&mut self, key: RowKey) -> Option<&mut T> {
        let row = self.rows.get_mut(key.place as usize)?;
        (row.generation == key.generation).then_some(&mut row.value)
    }

    /// Takes the row out, unless it is gone.
    pub(crate) fn remove(&mut self, key: RowKey) -> Option<T> {
        self.get_mut(key)?;
        Some(self.rows.remove(key.place as usize).value)
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_removed_row_finds_nothing_after_its_place_is_taken() {
        let mut rows = Rows::default();
        let first = rows.insert("first");
        assert_eq!(rows.remove(first), Some("first"));
        let second = rows.insert("second");
        assert_eq!(rows.get_mut(first), None);
        assert_eq!(rows.get_mut(second), Some(&mut "second"));
    }
}
