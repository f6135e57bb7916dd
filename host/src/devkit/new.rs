//! `tidegate plugin new`: a folder that builds, with a case that passes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::Language;
use crate::plugin::is_name;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct New<'a> {
    /// The translator's name.
    pub(crate) name: &'a str,
    /// What it is to be written in.
    pub(crate) language: Language,
    /// The folder, which must not exist; without it, one of the translator's name.
    pub(crate) folder: Option<&'a Path>,
    /// The folder of `tidegate-sdk`; without it, the sources of this gateway's are written beside the crate.
    pub(crate) sdk: Option<&'a Path>,
}

/// Writes the folder, asking nothing, and says what to type next.
///
/// # Errors
/// The name is none for a translator, the folder exists, or it cannot be written.
pub(crate) fn new(what: &New<'_>) -> anyhow::Result<()> {
    let New { name, language, folder, sdk } = what;
    ensure!(
        is_name(name),
        "{name:?} is no name of a translator: small letters, digits, _ and -, beginning with a letter or a digit, at \
         most 64"
    );
    ensure!(sdk.is_none() || *language == Language::Rust, "--sdk is for --lang rust");
    let folder = folder.map_or_else(|| PathBuf::from(name), Path::to_owned);
    ensure!(!folder.exists(), "{} exists already", folder.display());
    let files = files(name, *language, *sdk)?;
    for (file, text) in &files {
        let path = folder.join(file);
        let parent = path.parent().context("a file has a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("{}: {} files; next: cd {0} && tidegate plugin test", folder.display(), files.len());
    Ok(())
}

/// Paths within the folder, and texts.
fn files(name: &str, language: Language, sdk: Option<&Path>) -> anyhow::Result<Vec<(String, String)>> {
    let own = match sdk {
        Some(sdk) => {
            let sdk = fs::canonicalize(sdk).with_context(|| format!("--sdk {}", sdk.display()))?;
            ensure!(sdk.join("Cargo.toml").is_file(), "--sdk {} has no Cargo.toml", sdk.display());
            sdk.display().to_string()
        }
        None => "sdk".to_owned(),
    };
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{crate}}", &name.replace('-', "_"))
            .replace("{{contract}}", CONTRACT)
            .replace("{{sdk}}", &format!("{own:?}"))
    };
    let mut files: Vec<(String, String)> = match language {
        Language::Rust => RUST,
        Language::C => C,
        Language::Javascript => JAVASCRIPT,
        Language::Python => PYTHON,
    }
    .iter()
    .map(|(file, text)| (fill(file), fill(text)))
    .collect();
    files.push(("README.md".to_owned(), fill(&readme(language))));
    files.push(("cases/notification.toml".to_owned(), fill(include_str!("template/case.toml.template"))));
    let given = |file: &str| match language {
        Language::Rust if sdk.is_none() => true,
        Language::Rust => false,
        Language::C | Language::Python => file.starts_with("wit/"),
        Language::Javascript => false,
    };
    let sources = SOURCES.iter().filter(|(file, _)| given(file));
    files.extend(sources.map(|(file, text)| ((*file).to_owned(), (*text).to_owned())));
    Ok(files)
}

fn readme(language: Language) -> String {
    let (called, test, artifact, about) = match language {
        Language::Rust => (
            "Rust",
            "builds it, and runs every case of cases/ in the gateway's engine",
            "{{name}}.wasm",
            "`src/lib.rs` is the translator, `translator.toml` its manifest. `cargo test` runs the cases natively. `sdk/` and \
             `wit/` are this gateway's SDK and contract.",
        ),
        Language::C => (
            "C",
            "builds it, and runs every case of cases/ in the gateway's engine",
            "{{name}}.wasm",
            "`plugin.c` is the translator, `translator.toml` its manifest, `wit/` the contract; `build/translator.h` is made of \
             it. `tidegate plugin build` gets wit-bindgen (with cargo) and zig (with pip) when they are not there.",
        ),
        Language::Javascript => (
            "JavaScript",
            "runs every case of cases/ in the gateway's engine",
            "{{name}}.js",
            "`{{name}}.js` is the translator; copying it and `{{name}}.toml`, its manifest, is all that `build` does.",
        ),
        Language::Python => (
            "Python",
            "builds it, and runs every case of cases/ in the gateway's engine",
            "{{name}}.wasm",
            "`app.py` is the translator, `translator.toml` its manifest, `wit/` the contract. `tidegate plugin build` gets \
             componentize-py (with pip) when it is not there. The component has 18 MB, compiling it takes \
             seconds, and it needs 13 MiB: say `memory = \"64MiB\"` for it in tidegate.toml, or instances are not kept.",
        ),
    };
    include_str!("template/README.md.template")
        .replace("{{language}}", called)
        .replace("{{test}}", test)
        .replace("{{artifact}}", artifact)
        .replace("{{about}}", about)
}

/// The SDK, its lock file and the contract, as `build.rs` has found them.
const SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));
const CONTRACT: &str = "1.0";
const MANIFEST: &str = include_str!("template/translator.toml.template");
const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("template/rust/Cargo.toml.template")),
    ("src/lib.rs", include_str!("template/rust/lib.rs.template")),
    ("tests/cases.rs", include_str!("template/rust/cases.rs.template")),
    ("translator.toml", MANIFEST),
    (".gitignore", "/target/\n/{{name}}.wasm\n"),
];
const C: &[(&str, &str)] = &[
    ("plugin.c", include_str!("template/c/plugin.c.template")),
    ("translator.toml", include_str!("template/c/translator.toml.template")),
    (".gitignore", "/build/\n/{{name}}.wasm\n"),
];
const JAVASCRIPT: &[(&str, &str)] =
    &[("{{name}}.js", include_str!("template/javascript/plugin.js.template")), ("{{name}}.toml", MANIFEST)];
const PYTHON: &[(&str, &str)] = &[
    ("app.py", include_str!("template/python/app.py.template")),
    ("translator.toml", MANIFEST),
    (".gitignore", "/build/\n/__pycache__/\n/{{name}}.wasm\n"),
];
