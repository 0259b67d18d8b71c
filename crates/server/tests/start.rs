//! Starting and stopping the real program: what it says, what it keeps, and how it refuses.

mod process;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use process::{Broker, directory, hallows, run};

#[test]
fn a_first_start_says_where_and_what() {
    let (_guard, data) = directory();
    let broker = Broker::start_with(&data, &["--shards", "1"]);
    let banner = broker.banner.clone();
    let port = broker.address.rsplit_once(':').expect("host and port").1;
    for line in [
        &format!("listening on PLAINTEXT://127.0.0.1:{port}"),
        &format!("data in {}", data.canonicalize().expect("it exists now").display()),
        "durability fsync: what is acknowledged survives power loss",
        "1 shard, ready after",
        "produce:",
        "consume:",
    ] {
        assert!(banner.contains(line), "no `{line}` in:\n{banner}");
    }
    assert_eq!(broker.stop().code(), Some(0));
    assert!(data.join("clean").exists(), "a clean stop leaves its mark");
}

#[test]
fn the_lines_to_paste_work() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    let pasted = |verb: &str| {
        let lines = broker.banner.lines().map(str::trim);
        let mut ours = lines.filter(|line| !line.contains("kcat"));
        let line = ours.find(|line| line.contains(&format!(" {verb} ")));
        let (_title, command) = line
            .and_then(|line| line.split_once(':'))
            .expect("a title and a line to paste");
        command.trim().to_owned()
    };
    let shell = |line: &str| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", line]);
        run(command, b"")
    };
    let produced = shell(&pasted("produce"));
    assert!(produced.status.success(), "{produced:?}");
    // The line follows the topic for ever; the test does not.
    let consumed = shell(&format!("{} --exit-at-end", pasted("consume")));
    assert_eq!(String::from_utf8_lossy(&consumed.stdout), "hello\n", "{consumed:?}");
}

#[test]
fn what_was_acknowledged_is_served_after_a_clean_stop_and_after_a_kill() {
    let (_guard, data) = directory();
    let consume = ["consume", "greetings", "--from-beginning", "--exit-at-end"];

    let broker = Broker::start(&data);
    broker.succeed_with_input(&["produce", "greetings"], b"one\n");
    assert_eq!(broker.stop().code(), Some(0));

    let broker = Broker::start_with(&data, &["--shards", "1"]);
    assert!(!broker.banner.contains("recovered"), "{}", broker.banner);
    assert_eq!(broker.succeed(&consume), "one\n");
    broker.succeed_with_input(&["produce", "greetings"], b"two\n");
    broker.kill();

    let broker = Broker::start_with(&data, &["--shards", "3"]);
    assert!(
        broker.banner.contains("recovered after a stop that was not clean"),
        "{}",
        broker.banner
    );
    assert_eq!(broker.succeed(&consume), "one\ntwo\n");
}

#[test]
fn settings_reach_the_broker_from_every_source() {
    let (_guard, data) = directory();
    let file = data.with_extension("properties");
    fs::write(&file, "num.partitions=5\nlog.retention.hours=1\n").expect("a file");
    let file = file.to_str().expect("a plain path");
    let broker = Broker::start_with(
        &data,
        &[
            "--config",
            file,
            "--log.retention.hours",
            "2",
            "--set",
            "log.durability=written",
        ],
    );
    assert!(broker.banner.contains("durability written: "), "{}", broker.banner);
    broker.succeed(&["topic", "create", "a"]);
    let described = broker.succeed(&["topic", "describe", "a", "--all-settings"]);
    assert!(described.contains("5 partitions"), "{described}");
    assert!(described.contains("retention.ms=7200000"), "{described}");
}

