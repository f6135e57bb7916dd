//! `tidegate completions` and `tidegate man`: what shells and man(1) are given, from the same table as `--help`.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::CommandLine;

/// `tidegate completions`
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell, such as bash: `tidegate completions bash > /etc/bash_completion.d/tidegate`
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// `tidegate man`
#[derive(Args, Debug)]
pub(super) struct Man {
    /// Where the pages go, one for each command; the folder is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the completions.
pub(super) fn completions(of: &Completions) -> anyhow::Result<()> {
    match io::stdout().write_all(&script(of.shell)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "tidegate", &mut script);
    script
}

/// Writes the pages.
pub(super) fn man(of: &Man) -> anyhow::Result<()> {
    let folder = of.folder.display();
    std::fs::create_dir_all(&of.folder).with_context(|| folder.to_string())?;
    clap_mangen::generate_to(command(), &of.folder).with_context(|| folder.to_string())
}

/// The command line, with a version of one line, as the head of a page has it.
fn command() -> Command {
    CommandLine::command().version(env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn each_shell_completes_the_commands() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for word in ["credentials", "completions", "--config"] {
                let word = if *shell == Shell::Fish { word.trim_start_matches('-') } else { word };
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_each_command_and_what_is_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("man1");
        man(&Man { folder: pages.clone() }).unwrap();
        let page =
            |name: &str| std::fs::read_to_string(pages.join(name)).unwrap_or_else(|_| panic!("{name}"));
        let head = page("tidegate.1").lines().find(|line| line.starts_with(".TH")).unwrap().to_owned();
        assert!(head.contains(env!("CARGO_PKG_VERSION")), "{head}");
        for command in command().get_subcommands() {
            let text = page(&format!("tidegate-{}.1", command.get_name()));
            assert!(text.contains(".SH SYNOPSIS") || text.contains(".SH NAME"), "{text}");
        }
        assert!(page("tidegate-credentials-add-psk.1").contains("\\-\\-endpoint"));
    }
}
