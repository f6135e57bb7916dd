//! An author's day: `tidegate plugin new`, `build`, `test`, `bench`, with the real program and the real compilers.
//!
//! What a machine has no tools for is skipped, and says so. Those that have to fetch tools first are `#[ignore]`d:
//! `make test-plugins` runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tidegate_tests::{Broker, Gateway, Setup, report, tidegate};

#[test]
fn a_script_is_written_tested_and_dropped_in_without_any_toolchain() -> Result<()> {
    let mut author = Author::new("javascript")?;
    // No compiler, no interpreter.
    author.path = Some("/nowhere".to_owned());
    author.day()?;
    let drop_in = author.folder.path().join("plugins");
    fs::create_dir(&drop_in)?;
    let target = drop_in.join("mine.js");
    author.good(&["build", "mine", "--output", &target.display().to_string()])?;
    ensure!(drop_in.join("mine.toml").is_file(), "the manifest goes with the script");
    let said = author.good(&["list", "--plugins", &drop_in.display().to_string()])?;
    ensure!(said.contains("mine.js: mine 0.1.0, script") && said.contains("built-in emqx"), "{said}");
    Ok(())
}

#[test]
fn a_crate_is_written_built_and_tested() -> Result<()> {
    let author = Author::new("rust")?;
    if !author.can_compile_rust() {
        println!("skipped: no compiler for wasm32-unknown-unknown here");
        return Ok(());
    }
    author.day()?;
    let said = author.good(&["inspect", "mine/mine.wasm"])?;
    for part in ["name      mine", "contract  1.", "prefix: a string, default \"mine\"", "cases     1"] {
        ensure!(said.contains(part), "no {part:?} in:\n{said}");
    }
    let source = author.mine("src/lib.rs");
    let good = fs::read_to_string(&source)?;
    is_live_after_each_save(&author, &good)?;
    // What the compiler says is what the author sees, and its status is the status.
    fs::write(&source, good.replace("_ => Ok(vec![]),", "_ => Ok(vec![1]),"))?;
    let (code, said) = author.plugin(&["build", "mine"])?;
    ensure!(
        code == Some(101) && said.contains("src/lib.rs:") && said.contains("mismatched types"),
        "{code:?} {said}"
    );
    // A panic says where it was.
    let panics =
        good.replace("Event::Notified(notified) => {", "Event::Notified(notified) => {\n panic!(\"oh\");");
    fs::write(&source, panics)?;
    let (code, said) = author.plugin(&["test", "mine"])?;
    let line = 1 + good.lines().take_while(|line| !line.contains("Event::Notified(notified)")).count() + 1;
    ensure!(
        code == Some(1) && said.contains(&format!("src/lib.rs:{line}:")),
        "{code:?}, line {line}: {said}"
    );
    ensure!(said.contains("fault trap"), "{said}");
    Ok(())
}

/// The edit loop: the crate is built into the folder of a running gateway.
fn is_live_after_each_save(author: &Author, good: &str) -> Result<()> {
    let mut gateway = Gateway::start(&Setup::new(Broker::Embedded, "fixed"))?;
    let output = gateway.plugins().join("mine.wasm").display().to_string();
    for number in 1..=2 {
        let saved = Instant::now();
        // Another text in the component, so that it is another one.
        let changed = good.replacen("\"mine\"", &format!("\"mine-{number}\""), 1);
        ensure!(changed != good, "the template has its default in it");
        fs::write(author.mine("src/lib.rs"), changed)?;
        author.good(&["build", "mine", "--output", &output])?;
        let said = gateway.process().said(&["translator live", "translator=\"mine\""])?;
        gateway.process().forget();
        report(&format!("save to live, a crate in Rust, with its compiler: {:?}", saved.elapsed()));
        ensure!(said.contains("version"), "{said}");
    }
    Ok(fs::write(author.mine("src/lib.rs"), good)?)
}

#[test]
#[ignore = "compiles the SDK natively, too"]
fn the_case_of_a_new_crate_comes_out_natively() -> Result<()> {
    let author = Author::new("rust")?;
    author.good(&["new", "mine"])?;
    let mut cargo = Command::new("cargo");
    cargo.arg("test").current_dir(author.mine("")).env_remove("CARGO_TARGET_DIR");
    let output = cargo.output().context("cargo does not start")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let problem = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.contains("test cases ... ok"), "{said}\n{problem}");
    Ok(())
}

#[test]
#[ignore = "fetches componentize-py when it is not there"]
fn a_python_translator_is_written_built_and_tested() -> Result<()> {
    Author::new("python")?.day_if_tools_can_be_had(&["python3"])
}

#[test]
#[ignore = "fetches zig and wit-bindgen when they are not there"]
fn a_translator_in_c_is_written_built_and_tested() -> Result<()> {
    Author::new("c")?.day_if_tools_can_be_had(&["python3", "cargo"])
}

