//! The `tidegate` command.

use std::process::ExitCode;

// What this program allocates are small, short-lived blocks on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidegate::cli::main(tidegate::app::run, tidegate::demo::run)
}
