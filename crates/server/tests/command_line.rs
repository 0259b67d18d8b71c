//! The verbs of the command line against a real broker.

mod process;

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use process::{Broker, directory, hallows, run, signal, wait};
use serde_json::Value;

fn refused(output: &Output, code: i32) -> String {
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{message}");
    message
}

#[test]
fn topics_live_and_die() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    assert_eq!(broker.succeed(&["topic", "list"]), "no topics\n");
    let created = broker.succeed(&["topic", "create", "orders", "-p", "3", "-c", "retention.ms=60000"]);
    assert_eq!(created, "created topic orders with 3 partitions\n");
    let again = broker.run(&["topic", "create", "orders"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("TOPIC_ALREADY_EXISTS"));
    assert_eq!(again.status.code(), Some(5));
    broker.succeed(&["topic", "create", "--topic", "orders", "--if-not-exists"]);
    assert_eq!(
        broker.succeed(&["topics", "ls"]),
        "TOPIC   PARTITIONS  REPLICAS\norders  3           1\n"
    );

    broker.succeed(&[
        "topic",
        "alter",
        "orders",
        "--partitions",
        "4",
        "--config",
        "durability=written",
        "--delete-config",
        "retention.ms",
    ]);
    let described = broker.succeed(&["topic", "describe", "orders", "--output", "json"]);
    let described: Value = serde_json::from_str(&described).expect("it is JSON");
    assert_eq!(described[0]["partitions"].as_array().map(Vec::len), Some(4));
    assert_eq!(described[0]["settings"].as_array().map(Vec::len), Some(1));
    assert_eq!(described[0]["settings"][0]["name"], "durability");
    let invalid = broker.run(&["topic", "alter", "orders", "--config", "cleanup.policy=compact"]);
    assert!(
        String::from_utf8_lossy(&invalid.stdout).contains("INVALID_CONFIG"),
        "{invalid:?}"
    );
    assert_eq!(invalid.status.code(), Some(5));

    assert_eq!(broker.succeed(&["topic", "delete", "orders"]), "deleted topic orders\n");
    assert_eq!(broker.run(&["topic", "delete", "orders"]).status.code(), Some(5));
    broker.succeed(&["topic", "delete", "orders", "--if-exists"]);
    refused(&broker.run(&["topic", "describe", "orders"]), 5);
}

#[test]
fn keys_headers_codecs_and_formats() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    broker.succeed(&["topic", "create", "orders", "-p", "2"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let produced = broker.succeed_with_input(
            &[
                "produce",
                "orders",
                "-K",
                ":",
                "-H",
                "source=test",
                "-z",
                codec,
                "--partition",
                "1",
            ],
            b"k1:v1\nk2:\n",
        );
        assert!(
            produced.starts_with("produced 2 records to orders\n  partition 1: 2 at offsets "),
            "{produced}"
        );
    }
    let format = ["--format", "%p/%o %k=%v [%h]\\n", "--from-beginning", "--num", "3"];
    assert_eq!(
        broker.succeed(&[&["consume", "orders"][..], &format].concat()),
        "1/0 k1=v1 [source=test]\n1/1 k2= [source=test]\n1/2 k1=v1 [source=test]\n"
    );
    let last = broker.succeed(&["consume", "orders", "--offset", "-1", "-e", "--output", "json"]);
    let last: Value = serde_json::from_str(last.trim()).expect("one line of JSON");
    assert_eq!(
        (&last["offset"], &last["key"], &last["value"]),
        (&9.into(), &"k2".into(), &"".into())
    );
}

#[test]
fn json_goes_round() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    let lines = concat!(
        r#"{"key":"a","value":{"n":1},"headers":{"x":"1"},"timestamp":1767225600000}"#,
        "\n",
        r#"{"key":"b","value":null,"timestamp":1767225600001}"#,
        "\n",
        r#"{"value_base64":"/w==","timestamp":1767225600002}"#,
        "\n",
    );
    let json = ["--format", "json", "--idempotent"];
    broker.succeed_with_input(&[&["produce", "one"][..], &json].concat(), lines.as_bytes());
    let everything = |topic| broker.succeed(&["consume", topic, "--from-beginning", "-e", "--output", "json"]);
    let first = everything("one");
    assert!(first.starts_with(
        r#"{"topic":"one","partition":0,"offset":0,"timestamp":1767225600000,"key":"a","value":"{\"n\":1}","headers":[{"key":"x","value":"1"}]}"#
    ), "{first}");
    broker.succeed_with_input(&[&["produce", "two"][..], &json].concat(), first.as_bytes());
    assert_eq!(everything("two"), first.replace(r#""topic":"one""#, r#""topic":"two""#));

    let since = broker.succeed(&[
        "consume",
        "one",
        "--from-time",
        "2026-01-01T00:00:00.001Z",
        "-e",
        "-f",
        "%o ",
    ]);
    assert_eq!(since, "1 2 ");
}

#[test]
fn a_wrong_line_stops_and_what_came_before_is_sent() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    let output = broker.run_with_input(&["produce", "orders", "-K", ":"], b"a:1\nnonsense\nb:2\n");
    assert!(refused(&output, 1).contains("line 2"));
    assert_eq!(broker.succeed(&["consume", "orders", "--from-beginning", "-e"]), "1\n");
}

