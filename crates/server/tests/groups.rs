//! Consumer groups through the command line.

mod process;

use process::{Broker, directory};
use serde_json::Value;

#[test]
fn a_group_goes_on_where_it_stopped_and_can_be_moved() {
    let (_guard, data) = directory();
    let broker = Broker::start_with(&data, &["--group.initial.rebalance.delay.ms", "0"]);
    broker.succeed(&["topic", "create", "orders", "-p", "2"]);
    broker.succeed_with_input(&["produce", "orders", "-p", "0"], b"a\nb\nc\n");
    let read = |extra: &[&str]| {
        let words = [
            "consume",
            "orders",
            "--group",
            "billing",
            "--from-beginning",
            "--exit-at-end",
        ];
        broker.succeed(&[&words[..], extra].concat())
    };
    assert_eq!(read(&["--num", "2"]), "a\nb\n");
    assert_eq!(read(&[]), "c\n");
    assert_eq!(read(&[]), "");

    let described = broker.succeed(&["group", "describe", "billing", "--output", "json"]);
    let described: Value = serde_json::from_str(&described).expect("it is JSON");
    assert_eq!(described[0]["state"], "Empty");
    assert_eq!(described[0]["total_lag"], 0);
    let listed = broker.succeed(&["group", "list"]);
    assert!(
        listed.lines().any(|line| line.starts_with("billing  Empty")),
        "{listed}"
    );

    let plan = broker.succeed(&["group", "reset", "billing", "--topic", "orders:0", "--shift-by", "-1"]);
    assert!(
        plan.contains("--execute does it") && plan.ends_with("orders  0          3     2\n"),
        "{plan}"
    );
    assert_eq!(read(&[]), "", "a plan changes nothing");
    broker.succeed(&[
        "group",
        "reset",
        "billing",
        "--topic",
        "orders:0",
        "--shift-by",
        "-1",
        "--execute",
    ]);
    assert_eq!(read(&[]), "c\n");

    broker.succeed(&["group", "delete", "billing"]);
    assert_eq!(broker.run(&["group", "describe", "billing"]).status.code(), Some(5));
}
