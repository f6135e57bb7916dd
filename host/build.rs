//! Lists the sources of the SDK and the contract, which `tidegate plugin new` writes beside a new crate.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let mut list = String::from("&[\n");
    for (from, to) in [
        ("guest-sdk/Cargo.toml", "sdk/Cargo.toml"),
        ("guest-sdk/src", "sdk/src"),
        ("guest-sdk/case/Cargo.toml", "sdk/case/Cargo.toml"),
        ("guest-sdk/case/src", "sdk/case/src"),
        ("guest-sdk/Cargo.lock", "Cargo.lock"),
        ("wit", "wit"),
    ] {
        let path = fs::canonicalize(root.join(from))?;
        println!("cargo:rerun-if-changed={}", path.display());
        add(&path, to, &mut list)?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("sources.rs"), list)
}

/// Adds a file or, in order of their names, the files of a folder; but not former versions of the contract.
fn add(path: &Path, name: &str, list: &mut String) -> io::Result<()> {
    if path.is_file() {
        return writeln!(list, "    ({name:?}, include_str!({path:?})),").map_err(io::Error::other);
    }
    let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let file = entry.file_name().unwrap_or_default().to_string_lossy();
        if file != "frozen" && !file.starts_with('.') {
            add(&entry, &format!("{name}/{file}"), list)?;
        }
    }
    Ok(())
}
