//! Apache Kafka as a subject: its jars from Maven Central, its properties, its virtual machine's flags.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The newest release that is whole on Maven Central.
pub(crate) const VERSION: &str = "4.3.1";
/// What Kafka's own start script gives the virtual machine.
const FLAGS: [&str; 6] = [
    "-Xms1g",
    "-Xmx1g",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
];

/// The directory with Kafka's jars; Maven fetches them the first time.
///
/// # Errors
/// When Java or Maven is missing, or Maven fails.
pub(crate) fn libraries(cache: &Path) -> Result<PathBuf> {
    let home = cache.join(format!("kafka-{VERSION}"));
    let libraries = home.join("libs");
    let complete = home.join("complete");
    if complete.exists() {
        return Ok(libraries);
    }
    fs::create_dir_all(&libraries)?;
    let pom = home.join("pom.xml");
    fs::write(&pom, pom_text())?;
    let status = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(&pom)
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", libraries.display()))
        .status()
        .context("cannot run mvn, which fetches Apache Kafka; install Maven and a Java 17, or leave --against out")?;
    ensure!(status.success(), "mvn could not fetch Apache Kafka {VERSION}");
    fs::write(complete, "")?;
    Ok(libraries)
}

fn pom_text() -> String {
    let kafka = ["kafka_2.13", "kafka-server", "kafka-tools"].map(|name| dependency("org.apache.kafka", name, VERSION));
    let logger = ["log4j-slf4j-impl", "log4j-core"].map(|name| dependency("org.apache.logging.log4j", name, "2.25.1"));
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>bench</artifactId>\
         <version>1</version><dependencies>{}{}</dependencies></project>\n",
        kafka.concat(),
        logger.concat()
    )
}

fn dependency(group: &str, name: &str, version: &str) -> String {
    format!(
        "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>\
         <scope>runtime</scope></dependency>"
    )
}

/// Writes the properties and formats the directory; returns the path of the properties.
pub(crate) fn format(
    libraries: &Path,
    directory: &Path,
    broker: SocketAddr,
    controller: SocketAddr,
) -> Result<PathBuf> {
    let path = directory.join("server.properties");
    fs::write(&path, properties(&directory.join("data"), broker, controller))?;
    let id = java(libraries)
        .args(["kafka.tools.StorageTool", "random-uuid"])
        .output()
        .context("cannot run java")?;
    ensure!(
        id.status.success(),
        "Kafka's StorageTool failed: {}",
        String::from_utf8_lossy(&id.stderr)
    );
    let formatted = java(libraries)
        .args(["kafka.tools.StorageTool", "format", "--standalone", "-t"])
        .arg(String::from_utf8_lossy(&id.stdout).trim())
        .arg("-c")
        .arg(&path)
        .output()?;
    ensure!(
        formatted.status.success(),
        "Kafka's format failed: {}",
        String::from_utf8_lossy(&formatted.stderr)
    );
    Ok(path)
}

/// The command that runs the broker.
pub(crate) fn serve(libraries: &Path, properties: &Path) -> Command {
    let mut command = java(libraries);
    command.args(FLAGS).arg("kafka.Kafka").arg(properties);
    command
}

fn java(libraries: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(libraries.join("*"));
    command
}

fn properties(data: &Path, broker: SocketAddr, controller: SocketAddr) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.bootstrap.servers={controller}\n\
         listeners=PLAINTEXT://{broker},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{broker}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         # The process is stopped while others are measured; that must not cost it its session.\n\
         broker.session.timeout.ms=3600000\n",
        data.display()
    )
}
