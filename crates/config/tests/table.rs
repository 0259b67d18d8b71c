//! The table against itself, and against what Apache Kafka 4.3.1 says of its own settings.
//!
//! `testdata/kafka-4.3.1-settings.tsv` was read from the real broker: resource, name, type, whether it may change
//! while running, default.

use hallows_config::setting::{Honoured, Origin, Resource, Scope, Setting};
use hallows_config::{BrokerConfig, Place, TopicConfig, TopicOverrides, markdown, meaningless, parse_value, settings};
use std::collections::BTreeSet;

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

#[test]
fn every_name_of_kafka_is_known_or_refused_with_advice() {
    for fact in facts() {
        let known = settings::find(fact.resource, fact.name).is_some();
        let advice = meaningless::advice(fact.resource, fact.name);
        assert!(known || advice.is_some(), "nobody says anything about {}", fact.name);
        assert!(
            !matches!(fact.resource, Resource::Topic | Resource::Group) || known,
            "{} must be described",
            fact.name
        );
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
        assert!(
            settings::find(Resource::Broker, line.name).is_none(),
            "{} is also a setting",
            line.name
        );
    }
}

#[test]
fn a_reason_completes_the_sentence_of_a_refusal() {
    for setting in every_setting() {
        if let Honoured::FixedForNow { reason, .. } = setting.honoured {
            assert!(
                !reason.ends_with('.') && !reason.is_empty(),
                "{}: {reason}",
                setting.name
            );
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
