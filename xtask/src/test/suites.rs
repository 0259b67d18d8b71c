//! The suites of `cargo xtask test`, in the order they run.
//!
//! A new suite gets an entry here: its name, the commands of the plain run (which CI runs, and which together stay
//! under 40 minutes cold on two cores), those of the full run, and which of their lines say what was shown.

/// One suite. It passes when all its commands do.
pub(super) struct Suite {
    pub(super) name: &'static str,
    /// Command lines of `cargo xtask test`, split at spaces; none when the suite is too long for it.
    plain: &'static [&'static str],
    /// Command lines of `cargo xtask test --full`; none when they are those of the plain run.
    full: &'static [&'static str],
    /// What of their output goes into docs/reliability.md.
    pub(super) shows: Shows,
}

/// Which lines of a command's output are worth remembering.
pub(super) enum Shows {
    /// Nothing: that it passes says everything.
    Nothing,
    /// Those that contain one of these words.
    Lines(&'static [&'static str]),
    /// The sums of what `cargo test` counts.
    TestCounts,
}

impl Suite {
    /// The commands of a run; empty when the suite has none in it.
    pub(super) fn commands(&self, full: bool) -> &'static [&'static str] {
        if full && !self.full.is_empty() {
            self.full
        } else {
            self.plain
        }
    }
}

pub(super) const SUITES: &[Suite] = &[
    Suite {
        name: "format",
        plain: &[
            "cargo fmt --all --check",
            "cargo fmt --manifest-path fuzz/Cargo.toml --check",
        ],
        full: &[],
        shows: Shows::Nothing,
    },
    Suite {
        name: "tidy",
        plain: &["cargo xtask tidy"],
        full: &[],
        shows: Shows::Nothing,
    },
    Suite {
        name: "generated files",
        plain: &["cargo xtask codegen --check"],
        full: &[],
        shows: Shows::Nothing,
    },
    Suite {
        name: "lints",
        plain: &["cargo clippy --workspace --all-targets -- --deny warnings"],
        full: &[],
        shows: Shows::Nothing,
    },
    Suite {
        name: "workspace tests",
        plain: &["cargo test --workspace --no-fail-fast"],
        full: &[],
        shows: Shows::TestCounts,
    },
    Suite {
        name: "concurrency",
        plain: &["cargo test --package hallows-runtime --features loom --lib models::"],
        full: &[],
        shows: Shows::TestCounts,
    },
    Suite {
        name: "memory safety",
        plain: &[],
        full: &["cargo xtask sanitize"],
        shows: Shows::TestCounts,
    },
    Suite {
        name: "api sweep",
        plain: &["cargo xtask api-sweep"],
        full: &["cargo xtask api-sweep", "cargo xtask api-sweep --live"],
        shows: Shows::Lines(&["answers in", "unlisted", "all  "]),
    },
    Suite {
        name: "simulation",
        plain: &["cargo xtask sim --seeds 200"],
        full: &["cargo xtask sim --seeds 10000"],
        shows: Shows::Lines(&["seeds="]),
    },
    Suite {
        name: "simulation bites",
        plain: &["cargo xtask sim --switches"],
        full: &[],
        shows: Shows::Lines(&["storage ", "broker "]),
    },
    Suite {
        name: "fuzz",
        plain: &["cargo xtask fuzz --seconds 15 --jobs 2"],
        full: &["cargo xtask fuzz --seconds 120 --jobs 2"],
        shows: Shows::Lines(&["executions="]),
    },
    Suite {
        name: "crash",
        plain: &["cargo xtask crash --cycles 20"],
        full: &["cargo xtask crash --cycles 500 --shards 1,2,4"],
        shows: Shows::Lines(&["class=", "sum of"]),
    },
    Suite {
        name: "crash, large log",
        plain: &[],
        full: &["cargo xtask crash --cycles 4 --shards 2,4,1 --log-gib 10"],
        shows: Shows::Lines(&["a log of", "back after", "class=", "sum of"]),
    },
    Suite {
        name: "faults",
        plain: &["cargo xtask faults --seconds 60 --only proxy,kill,stop"],
        full: &["cargo xtask faults --seconds 600"],
        shows: Shows::Lines(&["fault ", "history "]),
    },
    Suite {
        name: "clients",
        plain: &["cargo xtask clients"],
        full: &[
            "cargo xtask clients",
            "cargo xtask clients --shards 1",
            "cargo xtask clients --shards 4",
        ],
        shows: Shows::Lines(&["cells "]),
    },
    Suite {
        name: "client suites",
        plain: &[],
        full: &["cargo xtask client-suites"],
        shows: Shows::Lines(&[": tests "]),
    },
    Suite {
        name: "real input",
        plain: &["cargo xtask real-input"],
        full: &[],
        shows: Shows::Lines(&["sent ", "was killed when"]),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_suite_has_commands_in_the_full_run() {
        for (index, suite) in SUITES.iter().enumerate() {
            assert!(!suite.commands(true).is_empty(), "{} never runs", suite.name);
            let same = SUITES[index + 1..].iter().find(|other| other.name == suite.name);
            assert!(same.is_none(), "{} is there twice", suite.name);
        }
    }
}
