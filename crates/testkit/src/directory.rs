//! Where a broker under test keeps its data.

use std::io;
use std::path::{Path, PathBuf};

/// A fresh directory that is removed at the end, or one that stays because somebody named it.
pub enum DataDirectory {
    /// Removed when dropped.
    Fresh(tempfile::TempDir),
    /// Left as it is.
    Named(PathBuf),
}

impl DataDirectory {
    /// A new directory below the system's place for such.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn fresh() -> io::Result<Self> {
        tempfile::Builder::new().prefix("hallows-").tempdir().map(Self::Fresh)
    }

    /// A new directory below `parent`, which is created too.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn fresh_in(parent: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(parent)?;
        tempfile::Builder::new()
            .prefix("hallows-")
            .tempdir_in(parent)
            .map(Self::Fresh)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Fresh(directory) => directory.path(),
            Self::Named(path) => path,
        }
    }

    /// Leaves the directory behind for whoever wants to look into it, and says where it is.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        match self {
            Self::Fresh(directory) => directory.keep(),
            Self::Named(path) => path,
        }
    }
}
