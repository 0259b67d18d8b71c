//! Kafka's console and perf programs behind the language of the other programs.
//!
//! Members of groups are VerifiableConsumers, because they tell their assignment; everything else is read by the console
//! consumer. It cannot begin at a time: GetOffsetShell finds the offset for it, as its users would.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::program::{Options, Record, Said, crc32};

/// Where the jars are.
#[derive(Clone, Debug)]
pub(crate) struct JavaTools {
    pub(crate) class_path: PathBuf,
    /// Settings of the VerifiableConsumer.
    pub(crate) consumer_settings: PathBuf,
}

impl JavaTools {
    /// The command line for one verb.
    pub(crate) fn command(&self, verb: &str, bootstrap: &str, options: Options<'_>) -> Result<Command> {
        let get = |name: &str| {
            options
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        let topic = get("topic").unwrap_or_default();
        let mut command = self.java();
        match verb {
            "produce" => produce(&mut command, topic, &get),
            "consume" if get("strategy").is_some() || get("instance").is_some() => {
                self.consume_as_member(&mut command, topic, &get);
            }
            "consume" => {
                let from = get("from").unwrap_or("earliest");
                let from = match from.strip_prefix("time:") {
                    Some(time) => self.offset_at(bootstrap, topic, get("partition").unwrap_or("0"), time)?,
                    None => from.strip_prefix("offset:").unwrap_or(from).to_owned(),
                };
                consume(&mut command, topic, &from, &get);
            }
            "admin" => admin(&mut command, topic, options, &get)?,
            "perf-produce" => perf_produce(&mut command, topic, get("count").unwrap_or("1")),
            "perf-consume" => {
                command.args(["org.apache.kafka.tools.ConsumerPerformance", "--topic", topic]);
                command.args(["--num-records", get("count").unwrap_or("1"), "--hide-header"]);
            }
            "perf-latency" => {
                command.args(["org.apache.kafka.tools.EndToEndLatency", bootstrap, topic]);
                command.args([get("count").unwrap_or("1"), "all", "100"]);
                return Ok(command);
            }
            _ => bail!("the console programs have no {verb}"),
        }
        command.args(["--bootstrap-server", bootstrap]);
        Ok(command)
    }

    fn java(&self) -> Command {
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(&self.class_path);
        command
    }

    fn consume_as_member<'a>(&self, command: &mut Command, topic: &str, get: &dyn Fn(&str) -> Option<&'a str>) {
        let assignor = match get("strategy").unwrap_or("range") {
            "cooperative" => "CooperativeStickyAssignor",
            "roundrobin" => "RoundRobinAssignor",
            _ => "RangeAssignor",
        };
        command.args([
            "org.apache.kafka.tools.VerifiableConsumer",
            "--topic",
            topic,
            "--verbose",
        ]);
        command.args(["--group-id", get("group").unwrap_or("none"), "--enable-autocommit"]);
        command.args([
            "--session-timeout",
            "6000",
            "--reset-policy",
            get("reset").unwrap_or("earliest"),
        ]);
        command.args([
            "--assignment-strategy",
            &format!("org.apache.kafka.clients.consumer.{assignor}"),
        ]);
        command.arg("--command-config").arg(&self.consumer_settings);
        if let Some(instance) = get("instance") {
            command.args(["--group-instance-id", instance]);
        }
    }

    /// The offset of the first record at or after a time.
    fn offset_at(&self, bootstrap: &str, topic: &str, partition: &str, time: &str) -> Result<String> {
        let place = format!("{topic}:{partition}");
        let output = self
            .java()
            .args(["org.apache.kafka.tools.GetOffsetShell", "--bootstrap-server", bootstrap])
            .args(["--topic-partitions", &place, "--time", time])
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "GetOffsetShell failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let offset = said.lines().find_map(|line| line.strip_prefix(&format!("{place}:")));
        offset
            .map(str::to_owned)
            .with_context(|| format!("GetOffsetShell says no offset of {place}: {said}"))
    }
}

