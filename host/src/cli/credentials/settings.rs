//! What a client is set up with: the command lines and the code of well-known clients, and the resources of the LwM2M
//! security object (object 0; LwM2M 1.2.1 core, appendix E.1) for all others.

use std::fmt::Write as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::generate::Written;

/// Where clients reach the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an address, one of version 6 without its brackets.
    host: String,
    port: u16,
}

impl Address {
    /// From `host` or `host:port`; without one, of this machine.
    pub(super) fn new(typed: Option<&str>, port: u16) -> Self {
        let typed = typed.unwrap_or("localhost");
        let is_bare = typed.parse::<std::net::Ipv6Addr>().is_ok();
        let (host, port) = match typed.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) if !is_bare => (host, port),
            _ => (typed, port),
        };
        Self { host: host.trim_matches(['[', ']']).to_owned(), port }
    }

    fn uri(&self) -> String {
        if self.host.contains(':') {
            format!("coaps://[{}]:{}", self.host, self.port)
        } else {
            format!("coaps://{}:{}", self.host, self.port)
        }
    }
}

/// Where the keys lie that a client needs as files.
pub(super) struct Files<'a> {
    /// Private and public, if they have been made.
    pub(super) client: Option<&'a Written>,
    pub(super) server: &'a Path,
}

/// Of a client with a pre-shared key.
pub(super) fn psk(server: &Address, endpoint: &str, identity: &str, key: &[u8]) -> Zeroizing<String> {
    let uri = server.uri();
    let hex = Zeroizing::new(hex(key));
    let (name, id) = (shell(endpoint), shell(identity));
    // With room for all of it, so that no copy of the key stays behind.
    let mut text =
        Zeroizing::new(String::with_capacity(4096 + 8 * (endpoint.len() + identity.len() + key.len())));
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "wakaama\n  lwm2mclient -4 -n {name} -h {} -p {} -i {id} -s {}\n\n\
         Leshan\n  leshan-client-demo -n {name} -u {} -i {id} -p {}\n\n\
         Zephyr, prj.conf\n{}\n\
         Zephyr, before lwm2m_rd_client_start(&client, {}, ...)\n",
        shell(&server.host),
        server.port,
        *hex,
        shell(&uri),
        *hex,
        zephyr(key.len()),
        c(endpoint),
    );
    let bytes = Zeroizing::new(key.iter().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(", "));
    let _ = write!(
        text,
        "  static const uint8_t psk[] = {{ {} }};\n  \
         client.tls_tag = 1;\n  \
         lwm2m_set_string(&LWM2M_OBJ(0, 0, 0), {});\n  \
         lwm2m_set_u8(&LWM2M_OBJ(0, 0, 2), 0);\n  \
         lwm2m_set_string(&LWM2M_OBJ(0, 0, 3), {});\n  \
         lwm2m_set_opaque(&LWM2M_OBJ(0, 0, 5), (const void *)psk, sizeof(psk));\n\n",
        *bytes,
        c(&uri),
        c(identity),
    );
    let rows = [
        (0, "Server URI", uri.as_str()),
        (2, "Security Mode", "0 (pre-shared key)"),
        (3, "Public Key or Identity", identity),
        (4, "Server Public Key", "(none)"),
        (5, "Secret Key", hex.as_str()),
    ];
    add_security_object(&mut text, &rows);
    text
}

/// Of a client with a raw public key. The two small clients have none.
pub(super) fn raw_public_key(
    server: &Address,
    endpoint: &str,
    client: &[u8],
    server_key: &[u8],
    files: &Files<'_>,
) -> String {
    let uri = server.uri();
    let shown = |path: &Path| shell(&path.display().to_string());
    let file = |place: usize, else_: &str| {
        files.client.and_then(|written| written.file(place)).map_or_else(|| else_.to_owned(), shown)
    };
    let (private, public) = (file(0, "CLIENT.key.der"), file(1, "CLIENT.pub.der"));
    let mut text = String::new();
    if let Some(written) = files.client {
        let _ = write!(text, "Written, to be moved to the client:\n{written}\n");
    }
    let _ = write!(
        text,
        "Leshan\n  leshan-client-demo -n {} -u {} -cpubk {public} -cprik {private} -spubk {}\n\n\
         wakaama, Zephyr\n  They have no raw public keys: `tidegate credentials add psk`.\n\n",
        shell(endpoint),
        shell(&uri),
        shown(files.server),
    );
    let rows = [
        (0, "Server URI", uri),
        (2, "Security Mode", "1 (raw public key)".to_owned()),
        (3, "Public Key or Identity", hex(client)),
        (4, "Server Public Key", hex(server_key)),
        (5, "Secret Key", format!("(the bytes of {private}: PKCS#8 in DER)")),
    ];
    let rows: Vec<_> = rows.iter().map(|(id, name, value)| (*id, *name, value.as_str())).collect();
    add_security_object(&mut text, &rows);
    text
}

