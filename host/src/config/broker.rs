//! The address of a broker, `mqtt://user@host:port` or `mqtts://user@host:port`.

use std::fmt;
use std::str::FromStr;

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Whether it is spoken to over TLS (`mqtts`).
    pub tls: bool,
    /// User name, if the address had one.
    pub username: Option<String>,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Why a text is not the address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerAddressError {
    /// A scheme that a later version will know.
    #[error("{0}:// is not available in this version yet; use mqtt:// or mqtts://")]
    NotYet(String),
    /// No scheme, or one that is none of MQTT's.
    #[error(
        "`{0}` is not the address of a broker; write \"embedded\", \"mqtt://host:1883\" or \"mqtts://host:8883\""
    )]
    Scheme(String),
    /// A password does not belong into a file that is shown around.
    #[error(
        "a password does not belong into the address; put it into a file and name that in `password-file`"
    )]
    Password,
    /// No host.
    #[error("the address of the broker has no host; write \"mqtt://host:1883\"")]
    Host,
    /// A port that is none.
    #[error("`{0}` is not a port; write a number from 1 to 65535, such as \"mqtt://host:1883\"")]
    Port(String),
    /// A path, which MQTT over TCP has not.
    #[error("`{0}` after the port has no meaning in MQTT; write \"mqtt://host:1883\"")]
    Trailing(String),
}

impl FromStr for BrokerAddress {
    type Err = BrokerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_an_address = || BrokerAddressError::Scheme(text.into());
        let (scheme, rest) = text.split_once("://").ok_or_else(not_an_address)?;
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            "ws" | "wss" => return Err(BrokerAddressError::NotYet(scheme.into())),
            _ => return Err(not_an_address()),
        };
        let (username, host) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(BrokerAddressError::Password),
            Some((user, host)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), host),
            None => (None, rest),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        if let Some(at) = host.find(['/', '?', '#']) {
            return Err(BrokerAddressError::Trailing(host[at..].into()));
        }
        let (host, port) = split_port(host, if tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT })?;
        if host.is_empty() {
            return Err(BrokerAddressError::Host);
        }
        Ok(Self { tls, username, host: host.into(), port })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

fn split_port(text: &str, default: u16) -> Result<(&str, u16), BrokerAddressError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => {
            let port = rest.strip_prefix(':').ok_or_else(|| BrokerAddressError::Trailing(rest.into()))?;
            (host, Some(port))
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => default,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or_else(|| BrokerAddressError::Port(port.into()))?,
    };
    Ok((host, port))
}

/// The ports registered for MQTT.
const DEFAULT_PORT: u16 = 1883;
const DEFAULT_TLS_PORT: u16 = 8883;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BrokerAddress, BrokerAddressError> {
        text.parse()
    }

    #[test]
    fn addresses() {
        let address = |username: Option<&str>, host: &str, port| {
            Ok(BrokerAddress { tls: false, username: username.map(Into::into), host: host.into(), port })
        };
        assert_eq!(parse("mqtt://broker"), address(None, "broker", 1883));
        assert_eq!(parse("mqtt://broker:1884/"), address(None, "broker", 1884));
        assert_eq!(parse("mqtt://gateway@10.0.0.1:1884"), address(Some("gateway"), "10.0.0.1", 1884));
        assert_eq!(parse("mqtt://[::1]:1884"), address(None, "::1", 1884));
        assert_eq!(parse("mqtt://[::1]"), address(None, "::1", 1883));
        let secure = BrokerAddress { tls: true, username: None, host: "broker".into(), port: 8883 };
        assert_eq!(parse("mqtts://broker"), Ok(secure));
        assert_eq!(parse("mqtts://broker").map(|a| a.to_string()), Ok("mqtts://broker:8883".into()));
        assert_eq!(parse("mqtt://[::1]:1884").map(|a| a.to_string()), Ok("mqtt://[::1]:1884".into()));
    }

    #[test]
    fn refused() {
        assert_eq!(parse("ws://broker"), Err(BrokerAddressError::NotYet("ws".into())));
        assert_eq!(parse("broker:1883"), Err(BrokerAddressError::Scheme("broker:1883".into())));
        assert_eq!(parse("http://broker"), Err(BrokerAddressError::Scheme("http://broker".into())));
        assert_eq!(parse("mqtt://user:secret@broker"), Err(BrokerAddressError::Password));
        assert_eq!(parse("mqtt://"), Err(BrokerAddressError::Host));
        assert_eq!(parse("mqtt://broker:0"), Err(BrokerAddressError::Port("0".into())));
        assert_eq!(parse("mqtt://broker:x"), Err(BrokerAddressError::Port("x".into())));
        assert_eq!(parse("mqtt://broker:1/topic"), Err(BrokerAddressError::Trailing("/topic".into())));
    }
}
