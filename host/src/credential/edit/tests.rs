use std::thread;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn scene(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    (folder, file)
}

fn remove(text: &str, selection: &Selection) -> (usize, String) {
    let (_folder, file) = scene(text);
    let mut edit = Edit::begin(&file).unwrap();
    let count = edit.remove(selection).unwrap();
    edit.commit().unwrap();
    (count, fs::read_to_string(&file).unwrap())
}

fn endpoint(name: &str) -> Selection {
    Selection::Endpoint(name.to_owned())
}

#[test]
fn a_file_that_is_not_there_begins_with_the_template() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials.toml");
    let mut edit = Edit::begin(&file).unwrap();
    edit.add_psk("urn:imei:1", &[0, 0xff], "meter");
    assert_eq!(edit.commit().unwrap().credentials.counts(), (1, 0, 0));
    let text = fs::read_to_string(&file).unwrap();
    let added = "\n\n[[psk]]\nidentity = \"urn:imei:1\"\nkey = \"00ff\"\nendpoint = \"meter\"\n";
    assert_eq!(text.strip_prefix(TEMPLATE.trim_end()), Some(added));
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// The template's examples are read as the file would be, all of its keys are known, and none is left out.
#[test]
fn the_template_shows_every_key_as_it_is() {
    let example: String = TEMPLATE
        .lines()
        .filter_map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|first: char| first == '[' || first.is_ascii_lowercase()))
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let raw = parse(&Source { file: Path::new("template.toml"), text: &example }).unwrap();
    assert!(
        raw.psk.len() == 1 && raw.raw_public_key.len() == 1 && raw.x509.is_some() && raw.server.is_some()
    );
    for key in [
        "identity",
        "key",
        "key-file",
        "endpoint",
        "public-key",
        "public-key-file",
        "trusted",
        "private-key",
        "certificate",
    ] {
        assert!(TEMPLATE.contains(&format!("{key} = ")), "{key}");
    }
}

#[test]
fn what_was_there_stays_to_the_letter() {
    let text = "# mine\n\n  [[ psk ]] # first\nidentity='a'\nkey = \"00\"   # from the box";
    let (_folder, file) = scene(text);
    let mut edit = Edit::begin(&file).unwrap();
    edit.add_psk("b", &[1], "b");
    edit.commit().unwrap();
    let now = fs::read_to_string(&file).unwrap();
    assert_eq!(now, format!("{text}\n\n[[psk]]\nidentity = \"b\"\nkey = \"01\"\n"));
}

#[test]
fn an_entry_goes_with_the_comment_right_above_it() {
    let text = "# the file\n\n# first\n[[psk]]\nidentity = \"a\" # of the meter\nkey = \"00\" # secret\n\n\n\
                # second,\n# in two lines\n[[psk]]\nkey = \"01\"\nendpoint = \"meter\"\nidentity = \"b\"\n# after it\n\n[server]\n";
    let (count, left) = remove(&text.replace("[server]\n", ""), &Selection::Identity("a".to_owned()));
    assert_eq!(count, 1);
    assert_eq!(
        left,
        "# the file\n\n# second,\n# in two lines\n[[psk]]\nkey = \"01\"\nendpoint = \"meter\"\nidentity = \"b\"\n# after it\n\n"
    );
    let (count, left) = remove(&left, &endpoint("meter"));
    assert_eq!((count, left.as_str()), (1, "# the file\n\n# after it\n\n"));
    assert_eq!(remove(&left, &endpoint("meter")), (0, left));
}

#[test]
fn all_entries_of_an_endpoint_go_and_the_others_stay() {
    let psk = |identity: &str, endpoint: &str| {
        format!("[[psk]]\nidentity = \"{identity}\"\nkey = \"00\"\nendpoint = \"{endpoint}\"\n")
    };
    let text = psk("1", "a") + &psk("2", "b") + &psk("3", "a") + "# end\n";
    assert_eq!(remove(&text, &endpoint("a")), (2, psk("2", "b") + "# end\n"));
}

