//! Layers, values and contradictions of the broker's configuration, and every message a person can meet.

use hallows_config::{BrokerConfig, Durability, DynamicBrokerOverrides, Listener, Loaded, Sources, Target};

fn file(text: &str) -> Sources {
    Sources {
        file: Some(("server.properties".into(), text.into())),
        ..Sources::default()
    }
}

fn load(text: &str) -> BrokerConfig {
    BrokerConfig::load(&file(text)).unwrap_or_else(|errors| panic!("{errors}"))
}

fn message(sources: &Sources) -> String {
    BrokerConfig::load(sources).expect_err("it is wrong").to_string()
}

fn check_refused(text: &str, expected: &str) {
    assert_eq!(
        message(&file(text)),
        format!("cannot use the configuration: server.properties:1: {expected}")
    );
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[test]
fn nothing_given_is_a_broker_that_starts() {
    let config = BrokerConfig::load(&Sources::default()).expect("defaults agree with each other");
    assert_eq!(config, BrokerConfig::default());
    let listener = Listener {
        name: "PLAINTEXT".into(),
        host: Some("127.0.0.1".into()),
        port: 9092,
    };
    assert_eq!(config.advertised_listeners, config.listeners);
    assert_eq!(config.listeners, [listener]);
    assert_eq!(config.data_directory, "./hallows-data");
    assert_eq!(config.durability, Durability::Fsync);
    assert_eq!(config.segment_bytes, 1 << 30);
    assert_eq!(config.segment_ms, 7 * 24 * 3_600_000);
    assert_eq!(config.retention_ms, Some(7 * 24 * 3_600_000));
    assert_eq!(config.retention_bytes, None);
    assert_eq!(config.offsets_retention_ms, 7 * 24 * 3_600_000);
    assert_eq!(config.connection_idle_ms_max, Some(600_000));
}

#[test]
fn each_layer_is_stronger_than_the_one_before() {
    let mut sources = file("num.partitions=2\nlog.segment.bytes=2000000\nshards=2\n");
    sources.environment = pairs(&[
        ("HALLOWS_NUM_PARTITIONS", "3"),
        ("HALLOWS_SHARDS", "3"),
        ("PATH", "x"),
        ("HALLOWS_LOG", "debug"),
    ]);
    sources.flags = pairs(&[("num.partitions", "4")]);
    let config = BrokerConfig::load(&sources).expect("all valid");
    assert_eq!(
        (config.partitions_default, config.shards, config.segment_bytes),
        (4, 3, 2_000_000)
    );
}

#[test]
fn synonyms_of_one_quantity_follow_kafkas_order_within_a_layer() {
    assert_eq!(
        load("log.retention.hours=1\nlog.retention.minutes=2\n").retention_ms,
        Some(120_000)
    );
    assert_eq!(
        load("log.retention.minutes=2\nlog.retention.ms=5\n").retention_ms,
        Some(5)
    );
    assert_eq!(load("log.retention.ms=-1\nlog.retention.hours=1\n").retention_ms, None);
    assert_eq!(load("log.retention.hours=-1\n").retention_ms, None);
    assert_eq!(load("log.roll.hours=2\n").segment_ms, 7_200_000);
    assert_eq!(load("log.roll.hours=2\nlog.roll.ms=9\n").segment_ms, 9);
    assert_eq!(load("log.dir=/a\nlog.dirs=/b\n").data_directory, "/b");
    assert_eq!(load("log.dir=/a\n").data_directory, "/a");
    assert_eq!(load("broker.id=7\n").node_id, 7);
    assert_eq!(load("broker.id=7\nnode.id=7\n").node_id, 7);
}

#[test]
fn a_stronger_layer_replaces_all_synonyms_of_a_weaker_one() {
    let mut sources = file("log.retention.ms=5\nlog.dirs=/file\nnode.id=3\n");
    sources.flags = pairs(&[("log.retention.hours", "1"), ("log.dir", "/flag"), ("broker.id", "4")]);
    let config = BrokerConfig::load(&sources).expect("all valid");
    assert_eq!(config.retention_ms, Some(3_600_000));
    assert_eq!(config.data_directory, "/flag");
    assert_eq!(config.node_id, 4);
}

#[test]
fn listeners_are_read_with_brackets_wildcards_and_names_of_ones_own() {
    let config = load(
        "listeners=PLAINTEXT://[::1]:9092, inner://:0\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,INNER:PLAINTEXT\n\
         advertised.listeners=PLAINTEXT://example.org:19092,INNER://:0\n",
    );
    let shown: Vec<String> = config.listeners.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["PLAINTEXT://[::1]:9092", "INNER://:0"]);
    assert_eq!(config.listeners[0].host.as_deref(), Some("::1"));
    assert_eq!(config.listeners[1].host, None);
    assert_eq!(
        config.advertised_listeners[0].to_string(),
        "PLAINTEXT://example.org:19092"
    );
}

