//! Foreign programs with a time limit, whose words go to files.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How often it is asked whether a program has ended.
const POLL: Duration = Duration::from_millis(50);

/// Runs a program until it ends or its time is over; what it says goes to `NAME.out` and `NAME.err` in a folder.
///
/// Returns what it said on its standard output. Whether it ended with success is left to what it said.
pub(super) fn run_logged(command: &mut Command, folder: &Path, name: &str, limit: Duration) -> Result<String> {
    std::fs::create_dir_all(folder)?;
    let output = folder.join(format!("{name}.out"));
    let create = |path: &Path| File::create(path).with_context(|| format!("cannot write {}", path.display()));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(create(&output)?)
        .stderr(create(&folder.join(format!("{name}.err")))?)
        .spawn()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let deadline = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            println!("{name}: stopped after {} s", limit.as_secs());
            break;
        }
        thread::sleep(POLL);
    }
    let said = std::fs::read(&output)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
