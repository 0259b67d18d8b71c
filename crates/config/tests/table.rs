//! The table against itself, and against what Apache Kafka 4.3.1 says of its own settings.
//!
//! `testdata/kafka-3.9.1-names.tsv` has the names of both tables of the older release.
//! `testdata/kafka-4.3.1-settings.tsv` was read from the real broker: resource, name, type, whether it may change
//! while running, default.

use hallows_config::meaningless::AtStart;
use hallows_config::setting::{Bounds, Honoured, Origin, Resource, Scope, Setting};
use hallows_config::{
    BrokerConfig, Place, Sources, StaticValues, TopicConfig, TopicOverrides, markdown, meaningless, parse_value,
    settings,
};
use std::collections::{BTreeMap, BTreeSet};

const RESOURCES: [Resource; 3] = [Resource::Broker, Resource::Topic, Resource::Group];

/// Defaults that differ from Kafka's on purpose, each with its reason.
const OTHER_DEFAULTS: &[(&str, &str)] = &[
    (
        "queued.max.request.bytes",
        "every buffer has a bound; Kafka's -1 lets clients take all the memory there is",
    ),
    (
        "node.id",
        "Kafka demands one; a first start here needs no configuration",
    ),
    (
        "listeners",
        "without authentication, a fresh start listens on this machine only",
    ),
    (
        "log.dir",
        "the data lies beside where the program was started, not in a directory that a reboot may empty",
    ),
    (
        "group.coordinator.rebalance.protocols",
        "only the classic protocol is served yet",
    ),
    (
        "offsets.topic.replication.factor",
        "one node holds one replica; Kafka's 3 needs three brokers",
    ),
];

/// Settings that may change here at other times than in Kafka, each with its reason.
const OTHER_SCOPES: &[(&str, &str)] = &[
    ("listeners", "listeners open once, at the start"),
    ("listener.security.protocol.map", "listeners open once, at the start"),
];

struct Fact<'a> {
    resource: Resource,
    name: &'a str,
    kind: &'a str,
    dynamic: bool,
    default: Option<&'a str>,
}

fn facts() -> Vec<Fact<'static>> {
    include_str!("../testdata/kafka-4.3.1-settings.tsv")
        .lines()
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [resource, name, kind, change, default] = columns[..] else {
                panic!("five columns: {line}")
            };
            let resource = RESOURCES
                .into_iter()
                .find(|candidate| candidate.word() == resource)
                .expect("a resource");
            let default = (default != "null" && default != "<NONE>").then_some(default);
            Fact {
                resource,
                name,
                kind,
                dynamic: change == "dynamic",
                default,
            }
        })
        .collect()
}

fn every_setting() -> impl Iterator<Item = &'static Setting> {
    RESOURCES.into_iter().flat_map(settings::all)
}

fn is_listed(list: &[(&str, &str)], name: &str) -> bool {
    list.iter().any(|(listed, _)| *listed == name)
}

#[test]
fn every_default_is_a_valid_and_honoured_value() {
    for setting in every_setting() {
        if let Some(default) = setting.default {
            let place = Place::Flag(setting.name.into());
            let value = parse_value(setting, default, &place).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(value.to_text(), default, "{} is not in canonical form", setting.name);
        }
    }
}

#[test]
fn every_name_is_unique_and_documented() {
    for resource in RESOURCES {
        let mut names = BTreeSet::new();
        for setting in settings::all(resource) {
            assert!(names.insert(setting.name), "{} stands twice", setting.name);
            assert_eq!(setting.resource, resource, "{}", setting.name);
            assert!(setting.doc.ends_with('.'), "{} needs a sentence", setting.name);
            assert!(
                !setting.name.contains('_'),
                "{} has no name in the environment",
                setting.name
            );
        }
    }
}

#[test]
fn every_synonym_exists_and_names_its_group_the_same_way() {
    for setting in every_setting() {
        for synonym in setting.synonyms {
            let other = settings::find(Resource::Broker, synonym);
            match setting.resource {
                Resource::Broker => assert_eq!(other.expect(synonym).synonyms, setting.synonyms),
                Resource::Topic => assert!(other.is_some(), "{} inherits from {synonym}", setting.name),
                Resource::Group => assert!(other.is_some() || *synonym == setting.name, "{}", setting.name),
            }
        }
    }
}

#[test]
fn what_a_topic_inherits_by_default_is_its_own_default() {
    for setting in settings::all(Resource::Topic) {
        let [only] = setting.synonyms else { continue };
        let inherited = settings::find(Resource::Broker, only).expect(only);
        assert_eq!(inherited.default, setting.default, "{} and {only}", setting.name);
        assert_eq!(inherited.honoured, setting.honoured, "{} and {only}", setting.name);
    }
    let broker = BrokerConfig::default();
    let mut explicit = TopicOverrides::default();
    for setting in settings::all(Resource::Topic) {
        explicit
            .set(
                setting.name,
                setting.default.expect("every topic setting has a default"),
            )
            .expect("valid");
    }
    assert_eq!(
        TopicConfig::resolve(&broker, &explicit),
        TopicConfig::resolve(&broker, &TopicOverrides::default())
    );
}

