//! Where `scripts/setup interop` puts what it has from registries.

use std::path::PathBuf;

/// The folder of the newest version of a package that is completely installed; its name begins with `name` and a dash.
pub fn installed(name: &str) -> Option<PathBuf> {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, home) => PathBuf::from(home?).join(".cache"),
    };
    let folders = std::fs::read_dir(cache.join("tidegate")).ok()?.filter_map(Result::ok);
    let ready = folders.map(|entry| entry.path()).filter(|path| {
        let folder = path.file_name().unwrap_or_default().to_string_lossy();
        path.join("ready").exists() && folder.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
    });
    ready.max()
}
