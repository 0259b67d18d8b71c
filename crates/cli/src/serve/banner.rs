//! What a broker says when it is ready.
//!
//! The lines that begin with `listening on ` are stable: programs read the real port from them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use hallows_config::Durability;

use super::addresses::{Bound, connectable};

/// Everything the banner tells.
pub struct Banner {
    /// How this program was called, for lines to paste.
    pub program: String,
    /// The node's id.
    pub node_id: i32,
    /// The cluster's id.
    pub cluster_id: String,
    /// The listeners with their ports.
    pub listeners: Vec<Bound>,
    /// The data directory.
    pub data_directory: PathBuf,
    /// Whether the last stop was clean, or this is the first start.
    pub was_clean: bool,
    /// What an acknowledgement promises where a topic does not say.
    pub durability: Durability,
    /// How many shards run.
    pub shards: u16,
    /// How long the start took.
    pub took: Duration,
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(
            f,
            "hallows {version}, node {} of cluster {}",
            self.node_id, self.cluster_id
        )?;
        for bound in &self.listeners {
            writeln!(f, "listening on {}", bound.actual())?;
        }
        let recovered = if self.was_clean {
            ""
        } else {
            ", recovered after a stop that was not clean"
        };
        writeln!(f, "data in {}{recovered}", self.data_directory.display())?;
        writeln!(f, "durability {}: {}", self.durability, promise(self.durability))?;
        let plural = if self.shards == 1 { "" } else { "s" };
        writeln!(
            f,
            "{} shard{plural}, ready after {} ms",
            self.shards,
            self.took.as_millis()
        )?;
        if let Some(first) = self.listeners.first() {
            self.write_lines_to_paste(f, &connectable(first))?;
        }
        write!(f, "\nCtrl-C stops it cleanly.")
    }
}

impl Banner {
    fn write_lines_to_paste(&self, f: &mut fmt::Formatter<'_>, address: &str) -> fmt::Result {
        let program = &self.program;
        writeln!(f, "\nproduce:  echo 'hello' | {program} produce greetings -b {address}")?;
        writeln!(f, "          echo 'hello' | kcat -P -b {address} -t greetings")?;
        writeln!(f, "consume:  {program} consume greetings --from-beginning -b {address}")?;
        writeln!(f, "          kcat -C -b {address} -t greetings -o beginning")
    }
}

/// What a durability class promises, in one clause.
const fn promise(durability: Durability) -> &'static str {
    match durability {
        Durability::Fsync => "what is acknowledged survives power loss",
        Durability::Written => "what is acknowledged survives a killed process, but not power loss",
        Durability::Memory => "what is acknowledged may be lost when the process dies",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallows_config::Listener;

    fn banner(was_clean: bool) -> Banner {
        let listener = Listener {
            name: "PLAINTEXT".to_owned(),
            host: Some("127.0.0.1".to_owned()),
            port: 0,
        };
        Banner {
            program: "target/release/hallows".to_owned(),
            node_id: 1,
            cluster_id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
            listeners: vec![Bound { listener, port: 41_234 }],
            data_directory: PathBuf::from("/srv/hallows-data"),
            was_clean,
            durability: Durability::Fsync,
            shards: 2,
            took: Duration::from_millis(34),
        }
    }

    #[test]
    fn it_says_what_a_newcomer_needs() {
        let expected = "\
hallows 0.1.0, node 1 of cluster AAAAAAAAAAAAAAAAAAAAAQ
listening on PLAINTEXT://127.0.0.1:41234
data in /srv/hallows-data
durability fsync: what is acknowledged survives power loss
2 shards, ready after 34 ms

produce:  echo 'hello' | target/release/hallows produce greetings -b 127.0.0.1:41234
          echo 'hello' | kcat -P -b 127.0.0.1:41234 -t greetings
consume:  target/release/hallows consume greetings --from-beginning -b 127.0.0.1:41234
          kcat -C -b 127.0.0.1:41234 -t greetings -o beginning

Ctrl-C stops it cleanly.";
        assert_eq!(banner(true).to_string(), expected);
    }

    #[test]
    fn a_recovery_is_mentioned() {
        let text = banner(false).to_string();
        assert!(
            text.contains("data in /srv/hallows-data, recovered after a stop that was not clean\n"),
            "{text}"
        );
    }
}