/// Opaque resources in hex.
fn add_security_object(text: &mut String, rows: &[(u16, &str, &str)]) {
    text.push_str("LwM2M security object, /0/0\n");
    for (id, name, value) in rows {
        let _ = writeln!(text, "  {id}  {name:<22}  {value}");
    }
}

/// Zephyr has room for a key of 16 bytes if nothing else is said.
fn zephyr(key: usize) -> String {
    let mut lines = [
        "LWM2M_DTLS_SUPPORT=y",
        "NET_SOCKETS_SOCKOPT_TLS=y",
        "NET_SOCKETS_ENABLE_DTLS=y",
        "MBEDTLS=y",
        "MBEDTLS_KEY_EXCHANGE_PSK_ENABLED=y",
        "MBEDTLS_CIPHER_CCM_ENABLED=y",
    ]
    .map(|line| format!("  CONFIG_{line}\n"))
    .concat();
    if key > 16 {
        let _ = writeln!(lines, "  CONFIG_LWM2M_SECURITY_KEY_SIZE={key}");
    }
    lines
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A word of a shell.
fn shell(word: &str) -> String {
    let is_plain = |of: char| of.is_ascii_alphanumeric() || "-_.:/@%+,".contains(of);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A string literal of C. What is no printable ASCII is written in octal, whose three digits end by themselves.
fn c(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', char::from(byte)]),
            b' '..=b'~' => literal.push(char::from(byte)),
            _ => literal += &format!("\\{byte:03o}"),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let uri = |typed: Option<&str>| Address::new(typed, 5684).uri();
        assert_eq!(uri(None), "coaps://localhost:5684");
        assert_eq!(uri(Some("gateway.example")), "coaps://gateway.example:5684");
        assert_eq!(uri(Some("gateway.example:7")), "coaps://gateway.example:7");
        assert_eq!(uri(Some("2001:db8::1")), "coaps://[2001:db8::1]:5684");
        assert_eq!(uri(Some("[2001:db8::1]:7")), "coaps://[2001:db8::1]:7");
    }

    #[test]
    fn words_and_strings_are_quoted() {
        assert_eq!(shell("urn:imei:1"), "urn:imei:1");
        assert_eq!(shell("it's $HOME"), "'it'\\''s $HOME'");
        assert_eq!(shell(""), "''");
        assert_eq!(c("a\"b\\ä1"), "\"a\\\"b\\\\\\303\\2441\"");
    }

    #[test]
    fn a_client_with_a_pre_shared_key_gets_all_that_it_needs() {
        let address = Address::new(Some("gateway.example"), 5684);
        let text = psk(&address, "meter 1", "id", &[0, 0xff]);
        for part in [
            "lwm2mclient -4 -n 'meter 1' -h gateway.example -p 5684 -i id -s 00ff\n",
            "leshan-client-demo -n 'meter 1' -u coaps://gateway.example:5684 -i id -p 00ff\n",
            "  CONFIG_LWM2M_DTLS_SUPPORT=y\n",
            "  static const uint8_t psk[] = { 0x00, 0xff };\n",
            "  lwm2m_set_string(&LWM2M_OBJ(0, 0, 0), \"coaps://gateway.example:5684\");\n",
            "  lwm2m_set_u8(&LWM2M_OBJ(0, 0, 2), 0);\n",
            "  lwm2m_set_string(&LWM2M_OBJ(0, 0, 3), \"id\");\n",
            "  2  Security Mode           0 (pre-shared key)\n",
            "  5  Secret Key              00ff\n",
        ] {
            assert!(text.contains(part), "{part} in\n{}", *text);
        }
        assert!(!text.contains("SECURITY_KEY_SIZE"));
        assert!(psk(&address, "e", "i", &[0; 17]).contains("CONFIG_LWM2M_SECURITY_KEY_SIZE=17\n"));
    }

    #[test]
    fn a_client_with_a_raw_public_key_gets_all_that_it_needs() {
        let files = Files { client: None, server: Path::new("server.pub.der") };
        let text = raw_public_key(&Address::new(None, 5684), "e", &[1, 2], &[3, 4], &files);
        for part in [
            "leshan-client-demo -n e -u coaps://localhost:5684 -cpubk CLIENT.pub.der -cprik CLIENT.key.der -spubk server.pub.der\n",
            "  2  Security Mode           1 (raw public key)\n",
            "  3  Public Key or Identity  0102\n",
            "  4  Server Public Key       0304\n",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}