/// Built by whatever compiler this machine has, not by that of the checked-in artifact.
#[test]
#[ignore = "builds all of plugins/"]
fn every_translator_of_this_repository_builds_and_its_cases_come_out() -> Result<()> {
    let author = Author::new("rust")?;
    if !author.can_compile_rust() {
        println!("skipped: no compiler for wasm32-unknown-unknown here");
        return Ok(());
    }
    let mut tested = 0;
    for entry in fs::read_dir(repository().join("plugins"))? {
        let folder = entry?.path();
        if folder.join("translator.toml").is_file() && folder.join("cases").is_dir() {
            let said = author.good(&["test", &folder.display().to_string()])?;
            let passed = said.lines().find(|line| line.starts_with("cases passed"));
            println!("{}: {}", folder.display(), passed.context("no cases")?);
            tested += 1;
        }
    }
    ensure!(tested >= 3, "only {tested} translators have cases");
    Ok(())
}

#[test]
fn the_cases_of_the_examples_come_out() -> Result<()> {
    let author = Author::new("javascript")?;
    for name in ["thermometer.js", "vendor.js"] {
        author.good(&["test", &examples().join(name).display().to_string()])?;
    }
    Ok(())
}

#[test]
fn a_case_that_comes_out_otherwise_is_shown_as_a_difference_and_can_be_blessed() -> Result<()> {
    let author = Author::with_script()?;
    let case = author.mine("cases/notification.toml");
    let good = fs::read_to_string(&case)?;
    fs::write(&case, good.replace("mine/urn:imei:001", "elsewhere"))?;
    let (code, said) = author.plugin(&["test", "mine"])?;
    ensure!(code == Some(1) && said.contains("FAILED  notification.toml"), "{code:?} {said}");
    let has = |sign: char, part: &str| {
        said.lines().any(|line| line.trim_start().starts_with(sign) && line.contains(part))
    };
    ensure!(has('-', "elsewhere") && has('+', "mine/urn:imei:001"), "{said}");
    ensure!(said.contains("cases failed: 1 of 1"), "{said}");
    let said = author.good(&["test", "--bless", "mine"])?;
    ensure!(said.contains("blessed notification.toml"), "{said}");
    author.good(&["test", "mine"])?;
    ensure!(fs::read_to_string(&case)?.contains("mine/urn:imei:001"), "it was written");
    Ok(())
}

#[test]
fn a_translator_that_remembers_something_fails_on_an_instance_used_before() -> Result<()> {
    let author = Author::with_script()?;
    let script = author.mine("mine.js");
    let text = fs::read_to_string(&script)?;
    fs::write(
        &script,
        text.replace("let prefix;", "let prefix, calls = 0;")
            .replace("${prefix}/", "${calls++ ? 'again' : prefix}/"),
    )?;
    let case = author.mine("cases/notification.toml");
    fs::copy(&case, author.mine("cases/second.toml"))?;
    let (code, said) = author.plugin(&["test", "mine"])?;
    ensure!(code == Some(1) && said.contains("on an instance used before"), "{code:?} {said}");
    ensure!(said.contains("again/urn:imei:001"), "{said}");
    Ok(())
}

#[test]
fn what_is_logged_is_shown_with_the_case() -> Result<()> {
    let author = Author::with_script()?;
    let script = author.mine("mine.js");
    let text = fs::read_to_string(&script)?;
    fs::write(
        &script,
        text.replace("case 'notified':", "case 'notified': console.log('seen', event.endpoint);"),
    )?;
    let said = author.good(&["test", "mine"])?;
    ensure!(said.contains("log: info seen urn:imei:001"), "{said}");
    ensure!(said.contains("fuel ") && said.contains("memory "), "{said}");
    Ok(())
}

#[test]
fn a_broken_case_is_named_with_file_and_line() -> Result<()> {
    let author = Author::with_script()?;
    fs::write(author.mine("cases/broken.toml"), "name = \"x\"\n[uplink]\nendpoint = 1\n")?;
    let (code, said) = author.plugin(&["test", "mine"])?;
    ensure!(code == Some(1) && said.contains("broken.toml:3"), "{code:?} {said}");
    Ok(())
}

#[test]
fn only_the_cases_whose_names_are_given_run() -> Result<()> {
    let author = Author::with_script()?;
    let case = fs::read_to_string(author.mine("cases/notification.toml"))?;
    fs::write(author.mine("cases/other.toml"), case.replace("a notification", "another notification"))?;
    let said = author.good(&["test", "mine", "another"])?;
    ensure!(said.contains("cases passed: 1") && said.contains("other.toml"), "{said}");
    let (code, said) = author.plugin(&["test", "mine", "nothing-like-it"])?;
    ensure!(code == Some(1) && said.contains("no case has nothing-like-it in its name"), "{code:?} {said}");
    let (code, said) = author.plugin(&["test", "missing.wasm"])?;
    ensure!(code == Some(1) && said.contains("there is no file or folder missing.wasm"), "{code:?} {said}");
    Ok(())
}

