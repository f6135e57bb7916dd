use std::io::Write as _;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tidegate_proto::lwm2m::value::Kind;

use super::*;
use crate::change::COARSEST_CLOCK;
use crate::model::sample::definition;

fn folder(files: &[(&str, &str)]) -> (TempDir, Folder) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&directory, name, text);
    }
    let folder = Folder::new(directory.path());
    (directory, folder)
}

fn write(directory: &TempDir, name: &str, text: &str) {
    let path = directory.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn kind(reading: &Reading, object: u16) -> Option<Kind> {
    reading.models.kind(object, None, 1)
}

#[test]
fn a_folder_that_is_not_there_leaves_the_box() {
    let mut folder = Folder::new(Path::new("/nowhere/models"));
    let reading = folder.read();
    assert_eq!((reading.files, reading.definitions, reading.broken), (0, 0, 0));
    assert_eq!(reading.models, Models::built_in());
    assert!(reading.problems.is_empty() && reading.news.is_empty(), "{reading:?}");
}

#[test]
fn files_lie_over_the_box_and_what_is_removed_comes_back_from_it() {
    // The box knows Manufacturer, a text.
    let device = definition(3, "1.2", "Float");
    let (directory, mut folder) =
        folder(&[("3.xml", &device), ("mine.XML", &definition(40_000, "1.0", "Time"))]);
    let reading = folder.read();
    assert_eq!((reading.files, reading.definitions, reading.broken), (2, 2, 0), "{:?}", reading.problems);
    assert_eq!((kind(&reading, 3), kind(&reading, 40_000)), (Some(Kind::Float), Some(Kind::Time)));
    std::fs::remove_file(directory.path().join("3.xml")).unwrap();
    std::fs::remove_file(directory.path().join("mine.XML")).unwrap();
    let reading = folder.read();
    assert_eq!((kind(&reading, 3), kind(&reading, 40_000)), (Some(Kind::Text), None));
    assert_eq!(reading.models, Models::built_in());
}

#[test]
fn a_broken_file_is_named_with_its_place_and_the_others_load() {
    let wrong = definition(40_001, "1.0", "Sting");
    let (directory, mut folder) = folder(&[
        ("a.xml", &definition(40_000, "1.0", "String")),
        ("b.xml", &wrong),
        ("c.xml", "<LWM2M>\n  <Object></Item></Object>\n</LWM2M>"),
        ("d.xml", &definition(40_003, "1.0", "Integer")),
    ]);
    std::fs::write(directory.path().join("e.xml"), b"<LWM2M>\nna\xefve").unwrap();
    std::fs::create_dir(directory.path().join("folder.xml")).unwrap();
    let reading = folder.read();
    assert_eq!((kind(&reading, 40_000), kind(&reading, 40_003)), (Some(Kind::Text), Some(Kind::Integer)));
    assert_eq!((reading.files, reading.definitions, reading.broken), (5, 2, 3));
    let place = |name: &str, line, column| {
        format!("{}, line {line}, column {column}: ", directory.path().join(name).display())
    };
    let expected = [
        (place("b.xml", 4, 1), "`Sting` is none of the types String"),
        (place("c.xml", 2, 11), "expected 'Object' tag, not 'Item'"),
        (place("e.xml", 2, 3), "it is not in UTF-8; it is skipped"),
    ];
    assert_eq!(reading.problems.len(), expected.len(), "{:#?}", reading.problems);
    for (problem, (place, reason)) in reading.problems.iter().zip(expected) {
        assert!(problem.starts_with(&place) && problem.contains(reason), "{problem} | {place} | {reason}");
        assert!(problem.ends_with("; it is skipped"), "{problem}");
    }
}

#[test]
fn a_file_that_breaks_keeps_what_it_defined_until_it_is_repaired_or_removed() {
    let (directory, mut folder) = folder(&[("a.xml", &definition(40_000, "1.0", "String"))]);
    assert_eq!(kind(&folder.read(), 40_000), Some(Kind::Text));

    write(&directory, "a.xml", "<LWM2M>");
    let reading = folder.read();
    assert_eq!(kind(&reading, 40_000), Some(Kind::Text));
    assert_eq!((reading.definitions, reading.broken), (1, 1));
    assert!(
        reading.problems[0].ends_with("; what it defined before stays in force"),
        "{:?}",
        reading.problems
    );

    write(&directory, "a.xml", &definition(40_001, "1.0", "Integer"));
    let reading = folder.read();
    assert_eq!((kind(&reading, 40_000), kind(&reading, 40_001)), (None, Some(Kind::Integer)));
    assert!(reading.problems.is_empty());

    write(&directory, "a.xml", "");
    assert_eq!(kind(&folder.read(), 40_001), Some(Kind::Integer));
    std::fs::remove_file(directory.path().join("a.xml")).unwrap();
    assert_eq!(folder.read().models, Models::built_in());
}

#[test]
fn a_problem_is_news_once_for_each_state_of_its_file() {
    let (directory, mut folder) = folder(&[("a.xml", "<LWM2M>")]);
    assert_eq!(folder.read().news.len(), 1);
    let reading = folder.read();
    assert_eq!((reading.problems.len(), reading.news.len()), (1, 0));
    // Another file with the same fault.
    std::fs::remove_file(directory.path().join("a.xml")).unwrap();
    write(&directory, "new.xml", "<LWM2M>");
    std::fs::rename(directory.path().join("new.xml"), directory.path().join("a.xml")).unwrap();
    write(&directory, "b.xml", "<LWM2M>");
    let reading = folder.read();
    assert_eq!((reading.problems.len(), reading.news.len()), (2, 2), "{reading:?}");
    std::fs::remove_file(directory.path().join("a.xml")).unwrap();
    let reading = folder.read();
    assert_eq!((reading.problems.len(), reading.news.len()), (1, 0));
}

#[test]
fn of_files_that_define_the_same_the_last_by_name_counts_and_both_are_named() {
    let (directory, mut folder) = folder(&[
        ("b.xml", &definition(40_000, "1.0", "Time")),
        ("later/a.xml", &definition(40_000, "1.0", "String")),
        ("c.xml", &definition(40_000, "1.1", "Float")),
    ]);
    let reading = folder.read();
    assert_eq!(reading.models.kind(40_000, Some("1.0"), 1), Some(Kind::Time));
    assert_eq!(reading.models.kind(40_000, Some("1.1"), 1), Some(Kind::Float));
    let (a, b) = (directory.path().join("later/a.xml"), directory.path().join("b.xml"));
    let expected = format!(
        "{} and {b} both define object 40000 in version 1.0; {b} counts",
        a.display(),
        b = b.display()
    );
    assert_eq!(reading.problems, [expected]);
    assert_eq!((reading.definitions, reading.broken), (2, 0));

    // A copy is no reason for a warning.
    write(&directory, "later/a.xml", &definition(40_000, "1.0", "Time"));
    assert!(folder.read().problems.is_empty());
    std::fs::remove_file(b).unwrap();
    assert_eq!(folder.read().models.kind(40_000, Some("1.0"), 1), Some(Kind::Time), "the copy is left");
}

#[test]
fn folders_in_the_folder_are_read_and_everything_else_is_not() {
    let (directory, mut folder) = folder(&[
        ("version_history/40000-1_0.xml", &definition(40_000, "1.0", "String")),
        ("a/b/c/40001.xml", &definition(40_001, "1.0", "Float")),
        ("README.md", "not XML"),
        ("40002.xml~", &definition(40_002, "1.0", "Float")),
        (".40003.xml", &definition(40_003, "1.0", "Float")),
        ("..2026_11_23/40004.xml", &definition(40_004, "1.0", "Float")),
    ]);
    symlink(directory.path().join("missing"), directory.path().join("gone.xml")).unwrap();
    // As Kubernetes mounts files: through a link to a folder of which there is another one after each change.
    symlink("..2026_11_23/40004.xml", directory.path().join("40004.xml")).unwrap();
    let reading = folder.read();
    assert!(reading.problems.is_empty(), "{:?}", reading.problems);
    assert_eq!((reading.files, reading.definitions), (3, 3));
    let known = [40_000, 40_001, 40_002, 40_003, 40_004].map(|object| kind(&reading, object));
    assert_eq!(known, [Some(Kind::Text), Some(Kind::Float), None, None, Some(Kind::Float)]);
}

#[test]
fn size_number_and_depth_are_bounded() {
    let (directory, mut folder) = folder(&[("z.xml", &definition(40_000, "1.0", "String"))]);
    symlink(directory.path(), directory.path().join("circle")).unwrap();
    let reading = folder.read();
    assert_eq!(kind(&reading, 40_000), Some(Kind::Text));
    assert_eq!((reading.files, reading.broken), (DEEPEST + 1, 1));
    assert!(reading.problems[0].contains("more than 8 folders deep"), "{:?}", reading.problems);
    std::fs::remove_file(directory.path().join("circle")).unwrap();

    write(&directory, "large.xml", &" ".repeat(LARGEST_TEXT + 1));
    let reading = folder.read();
    assert_eq!((reading.files, reading.broken), (2, 1));
    assert!(reading.problems[0].contains("large.xml, line 1, column 1: it is larger than 4 MiB"));

    for number in 0..MOST_FILES {
        write(&directory, &format!("{number}.xml"), "");
    }
    let reading = folder.read();
    assert_eq!((reading.files, kind(&reading, 40_000)), (MOST_FILES, None));
    let expected = format!("of {} files only the first 4096 by name are read", MOST_FILES + 2);
    assert!(reading.problems[0].ends_with(&expected), "{}", reading.problems[0]);
}

#[test]
fn what_may_be_another_file_has_changed() {
    let (directory, mut folder) = folder(&[("a.xml", &definition(40_000, "1.0", "String"))]);
    assert!(folder.has_changed());
    folder.read();
    assert!(folder.has_changed(), "it was written just before it was read");
    folder.read_at += COARSEST_CLOCK + 60;
    assert!(!folder.has_changed());
    write(&directory, "b.xml", "");
    assert!(folder.has_changed());
    folder.read();
    folder.read_at += COARSEST_CLOCK + 60;
    assert!(!folder.has_changed());
    std::fs::rename(directory.path().join("b.xml"), directory.path().join("c.xml")).unwrap();
    assert!(folder.has_changed());
}

#[test]
fn the_registry_as_a_folder_is_read_without_a_problem() {
    let shared = std::env::var_os("TIDEGATE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let registry = shared.join("oma-registry");
    let mut report = io::stdout();
    if !registry.is_dir() {
        let _ = writeln!(report, "skipped: there is no {}", registry.display());
        return;
    }
    let reading = Folder::new(&registry).read();
    assert!(reading.problems.is_empty(), "{:#?}", reading.problems);
    assert!(reading.files >= 300 && reading.definitions == reading.files, "{} files", reading.files);
    assert_eq!(reading.models.kind(10_241, None, 5905), Some(Kind::Text));
    let _ = writeln!(report, "registry: {} files, {} definitions", reading.files, reading.definitions);
}
