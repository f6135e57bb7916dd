//! `tidegate token`: who may use the dashboard and the REST API.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::ConfigFile;
use crate::admin::{Role, TokenFile};

#[derive(Args, Debug)]
pub(super) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token and print it: it is shown this once, the file holds only a digest of it
    Add {
        /// Whose it is, such as "grafana"
        name: String,
        /// What it is good for: read, operate (ask clients) or admin (change translators)
        #[arg(long, value_name = "ROLE")]
        role: Role,
        #[command(flatten)]
        file: TokenPath,
    },
    /// Show the names of tokens and what they are good for
    List {
        #[command(flatten)]
        file: TokenPath,
    },
    /// Remove a token; a running gateway refuses it from then on
    Remove {
        /// Whose it is
        name: String,
        #[command(flatten)]
        file: TokenPath,
    },
}

#[derive(Args, Debug)]
struct TokenPath {
    /// The file, instead of the one that `http.tokens` names
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

impl TokenPath {
    /// The file, and whether the configuration names it.
    fn find(&self) -> anyhow::Result<(PathBuf, bool)> {
        if let Some(file) = &self.file {
            return Ok((file.clone(), true));
        }
        Ok(match self.config.load() {
            Ok(config) => match config.http.tokens {
                Some(file) => (file, true),
                None => (self.beside_configuration(), false),
            },
            // It may be just this file that the configuration lacks.
            Err(error) if self.config.config.is_some() => return Err(error),
            Err(_) => (self.beside_configuration(), true),
        })
    }

    fn beside_configuration(&self) -> PathBuf {
        let folder = self.config.config.as_deref().and_then(std::path::Path::parent);
        folder.map_or_else(|| DEFAULT.into(), |folder| folder.join(DEFAULT))
    }
}

pub(super) fn run(options: &Token) -> anyhow::Result<()> {
    match &options.command {
        Command::Add { name, role, file } => add(name, *role, file),
        Command::List { file } => {
            let (path, _) = file.find()?;
            for entry in TokenFile::open(&path)?.entries() {
                println!("{:8} {}", entry.role.to_string(), entry.name);
            }
            Ok(())
        }
        Command::Remove { name, file } => {
            let (path, _) = file.find()?;
            let mut tokens = TokenFile::open(&path)?;
            let removed = tokens.remove(name).with_context(|| path.display().to_string())?;
            anyhow::ensure!(removed, "{}: there is no token of the name `{name}`", path.display());
            Ok(())
        }
    }
}

fn add(name: &str, role: Role, file: &TokenPath) -> anyhow::Result<()> {
    let (path, is_configured) = file.find()?;
    let token = TokenFile::open(&path)?.add(name, role).with_context(|| path.display().to_string())?;
    println!("{token}");
    eprintln!("This is the only time that it is shown. In {}: its digest.", path.display());
    if !is_configured {
        eprintln!(
            "The gateway asks for tokens once its configuration says, under [http]: tokens = \"{DEFAULT}\""
        );
    }
    Ok(())
}

/// Beside the configuration.
const DEFAULT: &str = "tokens.toml";

#[cfg(test)]
mod tests {
    use super::*;

    fn path(config: &std::path::Path) -> TokenPath {
        TokenPath { file: None, config: ConfigFile { config: Some(config.into()) } }
    }

    #[test]
    fn the_file_that_the_configuration_names_is_edited() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("tidegate.toml");
        std::fs::write(&config, "").unwrap();
        assert_eq!(path(&config).find().unwrap(), (folder.path().join("tokens.toml"), false));
        std::fs::write(&config, "http.tokens = \"who\"\n").unwrap();
        let options = |command| Token { command };
        let add = Command::Add { name: "a".into(), role: Role::Read, file: path(&config) };
        run(&options(add)).unwrap();
        let entries = TokenFile::open(&folder.path().join("who")).unwrap();
        assert_eq!(entries.entries().len(), 1);
        let remove = |name: &str| Command::Remove { name: name.into(), file: path(&config) };
        assert!(run(&options(remove("b"))).unwrap_err().to_string().contains("`b`"));
        run(&options(remove("a"))).unwrap();
        assert!(TokenFile::open(&folder.path().join("who")).unwrap().entries().is_empty());
    }
}
