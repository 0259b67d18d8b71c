//! The command line of `hallows`: its arguments, its verbs besides `serve`, its exit codes.
//!
//! The program itself (crate `server`) parses [`Arguments`], runs the broker for `serve`, and hands every other verb
//! to this crate. Nothing is written to standard output except through [`output`].

mod arguments;
mod exit;
pub mod output;
mod record;
pub mod serve;
mod table;
mod template;
mod time;

pub use arguments::{Arguments, Verb, expand_settings};
pub use exit::{Exit, Failure};