#[test]
fn names_of_kafka_have_its_type_default_and_scope() {
    let facts = facts();
    for setting in every_setting().filter(|setting| setting.origin == Origin::Kafka) {
        let fact = facts
            .iter()
            .find(|fact| fact.resource == setting.resource && fact.name == setting.name)
            .unwrap_or_else(|| panic!("{} is no setting of Kafka's", setting.name));
        assert_eq!(setting.kind.word(), fact.kind, "{}", setting.name);
        assert_eq!(
            setting.default != fact.default,
            is_listed(OTHER_DEFAULTS, setting.name),
            "{}",
            setting.name
        );
        if setting.resource == Resource::Broker {
            let differs = (setting.scope != Scope::ReadOnly) != fact.dynamic;
            assert_eq!(differs, is_listed(OTHER_SCOPES, setting.name), "{}", setting.name);
        }
    }
}

#[test]
fn own_names_are_not_names_of_kafka() {
    let facts = facts();
    for setting in every_setting().filter(|setting| setting.origin == Origin::Own) {
        assert!(
            !facts.iter().any(|fact| fact.name == setting.name),
            "{} is Kafka's",
            setting.name
        );
    }
}

/// The names that Kafka 3.9.1's own tables of broker and topic settings have.
fn older_names() -> impl Iterator<Item = (Resource, &'static str)> {
    include_str!("../testdata/kafka-3.9.1-names.tsv").lines().map(|line| {
        let (resource, name) = line.split_once('\t').expect("two columns");
        let resource = RESOURCES.into_iter().find(|candidate| candidate.word() == resource);
        (resource.expect("a resource"), name)
    })
}

/// What becomes of a name: each of Kafka's has exactly one fate, and none is unknown.
fn fate(resource: Resource, name: &str) -> &'static str {
    let known = settings::find(resource, name).map(|setting| setting.honoured);
    match (known, meaningless::find(resource, name)) {
        (Some(_), Some(line)) if line.name == name => panic!("{name} is a setting and means nothing at once"),
        (Some(Honoured::Honoured), _) => "served",
        (Some(Honoured::Inert { .. }), _) => "stored",
        (Some(Honoured::FixedForNow { .. }), _) => "fixed",
        (None, Some(line)) => match line.at_start {
            AtStart::Warned => "warned",
            AtStart::Refused { .. } => "refused",
        },
        (None, None) => panic!("nobody says anything about {name}"),
    }
}

#[test]
fn every_name_of_both_kafkas_has_a_fate() {
    let mut names: BTreeSet<(Resource, &str)> = facts().iter().map(|fact| (fact.resource, fact.name)).collect();
    names.extend(older_names());
    let mut count = BTreeMap::new();
    for (resource, name) in names {
        *count.entry((resource, fate(resource, name))).or_insert(0) += 1;
    }
    let of = |resource, fate| count.get(&(resource, fate)).copied().unwrap_or(0);
    for fate in ["served", "stored", "fixed", "warned", "refused"] {
        assert!(
            of(Resource::Broker, fate) > 0,
            "no setting of a broker is {fate}: {count:?}"
        );
    }
    assert_eq!(
        of(Resource::Topic, "warned") + of(Resource::Topic, "refused"),
        3,
        "{count:?}"
    );
    assert_eq!(of(Resource::Group, "fixed"), 17, "{count:?}");
}

#[test]
fn what_kafka_4_describes_of_topics_and_groups_is_described_here() {
    for fact in facts().iter().filter(|fact| fact.resource != Resource::Broker) {
        assert!(
            settings::find(fact.resource, fact.name).is_some(),
            "{} must be described",
            fact.name
        );
    }
}

/// Settings that only decide whether others are right, or that mean something only beside another one: what else to
/// give, and a value.
const BESIDE_OTHERS: &[(&str, &[(&str, &str)])] = &[
    (
        "controller.listener.names",
        &[
            ("listeners", "PLAINTEXT://:1,PLAIN-2://:2"),
            ("controller.listener.names", "PLAIN-2"),
        ],
    ),
    (
        "listener.security.protocol.map",
        &[
            ("listeners", "INNER://:1"),
            ("listener.security.protocol.map", "INNER:PLAINTEXT"),
        ],
    ),
];

/// A valid value that is not the default.
fn another_value(setting: &'static Setting) -> String {
    let default = setting.default.unwrap_or_default();
    let number: i64 = default.parse().unwrap_or(0);
    let words: Vec<String> = match setting.bounds {
        Bounds::OneOf(words) => words.iter().map(ToString::to_string).collect(),
        Bounds::Listeners => vec!["PLAINTEXT://elsewhere:1".to_owned()],
        Bounds::ClusterId => vec!["AAAAAAAAAAAAAAAAAAAAAQ".to_owned()],
        _ => ["true", "false", "/elsewhere", "1", "2"].map(str::to_owned).to_vec(),
    };
    let numbers = [number.saturating_add(1), number.saturating_sub(1), number / 2].map(|number| number.to_string());
    let place = Place::Flag(setting.name.into());
    let is_other = |text: &String| text != default && parse_value(setting, text, &place).is_ok();
    let found = numbers
        .into_iter()
        .filter(|_| setting.kind.max_integer().is_some())
        .chain(words)
        .find(is_other);
    found.unwrap_or_else(|| panic!("no other value of {} is known here", setting.name))
}