fn check_refused(output: &Output, code: i32, parts: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

fn try_start(data: &Path, flags: &[&str]) -> Output {
    let mut command = hallows();
    command
        .args(["--listeners", "PLAINTEXT://127.0.0.1:0", "--data-dir"])
        .arg(data)
        .args(flags);
    run(command, b"")
}

#[test]
fn a_port_in_use_is_named() {
    let (_guard, data) = directory();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let listener = format!("PLAINTEXT://127.0.0.1:{port}");
    let mut command = hallows();
    command.args(["--listeners", &listener, "--data-dir"]).arg(&data);
    check_refused(&run(command, b""), 3, &[&listener, "in use", "--listeners"]);
    assert!(!data.exists(), "nothing was touched");
}

#[test]
fn a_directory_in_use_is_named() {
    let (_guard, data) = directory();
    let broker = Broker::start(&data);
    let refused = try_start(&data, &[]);
    check_refused(
        &refused,
        4,
        &["has it open", "log.dirs", data.to_str().expect("a plain path")],
    );
    assert_eq!(broker.stop().code(), Some(0));
}

#[test]
fn a_directory_that_is_a_file_is_named() {
    let (_guard, data) = directory();
    fs::write(&data, b"not a directory").expect("a file");
    check_refused(
        &try_start(&data, &[]),
        4,
        &["cannot use the data directory", "log.dirs"],
    );
}

#[test]
fn a_foreign_format_is_named_and_left_alone() {
    let (_guard, data) = directory();
    Broker::start(&data).stop();
    let file = data.join("hallows.format");
    let mut bytes = fs::read(&file).expect("it was written");
    bytes[0] ^= 0xff;
    fs::write(&file, &bytes).expect("it may be written");
    check_refused(&try_start(&data, &[]), 4, &["cannot start", "hallows.format"]);
    assert_eq!(fs::read(&file).expect("it is still there"), bytes);
}

#[test]
fn a_newer_format_is_named_and_left_alone() {
    let (_guard, data) = directory();
    Broker::start(&data).stop();
    let file = data.join("hallows.format");
    let mut bytes = fs::read(&file).expect("it was written");
    // The version follows the magic; its place and meaning are the same in every format.
    bytes[8] = 9;
    fs::write(&file, &bytes).expect("it may be written");
    let parts = ["cannot start", "format 9", "newer release", "log.dirs"];
    check_refused(&try_start(&data, &[]), 4, &parts);
    assert_eq!(fs::read(&file).expect("it is still there"), bytes);
}

#[test]
fn all_wrong_settings_are_named_at_once() {
    let (_guard, data) = directory();
    let refused = try_start(
        &data,
        &[
            "--num.partitons",
            "3",
            "--host.name",
            "x",
            "--log.segment.bytes",
            "many",
        ],
    );
    check_refused(&refused, 2, &["num.partitions", "host.name", "many"]);
    assert!(!data.exists(), "nothing was touched");
}

/// Kafka's own files, with free ports and a directory of the test's instead of theirs.
fn stock(name: &str) -> [String; 6] {
    let file = format!(
        "{}/../config/testdata/stock/{name}.properties",
        env!("CARGO_MANIFEST_DIR")
    );
    let listeners = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
    let advertised = "advertised.listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
    ["--config", &file, "--set", listeners, "--set", advertised].map(str::to_owned)
}

#[test]
fn kafkas_own_files_start_a_broker_that_has_no_listener_for_controllers() {
    for name in ["server-3.9", "broker-3.9", "server-4.3", "broker-4.3", "docker-4.3"] {
        let (_guard, data) = directory();
        let flags = stock(name);
        let broker = Broker::start_with(&data, &flags.each_ref().map(String::as_str));
        let listening: Vec<&str> = broker
            .banner
            .lines()
            .filter(|line| line.starts_with("listening on"))
            .collect();
        assert_eq!(listening.len(), 1, "{name}: {listening:?}");
        broker.succeed_with_input(&["produce", "greetings"], b"hello\n");
        assert_eq!(broker.stop().code(), Some(0), "{name}");
    }
}

#[test]
fn what_changes_nothing_is_said_once_and_with_strict_refused() {
    let (_guard, data) = directory();
    fs::create_dir(&data).expect("a directory");
    fs::write(data.join("meta.properties"), "version=1\n").expect("a file");
    let flags = stock("server-4.3");
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let refused = try_start(&data, &flags);
    let kafka = [
        "belongs to Apache Kafka",
        "meta.properties",
        "empty directory",
        "MirrorMaker",
    ];
    check_refused(&refused, 4, &kafka);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    for part in [
        "`num.io.threads`",
        "`process.roles`",
        "set `shards`",
        "--strict refuses them",
    ] {
        assert!(said.contains(part), "no `{part}` in: {said}");
    }
    assert!(
        !data.join("hallows.format").exists(),
        "nothing was put beside Kafka's files"
    );
    flags.push("--strict");
    check_refused(
        &try_start(&data, &flags),
        2,
        &["settings are wrong", "`num.io.threads`"],
    );
}

#[test]
fn a_directory_keeps_its_node_and_its_cluster() {
    let (_guard, data) = directory();
    let first = ["--node.id", "5", "--cluster.id", "AAAAAAAAAAAAAAAAAAAAAQ"];
    Broker::start_with(&data, &first).stop();
    check_refused(
        &try_start(&data, &[]),
        4,
        &["that of node 5", "`node.id` is 1", "Set `node.id` to 5"],
    );
    let other = ["--node.id", "5", "--cluster.id", "AAAAAAAAAAAAAAAAAAAAAg"];
    check_refused(
        &try_start(&data, &other),
        4,
        &[
            "belongs to cluster AAAAAAAAAAAAAAAAAAAAAQ",
            "`cluster.id` is AAAAAAAAAAAAAAAAAAAAAg",
        ],
    );
    assert!(data.join("clean").exists(), "a refused start changes nothing");
    let broker = Broker::start_with(&data, &["--broker.id", "5"]);
    assert!(
        broker.banner.contains("node 5 of cluster AAAAAAAAAAAAAAAAAAAAAQ"),
        "{}",
        broker.banner
    );
}

#[test]
fn every_interface_is_listened_on_without_an_advertised_address() {
    let (_guard, data) = directory();
    let broker = Broker::start_with(&data, &["--set", "listeners=PLAINTEXT://0.0.0.0:0"]);
    assert!(broker.address.starts_with("0.0.0.0:"), "{}", broker.address);
    let described = broker.run(&["topic", "list"]);
    assert!(described.status.success(), "{described:?}");
}

#[test]
fn variables_of_a_service_of_the_same_name_are_passed_over() {
    let (_guard, data) = directory();
    fs::create_dir(&data).expect("a directory");
    fs::write(data.join("meta.properties"), "version=1\n").expect("a file");
    let with = |name: &str, value: &str| {
        let mut command = hallows();
        command.env(name, value).env("HALLOWS_LOG", "debug");
        command
            .args(["--listeners", "PLAINTEXT://127.0.0.1:0", "--data-dir"])
            .arg(&data);
        run(command, b"")
    };
    // It comes as far as the directory, which is Kafka's.
    let output = with("HALLOWS_PORT", "tcp://10.0.0.1:9092");
    check_refused(&output, 4, &["HALLOWS_PORT", "a service manager sets"]);
    check_refused(&with("HALLOWS_PRT", "9092"), 2, &["environment variable HALLOWS_PRT"]);
}

#[test]
fn a_wrong_flag_is_a_matter_of_usage() {
    let (_guard, data) = directory();
    check_refused(&try_start(&data, &["--shrads", "2"]), 2, &["--shrads", "--shards"]);
}
