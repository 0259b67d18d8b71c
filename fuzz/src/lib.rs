//! What the fuzz targets do with an input, and the inputs they begin with.
//!
//! One module per target under [`targets`], each with `run`, which panics when the input breaks a promise, and `seeds`,
//! inputs made of real material. `README.md` says how they are built and run.

pub mod allocation;
mod bytes_of;
pub mod targets;

pub use bytes_of::Source;

/// The variable that names a directory: the target writes its seeds there and ends.
pub const SEEDS_VARIABLE: &str = "HALLOWS_FUZZ_SEEDS";

/// Writes seeds as files, if [`SEEDS_VARIABLE`] asks for it; ends the process then.
///
/// # Panics
/// When they cannot be written.
pub fn write_seeds_if_asked(seeds: fn() -> Vec<Vec<u8>>) {
    let Some(directory) = std::env::var_os(SEEDS_VARIABLE) else {
        return;
    };
    let directory = std::path::PathBuf::from(directory);
    std::fs::create_dir_all(&directory).expect("the directory of seeds can be made");
    for (number, seed) in seeds().iter().enumerate() {
        std::fs::write(directory.join(format!("{number:05}")), seed).expect("a seed can be written");
    }
    std::process::exit(0);
}

/// The program of one target.
#[macro_export]
macro_rules! fuzz_binary {
    ($target:ident) => {
        libfuzzer_sys::fuzz_target!(
            init: $crate::write_seeds_if_asked($crate::targets::$target::seeds),
            |data: &[u8]| $crate::targets::$target::run(data)
        );
    };
}
