//! `tidegate plugin build`: from source to one file for the plugin folder.

use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::embed::{self, Cases};
use super::project::{Language, Project};
use super::toolchain::{TARGET, Toolchain};
use super::{process, section};
use crate::plugin::{Artifact, Origin};

/// Builds the translator of a folder, with its manifest and cases in it, and says where it is. `output` is where it goes;
/// without it, into the folder itself.
///
/// # Errors
/// No toolchain, what the compiler says (then it is a [`process::Failed`]), or a wrong manifest or case.
pub(crate) fn build(folder: &Path, output: Option<&Path>) -> anyhow::Result<()> {
    let project = Project::open(folder)?;
    let built = component(&project, output)?;
    println!("{}: {} bytes", built.display(), fs::metadata(&built)?.len());
    Ok(())
}

/// Builds, and says where the artifact is.
pub(super) fn component(project: &Project, output: Option<&Path>) -> anyhow::Result<PathBuf> {
    let target = output.map_or_else(|| project.artifact(), Path::to_owned);
    let built = match project.language {
        Language::Javascript => return script(project, &target),
        Language::Rust => cargo(project)?,
        Language::Python => python(project)?,
        Language::C => c(project)?,
    };
    let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    // A core module becomes a component here, so the linker need not make one.
    let artifact = Artifact::new(bytes, Origin::File(built))?;
    let manifest = embed::manifest(&project.manifest())?;
    let cases = project.cases().map(|folder| Cases::read(&folder)).transpose()?;
    let text = cases.as_ref().map_or_else(|| "[]".to_owned(), Cases::json);
    let embedded = section::embed(artifact.bytes(), Some(&manifest), Some(&text))?;
    section::write_whole(&target, &embedded)?;
    if let Some(cases) = &cases {
        println!("{cases}");
    }
    Ok(target)
}

/// There is nothing to build; it is only copied, and its manifest with it.
fn script(project: &Project, target: &Path) -> anyhow::Result<PathBuf> {
    let source = project.artifact();
    if fs::canonicalize(target).ok().as_deref() != Some(source.as_path()) {
        let about = source.with_extension("toml");
        if about.is_file() {
            // The manifest first: a script without one would claim every endpoint for a moment.
            section::write_whole(&target.with_extension("toml"), &fs::read(&about)?)?;
        }
        section::write_whole(target, &fs::read(&source)?)?;
    }
    Ok(target.to_owned())
}

/// The `cdylib` of the crate.
fn cargo(project: &Project) -> anyhow::Result<PathBuf> {
    let toolchain = Toolchain::find(&project.folder)?;
    println!("building {} with {}", project.folder.display(), toolchain.what);
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .current_dir(&project.folder)
        .envs(toolchain.environment)
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("cargo cannot be started")?;
    let said = child.stdout.take().context("its output is a pipe")?;
    let mut built = None;
    for line in std::io::BufReader::new(said).lines() {
        let message: Value = serde_json::from_str(&line?).unwrap_or_default();
        built = component_of(&message, project).or(built);
    }
    process::ended(&command, child.wait()?)?;
    built.with_context(|| {
        format!(
            "{} makes no component: `[lib]` needs `crate-type = [\"cdylib\"]`",
            project.folder.join("Cargo.toml").display()
        )
    })
}

/// The file that one of cargo's messages tells of, if it is this crate's.
fn component_of(message: &Value, project: &Project) -> Option<PathBuf> {
    let manifest = fs::canonicalize(message["manifest_path"].as_str()?).ok()?;
    let is_own = message["reason"] == "compiler-artifact" && manifest == project.folder.join("Cargo.toml");
    let files = message["filenames"].as_array().filter(|_| is_own)?;
    files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

fn python(project: &Project) -> anyhow::Result<PathBuf> {
    let tools = process::python("componentize-py", COMPONENTIZE_PY)?;
    let built = work_folder(project)?.join("core.wasm");
    println!("building {} with componentize-py {COMPONENTIZE_PY}", project.folder.display());
    let mut command = Command::new(tools.join("componentize-py"));
    command.args([
        "--wit-path",
        "wit",
        "--world",
        "translator",
        "componentize",
        "--stub-wasi",
        "app",
        "--output",
    ]);
    process::run(command.arg(&built).current_dir(&project.folder).stdout(Stdio::null()))?;
    Ok(built)
}

fn c(project: &Project) -> anyhow::Result<PathBuf> {
    let generator = wit_bindgen()?;
    let zig = process::python("ziglang", ZIG)?;
    let work = work_folder(project)?;
    let wit = project.folder.join("wit");
    println!("building {} with zig {ZIG} and wit-bindgen {WIT_BINDGEN}", project.folder.display());
    let mut command = Command::new(generator);
    command.args(["c", "--world", "translator", "--out-dir"]).arg(&work).arg(&wit).stdout(Stdio::null());
    process::run(&mut command)?;
    let built = work.join("core.wasm");
    let mut command = Command::new(zig.join("python"));
    command
        .args([
            "-m",
            "ziglang",
            "cc",
            "-target",
            "wasm32-wasi",
            "-mexec-model=reactor",
            "-O2",
            "-Wall",
            "-Wextra",
        ])
        // Zig's own is 16 MiB, which is all that a translator may have.
        .args(["-Wl,-z,stack-size=262144", "-Ibuild", "-o"])
        .arg(&built)
        .args(["plugin.c", "build/translator.c", "build/translator_component_type.o"])
        .current_dir(&project.folder);
    process::run(&mut command)?;
    Ok(built)
}

fn work_folder(project: &Project) -> anyhow::Result<PathBuf> {
    let folder = project.folder.join("build");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// What makes a C header of the contract; installed when it is not there.
fn wit_bindgen() -> anyhow::Result<PathBuf> {
    let folder = process::cache()?.join(format!("wit-bindgen-{WIT_BINDGEN}"));
    let program = folder.join("bin/wit-bindgen");
    if !program.is_file() {
        println!("installing wit-bindgen {WIT_BINDGEN} to {}, once; this takes minutes", folder.display());
        let mut command = Command::new("cargo");
        command.args([
            "install",
            "--quiet",
            "--locked",
            "--no-default-features",
            "--features",
            "c",
            "--version",
        ]);
        command.args([WIT_BINDGEN, "wit-bindgen-cli", "--root"]).arg(&folder);
        command.env_remove("CARGO_TARGET_DIR");
        process::run(&mut command)?;
    }
    ensure!(program.is_file(), "{} was not installed", program.display());
    Ok(program)
}

const COMPONENTIZE_PY: &str = "0.25.1";
const ZIG: &str = "0.17.1";
const WIT_BINDGEN: &str = "0.61.1";
