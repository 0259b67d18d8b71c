//! The body is in `hallows_fuzz::targets::record_batch`.
#![no_main]

hallows_fuzz::fuzz_binary!(record_batch);
