//! What each client needs, fetched from where its users get it: Debian, PyPI, npm, Maven, Go modules, crates.
//!
//! Every step says what it does. What is there already is not fetched again.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};

use super::java_tools::JavaTools;
use super::program::Program;

/// One client of the matrix.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    /// Below `tests/clients`.
    pub(crate) folder: &'static str,
    /// Makes it ready to be called; the error says why it cannot be here.
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
const PYTHON_PACKAGES: &[&str] = &[
    "kafka-python==3.0.12",
    "aiokafka==0.14.0",
    "confluent-kafka==2.16.1",
    "python-snappy==0.7.3",
    "cramjam==2.14.0",
    "lz4==4.4.5",
    "zstandard==0.25.0",
];

/// One installation at a time: two clients may need the same.
static INSTALLING: Mutex<()> = Mutex::new(());

fn kcat(_place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    debian("kcat", "kcat")?;
    Ok(Program::Kcat)
}

/// Installs a Debian package unless its program is there.
fn debian(program: &str, package: &str) -> Result<()> {
    if is_there(program) {
        return Ok(());
    }
    ensure!(
        is_there("apt-get"),
        "there is no {program}, and no apt-get to install {package}"
    );
    step(&format!("installing Debian's package {package}"));
    let installed = quiet(Command::new("apt-get").args(["install", "-y", "-q", package]));
    if installed.is_err() {
        quiet(Command::new("apt-get").args(["update", "-q"]))?;
        quiet(Command::new("apt-get").args(["install", "-y", "-q", package]))?;
    }
    Ok(())
}

/// The Python with the Python clients, made when it is not there yet.
pub(crate) fn python_of(directory: &Path) -> Result<PathBuf> {
    let _guard = INSTALLING.lock();
    let environment = absolute(&directory.join("python"))?;
    let python = environment.join("bin/python");
    let mark = environment.join("packages.txt");
    let wanted = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    ensure!(is_there("python3"), "there is no python3");
    step("making a Python environment with kafka-python, aiokafka and confluent-kafka from PyPI");
    let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    if made.is_err() {
        debian("ensurepip-of-python3", "python3-venv")?;
        quiet(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    quiet(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet"])
            .args(PYTHON_PACKAGES),
    )?;
    std::fs::write(mark, wanted)?;
    Ok(python)
}

fn python(place: &Place<'_>) -> Result<Program> {
    let python = python_of(place.directory)?;
    Ok(Program::Own(vec![python, absolute(&place.programs.join("client.py"))?]))
}

fn kafkajs(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    ensure!(is_there("node") && is_there("npm"), "there is no node or no npm");
    let folder = absolute(&place.directory.join("kafkajs"))?;
    std::fs::create_dir_all(&folder)?;
    let stale = copy_changed(&place.programs.join("package.json"), &folder)?;
    copy_changed(&place.programs.join("client.js"), &folder)?;
    if stale || !folder.join("node_modules").is_dir() {
        step("installing KafkaJS and its codecs from npm");
        quiet(
            Command::new("npm")
                .args(["install", "--no-audit", "--no-fund"])
                .current_dir(&folder),
        )?;
    }
    Ok(Program::Own(vec!["node".into(), folder.join("client.js")]))
}

fn franz_go(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    ensure!(is_there("go"), "there is no go");
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

fn rdkafka(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    debian("cmake", "cmake")?;
    debian("g++", "g++")?;
    step("building the program around crate rdkafka; librdkafka is compiled from source");
    let target = absolute(&place.directory.join("librdkafka"))?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--release", "--target-dir"])
        .arg(&target)
        .current_dir(place.programs);
    quiet(&mut cargo)?;
    Ok(Program::Own(vec![target.join("release/hallows-librdkafka")]))
}

/// The jars of the Java client and Kafka's tools.
fn jars(place: &Place<'_>) -> Result<PathBuf> {
    ensure!(is_there("java"), "there is no java");
    let libraries = absolute(&place.directory.join("java"))?.join("libs");
    if std::fs::read_dir(&libraries).is_ok_and(|mut found| found.next().is_some()) {
        return Ok(libraries);
    }
    ensure!(is_there("mvn"), "there is no mvn to fetch the Java client with");
    step("fetching the Java client and Kafka's tools from Maven Central");
    let output = format!("-DoutputDirectory={}", libraries.display());
    quiet(
        Command::new("mvn")
            .args([
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                &output,
            ])
            .current_dir(place.programs),
    )?;
    Ok(libraries)
}

fn java_tools(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    let class_path = jars(place)?.join("*");
    Ok(Program::JavaTools(JavaTools { class_path }))
}

fn java(place: &Place<'_>) -> Result<Program> {
    let _guard = INSTALLING.lock();
    let libraries = jars(place)?.join("*");
    ensure!(is_there("javac"), "there is no javac");
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

fn step(what: &str) {
    println!("{what}");
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("no absolute path of {}", path.display()))
}

/// Copies a file into a folder; whether it was another one before.
fn copy_changed(from: &Path, folder: &Path) -> Result<bool> {
    let content = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let to = folder.join(from.file_name().context("a file has a name")?);
    let changed = std::fs::read(&to).ok().as_ref() != Some(&content);
    if changed {
        std::fs::write(to, content)?;
    }
    Ok(changed)
}

/// Runs a command and shows what it said only when it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let name = format!("{:?}", command.get_program());
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(8)..].join("; ");
    bail!("{name} ended with {}: {last}", output.status)
}
