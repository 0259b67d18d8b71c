//! The body is in `hallows_fuzz::targets::journal_block`.
#![no_main]

hallows_fuzz::fuzz_binary!(journal_block);
