//! What `hallows serve` reads before and prints after the start; the start itself is the program's.

mod addresses;
mod arguments;
mod banner;

pub use addresses::{Bound, advertised, connectable};
pub use arguments::ServeArguments;
pub use banner::Banner;
