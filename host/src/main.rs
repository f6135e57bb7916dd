//! The `tidegate` command.

use std::process::ExitCode;

// Small, short-lived blocks on several threads are what this program allocates; measured against the system's allocator
// in DESIGN.md's terms once the benchmarks exist, and cheap to take out.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::cli::main()
}
