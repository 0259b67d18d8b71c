//! The seam to clock, disk and network, and the production pump behind it.
