//! Validation, one complaint at a time.