#[test]
fn two_hundred_thousand_lines_arrive_in_order() {
    const LINES: usize = 200_000;
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    let lines: String = (0..LINES).map(|number| format!("{number}\n")).collect();
    let produced = broker.succeed_with_input(&["produce", "numbers", "-z", "lz4"], lines.as_bytes());
    assert!(produced.contains(&format!("produced {LINES} records")), "{produced}");
    assert_eq!(broker.succeed(&["consume", "numbers", "--from-beginning", "-e"]), lines);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    broker.succeed_with_input(&["produce", "greetings"], b"one\ntwo\nthree\n");
    let mut child = hallows()
        .args(["consume", "greetings", "--from-beginning", "-b", &broker.address])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("it prints text");
    assert_eq!(line, "one\n");
    drop(out);
    broker.succeed_with_input(&["produce", "greetings"], b"four\n");
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn ctrl_c_ends_a_consumer_that_waits() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    broker.succeed_with_input(&["produce", "greetings"], b"one\n");
    let mut child = hallows()
        .args(["consume", "greetings", "--from-beginning", "-b", &broker.address])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped"))
        .read_line(&mut line)
        .expect("it prints text");
    signal(&child, "-INT");
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn a_consumer_outlives_a_restart_and_gives_up_on_an_absent_broker() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    broker.succeed_with_input(&["produce", "greetings"], b"one\n");
    let address = broker.address.clone();
    let mut child = hallows()
        .args([
            "consume",
            "greetings",
            "--from-beginning",
            "--timeout",
            "2",
            "-b",
            &address,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut next_line = || {
        let mut line = String::new();
        out.read_line(&mut line).expect("it prints text");
        line
    };
    assert_eq!(next_line(), "one\n");
    broker.kill();
    let broker = Broker::start_with(&data, &["--set", &format!("listeners=PLAINTEXT://{address}")]);
    broker.succeed_with_input(&["produce", "greetings"], b"two\n");
    assert_eq!(next_line(), "two\n");
    broker.kill();
    assert_eq!(next_line(), "", "it prints nothing more");
    assert_eq!(wait(&mut child).code(), Some(3));
}

#[test]
fn an_absent_broker_and_a_wrong_partition_have_codes_of_their_own() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    broker.succeed(&["topic", "create", "orders"]);
    let message = refused(
        &broker.run(&["consume", "orders", "--partition", "7", "--offset", "0"]),
        5,
    );
    assert!(message.contains("no partition 7"), "{message}");
    let address = broker.address.clone();
    broker.kill();
    let mut command = hallows();
    command.args(["topic", "list", "--timeout", "1", "-b", &address]);
    assert!(refused(&run(command, b""), 3).contains(&address));
}

#[test]
fn the_brokers_own_variables_do_not_disturb_other_verbs() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    let mut command = hallows();
    command
        .args(["topic", "list", "-b", &broker.address])
        .env("HALLOWS_CONFIG", "/etc/hallows.properties");
    let output = run(command, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Its figures mean nothing without the promise they were measured under, and it finds the broker like every verb.
#[test]
fn bench_finds_the_broker_in_the_environment_and_says_what_its_topics_promise() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    let short = ["bench", "--cells", "one-in-flight", "--seconds", "1", "--repeats", "1"];
    let told = broker.succeed(&short);
    assert!(told.starts_with("Topics have durability=fsync, "), "{told}");
    let written = [&short[..], &["--topic-config", "durability=written"]].concat();
    let told = broker.succeed(&written);
    assert!(told.starts_with("Topics have durability=written, "), "{told}");
    assert_eq!(broker.succeed(&["topic", "list"]), "no topics\n");
}

#[test]
fn a_topic_loses_its_first_records_and_its_settings_change() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    broker.succeed_with_input(&["produce", "orders", "-K", ":"], b"a:1\nb:2\nc:3\n");
    let all = ["consume", "orders", "-o", ":end"];
    let would = broker.succeed(&["topic", "trim", "orders", "--to-offset", "2", "--dry-run"]);
    assert!(would.contains("would be trimmed"), "{would}");
    assert_eq!(broker.succeed(&all), "1\n2\n3\n", "nothing is gone");
    broker.succeed(&["topic", "trim", "orders", "--to-offset", "1"]);
    assert_eq!(broker.succeed(&all), "2\n3\n");
    let by_kafkas_words = [
        "consume",
        "--regex",
        "ord.*",
        "-o",
        ":end",
        "--property",
        "print.key=true",
    ];
    assert_eq!(broker.succeed(&by_kafkas_words), "b\t2\nc\t3\n");
    broker.succeed(&["topic", "trim", "orders", "--to-end"]);
    assert_eq!(broker.succeed(&all), "");

    let describe = ["config", "describe", "--topic", "orders"];
    assert!(broker.succeed(&describe).starts_with("nothing differs"));
    broker.succeed(&["config", "alter", "--topic", "orders", "--set", "retention.ms=60000"]);
    assert!(broker.succeed(&describe).contains("retention.ms  60000  topic"));
    let words_of_kafka = [
        "config",
        "describe",
        "--entity-type",
        "topics",
        "--entity-name",
        "orders",
    ];
    assert!(broker.succeed(&words_of_kafka).contains("60000"));
    assert!(
        broker.succeed(&["topic", "describe"]).contains("topic orders"),
        "all without a name"
    );
}

