//! The server and the device.

use anyhow::{Context, Result, anyhow, ensure};
use tidegate_proto::lwm2m::format::{SENML_JSON, TLV};
use tidegate_proto::lwm2m::operation::{Body, Operation, WriteMode};
use tidegate_proto::lwm2m::path::Path;
use tidegate_tests::{Answer, Process, Server, TEST_OBJECT, leshan};

use crate::value::{Values, other_values, samples, values};

pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) device: Process,
}

impl Stage {
    /// None, and a word about it, when the device is not there.
    pub(crate) fn set() -> Result<Option<Self>> {
        let mut server = Server::start(&[TEST_OBJECT])?;
        let Some(device) = leshan(server.address()?, ENDPOINT)? else { return Ok(None) };
        server.registered()?;
        device.said(&["registered"])?;
        Ok(Some(Self { server, device }))
    }

    pub(crate) fn ask(&mut self, operation: Operation) -> Result<Answer> {
        self.server.perform(ENDPOINT, operation)
    }

    /// The values of an answer that must have this code and format.
    pub(crate) fn values(&self, answer: &Answer, code: &str, format: u16) -> Result<Values> {
        ensure!(answer.code == code && answer.format == Some(format), "{answer:?}");
        Ok(values(&self.server.samples(answer)?))
    }

    /// The values there are.
    pub(crate) fn read(&mut self, path: Path) -> Result<Values> {
        let answer = self.ask(Operation::Read { path, queries: vec![], accept: Some(SENML_JSON) })?;
        self.values(&answer, "2.05", SENML_JSON)
    }

    pub(crate) fn encoded(&self, format: u16, path: Path, values: &Values) -> Result<Body> {
        let payload = self.server.encode(format, path, &samples(values))?;
        Ok(Body::Encoded { format: Some(format), payload })
    }

    /// Writes other values to a resource below the path, as a change to be notified of; returns what is then there.
    pub(crate) fn change(&mut self, path: Path, before: &Values) -> Result<Values> {
        let (changed, value) = other_values(before).into_iter().next().context("a value")?;
        let body = self.encoded(TLV, changed, &vec![(changed, value.clone())])?;
        let write = Operation::Write { path: changed, queries: vec![], mode: WriteMode::Replace, body };
        let answer = self.ask(write)?;
        ensure!(answer.code == "2.04", "{path}: {answer:?}");
        let mut after = before.clone();
        after[0].1 = value;
        Ok(after)
    }

    /// Execute "Reset values".
    pub(crate) fn reset(&mut self) -> Result<()> {
        let answer = self.ask(Operation::Execute { path: RESET, queries: vec![], arguments: None })?;
        ensure!(answer.code == "2.04", "{answer:?}");
        Ok(())
    }
}

pub(crate) fn refusal(answer: &Answer) -> anyhow::Error {
    anyhow!("{} {}", answer.code, String::from_utf8_lossy(&answer.payload))
}

pub(crate) const ENDPOINT: &str = "leshan";
const RESET: Path = Path::new([3442, 0, 0]);
