//! One module per target.

pub mod broker_records;
pub mod command_line;
pub mod compression;
pub mod configuration;
pub mod connection;
mod damage;
mod frames;
pub mod journal_block;
pub mod record_batch;
pub mod recovery;
pub mod requests;
pub mod responses;
pub mod small_files;