#[test]
fn what_a_person_alone_can_take_apart_is_refused() {
    let (_folder, file) = scene("psk = [\n  { identity = \"a\", key = \"00\" },\n]\n");
    let error = Edit::begin(&file).unwrap().remove(&endpoint("a")).unwrap_err().to_string();
    assert!(error.ends_with(":2: cannot be told from what is around it; remove it by hand"), "{error}");
    let (_folder, file) = scene(
        "[[psk]]\nkey = \"00\"\nidentity = \"\"\"a\n# no comment\"\"\"\n[[psk]]\nidentity = \"b\"\nkey = \"01\"\n",
    );
    let error = Edit::begin(&file).unwrap().remove(&endpoint("b")).unwrap_err().to_string();
    assert!(error.ends_with("remove it by hand"), "{error}");
}

#[test]
fn what_would_be_wrong_changes_nothing() {
    let text = "[[psk]]\nidentity = \"a\"\nkey = \"00\"\n";
    let (folder, file) = scene(text);
    let mut edit = Edit::begin(&file).unwrap();
    edit.add_psk("a", &[1], "b");
    let error = edit.commit().unwrap_err().to_string();
    assert!(error.contains(":6: psk.identity: it is there already"), "{error}");
    let mut edit = Edit::begin(&file).unwrap();
    edit.add_server("server.key", None).unwrap();
    assert!(edit.commit().unwrap_err().to_string().contains("server.key cannot be read"));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_second_key_of_the_gateway_is_refused() {
    for (text, line) in
        [("\n[server]\nprivate-key = \"k\"\n", 2), ("[x509]\ntrusted = []\nprivate-key = \"k\"\n", 3)]
    {
        let (_folder, file) = scene(text);
        let error = Edit::begin(&file).unwrap().add_server("other", None).unwrap_err().to_string();
        assert!(error.ends_with(&format!(":{line}: the gateway has a private key already")), "{error}");
    }
}

#[test]
fn the_file_stays_where_a_link_leads_and_loses_what_others_may() {
    let (folder, file) = scene("");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let link = folder.path().join("link.toml");
    std::os::unix::fs::symlink("credentials.toml", &link).unwrap();
    let mut edit = Edit::begin(&link).unwrap();
    edit.add_psk("a", &[1], "a");
    edit.commit().unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(fs::read_to_string(&file).unwrap().contains("identity = \"a\""));
    assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o640);
}

#[test]
fn who_edits_at_once_loses_nothing() {
    let (_folder, file) = scene("");
    thread::scope(|scope| {
        for number in 0..8 {
            let file = &file;
            scope.spawn(move || {
                let mut edit = Edit::begin(file).unwrap();
                edit.add_psk(&format!("i{number}"), &[number], "e");
                edit.commit().unwrap();
            });
        }
    });
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(entries(&text, &file).unwrap().len(), 8);
}

proptest! {
    /// Whatever an identity is, it comes back as it was.
    #[test]
    fn what_is_added_is_read(identity in "[^\0]{1,30}", endpoint in "[^\0]{1,30}", key in prop::collection::vec(any::<u8>(), 1..65)) {
        let (_folder, file) = scene("");
        let mut edit = Edit::begin(&file).unwrap();
        edit.add_psk(&identity, &key, &endpoint);
        let entry = Entry { mode: Mode::Psk, identity: Some(identity.clone()), endpoint: Some(endpoint) };
        prop_assert_eq!(entries(&edit.text, &file).unwrap(), [entry]);
        let reading = edit.commit();
        prop_assert!(reading.is_ok() || identity.len() > 128, "{:?}", reading.err());
        let mut edit = Edit::begin(&file).unwrap();
        if !edit.text.is_empty() {
            prop_assert_eq!(edit.remove(&Selection::Identity(identity)).unwrap(), 1);
            prop_assert_eq!(edit.text.as_str(), "");
        }
    }
}
