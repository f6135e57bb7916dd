//! `gateway.lwm2m.listeners`: where clients come in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Map, Value};

use super::keys::Keys;
use super::quantity::Unit;
use super::{ImportError, Notes};

/// All that are switched on.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) udp: Vec<Listener>,
    pub(super) dtls: Vec<Listener>,
    pub(super) handshake_timeout: Option<(String, Duration)>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// The whole name of its `bind`.
    pub(super) key: String,
    /// A mountpoint of its own, in place of the gateway's.
    pub(super) mountpoint: Option<String>,
    /// Clients at most, if that is said.
    pub(super) connections: Option<u64>,
}

impl Listeners {
    /// Takes the listeners of a gateway.
    pub(super) fn take(gateway: &mut Keys, notes: &mut Notes) -> Result<Self, ImportError> {
        let typed = gateway.take("listeners").unwrap_or_else(|| Value::Object(Map::new()));
        let typed =
            by_kind(typed).ok_or_else(|| gateway.wrong("listeners", "is not a table of listeners"))?;
        let mut kinds = Keys::new(gateway.key("listeners."), typed);
        let mut listeners = Self::default();
        for (name, keys) in kinds.table("udp")?.tables()? {
            listeners.udp.extend(listener(name, keys, notes)?);
        }
        for (name, mut keys) in kinds.table("dtls")?.tables()? {
            let key = keys.key("handshake_timeout");
            let timeout = keys.duration("handshake_timeout", Unit::Milliseconds)?;
            dtls(&mut keys, notes)?;
            if let Some(listener) = listener(name, keys, notes)? {
                listeners.dtls.push(listener);
                listeners.handshake_timeout =
                    timeout.map(|timeout| (key, timeout)).or(listeners.handshake_timeout);
            }
        }
        for (kind, _) in kinds.tables()? {
            notes.not_mapped(
                gateway.key(&format!("listeners.{kind}")),
                "LwM2M goes over UDP and DTLS here, as in EMQX",
            );
        }
        Ok(listeners)
    }
}

/// The REST API gives a list, with the kind and the name in each entry.
fn by_kind(typed: Value) -> Option<Map<String, Value>> {
    let items = match typed {
        Value::Object(kinds) => return Some(kinds),
        Value::Array(items) => items,
        _ => return None,
    };
    let mut kinds = Map::new();
    for item in items {
        let Value::Object(mut item) = item else { return None };
        let (Some(Value::String(kind)), Some(Value::String(name))) =
            (item.remove("type"), item.remove("name"))
        else {
            return None;
        };
        let of_kind = kinds.entry(kind).or_insert_with(|| Value::Object(Map::new()));
        of_kind.as_object_mut()?.insert(name, Value::Object(item));
    }
    Some(kinds)
}

/// One listener; none if it is switched off.
fn listener(name: String, mut keys: Keys, notes: &mut Notes) -> Result<Option<Listener>, ImportError> {
    keys.forget(&["id", "running", "status", "node_status", "current_connections", "type", "name"]);
    let (on, also) = (keys.flag("enable")?, keys.flag("enabled")?);
    let key = keys.key("bind");
    let typed = keys.text("bind")?.ok_or_else(|| keys.wrong("bind", "is missing"))?;
    let address = address(&typed).ok_or_else(|| {
        keys.wrong(
            "bind",
            &format!("is `{typed}`, which is no port such as 5783 and no address such as 0.0.0.0:5783"),
        )
    })?;
    let connections = keys.count("max_connections")?;
    let mountpoint = keys.text("mountpoint")?.filter(|mountpoint| !mountpoint.is_empty());
    if on.or(also) == Some(false) {
        notes.not_mapped(
            keys.key("enable"),
            format!("is false, so that nothing of this listener ({typed}) came over"),
        );
        return Ok(None);
    }
    let access = keys.take("access_rules").unwrap_or_default();
    let allows_all = |rule: &Value| rule.as_str().is_some_and(|rule| rule.trim() == "allow all");
    if access.as_array().is_some_and(|rules| !rules.iter().all(allows_all)) {
        notes.remind(
            keys.key("access_rules"),
            "who may send at all is for the firewall of the machine; over DTLS, credentials.toml says who may register",
        );
    }
    for (key, why) in NOT_OF_A_LISTENER {
        keys.leave(key, why, notes);
    }
    keys.finish(notes);
    Ok(Some(Listener { name, address, key, mountpoint, connections }))
}

