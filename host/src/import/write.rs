//! The text of a `tidegate.toml`, with where each line comes from.

use std::fmt::Write as _;

use super::{Emqx, Fate, Note};

/// A table.
#[derive(Debug)]
pub(super) struct Section {
    header: &'static str,
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    key: &'static str,
    value: String,
    remark: String,
}

impl Section {
    pub(super) fn new(header: &'static str) -> Self {
        Self { header, lines: Vec::new() }
    }

    /// Sets a key, and says why.
    pub(super) fn set(
        &mut self,
        key: &'static str,
        value: impl Into<toml::Value>,
        remark: impl Into<String>,
    ) {
        self.lines.push(Line { key, value: value.into().to_string(), remark: remark.into() });
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

pub(super) fn text(of: &Emqx, sections: &[Section], notes: &[Note]) -> String {
    let mut text = format!(
        "# Made by `tidegate import emqx` from {}.\n\
         # Keys that are not here have their defaults: docs/configuration.md has them all. Behind each line stands the key of\n\
         # EMQX that it comes from; at the end stands what did not come over. `tidegate check --config FILE` proves it.\n",
        one_line(&of.name)
    );
    for section in sections.iter().filter(|section| !section.is_empty()) {
        let _ = write!(text, "\n{}\n", section.header);
        let width = |line: &Line| line.key.chars().count() + line.value.chars().count() + 3;
        let widest = section.lines.iter().map(width).filter(|width| *width <= 40).max().unwrap_or(0);
        for line in &section.lines {
            let _ = write!(text, "{} = {}", line.key, line.value);
            if !line.remark.is_empty() {
                let gap = widest.saturating_sub(width(line)) + 2;
                let _ = write!(text, "{:gap$}# {}", "", one_line(&line.remark));
            }
            text.push('\n');
        }
    }
    for fate in [Fate::ToDo, Fate::Otherwise, Fate::NotMapped] {
        let mut of_it = notes.iter().filter(|note| note.fate == fate).peekable();
        if of_it.peek().is_some() {
            let _ = write!(text, "\n# {}:\n", fate.heading());
            of_it.for_each(|note| text += &wrapped(note));
        }
    }
    text
}

/// A note as lines of a comment.
fn wrapped(note: &Note) -> String {
    let (mut lines, mut line) = (String::new(), format!("# * {}:", one_line(&note.key)));
    for word in note.text.split_whitespace() {
        if line.chars().count() + word.chars().count() >= WIDTH {
            lines += &line;
            lines.push('\n');
            line = "#  ".to_owned();
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}

/// What was typed somewhere else must not end a comment.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const WIDTH: usize = 110;
