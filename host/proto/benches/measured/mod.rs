//! Paths whose instructions are counted. `scripts/instructions` runs the executable under callgrind, once for each path, and tells it
//! to collect only inside of [`measured`]; the crates' benchmarks `instructions` share this.

use std::ops::Range;
use std::process::ExitCode;

/// A path: its name, and what gets it ready. The call that comes back is made [`CALLS`] times, with the numbers from 0.
pub(crate) type Path = (&'static str, fn() -> Box<dyn FnMut(usize)>);

/// With `--list` prints the names; with one of the names goes that path; otherwise, as from `cargo bench`, says what it is for.
pub(crate) fn main(paths: &[Path]) -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "--list" {
        paths.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let Some((_, prepare)) = paths.iter().find(|(name, _)| *name == wanted) else {
        println!("instructions are counted by `make instructions`");
        return ExitCode::SUCCESS;
    };
    let mut call = prepare();
    // Tables and buffers grow to their sizes first.
    (0..WARM).for_each(&mut call);
    measured(&mut *call, WARM..CALLS);
    // Nothing is freed in what is measured, nor is it worth the time.
    std::process::exit(0)
}

/// Callgrind counts from its entry to its return: `scripts/instructions` knows its name and [`COUNTED`].
#[inline(never)]
fn measured(call: &mut dyn FnMut(usize), range: Range<usize>) {
    for at in range {
        call(at);
    }
}

/// How often a path is gone.
pub(crate) const CALLS: usize = WARM + COUNTED;
/// How often before it is counted.
const WARM: usize = 100;
/// How often while it is counted.
const COUNTED: usize = 200;