#[test]
fn a_member_commits_where_it_stands_and_not_what_it_did_not_print() {
    let (_guard, data) = directory();
    let broker = Broker::start_with(&data, &["--group.initial.rebalance.delay.ms", "0"]);
    broker.succeed_with_input(&["produce", "orders"], b"1\n2\n3\n");
    let member = ["consume", "orders", "--group", "billing", "--from-beginning"];
    let first = broker.succeed(&[&member[..], &["--num", "2"]].concat());
    assert_eq!(first, "1\n2\n");
    let rest = broker.succeed(&[&member[..], &["--exit-at-end"]].concat());
    assert_eq!(rest, "3\n", "what was read and not printed is read again");
    // A group that starts at the end reads nothing and knows where it stands all the same.
    broker.succeed(&["consume", "orders", "--group", "late", "--idle-timeout", "0.2"]);
    let late: Value = serde_json::from_str(&broker.succeed(&["group", "describe", "late", "-J"])).expect("JSON");
    assert_eq!(late[0]["partitions"][0]["committed"], 3, "{late}");
}

#[test]
fn quiet_says_less_and_habits_lead_on() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    assert_eq!(broker.succeed(&["topic", "create", "orders", "-q"]), "");
    assert_eq!(broker.succeed_with_input(&["produce", "orders", "-q"], b"1\n"), "");
    assert_eq!(broker.succeed(&["topic", "list", "-q"]), "orders\n");
    let again = broker.run(&["topic", "create", "orders", "-q"]);
    assert!(
        String::from_utf8_lossy(&again.stdout).contains("TOPIC_ALREADY_EXISTS"),
        "failures are told"
    );
    assert_eq!(broker.succeed(&["health"]), "healthy\n");
    assert_eq!(broker.succeed(&["health", "-q"]), "");
    assert!(
        broker
            .succeed(&["cluster", "status"])
            .contains("1 topics, 1 partitions")
    );
    let at = format!("PLAINTEXT://{}", broker.address);
    assert_eq!(broker.succeed(&["topic", "list", "-q", "-b", &at]), "orders\n");
    let message = refused(&broker.run(&["topic", "--list"]), 2);
    assert!(message.contains("Type: hallows topic list"), "{message}");
    let message = refused(&broker.run(&["health", "-b", "SASL_SSL://broker:9092"]), 2);
    assert!(message.contains("SASL_SSL is not spoken yet"), "{message}");
    let message = refused(&broker.run(&["health", "-b", "127.0.0.1:1", "--timeout", "1"]), 3);
    assert!(message.contains("127.0.0.1:1"), "{message}");
}
