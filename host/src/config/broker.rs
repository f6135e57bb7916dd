//! The address of a broker: `mqtt://user@host:port`, over TLS `mqtts://`, over WebSocket `ws://user@host:port/path` or `wss://`.

use std::fmt;
use std::str::FromStr;

/// Where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// What MQTT goes over.
    pub scheme: Scheme,
    /// User name, if the address had one.
    pub username: Option<String>,
    /// Name or address; an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The path of a WebSocket, from its `/`; empty without one.
    pub path: String,
}

/// What MQTT goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TCP.
    Mqtt,
    /// TLS.
    Mqtts,
    /// WebSocket (MQTT 5, section 6).
    Ws,
    /// WebSocket over TLS.
    Wss,
}

impl Scheme {
    /// Whether there is TLS below.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Mqtts | Self::Wss)
    }

    fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The ports registered for them.
    fn port(self) -> u16 {
        match self {
            Self::Mqtt => 1883,
            Self::Mqtts => 8883,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// Why a text is not the address of a broker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerAddressError {
    /// No scheme, or one that is none of MQTT's.
    #[error(
        "`{0}` is not the address of a broker; write \"embedded\", \"mqtt://host:1883\", \"mqtts://host:8883\" or \"wss://host/mqtt\""
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
    /// A path that no WebSocket can have.
    #[error("`{0}` is no path of a WebSocket; write \"wss://host/mqtt\", with `%` for what is not ASCII")]
    Path(String),
}

impl BrokerAddress {
    /// MQTT over TCP, without a user.
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self { scheme: Scheme::Mqtt, username: None, host: host.into(), port, path: String::new() }
    }
}

impl FromStr for BrokerAddress {
    type Err = BrokerAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_an_address = || BrokerAddressError::Scheme(text.into());
        let (scheme, rest) = text.split_once("://").ok_or_else(not_an_address)?;
        let schemes = [Scheme::Mqtt, Scheme::Mqtts, Scheme::Ws, Scheme::Wss];
        let scheme = schemes.into_iter().find(|known| known.name() == scheme).ok_or_else(not_an_address)?;
        let (rest, path) = match rest.find('/').filter(|_| scheme.is_websocket()) {
            Some(at) => rest.split_at(at),
            None if scheme.is_websocket() => (rest, DEFAULT_PATH),
            None => (rest.strip_suffix('/').unwrap_or(rest), ""),
        };
        let (username, host) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(BrokerAddressError::Password),
            Some((user, host)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), host),
            None => (None, rest),
        };
        if let Some(at) = host.find(['/', '?', '#']) {
            return Err(BrokerAddressError::Trailing(host[at..].into()));
        }
        // What cannot stand in the line that asks for it (RFC 9112, 3.2).
        if path.contains(|character: char| !character.is_ascii_graphic() || character == '#') {
            return Err(BrokerAddressError::Path(path.into()));
        }
        let (host, port) = split_port(host, scheme.port())?;
        if host.is_empty() {
            return Err(BrokerAddressError::Host);
        }
        Ok(Self { scheme, username, host: host.into(), port, path: path.into() })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}{}", self.scheme.name(), self.host, self.port, self.path)
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

/// Where brokers mostly have their WebSocket.
const DEFAULT_PATH: &str = "/mqtt";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BrokerAddress, BrokerAddressError> {
        text.parse()
    }

    #[test]
    fn addresses() {
        let address = |username: Option<&str>, host: &str, port| {
            Ok(BrokerAddress { username: username.map(Into::into), ..BrokerAddress::tcp(host, port) })
        };
        assert_eq!(parse("mqtt://broker"), address(None, "broker", 1883));
        assert_eq!(parse("mqtt://broker:1884/"), address(None, "broker", 1884));
        assert_eq!(parse("mqtt://gateway@10.0.0.1:1884"), address(Some("gateway"), "10.0.0.1", 1884));
        assert_eq!(parse("mqtt://[::1]:1884"), address(None, "::1", 1884));
        assert_eq!(parse("mqtt://[::1]"), address(None, "::1", 1883));
        let scheme = |text| parse(text).map(|address| (address.scheme, address.port, address.path));
        assert_eq!(scheme("mqtts://broker"), Ok((Scheme::Mqtts, 8883, String::new())));
        assert_eq!(scheme("ws://u@broker"), Ok((Scheme::Ws, 80, "/mqtt".into())));
        assert_eq!(scheme("wss://broker:8084/"), Ok((Scheme::Wss, 8084, "/".into())));
        assert_eq!(parse("wss://[::1]/a?b=/c").map(|a| a.to_string()), Ok("wss://[::1]:443/a?b=/c".into()));
        assert_eq!(parse("mqtts://broker").map(|a| a.to_string()), Ok("mqtts://broker:8883".into()));
        assert_eq!(parse("mqtt://[::1]:1884").map(|a| a.to_string()), Ok("mqtt://[::1]:1884".into()));
    }

    #[test]
    fn refused() {
        assert_eq!(parse("wss://broker/a b"), Err(BrokerAddressError::Path("/a b".into())));
        assert_eq!(parse("ws://broker?a"), Err(BrokerAddressError::Trailing("?a".into())));
        assert_eq!(parse("broker:1883"), Err(BrokerAddressError::Scheme("broker:1883".into())));
        assert_eq!(parse("http://broker"), Err(BrokerAddressError::Scheme("http://broker".into())));
        assert_eq!(parse("mqtt://user:secret@broker"), Err(BrokerAddressError::Password));
        assert_eq!(parse("mqtt://"), Err(BrokerAddressError::Host));
        assert_eq!(parse("mqtt://broker:0"), Err(BrokerAddressError::Port("0".into())));
        assert_eq!(parse("mqtt://broker:x"), Err(BrokerAddressError::Port("x".into())));
        assert_eq!(parse("mqtt://broker:1/topic"), Err(BrokerAddressError::Trailing("/topic".into())));
    }
}
