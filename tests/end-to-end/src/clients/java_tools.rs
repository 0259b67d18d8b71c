//! Kafka's console programs behind the language of the other programs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::program::{Options, Record, Said, crc32};

/// Where the jars are.
#[derive(Clone, Debug)]
pub(crate) struct JavaTools {
    pub(crate) class_path: PathBuf,
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
        let mut command = Command::new("java");
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(&self.class_path);
        match verb {
            "produce" => {
                command.arg("org.apache.kafka.tools.ConsoleProducer");
                command.args([
                    "--reader-property",
                    "parse.key=true",
                    "--reader-property",
                    "null.marker=NULL",
                ]);
                command.args(["--compression-codec", get("codec").unwrap_or("none")]);
                command.args([
                    "--request-required-acks",
                    "all",
                    "--timeout",
                    get("linger").unwrap_or("5"),
                ]);
                command.args(["--command-property", "delivery.timeout.ms=90000"]);
                command.args(["--command-property", "request.timeout.ms=15000"]);
                command.args(["--command-property", "max.request.size=8388608"]);
                let idempotent = get("idempotent").is_some();
                command.args(["--command-property", &format!("enable.idempotence={idempotent}")]);
                command.args(["--topic", topic]);
            }
            "consume" => consume(&mut command, topic, &get),
            "admin" => admin(&mut command, topic, options, &get)?,
            _ => bail!("the console programs have no {verb}"),
        }
        command.args(["--bootstrap-server", bootstrap]);
        Ok(command)
    }
}

fn consume<'a>(command: &mut Command, topic: &str, get: &dyn Fn(&str) -> Option<&'a str>) {
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
        let from = get("from").unwrap_or("earliest");
        let offset = from.strip_prefix("offset:").unwrap_or(from);
        command.args(["--partition", partition, "--offset", offset]);
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

/// A record of the console consumer, or the head line of a described topic.
pub(crate) fn read(line: &str) -> Option<Said> {
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
    fn a_described_topic_is_read() {
        let said = read("Topic: t\tTopicId: x\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: a=1,b=2");
        assert_eq!(said, Some(Said::Config("topic".into(), "partitions=3,a=1,b=2".into())));
    }
}
