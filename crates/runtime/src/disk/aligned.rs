//! Page-aligned memory for writes that bypass the page cache.
#![expect(unsafe_code, reason = "aligned allocation has no safe counterpart in std")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ptr::NonNull;

/// A zeroed buffer whose address and capacity are multiples of 4096. Recycle it: first touch of fresh memory is dear.
pub struct AlignedBuffer {
    pointer: NonNull<u8>,
    capacity: usize,
    len: usize,
}

/// The alignment of address and capacity in bytes.
const ALIGNMENT: usize = 4096;

// SAFETY: the buffer owns its memory exclusively, like a Vec.
unsafe impl Send for AlignedBuffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// A buffer of `capacity` bytes, rounded up to 4096 bytes and at least that, with length 0.
    ///
    /// # Panics
    /// When `capacity` is above `isize::MAX`, which no caller's bounded setting allows.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(1).next_multiple_of(ALIGNMENT);
        let layout = Self::layout(capacity);
        // SAFETY: the layout has a size above zero.
        let raw = unsafe { alloc_zeroed(layout) };
        let Some(pointer) = NonNull::new(raw) else {
            handle_alloc_error(layout)
        };
        Self {
            pointer,
            capacity,
            len: 0,
        }
    }

    fn layout(capacity: usize) -> Layout {
        Layout::from_size_align(capacity, ALIGNMENT).expect("a capacity below isize::MAX with a constant alignment")
    }

    /// Bytes that fit.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes in use.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte is in use.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets the contents, keeps the memory.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends bytes, growing by doubling when they do not fit.
    pub fn extend_from_slice(&mut self, data: &[u8]) {
        let end = self.len + data.len();
        if end > self.capacity {
            self.grow(end);
        }
        self.len = end;
        self[end - data.len()..].copy_from_slice(data);
    }

    /// Appends zeros until the length is a multiple of `alignment`.
    pub fn pad_to(&mut self, alignment: usize) {
        let end = self.len.next_multiple_of(alignment);
        if end > self.capacity {
            self.grow(end);
        }
        let start = self.len;
        self.len = end;
        self[start..].fill(0);
    }

    fn grow(&mut self, capacity: usize) {
        let mut larger = Self::with_capacity(capacity.max(self.capacity * 2));
        larger.len = self.len;
        larger.copy_from_slice(self);
        *self = larger;
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len <= capacity` bytes are allocated and initialised (zeroed at allocation).
        unsafe { std::slice::from_raw_parts(self.pointer.as_ptr(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.len) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout in `with_capacity`, freed once.
        unsafe { dealloc(self.pointer.as_ptr(), Self::layout(self.capacity)) }
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} of {} bytes)", self.len, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_survive_growth_and_every_capacity_is_aligned() {
        let mut buffer = AlignedBuffer::with_capacity(0);
        let mut expected = Vec::new();
        for round in 0..200_u8 {
            let piece = vec![round; usize::from(round) * 7];
            buffer.extend_from_slice(&piece);
            expected.extend_from_slice(&piece);
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
            assert_eq!(buffer.capacity() % ALIGNMENT, 0);
        }
        assert_eq!(&buffer[..], &expected[..]);
        assert!(buffer.capacity() < 3 * expected.len(), "it grows by doubling");
    }

    #[test]
    fn padding_is_zero_even_where_bytes_were() {
        let mut buffer = AlignedBuffer::with_capacity(4096);
        buffer.extend_from_slice(&[7; 4096]);
        buffer.clear();
        assert!(buffer.is_empty());
        buffer.extend_from_slice(&[1, 2, 3]);
        buffer.pad_to(512);
        assert_eq!(buffer.len(), 512);
        assert_eq!(buffer[..3], [1, 2, 3]);
        assert!(buffer[3..].iter().all(|byte| *byte == 0));
        buffer.extend_from_slice(&[9; 4000]);
        buffer.pad_to(4096);
        assert_eq!(buffer.len(), 8192, "padding grows too");
        assert_eq!(buffer[8191], 0);
    }
}