fn produce<'a>(command: &mut Command, topic: &str, get: &dyn Fn(&str) -> Option<&'a str>) {
    command.args(["org.apache.kafka.tools.ConsoleProducer", "--topic", topic]);
    command.args(["--reader-property", "parse.key=true"]);
    command.args(["--reader-property", "null.marker=NULL"]);
    command.args(["--compression-codec", get("codec").unwrap_or("none")]);
    command.args(["--request-required-acks", "all"]);
    command.args(["--timeout", get("linger").unwrap_or("5")]);
    let idempotence = format!("enable.idempotence={}", get("idempotent").is_some());
    for property in [
        "delivery.timeout.ms=90000",
        "request.timeout.ms=15000",
        "max.request.size=8388608",
        &idempotence,
    ] {
        command.args(["--command-property", property]);
    }
}

fn perf_produce(command: &mut Command, topic: &str, count: &str) {
    command.args(["org.apache.kafka.tools.ProducerPerformance", "--topic", topic]);
    command.args(["--num-records", count, "--record-size", "100", "--throughput", "-1"]);
    command.args(["--command-property", "acks=all"]);
}

fn consume<'a>(command: &mut Command, topic: &str, from: &str, get: &dyn Fn(&str) -> Option<&'a str>) {
    command.arg("org.apache.kafka.tools.consumer.ConsoleConsumer");
    for shown in ["timestamp", "partition", "offset", "headers", "key"] {
        command.args(["--formatter-property", &format!("print.{shown}=true")]);
    }
    command.args(["--topic", topic]);
    if let Some(count) = get("count") {
        command.args(["--max-messages", count]);
    }
    command.args(["--command-property", "fetch.max.wait.ms=100"]);
    command.args(["--command-property", "max.partition.fetch.bytes=8388608"]);
    if let Some(partition) = get("partition") {
        command.args(["--partition", partition, "--offset", from]);
    } else {
        command.args(["--group", get("group").unwrap_or("none")]);
        for property in [
            "session.timeout.ms=6000",
            "heartbeat.interval.ms=500",
            "auto.commit.interval.ms=1000",
        ] {
            command.args(["--command-property", property]);
        }
        let reset = get("reset").unwrap_or("earliest");
        command.args(["--command-property", &format!("auto.offset.reset={reset}")]);
    }
}

fn admin<'a>(
    command: &mut Command,
    topic: &str,
    options: Options<'_>,
    get: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<()> {
    let configs = options.iter().filter(|(name, _)| *name == "config");
    let configs: Vec<String> = configs.map(|(_, value)| value.replacen(':', "=", 1)).collect();
    match get("action") {
        Some("create") => {
            let partitions = get("partitions").unwrap_or("1");
            command.args(["org.apache.kafka.tools.TopicCommand", "--create", "--topic", topic]);
            command.args(["--partitions", partitions, "--replication-factor", "1"]);
            for config in configs {
                command.args(["--config", &config]);
            }
        }
        Some("delete") => {
            command.args(["org.apache.kafka.tools.TopicCommand", "--delete", "--topic", topic]);
        }
        Some("describe") => {
            command.args(["org.apache.kafka.tools.TopicCommand", "--describe", "--topic", topic]);
        }
        Some("alter") => {
            command.args(["kafka.admin.ConfigCommand", "--alter", "--entity-type", "topics"]);
            command.args(["--entity-name", topic, "--add-config", &configs.join(",")]);
        }
        other => bail!("no action {other:?}"),
    }
    Ok(())
}

/// A record of the console consumer, an event of the VerifiableConsumer, the head line of a described topic, or the sum
/// of ConsumerPerformance.
pub(crate) fn read(line: &str) -> Option<Said> {
    if line.starts_with('{') {
        return read_event(line);
    }
    if let Some(count) = read_sum(line) {
        return Some(Said::Counted(count));
    }
    if line.starts_with("Topic:") && line.contains("PartitionCount:") {
        return read_topic(line);
    }
    let mut fields = line.splitn(6, '\t');
    let timestamp = fields.next()?.split_once(':')?.1.parse().ok()?;
    let partition = fields.next()?.strip_prefix("Partition:")?.parse().ok()?;
    let offset = fields.next()?.strip_prefix("Offset:")?.parse().ok()?;
    let headers = fields.next()?;
    let key = fields.next()?;
    let value = fields.next()?;
    let headers = headers.strip_prefix("NO_HEADERS").unwrap_or(headers);
    Some(Said::Record(Record {
        partition,
        offset,
        timestamp,
        key: key.strip_prefix("null").unwrap_or(key).to_owned(),
        length: value.len(),
        crc: crc32(value.as_bytes()),
        headers: headers.replace(',', ";").replace(':', "="),
    }))
}

