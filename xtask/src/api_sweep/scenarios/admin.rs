//! ApiVersions, DescribeCluster, DescribeLogDirs, and APIs that do not exist.

use anyhow::Result;
use serde_json::{Value, json};

use crate::api_sweep::side::Side;

pub(super) fn describe_cluster(side: &mut Side<'_>, version: i16) -> Result<()> {
    for operations in [false, true] {
        let body = json!({"IncludeClusterAuthorizedOperations": operations});
        side.ask(
            &format!("authorised operations {operations}"),
            "DescribeCluster",
            version,
            &body,
        )?;
    }
    if version >= 1 {
        for kind in [2, 0, 9] {
            side.ask(
                &format!("endpoints of kind {kind}"),
                "DescribeCluster",
                version,
                &json!({"EndpointType": kind}),
            )?;
        }
    }
    if version >= 2 {
        side.ask(
            "fenced brokers too",
            "DescribeCluster",
            version,
            &json!({"IncludeFencedBrokers": true}),
        )?;
    }
    Ok(())
}

pub(super) fn describe_log_dirs(side: &mut Side<'_>, version: i16) -> Result<()> {
    let name = side.topic("a", 3)?;
    let missing = side.name("missing");
    let mut ask = |label: &str, topics: Value| side.ask(label, "DescribeLogDirs", version, &json!({"Topics": topics}));
    ask("two partitions", json!([{"Topic": name, "Partitions": [0, 2]}]))?;
    ask("a missing partition", json!([{"Topic": name, "Partitions": [0, 9]}]))?;
    ask("a missing topic", json!([{"Topic": missing, "Partitions": [0]}]))?;
    ask("none", json!([]))?;
    Ok(())
}

/// What an answer of ApiVersions says besides the versions, which docs/protocol.md compares.
fn outline(side: &mut Side<'_>, label: &str, version: i16, answer: &Value) {
    let outline = json!({
        "ErrorCode": answer["ErrorCode"],
        "versions of ApiVersions": answer["ApiKeys"].as_array().and_then(|all| {
            all.iter().find(|api| api["ApiKey"] == 18).map(|api| json!([api["MinVersion"], api["MaxVersion"]]))
        }),
        "other APIs": answer["ApiKeys"].as_array().is_some_and(|all| all.len() > 1),
    });
    side.note(label, "ApiVersions", version, outline);
}

pub(super) fn api_versions(side: &mut Side<'_>, version: i16) -> Result<()> {
    let mut ask = |label: &str, version: i16, name: &str, software: &str| -> Result<()> {
        let body = json!({"ClientSoftwareName": name, "ClientSoftwareVersion": software});
        let answer = side.quiet("ApiVersions", version, &body)?;
        outline(side, label, version, &answer);
        Ok(())
    };
    ask("a good name", version, "sweep", "1.0")?;
    ask("a name with every sign", version, "a.b-C9", "1.0-rc.1")?;
    ask("an empty name", version, "", "1.0")?;
    ask("an empty version", version, "sweep", "")?;
    ask("spaces", version, "my client", "1.0")?;
    ask("a name that begins with a sign", version, "-sweep", "1.0")?;
    ask("a name that ends with a sign", version, "sweep.", "1.0")?;
    ask("an underscore", version, "a_b", "1.0")?;
    for unknown in [5, 9, 999, i16::MAX] {
        side.ask_raw_quiet("ApiVersions", unknown, &[0; 4])
            .map(|answer| outline(side, &format!("version {unknown}"), unknown, &answer))?;
    }
    Ok(())
}

pub(super) fn unknown(side: &mut Side<'_>, _version: i16) -> Result<()> {
    for (api, version) in [
        ("Metadata", 99),
        ("Metadata", -1),
        ("Produce", 99),
        ("Fetch", 3),
        ("Fetch", 99),
        ("JoinGroup", 77),
    ] {
        side.ask_raw(&format!("{api} at version {version}"), api, version, &[0; 16])?;
    }
    Ok(())
}
