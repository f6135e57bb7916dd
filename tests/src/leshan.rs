//! The device built on Eclipse Leshan (`tests/leshan`), which `scripts/setup interop` builds.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process::Process;
use crate::skipped;

/// What the device's test object has, in the XML of the OMA registry.
pub const TEST_OBJECT: &str = include_str!("../leshan/src/main/resources/models/3442.xml");

/// Start the device and let it register. None, and a word about it, when Java or the device are not there.
pub fn leshan(server: SocketAddr, endpoint: &str) -> Result<Option<Process>> {
    start(&format!("coap://{server}"), endpoint, &[])
}

/// Start the device with DTLS: `profile` is what its `DtlsProfile` takes. None when Java or the device are not there.
pub fn leshan_over_dtls(server: SocketAddr, endpoint: &str, profile: &[String]) -> Result<Option<Process>> {
    start(&format!("coaps://{server}"), endpoint, profile)
}

fn start(uri: &str, endpoint: &str, profile: &[String]) -> Result<Option<Process>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("leshan/target");
    if Command::new("java").arg("-version").output().is_err() {
        skipped("there is no java");
        return Ok(None);
    }
    if !folder.join("classes/tidegate").exists() || !folder.join("lib").exists() {
        skipped("the Leshan device is not built; `make interop` does it where Maven and its registry are");
        return Ok(None);
    }
    let classes = format!("{0}/classes:{0}/lib/*", folder.display());
    let mut java = Command::new("java");
    java.args(["-cp", &classes, "tidegate.interop.LeshanDevice", uri, endpoint]).args(profile);
    Ok(Some(Process::start(&mut java)?))
}
