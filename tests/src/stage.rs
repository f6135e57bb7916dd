//! The scene of the tests of DTLS: a gateway with credentials, its embedded broker, and an application.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::application::{Application, MqttVersion};
use crate::certificate::{Certified, Wish};
use crate::device::{Device, Value};
use crate::gateway::{Broker, Gateway, Setup};
use crate::peer::Peer;
use crate::secure::{Profile, Secure};
use anyhow::{Result, ensure};
use coap_lite::MessageType;
use serde_json::{Value as Json, json};

/// A gateway and an application.
#[derive(Debug)]
pub struct Stage {
    /// Sees everything that is published.
    pub application: Application,
    /// With DTLS if it has credentials.
    pub gateway: Gateway,
}

impl Stage {
    /// Start them.
    pub fn set(setup: &Setup) -> Result<Self> {
        let gateway = Gateway::start(setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        Ok(Self { application, gateway })
    }

    /// End the gateway with SIGKILL and start it again, with a new application: the broker was inside it.
    pub fn restart_by_kill(&mut self) -> Result<()> {
        self.gateway.kill_and_restart()?;
        self.application = Application::connect(self.gateway.mqtt(), MqttVersion::V5)?;
        Ok(())
    }

    /// A registered client with an association of its own.
    pub fn device(&self, profile: &Profile, endpoint: &str) -> Result<(Arc<Secure>, Device)> {
        self.device_at(self.gateway.dtls(), profile, endpoint)
    }

    /// The same, that takes this for the gateway's address.
    pub fn device_at(
        &self,
        gateway: SocketAddr,
        profile: &Profile,
        endpoint: &str,
    ) -> Result<(Arc<Secure>, Device)> {
        let association = Arc::new(Secure::connect(gateway, profile)?);
        let mut device = Device::behind(Peer::over(&association), endpoint);
        device.register()?;
        let register = self.application.of_type("register")?;
        ensure!(register["ep"] == endpoint, "{register}");
        Ok((association, device))
    }

    /// The code and the first value of the answer to a command.
    pub fn ask(&self, endpoint: &str, operation: &str, path: &str) -> Result<(Json, Json)> {
        let command = json!({ "msgType": operation, "data": { "path": path } });
        self.application.command(&format!("dn/{endpoint}"), &command)?;
        let answer = self.application.of_type(operation)?;
        ensure!(answer["ep"] == endpoint, "{answer}");
        Ok((answer["data"]["code"].clone(), answer["data"]["content"][0]["value"].clone()))
    }

    /// The client is read, and observed, and what it notifies of arrives.
    pub fn goes_well(&self, device: &Device, endpoint: &str) -> Result<()> {
        ensure!(self.ask(endpoint, "read", "/3/0/3")? == (json!("2.05"), json!("1.0")));
        ensure!(self.ask(endpoint, "observe", "/3/0/9")?.0 == "2.05");
        self.notifies(device, endpoint, 41)?;
        let code = device.update(&[])?;
        ensure!(code == "2.04", "{code}");
        Ok(())
    }

    /// What the client notifies of is acknowledged and arrives.
    pub fn notifies(&self, device: &Device, endpoint: &str, level: i64) -> Result<()> {
        device.set("/3/0/9", Value::Integer(level))?;
        let sent = device.notify("/3/0/9", MessageType::Confirmable)?;
        device.acknowledged(&sent)?;
        self.notified(endpoint, &json!(level))
    }

    /// A notification of this endpoint with this value arrives. Whoever registers anew is observed anew, and that, too,
    /// may tell a value.
    pub fn notified(&self, endpoint: &str, value: &Json) -> Result<()> {
        self.application.take("notification", |message| {
            message.json().is_some_and(|json| {
                json["msgType"] == "notify"
                    && json["ep"] == endpoint
                    && json["data"]["content"][0]["value"] == *value
            })
        })?;
        Ok(())
    }

    /// How many handshakes there were for this endpoint, by the log.
    pub fn handshakes(&mut self, endpoint: &str) -> usize {
        let endpoint = format!("endpoint={endpoint} ");
        self.gateway.process().times_said(&["DTLS association established", &endpoint])
    }
}

/// A gateway that publishes in `fixed`, observes nothing by itself, and has these credentials.
pub fn setup(credentials: &Json) -> Setup {
    let mut setup = Setup::new(Broker::Embedded, "fixed");
    setup.settings["auto_observe"] = json!(false);
    setup.credentials = credentials.clone();
    setup
}

/// `[[psk]]` for an endpoint whose name is its identity.
pub fn psk(endpoint: &str, key: &[u8]) -> Json {
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "identity": endpoint, "key": key })
}

/// An authority, and a gateway with a certificate of it that takes clients with certificates of it.
pub fn certified() -> Result<(Certified, Setup)> {
    let authority = Certified::authority("Tidegate test authority")?;
    let server = authority.issue(&Wish::new("localhost"))?;
    let mut setup = setup(&json!({
        "x509": { "trusted": ["ca.pem"] },
        "server": { "private-key": "server.key", "certificate": "server.pem" },
        "psk": [psk(SECURED, &KEY)],
    }));
    setup.files = vec![
        ("ca.pem".to_owned(), authority.pem()?),
        ("server.pem".to_owned(), server.pem()?),
        ("server.key".to_owned(), server.key_pem()?),
    ];
    Ok((authority, setup))
}

/// An endpoint with a pre-shared key.
pub const SECURED: &str = "urn:imei:1";
/// Its key.
pub const KEY: [u8; 16] = *b"sixteen bytes of";
