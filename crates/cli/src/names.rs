//! Names of topics or groups on the command line: as words, or with Kafka's flag.

use clap::Args;

/// Topics that a verb is about.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct Names {
    /// The topics.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// The same, as a flag; may be repeated.
    #[arg(long = "topic", short = 't', value_name = "TOPIC")]
    flags: Vec<String>,
}

impl Names {
    /// All of them, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().chain(&self.flags).map(String::as_str)
    }
}

/// Topics that a verb is about, or none; the verb says what that means.
#[derive(Args, Debug)]
pub(crate) struct AnyNames {
    /// The topics.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// The same, as a flag; may be repeated.
    #[arg(long = "topic", short = 't', value_name = "TOPIC")]
    flags: Vec<String>,
}

impl AnyNames {
    /// Those that were named, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().chain(&self.flags).map(String::as_str)
    }
}

/// The one topic that a verb is about.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Name {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: Option<String>,
    /// The same, as a flag.
    #[arg(long = "topic", short = 't', value_name = "TOPIC")]
    flag: Option<String>,
}

impl Name {
    pub(crate) fn get(&self) -> &str {
        let name = self.topic.as_deref().or(self.flag.as_deref());
        name.expect("the parser demands one of them")
    }
}
