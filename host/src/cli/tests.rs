use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn demo_stays_on_loopback() {
    let line = CommandLine::try_parse_from(["tidegate", "demo", "--exit-after-read"]).unwrap();
    let Command::Demo(options) = line.command else { panic!("{line:?}") };
    assert!(options.coap.ip().is_loopback() && options.mqtt.ip().is_loopback() && options.exit_after_read);
}

#[test]
fn global_flags_may_follow_the_command() {
    let line =
        CommandLine::try_parse_from(["tidegate", "run", "--log-format", "json", "--log", "debug"]).unwrap();
    assert_eq!((line.log_format, line.log.as_str()), (Format::Json, "debug"));
}

#[test]
fn run_gets_the_configuration_and_its_error_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, "[coap]\nlisten = [\"127.0.0.1:1\"]\n").unwrap();
    let arguments = ["tidegate", "run", "--config", file.to_str().unwrap()];
    let line = CommandLine::try_parse_from(arguments).unwrap();
    let run = |config: Config| async move { Err(anyhow::anyhow!("got {}", config.coap.listen[0])) };
    let error = dispatch(line, run, |_| async { panic!("no demo was asked for") }).unwrap_err();
    assert_eq!(error.to_string(), "got 127.0.0.1:1");
}

#[test]
fn a_wrong_file_is_named_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, "[coap]\nlistn = []\n").unwrap();
    let line =
        CommandLine::try_parse_from(["tidegate", "check", "--config", file.to_str().unwrap()]).unwrap();
    let error =
        dispatch(line, |_| async { panic!("check runs nothing") }, |_| async { panic!("nor a demo") });
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("wrong.toml:2: coap.listn: no such key; did you mean `listen`?"), "{error}");
}

#[test]
fn the_summary_names_broker_translator_and_route() {
    let nowhere = Folder::new(Path::new("/nowhere")).read();
    let text = summary(&Config::default(), &nowhere);
    for part in ["0.0.0.0:5783", "embedded broker on 127.0.0.1:1883", "emqx", "* -> emqx"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn credentials_are_checked_if_the_gateway_needs_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.models.directory = folder.path().join("models");
    config.dtls.credentials = folder.path().join("credentials.toml");
    check(&config).expect("without a listener they are not needed");
    config.dtls.listen = vec!["127.0.0.1:5684".parse().unwrap()];
    assert!(
        summary(&config, &Folder::new(Path::new("/nowhere")).read()).contains("DTLS         127.0.0.1:5684")
    );
    let error = check(&config).unwrap_err().to_string();
    assert!(error.contains("credentials.toml: cannot be read"), "{error}");
    std::fs::write(&config.dtls.credentials, "[[psk]]\nidentity = \"a\"\nkey = \"0\"\n").unwrap();
    let error = check(&config).unwrap_err().to_string();
    assert!(error.contains("credentials.toml:3: psk.key: has 1 hex digits"), "{error}");
    std::fs::write(&config.dtls.credentials, "# nobody\n").unwrap();
    assert!(check(&config).unwrap_err().to_string().contains("is empty"));
    std::fs::write(&config.dtls.credentials, "[[psk]]\nidentity = \"a\"\nkey = \"00\"\n").unwrap();
    check(&config).unwrap();
}

#[test]
fn credentials_are_added_removed_and_listed_by_flags_in_any_place() {
    for line in [
        "tidegate credentials add psk --endpoint e --identity i --key 00 --file f",
        "tidegate credentials --file f add raw-public-key --endpoint e --public-key k --server h:1",
        "tidegate credentials add server-key --certificate --name h",
        "tidegate credentials list --json --config c",
        "tidegate credentials remove --identity i",
        "tidegate credentials import keys.txt --format psk --text-keys",
    ] {
        CommandLine::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    for line in [
        "tidegate credentials add psk",
        "tidegate credentials remove",
        "tidegate credentials remove --endpoint e --identity i",
        "tidegate credentials add server-key --name h",
    ] {
        assert!(CommandLine::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
