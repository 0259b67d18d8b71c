//! What became of several things that were asked for at once.

use std::fmt;

use serde::Serialize;

use crate::cluster::ClusterArguments;
use crate::{Exit, Failure, output};

/// One thing that was asked for.
#[derive(Serialize)]
struct Outcome {
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    text: String,
}

/// What became of each thing, in the order in which they were asked for.
#[derive(Serialize)]
#[serde(transparent)]
pub(crate) struct Outcomes {
    outcomes: Vec<Outcome>,
    #[serde(skip)]
    exit: Exit,
}

impl Outcomes {
    pub(crate) const fn new() -> Self {
        Self {
            outcomes: Vec::new(),
            exit: Exit::Done,
        }
    }

    /// Notes one result. `text` is what people read if it went well.
    pub(crate) fn note(&mut self, name: &str, status: &'static str, result: Result<String, Failure>) {
        let name = name.to_owned();
        self.outcomes.push(match result {
            Ok(text) => Outcome {
                name,
                status,
                error: None,
                text,
            },
            Err(failure) => {
                self.exit = failure.exit();
                let error = failure.to_string();
                Outcome {
                    name,
                    status: "failed",
                    text: format!("error: {error}"),
                    error: Some(error),
                }
            }
        });
    }

    /// Prints all of it; the exit code is that of the last failure.
    pub(crate) fn finish(&self, cluster: &ClusterArguments) -> Result<Exit, Failure> {
        if !cluster.is_terse() {
            cluster.print(self)?;
            return Ok(self.exit);
        }
        for failed in self.outcomes.iter().filter(|outcome| outcome.error.is_some()) {
            output::line(&failed.text)?;
        }
        Ok(self.exit)
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.outcomes.iter().map(|outcome| outcome.text.as_str()).collect();
        f.write_str(&texts.join("\n"))
    }
}
