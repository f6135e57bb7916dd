//! Every snippet of docs/book is what it says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tidegate_case::Case;
use tidegate_tests::{Process, tidegate};

/// A fenced block: the word behind the fence, and what is within.
struct Snippet {
    place: String,
    kind: String,
    text: String,
}

#[test]
fn every_snippet_of_the_book_is_what_it_says() -> Result<()> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for snippet in snippets()? {
        check(&snippet).with_context(|| format!("{}:\n{}", snippet.place, snippet.text))?;
        *kinds.entry(snippet.kind).or_default() += 1;
    }
    for kind in ["console", "js", "js,rejected", "json", "rust", "toml,case", "toml,config", "toml,manifest"]
    {
        ensure!(kinds.contains_key(kind), "no {kind} in the book: {kinds:?}");
    }
    Ok(())
}

#[test]
fn the_summary_names_every_chapter() -> Result<()> {
    let summary = std::fs::read_to_string(book().join("SUMMARY.md"))?;
    for file in chapters()? {
        let name = file.file_name().context("a name")?.to_string_lossy().into_owned();
        ensure!(name == "SUMMARY.md" || summary.contains(&format!("]({name})")), "{name}");
    }
    Ok(())
}

fn check(snippet: &Snippet) -> Result<()> {
    match snippet.kind.as_str() {
        // Compiled by the SDK's doctests.
        "rust" => ensure!(snippet.place.contains("rust.md"), "only rust.md is compiled"),
        "json" => drop(serde_json::from_str::<serde_json::Value>(&snippet.text)?),
        "toml,case" => drop(Case::parse(&snippet.text, &snippet.place)?),
        "js" => is_taken(&[("cellar.js", &snippet.text)], true)?,
        "js,rejected" => is_taken(&[("cellar.js", &snippet.text)], false)?,
        "toml,manifest" => {
            let script = "function uplink(event) { return []; }";
            is_taken(&[("cellar.js", script), ("cellar.toml", &snippet.text)], true)?;
        }
        "toml,config" => is_configuration(&snippet.text)?,
        "console" => {
            for line in snippet.text.lines() {
                let command = line.strip_prefix("$ tidegate ").context("a command of tidegate")?;
                is_known(command)?;
            }
        }
        other => bail!("the test knows no {other:?}"),
    }
    Ok(())
}

fn is_taken(files: &[(&str, &str)], is_right: bool) -> Result<()> {
    let folder = TempDir::new()?;
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text)?;
    }
    let file = folder.path().join(files[0].0);
    let mut process = Process::start(tidegate()?.args(["plugin", "check"]).arg(file))?;
    let status = process.ended()?;
    ensure!(status.success() == is_right, "{status}: {}", process.everything());
    Ok(())
}

fn is_configuration(text: &str) -> Result<()> {
    let folder = TempDir::new()?;
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, text)?;
    let mut process = Process::start(tidegate()?.args(["check", "--config"]).arg(file))?;
    let status = process.ended()?;
    ensure!(status.success(), "{status}: {}", process.everything());
    Ok(())
}

/// Whether the subcommands and options are among those that the help names.
fn is_known(command: &str) -> Result<()> {
    let words: Vec<&str> = command.split(' ').collect();
    let count = if words[0] == "plugin" { 2 } else { 1 };
    let mut help = Process::start(tidegate()?.args(&words[..count]).arg("--help"))?;
    let status = help.ended()?;
    let said = help.everything();
    ensure!(status.success(), "{command}: {said}");
    for option in words[count..].iter().filter(|word| word.starts_with("--")) {
        ensure!(said.contains(option), "{option} is none of `{command}`: {said}");
    }
    Ok(())
}

fn snippets() -> Result<Vec<Snippet>> {
    let mut snippets = Vec::new();
    for file in chapters()? {
        let text = std::fs::read_to_string(&file)?;
        let mut open: Option<Snippet> = None;
        for (number, line) in (1..).zip(text.lines()) {
            match (line.strip_prefix("```"), open.take()) {
                (Some(kind), None) => {
                    let place = format!("{}:{number}", file.display());
                    open = Some(Snippet { place, kind: kind.to_owned(), text: String::new() });
                }
                (Some(_), Some(snippet)) => snippets.push(snippet),
                (None, Some(mut snippet)) => {
                    snippet.text.push_str(line);
                    snippet.text.push('\n');
                    open = Some(snippet);
                }
                (None, None) => {}
            }
        }
        ensure!(open.is_none(), "{}: a fence is not closed", file.display());
    }
    Ok(snippets)
}

fn chapters() -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(book())?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/book/src")
}
