//! Prints `docs/config.md`, or writes it to the path given.

fn main() -> std::io::Result<()> {
    let text = hallows_config::markdown::render();
    match std::env::args().nth(1) {
        Some(path) => std::fs::write(path, text),
        None => std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()),
    }
}
