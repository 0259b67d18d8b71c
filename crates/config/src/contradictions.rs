//! Settings that are right each for itself and wrong together.

use crate::broker_config::BrokerConfig;
use crate::error::{ConfigError, Problem};
use crate::listener;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// One filling journal file and one waiting for its checkpoint must fit side by side.
const JOURNAL_FILES_MIN: u64 = 2;

/// Looks for all contradictions and adds them to the errors found already. A setting that is among those takes part
/// in no comparison, because nobody knows which value it will have.
pub(crate) fn find(config: &BrokerConfig, errors: &mut Vec<ConfigError>) {
    let wrong: BTreeSet<String> = errors.iter().map(|error| error.name.clone()).collect();
    let mut found = Found { config, errors };
    for (names, check) in CHECKS {
        if !names.iter().any(|name| wrong.contains(*name)) {
            check(&mut found);
        }
    }
}

type Check = fn(&mut Found<'_>);

/// Each comparison with the settings it reads.
const CHECKS: &[(&[&str], Check)] = &[
    (&["node.id", "broker.id"], check_node_id),
    (
        &[
            "listeners",
            "listener.security.protocol.map",
            "controller.listener.names",
        ],
        check_listeners,
    ),
    (
        &["listeners", "advertised.listeners", "controller.listener.names"],
        check_advertised,
    ),
    (
        &["group.min.session.timeout.ms", "group.max.session.timeout.ms"],
        check_session_timeouts,
    ),
    (&["journal.file.bytes", "journal.bytes.max"], check_journal),
    (&["queued.max.request.bytes", "socket.request.max.bytes"], check_memory),
];

struct Found<'a> {
    config: &'a BrokerConfig,
    errors: &'a mut Vec<ConfigError>,
}

impl Found<'_> {
    fn push(&mut self, name: &str, why: String, fix: &str) {
        let place = self.config.statics.place(name);
        self.errors.push(ConfigError::new(
            name,
            &place,
            Problem::Contradiction { why, fix: fix.into() },
        ));
    }
}

fn check_memory(found: &mut Found<'_>) {
    let config = found.config;
    if config.memory_bytes_max < u64::from(config.request_bytes_max) {
        found.push(
            "queued.max.request.bytes",
            "one request of `socket.request.max.bytes` must fit into it.".into(),
            "Raise it, or lower the other.",
        );
    }
}

fn check_node_id(found: &mut Found<'_>) {
    let values = found.config.effective();
    if values.given("node.id").is_none() {
        return;
    }
    let (node, older) = (values.integer("node.id"), values.integer("broker.id"));
    if older != Some(-1) && older != node {
        found.push(
            "broker.id",
            "it is another name of `node.id`, which has another value.".into(),
            "Remove `broker.id`.",
        );
    }
}

fn check_listeners(found: &mut Found<'_>) {
    let map = found
        .config
        .effective()
        .text("listener.security.protocol.map")
        .unwrap_or_default();
    let map = listener::protocol_map(&map).expect("the text was checked when it was given");
    if found.config.listeners.is_empty() {
        found.push(
            "listeners",
            "`controller.listener.names` keeps all of them from clients.".into(),
            "Add a listener for clients, such as PLAINTEXT://:9092.",
        );
    }
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for listener in &found.config.listeners {
        if !names.insert(&listener.name) {
            let fix =
                "Give each listener a name of its own, and map it to PLAINTEXT in `listener.security.protocol.map`.";
            found.push(
                "listeners",
                format!("the name {} stands there twice.", listener.name),
                fix,
            );
        }
        if listener.port != 0 && !addresses.insert((&listener.host, listener.port)) {
            found.push(
                "listeners",
                format!("two listeners share {listener}."),
                "Give each listener a port of its own.",
            );
        }
        match map.get(&listener.name).map(String::as_str) {
            Some("PLAINTEXT") => {}
            Some(protocol) => found.push(
                "listeners",
                format!("{} uses {protocol}, and only PLAINTEXT is served yet.", listener.name),
                "Use PLAINTEXT on a network you trust.",
            ),
            None => found.push(
                "listeners",
                format!("{} has no protocol in `listener.security.protocol.map`.", listener.name),
                "Map it to PLAINTEXT there, or remove the listener; one for controllers belongs into `controller.listener.names`.",
            ),
        }
    }
}

fn check_advertised(found: &mut Found<'_>) {
    if found.config.effective().given("advertised.listeners").is_none() {
        // What is told then is known when the listeners are open: this machine's name in place of every interface.
        return;
    }
    let mut names = BTreeSet::new();
    for advertised in &found.config.advertised_listeners {
        if !names.insert(&advertised.name) {
            let why = format!(
                "the name {} stands there twice, and clients are told one address.",
                advertised.name
            );
            found.push("advertised.listeners", why, "Remove one of the two.");
        }
        if !found
            .config
            .listeners
            .iter()
            .any(|listener| listener.name == advertised.name)
        {
            let why = format!("{} is not among `listeners`.", advertised.name);
            found.push("advertised.listeners", why, "Add it to `listeners`, or remove it here.");
        }
        if advertised.is_wildcard() {
            let why = format!("clients cannot connect to {advertised}, which stands for every interface.");
            found.push(
                "advertised.listeners",
                why,
                "Set `advertised.listeners` to an address that clients can reach.",
            );
        }
    }
}

fn check_session_timeouts(found: &mut Found<'_>) {
    let config = found.config;
    if config.group_session_timeout_ms_min > config.group_session_timeout_ms_max {
        found.push(
            "group.min.session.timeout.ms",
            "it is above `group.max.session.timeout.ms`, so no member could join.".into(),
            "Lower it, or raise the other.",
        );
    }
}

fn check_journal(found: &mut Found<'_>) {
    let config = found.config;
    if config.journal_file_bytes > config.journal_bytes_max / JOURNAL_FILES_MIN {
        found.push(
            "journal.file.bytes",
            format!("{JOURNAL_FILES_MIN} files of this size must fit into `journal.bytes.max`."),
            "Lower it, or raise the other.",
        );
    }
}
