//! The body is in `hallows_fuzz::targets::connection`.
#![no_main]

hallows_fuzz::fuzz_binary!(connection);