/// The typed fields alone: what was given as text is told to clients whether it does something or not.
fn typed(config: BrokerConfig) -> BrokerConfig {
    BrokerConfig {
        statics: StaticValues::default(),
        ..config
    }
}

#[test]
fn every_setting_that_counts_as_honoured_changes_something() {
    let load = |flags: &[(&str, &str)]| BrokerConfig::load(&Sources::from_flags(flags.iter().copied()));
    for setting in settings::all(Resource::Broker).filter(|setting| setting.honoured == Honoured::Honoured) {
        let name = setting.name;
        if let Some((_, flags)) = BESIDE_OTHERS.iter().find(|(listed, _)| *listed == name) {
            let without: Vec<_> = flags.iter().filter(|(flag, _)| *flag != name).copied().collect();
            let (with, without) = (load(flags).map(typed), load(&without).map(typed));
            assert!(with.is_ok() && with != without, "{name} changes nothing");
            continue;
        }
        let value = another_value(setting);
        let changed = load(&[(name, &value)]).unwrap_or_else(|errors| panic!("{errors}"));
        assert_ne!(
            typed(changed),
            BrokerConfig::default(),
            "{name} = {value} changes nothing"
        );
    }
    let broker = BrokerConfig::default();
    for setting in settings::all(Resource::Topic) {
        let (name, mut topic) = (setting.name, TopicOverrides::default());
        if matches!(setting.honoured, Honoured::FixedForNow { .. }) {
            continue;
        }
        // The default is `fsync` already, so what only makes it so is tried on a weaker one.
        let flushes = matches!(name, "flush.ms" | "flush.messages");
        let beside = if flushes { "written" } else { "fsync" };
        topic.set("durability", beside).expect("valid");
        let before = TopicConfig::resolve(&broker, &topic);
        let value = match setting.bounds {
            Bounds::Replicas => "0:1".to_owned(),
            Bounds::Fraction { .. } => "0.25".to_owned(),
            _ => another_value(setting),
        };
        topic.set(name, &value).unwrap_or_else(|error| panic!("{error}"));
        let changes = TopicConfig::resolve(&broker, &topic) != before;
        assert_eq!(changes, setting.honoured == Honoured::Honoured, "{name} = {value}");
    }
}

/// A field that nobody reads makes an honoured setting a lie.
#[test]
fn every_field_of_both_configurations_is_read_by_some_other_crate() {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut sources = String::new();
    for name in ["broker", "server", "cli", "storage"] {
        read_sources(&std::path::Path::new(crates).join(name).join("src"), &mut sources);
    }
    for file in ["broker_config.rs", "topic_config.rs"] {
        let path = format!("{}/src/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the table's types are here");
        let fields = text
            .lines()
            .filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "));
        let fields: Vec<&str> = fields
            .map(|(name, _)| name)
            .filter(|name| !name.contains(char::is_whitespace) && !OF_THE_TABLE.contains(name))
            .collect();
        assert!(fields.len() > 10, "{file} has fields");
        for field in fields {
            let read = format!(".{field}");
            let is_read = sources.match_indices(&read).any(|(at, _)| {
                let next = sources[at + read.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
            });
            assert!(is_read, "nobody reads `{field}` of {file}: what is it for?");
        }
    }
}

/// What the table itself needs, and what only resolves into a topic's own field.
const OF_THE_TABLE: &[&str] = &["statics", "dynamic", "flush_by_count", "flush_by_time"];

fn read_sources(folder: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push_str(&std::fs::read_to_string(path).expect("text"));
        }
    }
}

#[test]
fn advice_says_why_and_what_to_do() {
    for line in meaningless::MEANINGLESS
        .iter()
        .chain(meaningless::MEANINGLESS_FOR_TOPICS)
    {
        assert!(line.advice.contains(". Remove it"), "{}: {}", line.name, line.advice);
        assert!(line.advice.ends_with('.'), "{}", line.name);
    }
}

#[test]
fn a_reason_completes_the_sentence_of_a_refusal() {
    for setting in every_setting() {
        if let Honoured::FixedForNow { reason, .. } | Honoured::Inert { reason } = setting.honoured {
            assert!(
                !reason.ends_with('.') && !reason.is_empty(),
                "{}: {reason}",
                setting.name
            );
        }
        if matches!(setting.honoured, Honoured::FixedForNow { .. }) {
            assert!(
                setting.default.is_some() || setting.synonyms.len() > 1,
                "{} is fixed to nothing",
                setting.name
            );
        }
    }
}

#[test]
fn the_committed_document_is_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");
    let committed = std::fs::read_to_string(path).expect("docs/config.md is committed");
    assert!(
        committed == markdown::render(),
        "run: cargo run -p hallows-config --example config_md docs/config.md"
    );
}
