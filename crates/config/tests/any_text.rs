//! Whatever a file, the environment or a stored value says, it is an error or a configuration, never a panic.

use hallows_config::setting::Resource;
use hallows_config::{
    BrokerConfig, DynamicBrokerOverrides, Sources, Target, TopicConfig, TopicOverrides, describe_broker,
    describe_topic, settings,
};
use proptest::prelude::*;

fn name(resource: Resource) -> impl Strategy<Value = &'static str> {
    let names: Vec<&str> = settings::all(resource).map(|setting| setting.name).collect();
    prop::sample::select(names)
}

/// Values near every bound, words of the table, and noise.
fn value() -> impl Strategy<Value = String> {
    let numbers = [
        0,
        1,
        -1,
        -2,
        4096,
        i64::from(i32::MAX),
        i64::from(u32::MAX),
        i64::MAX,
        i64::MIN,
    ];
    let words = [
        "true",
        "fsync",
        "CreateTime",
        "delete",
        "compact",
        "producer",
        "",
        "0.5",
        "NaN",
        "PLAINTEXT://:0",
        "A:PLAINTEXT",
        "./x",
    ];
    prop_oneof![
        prop::sample::select(numbers.map(|number| number.to_string()).to_vec()),
        prop::sample::select(words.map(String::from).to_vec()),
        "\\PC{0,12}",
    ]
}

proptest! {
    #[test]
    fn a_file_of_any_text(text in "[a-z.=:\\\\ \n#!u0-9\\PC]{0,200}") {
        let sources = Sources { file: Some(("f".into(), text)), ..Sources::default() };
        if let Err(errors) = BrokerConfig::load(&sources) {
            prop_assert!(!errors.0.is_empty() && !errors.to_string().is_empty());
        }
    }

    #[test]
    fn settings_of_any_value(pairs in prop::collection::vec((name(Resource::Broker), value()), 0..4)) {
        if let Ok(config) = BrokerConfig::load(&Sources::from_flags(pairs)) {
            prop_assert_eq!(describe_broker(&config).len(), settings::all(Resource::Broker).count());
        }
    }

    #[test]
    fn stored_values_of_any_release(
        broker in prop::collection::vec((name(Resource::Broker), value()), 0..4),
        topic in prop::collection::vec((name(Resource::Topic), value()), 0..4),
    ) {
        let mut dynamic = DynamicBrokerOverrides::default();
        for (name, text) in &broker {
            dynamic.restore(Target::AllBrokers, name, text);
        }
        let mut overrides = TopicOverrides::default();
        for (name, text) in &topic {
            overrides.restore(name, text);
        }
        let config = BrokerConfig::default().with_dynamic(&dynamic);
        let resolved = TopicConfig::resolve(&config, &overrides);
        prop_assert!(resolved.segment_bytes >= 1_048_576);
        prop_assert_eq!(describe_topic(&config, &overrides).len(), settings::all(Resource::Topic).count());
    }
}
