//! The body is in `hallows_fuzz::targets::command_line`.
#![no_main]

hallows_fuzz::fuzz_binary!(command_line);
