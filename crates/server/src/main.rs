//! The program `hallows`: reads the settings, starts the shards, waits for the end.

fn main() {}
