//! The brokers under comparison: Apache Kafka from Maven Central, and `hallows`; both with the same settings, on an
//! empty directory, ended when dropped.

use std::fs::{File, create_dir_all, remove_dir_all, write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// The longest a broker may take to listen.
const START_WAIT: Duration = Duration::from_secs(60);
/// How often it is tried.
const START_PAUSE: Duration = Duration::from_millis(50);
/// What Kafka writes to its log on standard output, so that only warnings fill the file.
const LOG_SETTINGS: &str = "<Configuration><Appenders><Console name=\"C\"><PatternLayout pattern=\"%d %p %m (%c)%n\"/>\
    </Console></Appenders><Loggers><Root level=\"WARN\"><AppenderRef ref=\"C\"/></Root></Loggers></Configuration>\n";
/// The classes that a Kafka broker needs, and a logger, which its own list lacks.
const ARTIFACTS: [&str; 3] = ["kafka_2.13", "kafka-server", "kafka-tools"];
/// The release of that logger.
const LOGGER_VERSION: &str = "2.25.2";

/// A broker that runs.
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = remove_dir_all(&self.folder);
    }
}

/// The settings that the sweep needs the same everywhere.
const SETTINGS: &[(&str, &str)] = &[
    ("node.id", "1"),
    ("num.partitions", "4"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
];

/// Installs a release of Kafka into `cache` if it is not there, and starts it.
pub(crate) fn kafka(version: &str, cache: &Path) -> Result<Running> {
    let libraries = install(version, cache)?;
    let folder = cache.join(format!("run-{version}"));
    let _ = remove_dir_all(&folder);
    create_dir_all(&folder)?;
    let (port, controller) = (free_port()?, free_port()?);
    let settings = folder.join("server.properties");
    write(&settings, kafka_settings(&folder, port, controller))?;
    write(folder.join("log4j2.xml"), LOG_SETTINGS)?;
    let java = |class: &str| {
        let mut command = Command::new("java");
        command.args(["-Xms1g", "-Xmx1g", "-XX:+UseG1GC"]);
        command.arg(format!(
            "-Dlog4j.configurationFile={}",
            folder.join("log4j2.xml").display()
        ));
        command.arg("-cp").arg(libraries.join("*")).arg(class);
        command
    };
    let tool = "kafka.tools.StorageTool";
    let id = java(tool)
        .arg("random-uuid")
        .stderr(Stdio::null())
        .output()
        .context("cannot run java")?;
    let id = String::from_utf8(id.stdout)?;
    let formatted = java(tool)
        .args(["format", "--standalone", "-t", id.trim(), "-c"])
        .arg(&settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(
        formatted.success(),
        "Kafka {version} cannot format {}",
        folder.display()
    );
    let child = java("kafka.Kafka")
        .arg(&settings)
        .stdout(File::create(cache.join(format!("kafka-{version}.log")))?)
        .stderr(Stdio::null())
        .spawn()?;
    let running = Running {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        child,
        folder,
    };
    await_listening(running)
}

fn kafka_settings(folder: &Path, port: u16, controller: u16) -> String {
    let mut text = format!(
        "process.roles=broker,controller\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n",
        folder.join("data").display()
    );
    for internal in [
        "offsets.topic",
        "transaction.state.log",
        "share.coordinator.state.topic",
    ] {
        text += &format!("{internal}.replication.factor=1\n");
    }
    text += "transaction.state.log.min.isr=1\nshare.coordinator.state.topic.min.isr=1\n";
    for (name, value) in SETTINGS {
        text += &format!("{name}={value}\n");
    }
    text
}

/// Lets Maven fetch Kafka and all it needs.
fn install(version: &str, cache: &Path) -> Result<PathBuf> {
    let folder = cache.join(format!("kafka-{version}"));
    let libraries = folder.join("libs");
    if folder.join("complete").exists() {
        return Ok(libraries);
    }
    println!("installing Apache Kafka {version} with Maven into {}", folder.display());
    create_dir_all(&folder)?;
    let dependency = |group: &str, name: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version></dependency>\n"
        )
    };
    let mut dependencies: String = ARTIFACTS
        .iter()
        .map(|name| dependency("org.apache.kafka", name, version))
        .collect();
    for name in ["log4j-slf4j-impl", "log4j-core"] {
        dependencies += &dependency("org.apache.logging.log4j", name, LOGGER_VERSION);
    }
    let project = format!(
        "<project xmlns=\"http://maven.apache.org/POM/4.0.0\"><modelVersion>4.0.0</modelVersion>\
         <groupId>hallows</groupId><artifactId>oracle</artifactId><version>1</version>\n\
         <dependencies>\n{dependencies}</dependencies></project>\n"
    );
    write(folder.join("pom.xml"), project)?;
    let status = Command::new("mvn")
        .current_dir(&folder)
        .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg("-DoutputDirectory=libs")
        .status()
        .context("cannot run mvn: live comparison needs Java 17 and Maven")?;
    ensure!(status.success(), "Maven could not fetch Apache Kafka {version}");
    write(folder.join("complete"), "")?;
    Ok(libraries)
}

/// Starts `hallows` on an empty directory.
pub(crate) fn hallows(program: &Path, shards: u32, cache: &Path) -> Result<Running> {
    let folder = cache.join("run-hallows");
    let _ = remove_dir_all(&folder);
    create_dir_all(&folder)?;
    let port = free_port()?;
    let settings = folder.join("server.properties");
    let mut text = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port}\nlog.dirs={}\n",
        folder.join("data").display()
    );
    for (name, value) in SETTINGS {
        text += &format!("{name}={value}\n");
    }
    write(&settings, text)?;
    let log = File::create(cache.join("hallows.log"))?;
    let child = Command::new(program)
        .args(["serve", "--shards", &shards.to_string(), "--config"])
        .arg(&settings)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let running = Running {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        child,
        folder,
    };
    await_listening(running)
}

/// A port that nobody listens on now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn await_listening(mut running: Running) -> Result<Running> {
    let began = Instant::now();
    while began.elapsed() < START_WAIT {
        if TcpStream::connect(running.address).is_ok() {
            return Ok(running);
        }
        if let Some(status) = running.child.try_wait()? {
            bail!("a broker ended before it listened: {status}; its log lies beside its data");
        }
        std::thread::sleep(START_PAUSE);
    }
    bail!("a broker does not listen after {START_WAIT:?}")
}
