//! The body is in `hallows_fuzz::targets::recovery`.
#![no_main]

hallows_fuzz::fuzz_binary!(recovery);
