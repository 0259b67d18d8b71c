//! The body is in `hallows_fuzz::targets::configuration`.
#![no_main]

hallows_fuzz::fuzz_binary!(configuration);
