//! The gateway dies and comes back, and its clients do not notice.

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use tidegate_tests::{Peer, Profile, Secure, code_text, request};

use crate::stage::{Stage, psk, setup};

#[test]
fn a_thousand_associations_go_on_after_a_kill() -> Result<()> {
    let mut stage = Stage::set(&setup(&json!({ "psk": credentials() })))?;
    let associations = connect(&stage)?;
    ensure!(stage.gateway.process().times_said(&[ESTABLISHED]) == CLIENTS);
    stage.gateway.process().said_times(&["nothing"], 0)?;
    stage.gateway.kill_and_restart()?;
    // A client with a connection ID may be somewhere else by now; one without must be where it was.
    for association in associations.iter().filter(|association| association.has_connection_id()) {
        association.rebind()?;
    }
    let answered = answered(associations)?;
    ensure!(answered == CLIENTS, "{answered} of {CLIENTS} go on");
    ensure!(stage.gateway.process().times_said(&[ESTABLISHED]) == 0);
    Ok(())
}
