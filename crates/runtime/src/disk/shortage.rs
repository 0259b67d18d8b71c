//! Errors that say nothing about the disk's health.

use std::io;

/// What the machine has run out of. The operation changed nothing that counts and may succeed later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shortage {
    /// No room is left on the disk, or the quota is used up (ENOSPC, EDQUOT).
    Room,
    /// The process or the system has no file descriptor left (EMFILE, ENFILE).
    Descriptors,
}

impl Shortage {
    /// The shortage behind an error, if that is what it is. Never ask about a failed sync: that one is final.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        use rustix::io::Errno;

        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Some(Self::Room);
        }
        let errno = Errno::from_io_error(error)?;
        [Errno::MFILE, Errno::NFILE]
            .contains(&errno)
            .then_some(Self::Descriptors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_a_shortage() {
        let of = |errno| Shortage::of(&io::Error::from_raw_os_error(errno));
        assert_eq!(of(28), Some(Shortage::Room), "ENOSPC");
        assert_eq!(of(122), Some(Shortage::Room), "EDQUOT");
        assert_eq!(of(30), None, "EROFS");
        assert_eq!(of(24), Some(Shortage::Descriptors));
        assert_eq!(of(23), Some(Shortage::Descriptors));
        assert_eq!(of(5), None, "EIO");
        assert_eq!(Shortage::of(&io::Error::other("odd")), None);
    }
}
