//! A gateway with its embedded broker, a client, and whoever asks over HTTP.

use anyhow::{Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{Application, Broker, Device, Gateway, HttpAnswer, MqttVersion, Setup};

pub(crate) struct Stage {
    pub(crate) gateway: Gateway,
    pub(crate) application: Application,
    pub(crate) device: Device,
}

impl Stage {
    /// With a client `urn:imei:1` that is registered. `change` may change the setup.
    pub(crate) fn set(change: impl FnOnce(&mut Setup)) -> Result<Self> {
        let mut setup = Setup::new(Broker::Embedded, "fixed");
        setup.settings["auto_observe"] = json!(false);
        setup.http = true;
        change(&mut setup);
        let gateway = Gateway::start(&setup)?;
        let application = Application::connect(gateway.mqtt(), MqttVersion::V5)?;
        let mut device = Device::new(gateway.coap(), CLIENT)?;
        device.register()?;
        application.of_type("register")?;
        Ok(Self { gateway, application, device })
    }

    pub(crate) fn ask(&self, method: &str, path: &str) -> Result<HttpAnswer> {
        self.gateway.ask(method, path, &["X-Tidegate: 1"], "")
    }

    /// What is answered to a GET, which must be 200.
    pub(crate) fn get(&self, path: &str) -> Result<Json> {
        let answer = self.ask("GET", path)?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        answer.json()
    }

    pub(crate) fn post(&self, path: &str, body: &Json) -> Result<HttpAnswer> {
        self.gateway.ask("POST", path, &["Content-Type: application/json"], &body.to_string())
    }

    /// What becomes of an operation, which must be answered 200.
    pub(crate) fn operate(&self, body: &Json) -> Result<Json> {
        let answer = self.post(&format!("/api/v1/clients/{CLIENT}/operations?timeout=10"), body)?;
        ensure!(answer.status == 200, "{body}: {answer:?}");
        answer.json()
    }
}

pub(crate) const CLIENT: &str = "urn:imei:1";