#[test]
fn values_are_trimmed_and_booleans_take_any_case() {
    let config = load("auto.create.topics.enable = FALSE  \nnum.partitions =  6 \n");
    assert!(!config.auto_create_topics);
    assert_eq!(config.partitions_default, 6);
}

#[test]
fn an_unknown_name_says_what_was_probably_meant() {
    let cases = [
        ("log.segment.byte=1", "log.segment.byte", "log.segment.bytes"),
        ("num_partitions=1", "num_partitions", "num.partitions"),
        ("retention.ms=1", "retention.ms", "log.retention.ms"),
        ("durability=fsync", "durability", "log.durability"),
    ];
    for (text, name, meant) in cases {
        check_refused(
            text,
            &format!(
                "`{name}` is unknown: there is no broker setting of this name. Did you mean `{meant}`? Correct the name or remove it."
            ),
        );
    }
    check_refused(
        "frobnicate=1",
        "`frobnicate` is unknown: there is no broker setting of this name. Remove it; docs/config.md lists all names.",
    );
}

fn told(sources: &Sources) -> Loaded {
    BrokerConfig::load_telling(sources).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn a_name_that_means_nothing_here_is_passed_over_with_what_to_do() {
    let loaded = told(&file(
        "zookeeper.connect=a:2181\nnum.io.threads=8\nnum.network.threads=3\nnum.partitions=2\n",
    ));
    assert_eq!(loaded.config.partitions_default, 2);
    assert_eq!(
        loaded.warnings.to_string(),
        "3 settings of the configuration change nothing here; --strict refuses them:
  - `zookeeper.connect` (line 1): there is no ZooKeeper; the broker keeps its own metadata log. Remove it.
  - `num.io.threads` (line 2), `num.network.threads` (line 3): work is done by shards, one pinned thread each. Remove it, or set `shards`."
    );
    let strict = Sources {
        strict: true,
        ..file("num.io.threads=8")
    };
    assert_eq!(
        message(&strict),
        "cannot use the configuration: server.properties:1: `num.io.threads` is a setting of Apache Kafka that means nothing here: work is done by shards, one pinned thread each. Remove it, or set `shards`."
    );
}

#[test]
fn a_stored_value_that_changes_nothing_is_warned_about_unless_it_is_the_default() {
    assert!(
        told(&file("log.preallocate=false\nlog.cleaner.min.cleanable.ratio=0.50\n"))
            .warnings
            .0
            .is_empty()
    );
    let text = "log.preallocate=true\n";
    let warnings = told(&file(text)).warnings.to_string();
    assert!(
        warnings.contains("1 setting of") && warnings.ends_with("grow as they are written. Remove it."),
        "{warnings}"
    );
    let strict = Sources {
        strict: true,
        ..file(text)
    };
    assert!(message(&strict).contains("`log.preallocate` changes nothing here, because"));
}

#[test]
fn a_value_from_which_somebody_expects_something_is_refused() {
    for (text, part) in [
        ("process.roles=controller", "start brokers only"),
        ("controller.quorum.voters=1@a:1,2@b:1,3@c:1", "joins no other"),
        ("controller.quorum.bootstrap.servers=a:1,b:1", "joins no other"),
        ("authorizer.class.name=a.B", "every client may do everything"),
        ("create.topic.policy.class.name=a.B", "nothing would be checked"),
        ("client.quota.callback.class=a.B", "quotas are not served"),
        ("config.providers=file", "values are taken as they stand"),
        ("max.connection.creation.rate=5", "not in rate"),
        ("max.connections.per.ip.overrides=a:5", "one bound holds"),
        ("remote.log.storage.system.enable=true", "no remote storage"),
        (
            "log.message.timestamp.difference.max.ms=5",
            "not a setting since Kafka 4",
        ),
        ("port=9092", "set `listeners`"),
    ] {
        let message = message(&file(text));
        assert!(
            message.contains("means nothing here") && message.contains(part),
            "{message}"
        );
    }
    let harmless = "process.roles=broker, controller\ncontroller.quorum.voters=1@a:1\nauthorizer.class.name=\n\
                    max.connection.creation.rate=2147483647\nremote.log.storage.system.enable=false\n";
    assert_eq!(told(&file(harmless)).warnings.0.len(), 5);
}

#[test]
fn kafkas_own_files_start_a_broker() {
    for (name, text) in [
        ("server-3.9", include_str!("../testdata/stock/server-3.9.properties")),
        (
            "reconfig-server-3.9",
            include_str!("../testdata/stock/reconfig-server-3.9.properties"),
        ),
        ("broker-3.9", include_str!("../testdata/stock/broker-3.9.properties")),
        ("server-4.3", include_str!("../testdata/stock/server-4.3.properties")),
        ("broker-4.3", include_str!("../testdata/stock/broker-4.3.properties")),
        ("docker-4.3", include_str!("../testdata/stock/docker-4.3.properties")),
    ] {
        let loaded = told(&file(text));
        let shown = |listeners: &[Listener]| -> Vec<String> { listeners.iter().map(ToString::to_string).collect() };
        let host = if name.starts_with("broker") { "localhost" } else { "" };
        assert_eq!(
            shown(&loaded.config.listeners),
            [format!("PLAINTEXT://{host}:9092")],
            "{name}"
        );
        assert_eq!(
            shown(&loaded.config.advertised_listeners),
            ["PLAINTEXT://localhost:9092"],
            "{name}"
        );
        let warned: Vec<&str> = loaded.warnings.0.iter().map(|warning| warning.name.as_str()).collect();
        for expected in ["process.roles", "inter.broker.listener.name", "num.io.threads"] {
            assert!(warned.contains(&expected), "{name} warns about {warned:?}");
        }
        for served in ["node.id", "log.dirs", "controller.listener.names", "num.partitions"] {
            assert!(!warned.contains(&served), "{name} warns about {warned:?}");
        }
        let strict = Sources {
            strict: true,
            ..file(text)
        };
        assert!(
            message(&strict).contains(&format!("{} settings are wrong", warned.len())),
            "{name}"
        );
    }
}

#[test]
fn listeners_for_controllers_are_neither_opened_nor_told() {
    let config = load(
        "listeners=A://:1,control://:2,B://:3\ncontroller.listener.names=CONTROL\n\
         listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT,CONTROL:SASL_SSL\n\
         advertised.listeners=A://a:1,CONTROL://a:2,B://a:3\n",
    );
    let names = |listeners: &[Listener]| -> Vec<String> { listeners.iter().map(|one| one.name.clone()).collect() };
    assert_eq!(names(&config.listeners), ["A", "B"]);
    assert_eq!(names(&config.advertised_listeners), ["A", "B"]);
    check_refused(
        "listeners=PLAINTEXT://:1\ncontroller.listener.names=PLAINTEXT",
        "`listeners` contradicts another setting: `controller.listener.names` keeps all of them from clients. Add a listener for clients, such as PLAINTEXT://:9092.",
    );
}

#[test]
fn every_interface_may_be_listened_on_and_needs_no_advertised_address() {
    for listeners in ["PLAINTEXT://0.0.0.0:9092", "PLAINTEXT://[::]:9092", "PLAINTEXT://:9092"] {
        let config = load(&format!("listeners={listeners}\n"));
        assert_eq!(config.listeners[0].to_string(), listeners);
        assert_eq!(config.advertised_listeners, config.listeners);
    }
}

#[test]
fn variables_that_a_service_manager_sets_are_passed_over() {
    let of_services = [
        ("HALLOWS_PORT", "tcp://10.0.0.1:9092"),
        ("HALLOWS_SERVICE_HOST", "10.0.0.1"),
        ("HALLOWS_SERVICE_PORT", "9092"),
        ("HALLOWS_SERVICE_PORT_KAFKA", "9092"),
        ("HALLOWS_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
        ("HALLOWS_PORT_9092_TCP_PROTO", "tcp"),
        ("HALLOWS_PORT_9092_TCP_PORT", "9092"),
        ("HALLOWS_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("HALLOWS_HEADLESS_SERVICE_HOST", "10.0.0.1"),
        ("HALLOWS_HEADLESS_PORT", "udp://10.0.0.1:9092"),
        ("HALLOWS_0_PORT_53_UDP_ADDR", "10.0.0.1"),
    ];
    let environment = |variables: &[(&str, &str)]| Sources {
        environment: pairs(variables),
        ..Sources::default()
    };
    let loaded = told(&environment(&of_services));
    assert_eq!(loaded.passed_over.len(), of_services.len());
    assert!(loaded.warnings.0.is_empty());
    for (variable, value) in [
        ("HALLOWS_PORT", "9092"),
        ("HALLOWS_SERVICE", "x"),
        ("HALLOWS_SERVICE_HOSTS", "x"),
        ("HALLOWS_PORT_TCP", "x"),
        ("HALLOWS_PORT_9092", "x"),
        ("HALLOWS_PORT_9092_TCP_NAME", "x"),
    ] {
        let told = message(&environment(&[(variable, value)]));
        assert!(told.contains(variable), "{told}");
    }
}

#[test]
fn a_cluster_id_is_what_a_directory_can_keep() {
    assert_eq!(
        load("cluster.id=AAAAAAAAAAAAAAAAAAAAAQ").cluster_id.as_deref(),
        Some("AAAAAAAAAAAAAAAAAAAAAQ")
    );
    for wrong in ["mine", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAA+Q", ""] {
        assert!(
            message(&file(&format!("cluster.id={wrong}"))).contains("22 letters of base64"),
            "{wrong}"
        );
    }
}

#[test]
fn a_malformed_value_says_what_was_expected() {
    let whole = "a whole number between -2147483648 and 2147483647";
    check_refused(
        "num.partitions=four",
        &format!("`num.partitions` = `four` cannot be read: it is not {whole}. Give {whole}."),
    );
    check_refused(
        "num.partitions=2147483648",
        &format!("`num.partitions` = `2147483648` cannot be read: it is not {whole}. Give {whole}."),
    );
    check_refused(
        "num.partitions=",
        &format!("`num.partitions` = `` cannot be read: it is not {whole}. Give {whole}."),
    );
    check_refused(
        "delete.topic.enable=yes",
        "`delete.topic.enable` = `yes` cannot be read: it is not `true` or `false`. Give `true` or `false`.",
    );
}

#[test]
fn a_value_out_of_bounds_says_the_bounds() {
    let cases = [
        ("num.partitions=0", "`num.partitions` = `0`", "at least 1"),
        (
            "log.segment.bytes=14",
            "`log.segment.bytes` = `14`",
            "at least 1048576 bytes",
        ),
        ("shards=5000", "`shards` = `5000`", "between 0 and 1024"),
        (
            "log.retention.ms=0",
            "`log.retention.ms` = `0`",
            "-1 (unlimited) or at least 1 milliseconds",
        ),
        (
            "log.durability=often",
            "`log.durability` = `often`",
            "one of `fsync`, `written`, `memory`",
        ),
        (
            "log.dirs=/a,/b",
            "`log.dirs` = `/a,/b`",
            "exactly one directory, since one process keeps all its data in one place",
        ),
        (
            "listeners=9092",
            "`listeners` = `9092`",
            "a list of `NAME://host:port`, for example `PLAINTEXT://127.0.0.1:9092`",
        ),
        (
            "listeners=PLAINTEXT://::1:9092",
            "`listeners` = `PLAINTEXT://::1:9092`",
            "a list of `NAME://host:port`, for example `PLAINTEXT://127.0.0.1:9092`",
        ),
        (
            "listener.security.protocol.map=A:B",
            "`listener.security.protocol.map` = `A:B`",
            "a list of `NAME:PROTOCOL`, for example `INTERNAL:PLAINTEXT`",
        ),
    ];
    for (text, what, bounds) in cases {
        check_refused(
            text,
            &format!("{what} is not allowed: it must be {bounds}. Give {bounds}."),
        );
    }
}

#[test]
fn a_value_that_cannot_be_honoured_yet_is_refused_with_the_reason() {
    check_refused(
        "default.replication.factor=3",
        "`default.replication.factor` = `3` cannot be honoured yet, because this release runs a single node, so every partition has one replica. Remove it, or give `1`.",
    );
    check_refused(
        "log.cleanup.policy=compact,delete",
        "`log.cleanup.policy` = `compact,delete` cannot be honoured yet, because user topics are not compacted yet. Remove it, or give `delete`.",
    );
    load("default.replication.factor=1\nlog.cleanup.policy=delete\nlog.roll.jitter.ms=0\n");
}

#[test]
fn settings_that_exclude_each_other_are_refused() {
    let cases = [
        (
            "node.id=1\nbroker.id=2",
            "2: `broker.id` contradicts another setting: it is another name of `node.id`, which has another value. Remove `broker.id`.",
        ),
        (
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093",
            "1: `listeners` contradicts another setting: CONTROLLER has no protocol in `listener.security.protocol.map`. Map it to PLAINTEXT there, or remove the listener; one for controllers belongs into `controller.listener.names`.",
        ),
        (
            "listeners=SSL://:9092",
            "1: `listeners` contradicts another setting: SSL uses SSL, and only PLAINTEXT is served yet. Use PLAINTEXT on a network you trust.",
        ),
        (
            "listeners=PLAINTEXT://:9092\nadvertised.listeners=OTHER://a:1",
            "2: `advertised.listeners` contradicts another setting: OTHER is not among `listeners`. Add it to `listeners`, or remove it here.",
        ),
        (
            "advertised.listeners=PLAINTEXT://a:1,PLAINTEXT://b:1",
            "1: `advertised.listeners` contradicts another setting: the name PLAINTEXT stands there twice, and clients are told one address. Remove one of the two.",
        ),
        (
            "group.min.session.timeout.ms=10\ngroup.max.session.timeout.ms=9",
            "1: `group.min.session.timeout.ms` contradicts another setting: it is above `group.max.session.timeout.ms`, so no member could join. Lower it, or raise the other.",
        ),
        (
            "journal.file.bytes=8388608\njournal.bytes.max=8388608",
            "1: `journal.file.bytes` contradicts another setting: 2 files of this size must fit into `journal.bytes.max`. Lower it, or raise the other.",
        ),
        (
            "queued.max.request.bytes=16777216\nsocket.request.max.bytes=16777217",
            "1: `queued.max.request.bytes` contradicts another setting: one request of `socket.request.max.bytes` must fit into it. Raise it, or lower the other.",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            message(&file(text)),
            format!("cannot use the configuration: server.properties:{expected}")
        );
    }
    let wildcard = message(&file("advertised.listeners=PLAINTEXT://0.0.0.0:9092"));
    assert!(
        wildcard.contains("clients cannot connect to PLAINTEXT://0.0.0.0:9092"),
        "{wildcard}"
    );
}

#[test]
fn all_mistakes_of_all_layers_are_named_at_once() {
    let mut sources = file("num.partitions=0\n\n# twice\nshards=1\nshards=2\nprocess.roles=controller\nbad=\\u12\n");
    sources.environment = pairs(&[("HALLOWS_SEGMENT_BYTES", "1"), ("HALLOWS_MAX_CONNECTIONS", "-1")]);
    sources.flags = pairs(&[("log.durability", "maybe")]);
    let expected = "cannot use the configuration, 7 settings are wrong:
  - server.properties:5: `shards` is given twice: line 4 has it already, and only one of them could hold. Remove one of the two.
  - server.properties:7: the line cannot be read: `\\u` needs four hexadecimal digits of a character. Correct the escape, or write `\\\\u` for a backslash and a u.
  - server.properties:1: `num.partitions` = `0` is not allowed: it must be at least 1. Give at least 1.
  - server.properties:6: `process.roles` is a setting of Apache Kafka that means nothing here: there is no separate controller; one node is a broker and keeps its own metadata log. Remove it, or start brokers only.
  - environment variable HALLOWS_MAX_CONNECTIONS: `max.connections` = `-1` is not allowed: it must be at least 0. Give at least 0.
  - environment variable HALLOWS_SEGMENT_BYTES: `segment.bytes` is unknown: there is no broker setting of this name. Did you mean `HALLOWS_LOG_SEGMENT_BYTES`? Correct the name or remove it.
  - flag for `log.durability`: `log.durability` = `maybe` is not allowed: it must be one of `fsync`, `written`, `memory`. Give one of `fsync`, `written`, `memory`.";
    assert_eq!(message(&sources), expected);
}

#[test]
fn contradictions_are_named_with_the_other_mistakes_unless_they_follow_from_them() {
    let both = message(&file("listeners=CONTROLLER://:9093\nport=8\n"));
    assert!(
        both.contains("2 settings are wrong") && both.contains("CONTROLLER has no protocol"),
        "{both}"
    );
    let map = message(&file(
        "listeners=INNER://:9093\nlistener.security.protocol.map=INNER:PLAIN\n",
    ));
    assert!(!map.contains("INNER has no protocol"), "{map}");
}

#[test]
fn dynamic_values_beat_static_ones_and_this_broker_beats_all() {
    let config = load("log.retention.hours=1\nmessage.max.bytes=100\n");
    let mut dynamic = DynamicBrokerOverrides::default();
    dynamic.set(Target::AllBrokers, "log.retention.ms", "7").expect("valid");
    dynamic
        .set(Target::AllBrokers, "message.max.bytes", " 200 ")
        .expect("valid");
    dynamic
        .set(Target::ThisBroker, "message.max.bytes", "300")
        .expect("valid");
    let changed = config.with_dynamic(&dynamic);
    assert_eq!((changed.retention_ms, changed.batch_bytes_max), (Some(7), 300));
    assert!(dynamic.remove(Target::ThisBroker, "message.max.bytes"));
    assert!(!dynamic.remove(Target::ThisBroker, "message.max.bytes"));
    assert_eq!(config.with_dynamic(&dynamic).batch_bytes_max, 200);
    assert_eq!(changed.with_dynamic(&DynamicBrokerOverrides::default()), config);
}

#[test]
fn what_cannot_change_while_running_is_refused() {
    let refused = |target, name, value| {
        DynamicBrokerOverrides::validate(target, name, value)
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        refused(Target::ThisBroker, "num.partitions", "2"),
        "`num.partitions` cannot be changed while the broker runs: it is read once, at the start. Change it in the configuration file and restart."
    );
    assert!(refused(Target::AllBrokers, "nonsense", "2").starts_with("`nonsense` is unknown"));
    assert!(
        refused(Target::AllBrokers, "log.segment.bytes", "2").starts_with("`log.segment.bytes` = `2` is not allowed")
    );
}

#[test]
fn a_stored_value_of_another_release_never_panics() {
    let config = BrokerConfig::default();
    let mut dynamic = DynamicBrokerOverrides::default();
    for (name, text) in [
        ("message.max.bytes", "-5"),
        ("log.segment.bytes", "many"),
        ("log.retention.ms", "0"),
        ("gone", "1"),
    ] {
        dynamic.restore(Target::ThisBroker, name, text);
    }
    let changed = config.with_dynamic(&dynamic);
    assert_eq!(changed.batch_bytes_max, config.batch_bytes_max);
    assert_eq!(changed.segment_bytes, config.segment_bytes);
    assert_eq!(changed.retention_ms, config.retention_ms);
}

#[test]
fn a_field_set_by_a_test_survives_dynamic_values_that_did_not_change() {
    let config = BrokerConfig {
        segment_bytes: 4096,
        ..BrokerConfig::default()
    };
    assert_eq!(
        config.with_dynamic(&DynamicBrokerOverrides::default()).segment_bytes,
        4096
    );
}
