//! What each client needs, fetched from where its users get it: Debian, PyPI, npm, Maven, Go modules, crates.
//!
//! Every step says what it does. What is there already is not fetched again.

mod steps;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::Result;

use super::java_tools::JavaTools;
use super::program::Program;
pub(crate) use steps::{Absent, Mark, absolute, quiet, step};
use steps::{debian, debian_package, need, need_version, read};

/// One client of the matrix.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// Below `tests/clients`.
    pub(crate) folder: &'static str,
    /// Makes it ready to be called; [`Absent`] when its language is not on this machine.
    pub(crate) install: fn(&Place<'_>) -> Result<Program>,
}

/// Where things are.
pub(crate) struct Place<'a> {
    /// The folder with the client's program.
    pub(crate) programs: &'a Path,
    /// Where everything is installed.
    pub(crate) directory: &'a Path,
}

const fn client(name: &'static str, folder: &'static str, install: fn(&Place<'_>) -> Result<Program>) -> Client {
    Client { name, folder, install }
}

/// In the order of the table; the slow ones first, so that they do not end alone.
pub(crate) const CLIENTS: &[Client] = &[
    client("java-tools", "java", java_tools),
    client("java", "java", java),
    client("kafkajs", "kafkajs", kafkajs),
    client("kcat", "kcat", kcat),
    client("rdkafka", "../librdkafka", rdkafka),
    client("franz-go", "franz-go", franz_go),
    client("kafka-python", "kafka-python", python),
    client("aiokafka", "aiokafka", python),
    client("confluent", "confluent-kafka-python", python),
];

/// What the three Python clients need, at the versions the matrix was made with.
pub(crate) const PYTHON_PACKAGES: &[&str] = &[
    "kafka-python==3.0.12",
    "aiokafka==0.14.0",
    "confluent-kafka==2.16.1",
    "python-snappy==0.7.3",
    "cramjam==2.14.0",
    "lz4==4.4.5",
    "zstandard==0.25.0",
];

/// The oldest versions that the clients of a language support.
const PYTHON_OLDEST: (u32, u32) = (3, 10);
const NODE_OLDEST: (u32, u32) = (18, 0);
/// From here on go fetches the toolchain that `go.mod` names.
const GO_OLDEST: (u32, u32) = (1, 21);
/// Of Kafka's tools; its client alone asks for 11.
const JAVA_OLDEST: (u32, u32) = (17, 0);

/// One installation at a time: two clients may need the same.
static INSTALLING: Mutex<()> = Mutex::new(());

fn kcat(_place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    debian("kcat", "kcat")?;
    Ok(Program::Kcat)
}

/// The Python with the Python clients, made when it is not there yet.
pub(crate) fn python_of(directory: &Path) -> Result<PathBuf> {
    let _guard = INSTALLING.lock();
    let environment = absolute(&directory.join("python"))?;
    let python = environment.join("bin/python");
    let mark = Mark::new(&environment, PYTHON_PACKAGES.join("\n"));
    if mark.holds() {
        return Ok(python);
    }
    need_version("python3", "--version", PYTHON_OLDEST)?;
    step("making a Python environment with kafka-python, aiokafka and confluent-kafka from PyPI");
    let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    if made.is_err() {
        // Debian's Python comes without what makes environments.
        debian_package("python3-venv")?;
        quiet(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    quiet(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(PYTHON_PACKAGES),
    )?;
    mark.write()?;
    Ok(python)
}

fn python(place: &Place<'_>) -> Result<Program> {
    let python = python_of(place.directory)?;
    Ok(Program::Own(vec![python, absolute(&place.programs.join("client.py"))?]))
}

fn kafkajs(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    need_version("node", "--version", NODE_OLDEST)?;
    need("npm")?;
    let folder = absolute(&place.directory.join("kafkajs"))?;
    std::fs::create_dir_all(&folder)?;
    let packages = read(&place.programs.join("package.json"))?;
    std::fs::write(folder.join("package.json"), &packages)?;
    std::fs::copy(place.programs.join("client.js"), folder.join("client.js"))?;
    let mark = Mark::new(&folder, packages);
    if !mark.holds() {
        step("installing KafkaJS and its codecs from npm");
        let mut npm = Command::new("npm");
        quiet(npm.args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
        mark.write()?;
    }
    Ok(Program::Own(vec!["node".into(), folder.join("client.js")]))
}

fn franz_go(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    need_version("go", "version", GO_OLDEST)?;
    let program = absolute(&place.directory.join("franz-go"))?.join("client");
    step("building the program around franz-go; its modules come from the Go proxy");
    quiet(
        Command::new("go")
            .arg("build")
            .arg("-o")
            .arg(&program)
            .arg(".")
            .current_dir(place.programs),
    )?;
    Ok(Program::Own(vec![program]))
}

/// What compiling librdkafka takes beside a C compiler, which Rust needs anyway.
pub(crate) fn librdkafka_needs() -> Result<()> {
    debian("make", "make")?;
    debian("g++", "g++")
}

fn rdkafka(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    librdkafka_needs()?;
    step("building the program around crate rdkafka; librdkafka is compiled from source, a minute or two at first");
    let target = absolute(&place.directory.join("librdkafka"))?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--locked", "--release", "--target-dir"])
        .arg(&target)
        .current_dir(place.programs);
    quiet(&mut cargo)?;
    Ok(Program::Own(vec![target.join("release/hallows-librdkafka")]))
}

/// The jars of the Java client and Kafka's tools.
fn jars(place: &Place<'_>) -> Result<PathBuf> {
    need_version("java", "-version", JAVA_OLDEST)?;
    let folder = absolute(&place.directory.join("java"))?;
    let libraries = folder.join("libs");
    let mark = Mark::new(&folder, read(&place.programs.join("pom.xml"))?);
    if mark.holds() {
        return Ok(libraries);
    }
    debian("mvn", "maven")?;
    step("fetching the Java client and Kafka's tools from Maven Central");
    // Jars of another version must not stay beside those of this one.
    match std::fs::remove_dir_all(&libraries) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg(format!("-DoutputDirectory={}", libraries.display()));
    quiet(maven.current_dir(place.programs))?;
    mark.write()?;
    Ok(libraries)
}

fn java_tools(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    let class_path = jars(place)?.join("*");
    Ok(Program::JavaTools(JavaTools {
        class_path,
        consumer_settings: absolute(&place.programs.join("consumer.properties"))?,
    }))
}

fn java(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    let libraries = jars(place)?.join("*");
    need("javac")?;
    let classes = absolute(&place.directory.join("java"))?.join("classes");
    step("compiling the program around the Java client");
    let mut compiler = Command::new("javac");
    compiler
        .arg("-cp")
        .arg(&libraries)
        .arg("-d")
        .arg(&classes)
        .arg(place.programs.join("Client.java"));
    quiet(&mut compiler)?;
    let class_path = format!("{}:{}", classes.display(), libraries.display());
    let words = [
        "java",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-cp",
        &class_path,
        "Client",
    ];
    Ok(Program::Own(words.iter().map(PathBuf::from).collect()))
}
