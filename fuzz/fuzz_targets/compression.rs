//! The body is in `hallows_fuzz::targets::compression`.
#![no_main]

hallows_fuzz::fuzz_binary!(compression);
