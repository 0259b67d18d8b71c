//! The commit log: journal, segments, manifests, indexes, recovery, retention.
