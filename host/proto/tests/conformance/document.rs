//! The table as a document, and whether it is true.
//!
//! `TIDEGATE_BLESS=1 cargo test -p tidegate-proto --test conformance` writes `docs/conformance.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::table::{Row, SECTIONS, Section, State};

#[test]
fn the_table_is_true() {
    let mut problems = Vec::new();
    for row in rows() {
        let needs_tests = matches!(row.state, State::Shown | State::Remarked(_));
        if needs_tests && row.tests.is_empty() {
            problems.push(format!("{}: said to be shown, but by no test", row.case));
        }
        for name in row.tests {
            if let Err(problem) = look_up(name) {
                problems.push(format!("{}: {name}: {problem}", row.case));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_case_is_listed_once() {
    let mut cases = BTreeSet::new();
    for row in rows() {
        assert!(cases.insert(row.case), "{} is listed twice", row.case);
        let tests: BTreeSet<_> = row.tests.iter().collect();
        assert_eq!(tests.len(), row.tests.len(), "{} names a test twice", row.case);
    }
}

#[test]
fn every_test_of_these_modules_is_in_the_table() {
    let named: BTreeSet<&str> = rows().flat_map(|row| row.tests).copied().collect();
    let modules = ["anjay", "coap", "field", "leshan", "must", "rfc", "wakaama"];
    let cases = ["format", "information", "management", "object", "registration"];
    let modules = modules.iter().map(|module| (*module).to_owned());
    for module in modules.chain(cases.iter().map(|module| format!("ets/{module}"))) {
        let text = std::fs::read_to_string(file(&module).expect("a module")).expect("a text");
        for function in tests_in(&text) {
            let name = format!("{module}::{function}");
            assert!(named.contains(name.as_str()), "{name} is in no row");
        }
    }
}

/// The cases are those of the sources, where these are at hand.
#[test]
fn no_case_of_the_sources_is_missing() {
    let Some(sources) = root().ancestors().map(|at| at.join("shared/spec")).find(|at| at.is_dir()) else {
        println!("skipped: the sources are not here");
        return;
    };
    let read = |name| std::fs::read_to_string(sources.join(name)).expect("a text");
    let (cases, clients) = (read("conformance.md"), read("clients.md"));
    let listed: BTreeSet<&str> = rows().map(|row| row.case).collect();

    let ours: BTreeMap<u32, &Row> = SECTIONS[0]
        .rows
        .iter()
        .flat_map(|row| numbers(row.case).into_iter().map(move |number| (number, row)))
        .collect();
    let mut count = 0;
    for line in cases.lines().filter(|line| line.starts_with("| int-")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        for number in numbers(cells[0]) {
            let row = ours.get(&number).unwrap_or_else(|| panic!("int-{number} is missing"));
            assert_eq!(row.priority.starts_with('M'), cells[3].starts_with('M'), "priority of int-{number}");
            let is_offered = !matches!(row.state, State::NotOffered(_) | State::Idle(_));
            assert!(is_offered || row.priority != "M", "int-{number} is a must");
            count += 1;
        }
    }
    assert!(count > 200, "{count} cases were found");

    for (section, at_least) in [("## 2.", 20), ("## 4.", 20)] {
        let points = points(&cases, section);
        assert!(points.len() >= at_least, "{section} {points:?}");
        for point in points {
            assert!(listed.contains(point.as_str()), "missing: {point}");
        }
    }
    let ours: String = SECTIONS[2].rows.iter().map(|row| format!("{}, ", row.case)).collect();
    let (ours, theirs) = (events(&ours), events(paragraph(&cases, "## 3.")));
    assert!(theirs.len() > 30 && ours.is_superset(&theirs), "{:?}", theirs.difference(&ours));
    let habits = habits(&clients);
    assert!(habits.len() > 35, "{habits:?}");
    for habit in habits {
        assert!(listed.contains(habit.as_str()), "missing: {habit}");
    }
}

#[test]
fn the_document_is_up_to_date() {
    let path = root().join("docs/conformance.md");
    let text = document();
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, &text).expect("the document is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == text,
        "docs/conformance.md is out of date; TIDEGATE_BLESS=1 cargo test -p tidegate-proto --test conformance \
         writes it"
    );
}

fn rows() -> impl Iterator<Item = &'static Row> {
    SECTIONS.iter().flat_map(|section| section.rows)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the repository").to_owned()
}

/// Where the file of a test's name is: beside this one, in the other tests of this crate, in its sources, or in the
/// tests of the whole.
fn file(module: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| root().join(folder).join(format!("{module}.rs"))).find(|path| path.is_file())
}

/// Whether there is such a test, and it runs.
fn look_up(name: &str) -> Result<PathBuf, String> {
    let (module, function) = name.split_once("::").ok_or("not `file::function`")?;
    let path = file(module).ok_or("no such file")?;
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let head = format!("fn {function}(");
    let place = lines.iter().position(|line| line.starts_with(&head)).ok_or("no such function")?;
    let attributes: Vec<&&str> = lines[..place]
        .iter()
        .rev()
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .collect();
    if !attributes.iter().any(|line| **line == "#[test]") {
        return Err("not a test".to_owned());
    }
    let may_be_ignored = path.starts_with(root().join("tests"));
    if !may_be_ignored && attributes.iter().any(|line| line.starts_with("#[ignore")) {
        return Err("it is ignored".to_owned());
    }
    Ok(path)
}

fn tests_in(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let functions = lines.windows(2).filter(|pair| pair[0].trim() == "#[test]").filter_map(|pair| {
        pair[1].trim().strip_prefix("fn ").and_then(|rest| rest.split_once('(')).map(|(name, _)| name)
    });
    functions.collect()
}

/// `int-201..205, 210-215, 220` and `int-0/1/2`.
fn numbers(case: &str) -> Vec<u32> {
    let parts = case.trim_start_matches("int-").split([',', '/', ' ']).filter(|part| !part.is_empty());
    parts.flat_map(range).collect()
}

/// `201..205`, `308-310`, `220`.
fn range(text: &str) -> std::ops::RangeInclusive<u32> {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("not a number: {text}"));
    match text.split_once("..").or_else(|| text.split_once('-')) {
        Some((first, last)) => number(first)..=number(last),
        None => number(text)..=number(text),
    }
}

