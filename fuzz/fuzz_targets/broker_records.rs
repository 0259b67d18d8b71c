//! The body is in `hallows_fuzz::targets::broker_records`.
#![no_main]

hallows_fuzz::fuzz_binary!(broker_records);
