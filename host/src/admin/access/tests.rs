use std::fs;

use super::*;

fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
}

#[test]
fn only_this_machine_is_answered_without_tokens() {
    for host in [
        "localhost",
        "LOCALHOST:18083",
        "127.0.0.1:18083",
        "127.9.9.9",
        "[::1]:18083",
        "a.localhost",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(is_here(&headers(&[("host", host)])), "{host}");
    }
    assert!(is_here(&headers(&[])), "no browser leaves it out");
    for host in [
        "example.org",
        "127.0.0.1.example.org",
        "10.0.0.1:18083",
        "[2001:db8::1]",
        "localhost.example.org",
        "",
    ] {
        assert!(!is_here(&headers(&[("host", host)])), "{host}");
    }
}

#[test]
fn a_page_of_another_origin_is_not_answered() {
    for (origin, host, is_foreign) in [
        ("http://localhost:18083", "localhost:18083", false),
        ("https://Gateway:18083", "gateway:18083", false),
        ("http://localhost:8080", "localhost:18083", true),
        ("https://example.org", "localhost:18083", true),
        ("null", "localhost:18083", true),
    ] {
        assert_eq!(is_elsewhere(&headers(&[("origin", origin), ("host", host)])), is_foreign, "{origin}");
    }
    assert!(!is_elsewhere(&headers(&[("host", "localhost")])));
    assert!(is_elsewhere(&headers(&[("origin", "http://localhost")])));
}

#[test]
fn a_token_comes_as_bearer_or_as_the_password_of_basic() {
    assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
    assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
    assert_eq!(token(&format!("Basic {}", STANDARD.encode("key:a:c"))).as_deref(), Some("a:c"));
    for wrong in ["", "abc", "Digest abc", "Basic ???", &format!("Basic {}", STANDARD.encode("key"))] {
        assert_eq!(token(wrong), None, "{wrong}");
    }
}

fn request(method: &str, of: &[(&'static str, &str)]) -> Request {
    let mut request = Request::new(axum::body::Body::empty());
    *request.method_mut() = method.parse().unwrap();
    *request.headers_mut() = headers(of);
    request
}

#[test]
fn what_changes_something_is_nothing_that_a_foreign_page_can_send() {
    let ours = Need::of(Role::Read);
    let foreign = Need { is_foreign: true, ..ours };
    let passes = |need, method, of: &[(&'static str, &str)]| check_mark(need, &request(method, of)).is_ok();
    assert!(passes(ours, "GET", &[]));
    assert!(!passes(ours, "DELETE", &[]));
    assert!(passes(ours, "DELETE", &[("x-tidegate", "1")]));
    assert!(passes(ours, "POST", &[("content-type", "application/json; charset=utf-8")]));
    assert!(passes(ours, "PUT", &[("content-type", "application/wasm")]));
    assert!(!passes(ours, "POST", &[("content-type", "text/plain")]));
    // Tools of other products know nothing of the header, but they are no browsers.
    assert!(passes(foreign, "POST", &[]));
    assert!(passes(foreign, "PUT", &[("content-type", "text/plain")]));
    assert!(!passes(foreign, "POST", &[("content-type", "multipart/form-data; boundary=x")]));
    assert!(!passes(foreign, "POST", &[("sec-fetch-site", "cross-site")]));
    assert!(!passes(foreign, "POST", &[("origin", "http://localhost")]));
    assert!(passes(foreign, "POST", &[("origin", "http://localhost"), ("x-tidegate", "1")]));
}

#[test]
fn a_role_may_do_what_those_before_it_may() {
    let may = |role, needed| Caller { name: None, role }.require(needed).is_ok();
    assert!(may(Role::Admin, Role::Read) && may(Role::Operate, Role::Operate) && may(Role::Read, Role::Read));
    assert!(!may(Role::Read, Role::Operate) && !may(Role::Operate, Role::Admin));
}

#[test]
fn a_token_is_known_by_its_digest_only_and_no_longer_when_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    assert!(Tokens::open(&path).unwrap_err().to_string().contains("`tidegate token add`"));
    let mut file = TokenFile::open(&path).unwrap();
    let first = file.add("alice", Role::Operate).unwrap();
    let second = file.add("a \"quoted\"\\name", Role::Read).unwrap();
    assert!(file.add("alice", Role::Read).is_err());
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&first) && !text.contains(&second));
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let tokens = Tokens::open(&path).unwrap();
    assert_eq!(tokens.find(&first), Some(Caller { name: Some("alice".into()), role: Role::Operate }));
    assert_eq!(tokens.find(&second).unwrap().role, Role::Read);
    assert_eq!((tokens.find(""), tokens.find("tg_x")), (None, None));
    let mut file = TokenFile::open(&path).unwrap();
    assert!(file.remove("alice").unwrap() && !file.remove("alice").unwrap());
    tokens.read_again();
    assert_eq!((tokens.find(&first), tokens.find(&second).is_some()), (None, true));
    fs::write(&path, "[[token]]\n").unwrap();
    tokens.read_again();
    assert!(tokens.find(&second).is_some(), "what is wrong changes nothing");
    fs::remove_file(&path).unwrap();
    tokens.read_again();
    assert_eq!(tokens.find(&second), None, "without a file nobody has a token");
}

#[test]
fn an_error_in_the_file_of_tokens_names_line_and_key_and_never_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let digest = "0".repeat(64);
    let entry = |name: &str, role: &str, digest: &str| {
        format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{digest}\"\n")
    };
    for (text, line, key, message) in [
        (String::new(), 0, "", "has no token"),
        (entry("a", "root", &digest), 3, "token.role", "there are read, operate and admin"),
        (entry("a", "read", "tg_secret"), 4, "token.sha256", "64 hexadecimal digits"),
        (entry("a", "read", &digest).repeat(2), 6, "token.name", "no other token"),
        (entry("a", "read", &digest) + "rol = 1\n", 5, "token.rol", "did you mean `role`?"),
    ] {
        fs::write(&path, &text).unwrap();
        let error = Tokens::open(&path).unwrap_err();
        assert_eq!((error.line, error.key.as_str()), (line, key), "{error}");
        assert!(error.message.contains(message) && !error.to_string().contains("secret"), "{error}");
    }
}
