//! Real processes and real clients over loopback.