/// What is below a heading.
fn paragraph<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text.split_once(heading).expect("the heading");
    let (_, rest) = rest.split_once('\n').expect("a text");
    rest.split_once("\n## ").map_or(rest, |(paragraph, _)| paragraph)
}

/// The points of a list in one paragraph.
fn points(text: &str, heading: &str) -> Vec<String> {
    let points = paragraph(text, heading).split('·').map(|point| point.trim().trim_end_matches('.').trim());
    points.filter(|point| !point.is_empty()).map(str::to_owned).collect()
}

/// `CORE_01-08 (…), 10-12, BLOCK_03`: a group counts until the next.
fn events(text: &str) -> BTreeSet<(String, u32)> {
    let (mut plain, mut depth) = (String::new(), 0);
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    let (mut events, mut group) = (BTreeSet::new(), "");
    for word in plain.split(|character: char| character.is_whitespace() || ",.:".contains(character)) {
        let rest = match word.split_once('_') {
            Some((name, rest)) => {
                group = name;
                rest
            }
            None => word,
        };
        if rest.starts_with(|character: char| character.is_ascii_digit()) {
            let numbers = rest.split('/').flat_map(range);
            events.extend(numbers.map(|number| (group.to_owned(), number)));
        }
    }
    events
}

/// The numbered habits of each client, parts of the session and tests.
fn habits(text: &str) -> Vec<String> {
    let (mut habits, mut client, mut next) = (Vec::new(), "", 1);
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            client = heading.split(' ').next().unwrap_or_default();
        } else if let Some(heading) = line.strip_prefix("### ") {
            let number = heading.split(' ').next().filter(|word| word.parse::<u32>().is_ok());
            habits.extend(number.map(|number| format!("Session {number}")));
        } else if matches!(client, "Wakaama" | "Anjay") {
            let number = line.split_once(". ").map(|(number, _)| number);
            let number = number.filter(|number| number.parse::<u32>().is_ok());
            habits.extend(number.map(|number| format!("{client} {number}")));
        } else if client == "Ten" {
            for word in line.split(' ') {
                if word == format!("{next}.") {
                    habits.push(format!("Test {next}"));
                    next += 1;
                }
            }
        }
    }
    habits
}

fn document() -> String {
    let mut text = HEAD.to_owned();
    text.push_str(
        "| part | cases | shown | nothing to do | to come | not offered |\n|---|---|---|---|---|---|\n",
    );
    for section in SECTIONS {
        let count = |is: fn(&State) -> bool| section.rows.iter().filter(|row| is(&row.state)).count();
        let counts = [
            section.rows.len(),
            count(|state| matches!(state, State::Shown | State::Remarked(_))),
            count(|state| matches!(state, State::Idle(_))),
            count(|state| matches!(state, State::Later(..))),
            count(|state| matches!(state, State::NotOffered(_))),
        ];
        let counts = counts.map(|count| count.to_string()).join(" | ");
        writeln!(text, "| {} | {counts} |", section.title).expect("a string");
    }
    for section in SECTIONS {
        write_section(&mut text, section);
    }
    text
}

fn write_section(text: &mut String, section: &Section) {
    writeln!(text, "\n## {}\n\n{}\n", section.title, section.about).expect("a string");
    text.push_str("| case | priority | state | shown by |\n|---|---|---|---|\n");
    for row in section.rows {
        let title = if row.title.is_empty() { String::new() } else { format!(": {}", row.title) };
        let state = match row.state {
            State::Shown => "shown".to_owned(),
            State::Remarked(remark) => format!("shown; {remark}"),
            State::Idle(reason) => format!("nothing to do: {reason}"),
            State::Later(issue, what) => format!("issue {issue}: {what}"),
            State::NotOffered(reason) => format!("not offered: {reason}"),
        };
        let tests: Vec<String> = row.tests.iter().map(|name| link(name)).collect();
        let tests = tests.join("<br>");
        writeln!(text, "| {}{title} | {} | {state} | {tests} |", row.case, row.priority).expect("a string");
    }
}

/// A test's name, leading to its file.
fn link(name: &str) -> String {
    let (module, function) = name.split_once("::").expect("file::function");
    let path = file(module).expect("a file");
    let path = path.strip_prefix(root()).expect("in the repository").to_owned();
    format!("[{function}](../{})", path.display())
}

const FOLDERS: [&str; 5] =
    ["host/proto/tests/conformance", "host/proto/tests", "host/proto", "tests/tests", "host/dtls/tests"];

const HEAD: &str = "# Conformance

<!-- Written by the tests in host/proto/tests/conformance; to change it, change the table there. -->

What a LwM2M server is judged by, and which test shows that Tidegate does it. The tests themselves write this page and
fail when a test that it names is not there: `TIDEGATE_BLESS=1 cargo test -p tidegate-proto --test conformance`.
Tests below `tests/` run the gateway with real brokers and clients; where a client is not installed they say that they
are skipped.

";
