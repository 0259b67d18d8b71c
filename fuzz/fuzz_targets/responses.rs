//! The body is in `hallows_fuzz::targets::responses`.
#![no_main]

hallows_fuzz::fuzz_binary!(responses);