/// An event of the VerifiableConsumer, as JSON.
fn read_event(line: &str) -> Option<Said> {
    let event: Value = serde_json::from_str(line).ok()?;
    let number = |value: &Value| value.as_i64().and_then(|number| i32::try_from(number).ok());
    let partitions = || {
        let listed = event["partitions"].as_array().into_iter().flatten();
        listed.filter_map(|listed| number(&listed["partition"])).collect()
    };
    match event["name"].as_str()? {
        "partitions_assigned" => Some(Said::Assigned(partitions())),
        "partitions_revoked" => Some(Said::Revoked(partitions())),
        "record_data" => {
            let value = event["value"].as_str().unwrap_or_default();
            Some(Said::Record(Record {
                partition: number(&event["partition"])?,
                offset: event["offset"].as_i64()?,
                // It tells neither.
                timestamp: -1,
                headers: String::new(),
                key: event["key"].as_str().unwrap_or_default().to_owned(),
                length: value.len(),
                crc: crc32(value.as_bytes()),
            }))
        }
        _ => None,
    }
}

/// `start, end, megabytes, megabytes per second, records, records per second, …`: the records.
fn read_sum(line: &str) -> Option<usize> {
    let fields: Vec<&str> = line.split(", ").collect();
    let is_sum = fields.len() == 10 && fields[2].parse::<f64>().is_ok();
    if is_sum { fields[4].parse().ok() } else { None }
}

/// `Topic: t TopicId: … PartitionCount: 3 ReplicationFactor: 1 Configs: a=1,b=2`, separated by tabs.
fn read_topic(line: &str) -> Option<Said> {
    let field = |name: &str| line.split('\t').find_map(|field| field.trim().strip_prefix(name));
    let configs = field("Configs:").unwrap_or_default().trim();
    // One line says both; the settings are joined into one so that nothing is lost.
    let partitions = field("PartitionCount:")?.trim();
    Some(Said::Config(
        "topic".to_owned(),
        format!("partitions={partitions},{configs}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_console_consumer_is_read() {
        let Some(Said::Record(record)) =
            read("CreateTime:1000\tPartition:2\tOffset:7\tNO_HEADERS\tnull\tvalue\twith tab")
        else {
            panic!("a record");
        };
        assert_eq!((record.partition, record.offset, record.timestamp), (2, 7, 1000));
        assert_eq!(
            (record.key.as_str(), record.headers.as_str(), record.length),
            ("", "", 14)
        );
    }

    #[test]
    fn events_of_the_verifiable_consumer_are_read() {
        let line = r#"{"timestamp":1,"name":"partitions_assigned","partitions":[{"topic":"t","partition":3}]}"#;
        assert_eq!(read(line), Some(Said::Assigned(vec![3])));
        let line = r#"{"timestamp":1,"name":"partitions_revoked","partitions":[]}"#;
        assert_eq!(read(line), Some(Said::Revoked(vec![])));
        let line =
            r#"{"timestamp":1,"name":"record_data","key":"k","value":"vv","topic":"t","partition":3,"offset":9}"#;
        let Some(Said::Record(record)) = read(line) else {
            panic!("a record");
        };
        assert_eq!((record.partition, record.offset, record.length), (3, 9, 2));
        assert_eq!(read(r#"{"timestamp":1,"name":"startup_complete"}"#), None);
    }

    #[test]
    fn the_sum_of_a_perf_run_is_read() {
        let line =
            "2026-11-21 21:00:00:000, 2026-11-21 21:00:01:000, 1.9073, 1.9, 20000, 20000.0, 300, 700, 2.7, 28571.4";
        assert_eq!(read(line), Some(Said::Counted(20_000)));
    }

    #[test]
    fn a_described_topic_is_read() {
        let said = read("Topic: t\tTopicId: x\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: a=1,b=2");
        assert_eq!(said, Some(Said::Config("topic".into(), "partitions=3,a=1,b=2".into())));
    }
}
