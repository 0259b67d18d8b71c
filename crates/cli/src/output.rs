//! The one way to standard output, and for a remark beside it to standard error.
//!
//! A reader that went away (`hallows consume … | head -1`) ends the program quietly, as it ends other programs.

use std::fmt;
use std::io::{self, Write};

/// Writes a text and the end of its line, and sees to it that it leaves at once.
///
/// # Errors
/// When standard output cannot be written.
pub fn line(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says something to the person beside what is printed. Where nobody can hear it, the work goes on.
pub(crate) fn remark(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}
