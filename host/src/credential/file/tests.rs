use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Instant;

use openssl::asn1::Asn1Integer;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509Name;
use proptest::prelude::*;
use tempfile::TempDir;
use tidegate_dtls::credential::Mode;

use super::*;
use crate::change::unix_time;

/// A folder with a CA, and with a key and a certificate for the gateway.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        let key = private_key();
        scene.write("server.key", &key.private_key_to_pem_pkcs8().unwrap());
        scene.write("server.pem", &certificate(&key, "gateway", 1).to_pem().unwrap());
        scene.write("ca.pem", &certificate(&private_key(), "authority", 1).to_pem().unwrap());
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Open to the owner alone.
    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn read(&self, text: &str) -> Result<Reading, ConfigError> {
        self.write("credentials.toml", text.as_bytes());
        read(&self.path("credentials.toml"))
    }
}

fn private_key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

/// From two days ago; valid for so many days from now on, or until that many days ago.
fn certificate(key: &PKey<Private>, name: &str, days: i64) -> X509 {
    let mut subject = X509Name::builder().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(&Asn1Integer::from_bn(&BigNum::from_u32(7).unwrap()).unwrap()).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(&subject).unwrap();
    builder.set_pubkey(key).unwrap();
    let time = |days: i64| Asn1Time::from_unix(unix_time() + days * 86_400).unwrap();
    builder.set_not_before(&time(-2)).unwrap();
    builder.set_not_after(&time(days)).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

fn public_key() -> String {
    openssl::base64::encode_block(&private_key().public_key_to_der().unwrap())
}

#[test]
fn every_kind_of_credential_is_read() {
    let scene = Scene::new();
    scene.write("meter.key", b"  0011223344556677\n");
    scene.write("device.pem", &private_key().public_key_to_pem().unwrap());
    let text = format!(
        "[[psk]]\nidentity = \"a\"\nkey = \"00ff\"\n\
         [[psk]]\nidentity = \"b\"\nkey-file = \"meter.key\"\nendpoint = \"meter\"\n\
         [[raw-public-key]]\npublic-key = \"{}\"\nendpoint = \"raw\"\n\
         [[raw-public-key]]\npublic-key-file = \"device.pem\"\nendpoint = \"raw\"\n\
         [x509]\ntrusted = [\"ca.pem\"]\nendpoint = \"alternative-name\"\n\
         [server]\nprivate-key = \"server.key\"\ncertificate = \"server.pem\"\n",
        public_key()
    );
    let reading = scene.read(&text).unwrap();
    let credentials = &reading.credentials;
    assert_eq!(credentials.counts(), (2, 2, 1));
    assert_eq!(
        credentials.mode("a"),
        Some(Mode::Psk),
        "the endpoint is the identity if nothing else is said"
    );
    assert_eq!(credentials.mode("meter"), Some(Mode::Psk));
    assert_eq!(credentials.mode("b"), None);
    assert_eq!(credentials.mode("raw"), Some(Mode::RawPublicKey));
    assert!(credentials.public_key().is_some());
    assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
    let named: Vec<_> = reading.seen.files().filter_map(Path::file_name).collect();
    assert_eq!(
        named,
        ["ca.pem", "credentials.toml", "device.pem", "meter.key", "server.key", "server.pem"],
        "what is to be watched"
    );
}

#[test]
fn the_servers_key_may_stand_with_the_certificates() {
    let scene = Scene::new();
    let x509 = "[x509]\ntrusted = [\"ca.pem\"]\ncertificate = \"server.pem\"\nprivate-key = \"server.key\"\n";
    assert!(scene.read(x509).unwrap().credentials.public_key().is_some());
    let both = scene.read(&format!("{x509}[server]\nprivate-key = \"server.key\"\n")).unwrap_err();
    assert_eq!((both.line, both.key.as_str()), (4, "x509.private-key"), "{both}");
}

#[test]
fn an_empty_file_is_nobody() {
    assert!(Scene::new().read("").unwrap().credentials.is_empty());
}

type Case<'a> = (String, usize, &'a str, &'a str);

fn refused(scene: &Scene, cases: &[Case<'_>]) {
    for (text, line, key, part) in cases {
        let error = scene.read(text).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (*line, *key), "{error}\n{text}");
        assert!(error.message.contains(part), "{error}\n{text}");
        assert_eq!(error.file, scene.path("credentials.toml"));
    }
}

fn psk(rest: &str) -> String {
    format!("[[psk]]\nidentity = \"a\"\n{rest}")
}

fn raw_public_key(rest: &str) -> String {
    format!("[[raw-public-key]]\nendpoint = \"b\"\n{rest}")
}

#[test]
fn errors_of_entries_name_line_and_key_and_what_would_be_right() {
    let scene = Scene::new();
    scene.write("binary.key", &[0xff, 0xfe]);
    let (raw, long) = (public_key(), "00".repeat(65));
    let cases = [
        (psk("key = \"001\""), 3, "psk.key", "has 3 hex digits"),
        (psk("key = \"00:11\""), 3, "psk.key", "is not hex: character 3"),
        (psk("key = \"\""), 3, "psk.key", "a key has 1 to 64 bytes"),
        (psk(&format!("key = \"{long}\"")), 3, "psk.key", "1 to 64 bytes, this one has 65"),
        (psk("key = 1122"), 3, "psk.key", "must be a string"),
        (psk(""), 1, "psk.key", "is missing"),
        (psk("key = \"00\"\nkey-file = \"x\""), 4, "psk.key-file", "remove one of them"),
        (psk("key-file = \"nothing.key\""), 3, "psk.key-file", "nothing.key cannot be read"),
        (psk("key-file = \".\""), 3, "psk.key-file", "it is not a file"),
        (psk("key-file = \"binary.key\""), 3, "psk.key-file", "binary.key is not text"),
        (psk("kye = \"00\""), 3, "psk.kye", "did you mean `key`?"),
        ("[[psk]]\nkey = \"00\"".to_owned(), 1, "psk.identity", "is missing"),
        ("[[psk]]\nidentity = \"\"\nkey = \"00\"".to_owned(), 2, "psk.identity", "1 to 128 bytes"),
        (psk("key = \"00\"\nendpoint = \"\""), 4, "psk.endpoint", "at least one character"),
        (psk("identity = \"b\""), 3, "psk.identity", "duplicate key"),
        (
            psk(&format!("key = \"00\"\n{}", psk("key = \"11\""))),
            5,
            "psk.identity",
            "it is there already, for the endpoint \"a\", in line 2",
        ),
        (
            raw_public_key(&format!(
                "public-key = \"{raw}\"\n\n{}",
                raw_public_key(&format!("public-key = \"{raw}\""))
            )),
            7,
            "raw-public-key.public-key",
            "it is there already, for the endpoint \"b\", in line 2",
        ),
        (
            psk(&format!(
                "key = \"00\"\nendpoint = \"b\"\n{}",
                raw_public_key(&format!("public-key = \"{raw}\""))
            )),
            6,
            "raw-public-key.endpoint",
            "the endpoint \"b\" has a credential of another mode already; one endpoint has one security mode, in line 4",
        ),
    ];
    refused(&scene, &cases);
}

#[test]
fn errors_of_keys_and_certificates_name_line_and_key_and_what_would_be_right() {
    let scene = Scene::new();
    scene.write("other.key", &private_key().private_key_to_pem_pkcs8().unwrap());
    let p384 = EcGroup::from_curve_name(Nid::SECP384R1).unwrap();
    let p384 = PKey::from_ec_key(EcKey::generate(&p384).unwrap()).unwrap();
    scene.write("p384.key", &p384.private_key_to_pem_pkcs8().unwrap());
    let cipher = openssl::symm::Cipher::aes_128_cbc();
    let locked = private_key().private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap();
    scene.write("locked.key", &locked);
    let (raw, x509) = (public_key(), "[x509]\ntrusted = [\"ca.pem\"]\n");
    let cases = [
        (raw_public_key("public-key = \"%\""), 3, "raw-public-key.public-key", "neither base64 nor hex"),
        (raw_public_key("public-key = \"AAAA\""), 3, "raw-public-key.public-key", "SubjectPublicKeyInfo"),
        (
            raw_public_key("public-key-file = \"server.key\""),
            3,
            "raw-public-key.public-key-file",
            "server.key",
        ),
        (raw_public_key(""), 1, "raw-public-key.public-key", "is missing"),
        (
            raw_public_key(&format!("public-key = \"{raw}\"")),
            1,
            "server.private-key",
            "clients with raw public keys need it: add `[server]`",
        ),
        (x509.to_owned(), 1, "server.private-key", "clients with certificates need it: add `[server]`"),
        (format!("{x509}private-key = \"server.key\""), 1, "x509.certificate", "is missing"),
        (format!("{x509}certificate = \"server.pem\""), 3, "x509.certificate", "needs `private-key`"),
        (format!("{x509}endpoint = \"cn\""), 3, "x509.endpoint", "must be \"common-name\" or"),
        ("[x509]\ntrusted = []".to_owned(), 2, "x509.trusted", "is empty"),
        (
            "[x509]\ntrusted = [\n\"ca.pem\",\n\"server.key\"]".to_owned(),
            4,
            "x509.trusted",
            "no certificate in PEM",
        ),
        (
            "[server]\nprivate-key = \"server.pem\"".to_owned(),
            2,
            "server.private-key",
            "not a private key in PEM",
        ),
        ("[server]\nprivate-key = \"p384.key\"".to_owned(), 2, "server.private-key", "P-256"),
        ("[server]\nprivate-key = \"locked.key\"".to_owned(), 2, "server.private-key", "needs a password"),
        (
            "[server]\nprivate-key = \"other.key\"\ncertificate = \"server.pem\"".to_owned(),
            3,
            "server.certificate",
            "the private key is not that of the (first) certificate",
        ),
        (
            "[server]\nprivate-key = \"server.key\"\ncertificate = \"server.key\"".to_owned(),
            3,
            "server.certificate",
            "there is no certificate in PEM",
        ),
        ("[[psk]]\nidentity = \"a\"\nkey = \"00".to_owned(), 3, "psk.key", "invalid basic string"),
        ("[sever]".to_owned(), 1, "sever", "did you mean `server`?"),
    ];
    refused(&scene, &cases);
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_named() {
    let scene = Scene::new();
    let error = read(&scene.path("nothing.toml")).unwrap_err().to_string();
    assert!(
        error.contains("nothing.toml: cannot be read") && error.contains("tidegate credentials add"),
        "{error}"
    );
    scene.write("credentials.toml", b"# 1\n# 2 \xff\n");
    let error = read(&scene.path("credentials.toml")).unwrap_err();
    assert_eq!((error.line, error.message.as_str()), (2, "is not in UTF-8"));
}

#[test]
fn files_with_keys_that_others_can_read_and_old_certificates_are_warned_of() {
    let scene = Scene::new();
    let key = private_key();
    scene.write("server.key", &key.private_key_to_pem_pkcs8().unwrap());
    scene.write("server.pem", &certificate(&key, "gateway", -1).to_pem().unwrap());
    let text = "[server]\nprivate-key = \"server.key\"\ncertificate = \"server.pem\"\n";
    assert_eq!(scene.read(text).unwrap().warnings.len(), 1);
    for name in ["credentials.toml", "server.key", "server.pem"] {
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let warnings = read(&scene.path("credentials.toml")).unwrap().warnings;
    assert_eq!(warnings.len(), 3, "a certificate may be read by all: {warnings:?}");
    assert!(warnings[0].contains("credentials.toml") && warnings[0].contains("(mode 0644)"), "{warnings:?}");
    assert!(warnings[1].contains("server.key"), "{warnings:?}");
    assert!(
        warnings[2].contains("server.pem: the certificate of") && warnings[2].contains("expired"),
        "{warnings:?}"
    );
}

#[test]
fn a_change_of_any_file_is_noticed_and_the_same_bytes_are_the_same() {
    let scene = Scene::new();
    scene.write("meter.key", b"00");
    let text = "[[psk]]\nidentity = \"a\"\nkey-file = \"meter.key\"\n";
    let (first, again) = (scene.read(text).unwrap(), scene.read(text).unwrap());
    assert!(first.seen.is_same(&again.seen));
    scene.write("meter.key", b"0011");
    assert!(again.seen.has_changed());
    assert!(!first.seen.is_same(&read(&scene.path("credentials.toml")).unwrap().seen));
    fs::remove_file(scene.path("meter.key")).unwrap();
    assert!(again.seen.has_changed());
    let (outcome, seen) = attempt(&scene.path("credentials.toml"));
    assert!(outcome.is_err());
    scene.write("meter.key", b"00");
    assert!(seen.has_changed(), "what was missing is there");
}

const SECRET: &str = "5ec7e7a1b2c3d4e5f60718293a4b5c6d";

/// Eight digits in a row would be too many.
fn shows(text: &str) -> bool {
    let text = text.to_lowercase();
    (0..SECRET.len() - 8).any(|from| text.contains(&SECRET[from..from + 8]))
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    let decimal = "1234567812345678";
    for text in [
        format!("{SECRET} = \"a\""),
        format!("[[psk]]\n{SECRET} = \"a\""),
        format!("[[psk]]\n\"{SECRET}\" = \"a\""),
        format!("[[psk]]\nidentity = \"a\"\nkey = {SECRET}"),
        format!("[[psk]]\nidentity = \"a\"\nkey = [\"{SECRET}\"]"),
        format!("[[psk]]\nidentity = \"a\"\nkey = \"{SECRET}g\""),
        format!("[[psk]]\nidentity = \"a\"\nkey = \"{SECRET}5\""),
        format!("[[psk]]\nidentity = \"a\"\nkey = \"{}\"", SECRET.repeat(9)),
        format!("[{SECRET}]"),
        format!("[[{SECRET}]]\nidentity = \"a\""),
        format!("device:{SECRET}"),
        format!("psk = \"{SECRET}\""),
        format!("[[psk]]\nidentity = \"a\"\nkey.{SECRET} = 1"),
        format!("[x509]\ntrusted = \"{SECRET}\""),
        format!("[[psk]]\nidentity = \"a\"\nkey = \"\"\"{SECRET}"),
        // A bracket before the name of the key, and a point in the key: a part of it was shown as the name of a table.
        format!("[[psk]]\nidentity = \n[key = '{}.{}'\n", &SECRET[..10], &SECRET[10..]),
    ] {
        let error = Scene::new().read(&text).unwrap_err();
        assert!(!shows(&error.to_string()), "{error}\n{text}");
    }
    for value in [decimal.to_owned(), format!("{decimal}.5")] {
        let text = format!("[[psk]]\nidentity = \"a\"\nkey = {value}");
        let error = Scene::new().read(&text).unwrap_err().to_string();
        assert!(!error.contains(decimal), "{error}");
    }
}

proptest! {
    /// Whatever happens to a file, what is said about it does not tell a key.
    #[test]
    fn no_error_shows_a_key(cuts in prop::collection::vec((0usize..200, 0usize..6, "[\\[\\]=\"'a-f0-9\n#.{}]{0,4}"), 1..4)) {
        let mut text = format!(
            "[[psk]]\nidentity = \"a\"\nkey = \"{SECRET}\"\nendpoint = \"e\"\n\n[[psk]]\nidentity = \"b\"\nkey = '{SECRET}'\n"
        );
        for (at, length, instead) in cuts {
            let from = at.min(text.len());
            text.replace_range(from..(from + length).min(text.len()), &instead);
        }
        match check(&text, Path::new("credentials.toml")) {
            Ok(reading) => prop_assert!(!shows(&format!("{reading:?}")), "debug"),
            Err(error) => prop_assert!(!shows(&error.to_string()), "{error}\n{text}"),
        }
    }
}

/// `cargo test -p tidegate --release -- --ignored --nocapture a_hundred_thousand` says how long it takes.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_keys_are_read() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in 0..100_000 {
        write!(text, "[[psk]]\nidentity = \"urn:imei:{number:015}\"\nkey = \"{number:032x}\"\n\n").unwrap();
    }
    let scene = Scene::new();
    let start = Instant::now();
    let reading = scene.read(&text).unwrap();
    println!("{} bytes in {:?}", text.len(), start.elapsed());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"))
        .for_each(|line| println!("{line}"));
    assert_eq!(reading.credentials.counts(), (100_000, 0, 0));
}