#[test]
fn what_cannot_be_made_is_refused_by_name() -> Result<()> {
    let author = Author::with_script()?;
    for (words, code, part) in [
        (vec!["new", "mine"], 1, "mine exists already"),
        (vec!["new", "Not A Name"], 1, "\"Not A Name\" is no name of a translator"),
        (vec!["new", "other", "--lang", "cobol"], 2, "javascript"),
        (vec!["new", "other", "--sdk", "nowhere"], 1, "--sdk nowhere"),
        (vec!["build", "."], 1, "is no translator's folder"),
        (vec!["inspect", "mine/README.md"], 1, "not WebAssembly"),
        (vec!["embed", "mine/README.md"], 1, "nothing to embed"),
    ] {
        let (is, said) = author.plugin(&words)?;
        ensure!(is == Some(code) && said.contains(part), "{words:?}: {is:?}, no {part:?} in:\n{said}");
    }
    ensure!(!author.folder.path().join("other").exists(), "nothing is left of what was refused");
    Ok(())
}

/// Somebody with an empty folder, who writes one translator named `mine`.
struct Author {
    folder: TempDir,
    language: &'static str,
    path: Option<String>,
}

impl Author {
    fn new(language: &'static str) -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()?, language, path: None })
    }

    /// With a new script in `mine`.
    fn with_script() -> Result<Self> {
        let author = Self::new("javascript")?;
        author.good(&["new", "mine", "--lang", "javascript"])?;
        Ok(author)
    }

    /// From `new` to a green `test`, and what else one does. The time is printed, not asserted: machines differ.
    fn day(&self) -> Result<()> {
        let begun = Instant::now();
        self.good(&["new", "mine", "--lang", self.language])?;
        let said = self.good(&["test", "mine"])?;
        ensure!(said.contains("cases passed: 1"), "{said}");
        let prepared =
            if matches!(self.language, "c" | "python") { " (tools fetched and used before)" } else { "" };
        println!(
            "{}: from `plugin new` to a green `plugin test` in {:.1?}{prepared}",
            self.language,
            begun.elapsed()
        );
        let file = if self.language == "javascript" { "mine/mine.js" } else { "mine/mine.wasm" };
        // The cases are in a component, and lie beside a script.
        let said = self.good(&["test", file])?;
        ensure!(said.contains("cases passed: 1"), "{said}");
        let said = self.good(&["check", file])?;
        ensure!(said.contains("would serve (mine 0.1.0"), "{said}");
        let said = self.good(&["bench", "--calls", "20", "mine"])?;
        ensure!(said.contains("calls/s") && said.contains("notification.toml"), "{said}");
        println!("{said}");
        Ok(())
    }

    /// Skipped if the tools cannot be fetched; anything else that is wrong fails.
    fn day_if_tools_can_be_had(&self, programs: &[&str]) -> Result<()> {
        for program in programs {
            if Command::new(program).arg("--version").output().is_err() {
                println!("skipped: there is no {program} here");
                return Ok(());
            }
        }
        self.good(&["new", "mine", "--lang", self.language])?;
        let (code, said) = self.plugin(&["build", "mine"])?;
        let is_fetching = ["pip ended with", "cargo ended with"].iter().any(|of| said.contains(of));
        if code != Some(0) && is_fetching && said.contains("installing") {
            println!(
                "skipped: its tools cannot be fetched here: {}",
                said.lines().last().unwrap_or_default()
            );
            return Ok(());
        }
        ensure!(code == Some(0), "{code:?} {said}");
        fs::remove_dir_all(self.folder.path().join("mine"))?;
        self.day()
    }

    fn can_compile_rust(&self) -> bool {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
        let own = sysroot.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let has_target =
            own.is_some_and(|own| Path::new(&own).join("lib/rustlib/wasm32-unknown-unknown/lib").is_dir());
        has_target || Path::new("/usr/lib/rustlib/src/rust/library/vendor").is_dir()
    }

    fn mine(&self, file: &str) -> PathBuf {
        self.folder.path().join("mine").join(file)
    }

    /// What a subcommand says that must succeed.
    fn good(&self, words: &[&str]) -> Result<String> {
        let (code, said) = self.plugin(words)?;
        ensure!(code == Some(0), "{words:?}: {code:?}\n{said}");
        Ok(said)
    }

    /// The exit code of `tidegate plugin …`, and everything that it says.
    fn plugin(&self, words: &[&str]) -> Result<(Option<i32>, String)> {
        let mut command = tidegate()?;
        // One's own, not that of these tests.
        command
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.arg("plugin").args(words).current_dir(self.folder.path());
        let Output { status, stdout, stderr } = command.output().context("tidegate does not start")?;
        let said = [stdout, stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
        Ok((status.code(), said.concat()))
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn examples() -> PathBuf {
    repository().join("plugins/javascript/examples")
}
