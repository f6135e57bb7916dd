//! `tidegate import`: from another gateway to this one.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::config::BrokerAddress;
use crate::import::{Emqx, Fate, Imported, Version};

/// `tidegate import`
#[derive(Args, Debug)]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// From EMQX's LwM2M gateway: the table gateway.lwm2m of emqx.conf or cluster.hocon, or what its REST API says of it
    Emqx(FromEmqx),
}

#[derive(Args, Debug)]
struct FromEmqx {
    /// HOCON or JSON; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the tidegate.toml goes, which must not exist yet; without it, to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The broker from now on: the address of EMQX or of another one, or "embedded"
    #[arg(long, value_name = "ADDRESS", default_value = "mqtt://127.0.0.1:1883", value_parser = broker)]
    broker: Broker,
    /// The version of EMQX, such as 5.8.4: those before 6.1.1 ignore some of what they are told
    #[arg(long, value_name = "VERSION")]
    emqx_version: Option<Version>,
    /// Follow EMQX to the letter, also where its users would not want it
    #[arg(long)]
    strict: bool,
}

/// `--broker`
#[derive(Clone, Debug)]
struct Broker(Option<BrokerAddress>);

fn broker(typed: &str) -> Result<Broker, String> {
    match typed {
        "embedded" => Ok(Broker(None)),
        address => address.parse().map(|address| Broker(Some(address))).map_err(|error| format!("{error}")),
    }
}

/// Does what was asked for. What comes out goes to standard output, and what is to be known of it to standard error.
pub(super) fn run(of: &Import) -> anyhow::Result<()> {
    let From::Emqx(options) = &of.from;
    let imported = options.import()?;
    match &options.output {
        Some(file) => {
            write_new(file, &imported.toml).with_context(|| file.display().to_string())?;
            eprintln!("Written: {}", file.display());
        }
        None => match io::stdout().write_all(imported.toml.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        },
    }
    eprint!("{}", told(&imported));
    Ok(())
}

impl FromEmqx {
    fn import(&self) -> anyhow::Result<Imported> {
        let is_stdin = self.file == Path::new("-");
        let emqx = Emqx {
            name: if is_stdin { "standard input".to_owned() } else { self.file.display().to_string() },
            broker: self.broker.0.clone(),
            version: self.emqx_version,
            is_strict: self.strict,
        };
        if is_stdin {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).context("standard input")?;
            return Ok(emqx.import_text(&text)?);
        }
        Ok(emqx.import_file(&self.file)?)
    }
}

fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(file).map_err(|error| match error
        .kind()
    {
        io::ErrorKind::AlreadyExists => io::Error::new(error.kind(), "is there already; nothing is written"),
        _ => error,
    })?;
    file.write_all(text.as_bytes())
}

/// The notes, by what became of the keys.
fn told(imported: &Imported) -> String {
    let mut text = String::new();
    for fate in [Fate::ToDo, Fate::Otherwise, Fate::NotMapped] {
        let lines: Vec<String> = imported
            .notes
            .iter()
            .filter(|note| note.fate == fate)
            .map(|note| format!("  {note}\n"))
            .collect();
        if !lines.is_empty() {
            text += &format!("{}:\n{}", fate.heading(), lines.concat());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::config::Config;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        import: Import,
    }

    fn typed(line: &[&str]) -> Import {
        Line::try_parse_from([&["import", "emqx"], line].concat()).unwrap().import
    }

    #[test]
    fn what_is_written_is_a_configuration_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("emqx.conf"), folder.path().join("tidegate.toml"));
        std::fs::write(&from, include_str!("../import/fixtures/dashboard.hocon")).unwrap();
        let import = typed(&[from.to_str().unwrap(), "-o", to.to_str().unwrap(), "--broker", "embedded"]);
        run(&import).unwrap();
        let config = Config::load(&to).unwrap();
        assert_eq!(config.mqtt.broker, crate::config::Broker::Embedded);
        let error = format!("{:#}", run(&import).unwrap_err());
        assert!(error.ends_with("tidegate.toml: is there already; nothing is written"), "{error}");
    }

    #[test]
    fn a_broker_that_is_none_is_refused_with_what_would_be_right() {
        let error =
            Line::try_parse_from(["import", "emqx", "-", "--broker", "emqx:1883"]).unwrap_err().to_string();
        assert!(error.contains("mqtt://host:1883"), "{error}");
    }
}