/// What is only there over DTLS.
fn dtls(keys: &mut Keys, notes: &mut Notes) -> Result<(), ImportError> {
    for key in ["acceptors", "gc_after_handshake"] {
        keys.leave(key, "is how Erlang does it", notes);
    }
    let mut options = keys.table("dtls_options")?;
    let path = options.key("certfile");
    match (options.text("certfile")?, options.text("keyfile")?) {
        (None, None) => {}
        (certificate, key) => notes.remind(
            path,
            format!(
                "write [server] with `certificate = {:?}` and `private-key = {:?}` into credentials.toml, if clients come with \
                 certificates; the key must be one of the curve P-256, and readable for the gateway",
                certificate.unwrap_or_default(),
                key.unwrap_or_default()
            ),
        ),
    }
    let (path, authority) = (options.key("cacertfile"), options.text("cacertfile")?);
    let verify = options.text("verify")?;
    match (authority, verify.as_deref()) {
        (Some(file), Some("verify_peer")) => notes.remind(
            path,
            format!("write [x509] with `trusted = [{file:?}]` into credentials.toml; the certificate's name must then be the \
                     endpoint's, which EMQX does not ask for"),
        ),
        (Some(_), _) => notes.not_mapped(path, "does nothing without `verify = verify_peer`"),
        (None, _) => {}
    }
    if verify.as_deref() == Some("verify_none") {
        notes.otherwise(
            options.key("verify"),
            "here every client over DTLS proves who it is, by a pre-shared key, a raw public key or a certificate",
        );
    }
    for (key, why) in NOT_OF_DTLS {
        options.leave(key, why, notes);
    }
    options.finish(notes);
    Ok(())
}

/// A port, or an address and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Some((Ipv4Addr::UNSPECIFIED, port).into());
    }
    text.parse().ok().or_else(|| {
        let (ip, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(ip.parse::<IpAddr>().ok()?, port.parse().ok()?))
    })
}

const NOT_OF_A_LISTENER: &[(&str, &str)] = &[
    (
        "max_conn_rate",
        "there are no connections; `coap.rate-limit` and `coap.rate-limit-source` bound datagrams a second",
    ),
    (
        "enable_authn",
        "there is no authentication by query items; over DTLS, credentials.toml says who may register",
    ),
    ("udp_options", "sockets have the buffers that the system gives them"),
    (
        "health_check",
        "GET /healthz and /readyz say how the gateway is; a CoAP ping (an empty message) is answered, too",
    ),
    ("zone", "there are no zones"),
    ("acceptors", "is how Erlang does it"),
    ("proxy_protocol", "the gateway sees the addresses of its clients"),
];

const NOT_OF_DTLS: &[(&str, &str)] = &[
    ("versions", "DTLS 1.2 is spoken, older versions are not"),
    ("ciphers", "the suites are those that LwM2M names (docs/dtls.md)"),
    ("password", "the private key must be readable as it is; decrypt it, for example with `openssl pkey`"),
    ("dhfile", "keys are agreed on by ECDHE"),
    ("depth", "chains have the length that OpenSSL allows"),
    ("fail_if_no_peer_cert", "a client that shows nothing is always refused"),
    ("reuse_sessions", "sessions are kept by connection IDs, and over a restart"),
    ("secure_renegotiate", "there is no renegotiation"),
    ("client_renegotiation", "there is no renegotiation"),
    ("honor_cipher_order", "the gateway's order counts"),
    ("hibernate_after", "is how Erlang does it"),
    ("log_level", "`tidegate --log` says what is logged"),
    ("user_lookup_fun", "pre-shared keys stand in credentials.toml"),
    (
        "enable_crl_check",
        "revocation lists are not asked for; remove the client's authority or its entry instead",
    ),
    ("ocsp", "revocation is not asked for"),
    ("partial_chain", "a chain must end at a trusted authority"),
    ("verify_peer_ext_key_usage", "the usage of keys is checked as OpenSSL does"),
    ("gc_after_handshake", "is how Erlang does it"),
    ("handshake_timeout", "belongs to the listener, not below dtls_options"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_write_an_address_are_read() {
        let read = |text| address(text).map(|address| address.to_string());
        assert_eq!(read("5783").as_deref(), Some("0.0.0.0:5783"));
        assert_eq!(read(":5783").as_deref(), Some("0.0.0.0:5783"));
        assert_eq!(read("127.0.0.1:5783").as_deref(), Some("127.0.0.1:5783"));
        assert_eq!(read("[::1]:5783").as_deref(), Some("[::1]:5783"));
        assert_eq!(read("::1:5783").as_deref(), Some("[::1]:5783"));
        for wrong in ["", "host:5783", "70000", "1.2.3.4", "1.2.3.4:x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
