//! What became of the cases, and the table of it that is checked in.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use tidegate_tests::report;

use crate::case::Case;
use crate::deviations::{self, Deviation, Way};

#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    Passed,
    Deviates,
    NotApplicable,
    Failed,
}

/// Counts by kind and class, the deviations by kind and name, and what went wrong.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<(String, String), [usize; 4]>,
    deviations: BTreeMap<(String, String), &'static Deviation>,
    wrong: Vec<String>,
}

impl Tally {
    /// Take in how a case went.
    pub(crate) fn judge(&mut self, case: &Case, outcome: Result<()>) {
        let deviation = deviations::of(&case.name);
        let verdict = match (outcome, deviation.map(|deviation| &deviation.way)) {
            (Err(error), _) => {
                self.wrong(format!("{} ({} {}): {error:#}", case.name, case.kind, case.class));
                Verdict::Failed
            }
            (Ok(()), Some(Way::NotApplicable)) => Verdict::NotApplicable,
            (Ok(()), Some(_)) => Verdict::Deviates,
            (Ok(()), None) => Verdict::Passed,
        };
        if let Some(deviation) = deviation {
            self.deviations.insert((case.kind.clone(), case.name.clone()), deviation);
        } else if case.class == "defect" {
            self.wrong(format!("{}: nobody says what happens instead of the defect", case.name));
        }
        self.counts.entry((case.kind.clone(), case.class.clone())).or_default()[verdict as usize] += 1;
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// The error, if anything went wrong or nothing was done.
    pub(crate) fn conclude(&self) -> Result<()> {
        match self.wrong.len() {
            0 if self.counts.is_empty() => bail!("no case was chosen"),
            0 => Ok(()),
            number => bail!("{number} things went wrong:\n{}", self.wrong.join("\n")),
        }
    }

    /// As Markdown.
    pub(crate) fn table(&self) -> String {
        let mut text = HEAD.to_owned();
        let mut sums = [0; 4];
        for ((kind, class), counts) in &self.counts {
            row(&mut text, kind, class, counts);
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        row(&mut text, "all", "", &sums);
        text += DEVIATIONS;
        for ((kind, name), deviation) in &self.deviations {
            line(&mut text, &format!("| {name} | {kind} | {} |", deviation.reason));
        }
        text
    }
}

/// Compare with the table that is checked in; write it when `TIDEGATE_BLESS` is set.
pub(crate) fn compare(table: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden.md");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        report(&format!("{} is written", file.display()));
        return std::fs::write(&file, table).context("writing the table");
    }
    if std::fs::read_to_string(&file).is_ok_and(|known| known == table) {
        return Ok(());
    }
    bail!("{} is out of date: run this test again with TIDEGATE_BLESS=1 and check it in", file.display())
}

fn row(text: &mut String, kind: &str, class: &str, counts: &[usize; 4]) {
    let kind = if kind == "rest" { "rest (without HTTP)" } else { kind };
    let [passed, deviates, not_applicable, failed] = counts;
    // A table with failures is never checked in.
    let failed = if *failed > 0 { format!(" {failed} failed |") } else { String::new() };
    line(text, &format!("| {kind} | {class} | {passed} | {deviates} | {not_applicable} |{failed}"));
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("text grows");
}

const HEAD: &str = "\
# The recorded cases of EMQX's LwM2M gateway

Written by `cargo test -p tidegate-tests --test golden` with `TIDEGATE_BLESS=1`; without, the test compares. Every case
is replayed through the real gateway in strict mode: what each device receives is compared option by option, and what is
published as JSON. A case deviates where the gateway does something else on purpose; what it does instead is checked as
strictly, together with the rest of the case. Class `defect` is what EMQX does wrong: none of it is copied. The same test
replays variations of the recorded commands, and commands made from the rules of the specification; they are not counted here.

| kind | class | passed | deviates | not applicable |
|---|---|---:|---:|---:|
";

const DEVIATIONS: &str = "
## Deviations

| case | kind | what happens instead, or why it does not apply |
|---|---|---|
";
