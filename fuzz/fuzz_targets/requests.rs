//! The body is in `hallows_fuzz::targets::requests`.
#![no_main]

hallows_fuzz::fuzz_binary!(requests);
