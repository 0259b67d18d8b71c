//! The body is in `hallows_fuzz::targets::small_files`.
#![no_main]

hallows_fuzz::fuzz_binary!(small_files);
