//! Progress on standard error, where a person is watching and it disturbs nothing.

use std::fmt;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// A bar over `length` of something; hidden unless standard error is a terminal.
pub(crate) fn bar(length: u64, unit: Unit) -> ProgressBar {
    let template = match unit {
        Unit::Bytes => "{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left  {msg}",
        Unit::Records => "{bar:30} {human_pos}/{human_len} records, {rate}, {eta} left  {msg}",
    };
    styled(ProgressBar::new(length), template)
}

/// A counter of something without a known end.
pub(crate) fn counter() -> ProgressBar {
    let counter = styled(
        ProgressBar::new_spinner(),
        "{spinner} {human_pos} records, {rate}  {msg}",
    );
    counter.enable_steady_tick(TICK);
    counter
}

/// What goes on, in words.
pub(crate) fn activity() -> ProgressBar {
    let activity = styled(ProgressBar::new_spinner(), "{spinner} {elapsed}  {msg}");
    activity.enable_steady_tick(TICK);
    activity
}

/// No progress, because the terminal is in use.
pub(crate) fn none() -> ProgressBar {
    ProgressBar::hidden()
}

/// What a bar counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Bytes,
    Records,
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
    let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A terminal that cannot be written is no reason to stop.
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    bar.with_style(style.with_key("rate", rate))
}
