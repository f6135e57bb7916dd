//! A compiler for `wasm32-unknown-unknown`: rustup's if it has the target, else Debian's, whose standard library is built
//! once.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::process;

/// How cargo is to be called.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// For people.
    pub(super) what: String,
    /// Environment of cargo.
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Toolchain {
    /// Finds or prepares one, and says what it does if that takes long. `folder` is that of the crate, whose
    /// `rust-toolchain.toml` counts.
    pub(super) fn find(folder: &Path) -> anyhow::Result<Self> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let own = Own::look(&rustc, folder);
        match &own {
            Ok(own) if own.has_target() => return Ok(own.toolchain()),
            _ => {}
        }
        if Debian::is_installed() {
            return Debian::prepare(own.as_ref().ok());
        }
        let own = own.with_context(|| {
            format!("no Rust compiler here ({}): see https://rustup.rs", Path::new(&rustc).display())
        })?;
        println!("adding the target {TARGET}: rustup target add {TARGET}");
        let added = Command::new("rustup").args(["target", "add", TARGET]).current_dir(folder).status();
        if added.is_ok_and(|status| status.success()) && own.has_target() {
            return Ok(own.toolchain());
        }
        bail!(
            "{} cannot compile for {TARGET}: type `rustup target add {TARGET}`, or on Debian `apt-get install rustc-web \
             rust-web-src`",
            own.version
        )
    }
}

/// The compiler that cargo takes by itself.
struct Own {
    version: String,
    sysroot: PathBuf,
    host: String,
}

impl Own {
    fn look(rustc: &OsString, folder: &Path) -> anyhow::Result<Self> {
        let ask = |what: &[&str]| process::output(Command::new(rustc).args(what).current_dir(folder));
        let about = ask(&["--version", "--verbose"])?;
        let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        let version = about.lines().next().unwrap_or_default().to_owned();
        Ok(Self { version, sysroot: ask(&["--print", "sysroot"])?.trim().into(), host })
    }

    fn has_target(&self) -> bool {
        has_std(&self.sysroot)
    }

    /// The linker makes a core module, and the gateway makes a component of it: `wasm-component-ld` is not needed.
    fn toolchain(&self) -> Toolchain {
        Toolchain { what: format!("{} with its target {TARGET}", self.version), environment: Vec::new() }
    }

    /// Its linker, which is also one for WebAssembly.
    fn linker(&self) -> Option<PathBuf> {
        let tools = self.sysroot.join("lib/rustlib").join(&self.host).join("bin");
        Some(tools.join("rust-lld")).filter(|linker| linker.is_file())
    }
}

/// Debian's compiler, which comes with the source of its standard library.
struct Debian;

impl Debian {
    fn is_installed() -> bool {
        Path::new(RUSTC).is_file() && Path::new(SOURCE).join("vendor").is_dir()
    }

    fn prepare(own: Option<&Own>) -> anyhow::Result<Toolchain> {
        let version = process::output(Command::new(RUSTC).arg("--version"))?.trim().to_owned();
        let number = version.split(' ').nth(1).context("rustc has no version")?;
        let linker =
            own.and_then(Own::linker).or_else(|| process::find(&["wasm-ld", "wasm-ld-22", "wasm-ld-19"]));
        let linker = linker.with_context(|| {
            format!(
                "{version} has no linker for WebAssembly: on Debian `apt-get install lld`, or install rustup"
            )
        })?;
        let sysroot = process::cache()?.join(format!("wasm-sysroot-{number}"));
        if !has_std(&sysroot) {
            println!(
                "building the standard library of {version} for {TARGET}, once, to {}",
                sysroot.display()
            );
            Self::build_std(&sysroot, &linker)?;
        }
        let mut flags: Vec<String> = Vec::new();
        for given in [format!("{VARIABLE}_RUSTFLAGS"), "RUSTFLAGS".to_owned()] {
            let given = std::env::var(given).unwrap_or_default();
            flags.extend(given.split_whitespace().map(str::to_owned));
        }
        flags.push(format!("--sysroot={}", sysroot.display()));
        let environment = vec![
            ("RUSTC", RUSTC.into()),
            (LINKER, linker.into()),
            // Unlike the others it can have blanks within a flag, and nothing goes before it.
            ("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f").into()),
        ];
        Ok(Toolchain { what: version, environment })
    }

    /// Without the network: from the source that is installed, in an empty crate.
    fn build_std(sysroot: &Path, linker: &Path) -> anyhow::Result<()> {
        let work = sysroot.with_extension(format!("work-{}", std::process::id()));
        fs::create_dir_all(work.join("src"))?;
        fs::write(work.join("src/lib.rs"), "")?;
        fs::write(work.join("Cargo.toml"), SEED)?;
        let status = Command::new("cargo")
            .args(["build", "--quiet", "--offline", "--release", "--target", TARGET])
            .args(["-Zbuild-std=std,panic_abort", "--config", "source.crates-io.replace-with=\"vendored\""])
            .args(["--config", &format!("source.vendored.directory=\"{SOURCE}/vendor\"")])
            .current_dir(&work)
            .env(LINKER, linker)
            .env("CARGO_HOME", work.join("home"))
            .env("CARGO_TARGET_DIR", work.join("target"))
            .env("RUSTC", RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", format!("-Cembed-bitcode=yes --remap-path-prefix={}=/seed", work.display()))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .context("cargo cannot be started")?;
        ensure!(status.success(), "the standard library could not be built ({status}), see above");
        let libraries = work.join("libraries");
        fs::create_dir_all(&libraries)?;
        for entry in fs::read_dir(work.join("target").join(TARGET).join("release/deps"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".rlib") && !name.starts_with("libseed") {
                fs::copy(&path, libraries.join(name))?;
            }
        }
        let place = libraries_of(sysroot);
        fs::create_dir_all(place.parent().context("it is within the sysroot")?)?;
        // Somebody else may have been quicker; theirs is as good.
        if let Err(error) = fs::rename(&libraries, &place) {
            ensure!(has_std(sysroot), "cannot write {}: {error}", place.display());
        }
        Ok(fs::remove_dir_all(&work)?)
    }
}

fn libraries_of(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(TARGET).join("lib")
}

fn has_std(sysroot: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(libraries_of(sysroot)) else { return false };
    let is_std = |name: &str| name.starts_with("libstd-") && name.ends_with(".rlib");
    entries.any(|entry| entry.is_ok_and(|entry| is_std(&entry.file_name().to_string_lossy())))
}

/// What translators are compiled for.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";
const VARIABLE: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN";
const LINKER: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";
const RUSTC: &str = "/usr/bin/rustc";
const SOURCE: &str = "/usr/lib/rustlib/src/rust/library";
const SEED: &str = "[package]\nname = \"seed\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
                    [profile.release]\nopt-level = 3\ncodegen-units = 1\npanic = \"abort\"\n[workspace]\n";
