//! kcat behind the language of the other programs.

use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use super::program::{Options, Record, Said, crc32};

/// The command line for one verb.
pub(crate) fn command(verb: &str, bootstrap: &str, options: Options<'_>) -> Result<Command> {
    let get = |name: &str| {
        options
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    };
    let topic = get("topic").unwrap_or_default();
    let mut command = Command::new("kcat");
    command.args(["-b", bootstrap, "-X", "message.max.bytes=8388608"]);
    match verb {
        "produce" => {
            command.args(["-P", "-t", topic, "-K", "\t", "-Z", "-X", "acks=all"]);
            command.args(["-z", get("codec").unwrap_or("none")]);
            command.args(["-X", &format!("linger.ms={}", get("linger").unwrap_or("5"))]);
            command.args(["-X", "message.timeout.ms=90000", "-X", "retries=1000"]);
            // Without it kcat ends as soon as a connection is lost; what is not delivered is still missing in the log.
            command.arg("-E");
            if get("idempotent").is_some() {
                command.args(["-X", "enable.idempotence=true"]);
            }
            if get("headers").is_some() {
                command.args(["-H", "line=every", "-H", "empty="]);
            }
        }
        "consume" => consume(&mut command, topic, &get),
        _ => bail!("kcat has no {verb}"),
    }
    Ok(command)
}

fn consume<'a>(command: &mut Command, topic: &str, get: &dyn Fn(&str) -> Option<&'a str>) {
    command.args(["-J", "-u", "-X", "fetch.wait.max.ms=100"]);
    if let Some(count) = get("count") {
        command.args(["-c", count]);
    }
    let reset = get("reset").unwrap_or("earliest");
    command.args(["-X", &format!("auto.offset.reset={reset}")]);
    match get("partition") {
        Some(partition) => {
            let place = match get("from").unwrap_or("earliest").split_once(':') {
                Some(("offset", offset)) => offset.to_owned(),
                Some((_, time)) => format!("s@{time}"),
                None => "beginning".to_owned(),
            };
            command.args(["-C", "-t", topic, "-p", partition, "-o", &place]);
        }
        None => {
            let strategy = match get("strategy") {
                Some("cooperative") => "cooperative-sticky",
                Some(other) => other,
                None => "range",
            };
            command.args(["-X", &format!("partition.assignment.strategy={strategy}")]);
            command.args(["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"]);
            command.args(["-X", "auto.commit.interval.ms=1000"]);
            if let Some(instance) = get("instance") {
                command.args(["-X", &format!("group.instance.id={instance}")]);
            }
            command.args(["-G", get("group").unwrap_or("none"), topic]);
        }
    }
}

/// One line of kcat's JSON.
pub(crate) fn read(line: &str) -> Option<Said> {
    let value: Value = serde_json::from_str(line).ok()?;
    let payload = value["payload"].as_str().unwrap_or_default();
    let headers: Vec<&str> = value["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let headers: Vec<String> = headers.chunks(2).map(|pair| pair.join("=")).collect();
    Some(Said::Record(Record {
        partition: i32::try_from(value["partition"].as_i64()?).ok()?,
        offset: value["offset"].as_i64()?,
        timestamp: value["ts"].as_i64().unwrap_or(-1),
        key: value["key"].as_str().unwrap_or_default().to_owned(),
        length: payload.len(),
        crc: crc32(payload.as_bytes()),
        headers: headers.join(";"),
    }))
}

/// `% Group g rebalanced (memberid m): assigned: topic [0], topic [1]`, and with a cooperative assignor
/// `% Group g rebalanced: incremental assignment of 1 partition(s) (memberid m, …): topic [0]`.
pub(crate) fn read_rebalance(line: &str) -> Option<Said> {
    let (what, list) = line.strip_prefix("% Group ")?.split_once("): ")?;
    let (what, list) = match list.split_once(": ") {
        Some((what, list)) => (what, list),
        None if list.ends_with(':') => (list, ""),
        None => (what, list),
    };
    let partitions = list
        .split('[')
        .skip(1)
        .filter_map(|part| part.split(']').next()?.parse().ok())
        .collect();
    // A member's id could have either word in it; what happened is told before it, or instead of it.
    let what = what.split_once("(memberid").map_or(what, |(before, _)| before);
    if what.contains("revoke") {
        Some(Said::Revoked(partitions))
    } else if what.contains("assign") {
        Some(Said::Assigned(partitions))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rebalances_are_read() {
        let line = "% Group g rebalanced (memberid rdkafka-1): assigned: t [0], t [12]";
        assert_eq!(read_rebalance(line), Some(Said::Assigned(vec![0, 12])));
        let line = "% Group g rebalanced (memberid rdkafka-1): revoked: t [0]";
        assert_eq!(read_rebalance(line), Some(Said::Revoked(vec![0])));
        let line = "% Group g rebalanced: incremental assignment of 2 partition(s) \
                    (memberid rdkafka-1, COOPERATIVE rebalance protocol): t [3], t [4]";
        assert_eq!(read_rebalance(line), Some(Said::Assigned(vec![3, 4])));
        let line = "% Group g rebalanced: incremental revoke of 1 partition(s) \
                    (memberid rdkafka-1, assignment lost, COOPERATIVE rebalance protocol): t [5]";
        assert_eq!(read_rebalance(line), Some(Said::Revoked(vec![5])));
        assert_eq!(read_rebalance("% Reached end of topic"), None);
    }
}
